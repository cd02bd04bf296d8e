//! Filters and orders of logged models. Their grammar has one spelling per entity.

use foretell_tracking::{Condition, Field, ModelAttribute, ModelStatus, Order, Test};

use super::parse;
use super::tracked::{check_value, comparator};
use crate::error::ApiError;

/// The conditions of a search for logged models.
pub(crate) fn model_conditions(filter: &str) -> Result<Vec<Condition<ModelAttribute>>, ApiError> {
    parse::clauses(filter)?.into_iter().map(condition).collect()
}

fn condition(clause: parse::Clause) -> Result<Condition<ModelAttribute>, ApiError> {
    let name = match &clause.entity {
        Some(entity) => format!("{entity}.{}", clause.key),
        None => format!("attributes.{}", clause.key),
    };
    let field = field(clause.entity.as_deref(), clause.key.clone())?;
    if matches!(clause.test, Test::IsNull | Test::IsNotNull) {
        return Err(ApiError::invalid(format!(
            "Invalid comparison operator for {name}: '{}'.",
            comparator(&clause.test)
        )));
    }
    let lists = matches!(clause.test, Test::In(_) | Test::NotIn(_));
    if !(lists && matches!(field, Field::Param(_) | Field::Tag(_))) {
        check_value(&field, is_number(&field), &clause.key, &clause.test)?;
    }
    let test = match field {
        Field::Attribute(ModelAttribute::Status) => in_full(clause.test),
        _ => clause.test,
    };
    Ok(Condition { field, test })
}

/// One key of an order.
pub(crate) fn model_order(field_name: &str, descending: bool) -> Result<Order<ModelAttribute>, ApiError> {
    let field = match field_name.split_once('.') {
        None => attribute(field_name).map(Field::Attribute),
        Some(("metrics", key)) => Some(Field::Metric(key.trim_matches('`').to_owned())),
        Some(_) => {
            return Err(ApiError::invalid(format!(
                "Invalid order by field name: {field_name}. Only metrics are supported."
            )));
        }
    };
    let wrong = || ApiError::invalid(format!("Invalid order by field name: {field_name}"));
    Ok(Order {
        field: field.ok_or_else(wrong)?,
        descending,
    })
}

fn field(entity: Option<&str>, key: String) -> Result<Field<ModelAttribute>, ApiError> {
    match entity {
        None | Some("attributes") => {
            let wrong = || {
                ApiError::invalid(format!(
                    "Invalid attribute key '{key}' specified. Valid keys are ['name', 'model_id', 'model_type', \
                     'status', 'source_run_id', 'creation_timestamp', 'creation_time', 'last_updated_timestamp']"
                ))
            };
            attribute(&key).map(Field::Attribute).ok_or_else(wrong)
        }
        Some("metrics") => Ok(Field::Metric(key)),
        Some("params") => Ok(Field::Param(key)),
        Some("tags") => Ok(Field::Tag(key)),
        Some(entity) => Err(ApiError::invalid(format!(
            "Invalid entity type: '{entity}'. Expected one of ['attributes', 'metrics', 'params', 'tags']."
        ))),
    }
}

fn attribute(key: &str) -> Option<ModelAttribute> {
    Some(match key {
        "name" => ModelAttribute::Name,
        "model_id" => ModelAttribute::Id,
        "model_type" => ModelAttribute::ModelType,
        "status" => ModelAttribute::Status,
        "source_run_id" => ModelAttribute::SourceRunId,
        "artifact_location" | "artifact_uri" => ModelAttribute::ArtifactUri,
        "creation_timestamp" | "creation_time" | "creation_timestamp_ms" => ModelAttribute::CreationTime,
        "last_updated_timestamp" | "last_updated_time" | "last_updated_timestamp_ms" => ModelAttribute::LastUpdateTime,
        _ => return None,
    })
}

fn is_number(field: &Field<ModelAttribute>) -> bool {
    matches!(
        field,
        Field::Attribute(ModelAttribute::CreationTime | ModelAttribute::LastUpdateTime)
    )
}

/// Clients call a status `READY`, the wire `LOGGED_MODEL_READY`; a filter may say either.
fn in_full(test: Test) -> Test {
    let full = |word: String| {
        let long = format!("LOGGED_MODEL_{word}");
        match word.as_str() {
            "FAILED" => ModelStatus::Failed.as_str().to_owned(),
            _ if ModelStatus::from_word(&long).is_some() => long,
            _ => word,
        }
    };
    match test {
        Test::Equal(word) => Test::Equal(full(word)),
        Test::NotEqual(word) => Test::NotEqual(full(word)),
        Test::In(words) => Test::In(words.into_iter().map(full).collect()),
        Test::NotIn(words) => Test::NotIn(words.into_iter().map(full).collect()),
        test => test,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_may_be_short() {
        let test = |filter: &str| model_conditions(filter).unwrap().remove(0).test;
        assert_eq!(test("status = 'READY'"), Test::Equal("LOGGED_MODEL_READY".into()));
        assert_eq!(
            test("status = 'LOGGED_MODEL_READY'"),
            Test::Equal("LOGGED_MODEL_READY".into())
        );
        assert_eq!(
            test("status != 'FAILED'"),
            Test::NotEqual("LOGGED_MODEL_UPLOAD_FAILED".into())
        );
    }

    #[test]
    fn what_is_no_field_of_a_logged_model_is_refused() {
        let check = |filter: &str, expected: &str| {
            let message = model_conditions(filter).unwrap_err().message;
            assert!(message.starts_with(expected), "{message}");
        };
        check(
            "metric.a > 1",
            "Invalid entity type: 'metric'. Expected one of ['attributes',",
        );
        check("color = 'red'", "Invalid attribute key 'color' specified.");
        check(
            "name IS NULL",
            "Invalid comparison operator for attributes.name: 'IS NULL'.",
        );
        check("metrics.a = 'x'", "Expected numeric value type for metric.");
        assert!(
            model_order("params.a", false)
                .unwrap_err()
                .message
                .ends_with("Only metrics are supported.")
        );
        assert!(
            model_order("color", false)
                .unwrap_err()
                .message
                .starts_with("Invalid order by field name: color")
        );
        assert_eq!(
            model_order("metrics.auc", true).unwrap().field,
            Field::Metric("auc".into())
        );
    }
}
