//! Filters and orders of experiments and runs, handed to the tracking store.

use foretell_tracking::{Condition, ExperimentAttribute, Field, Order, RunAttribute, Test};

use super::parse;
use crate::error::ApiError;

/// The conditions of a search for runs.
pub(crate) fn run_conditions(filter: &str) -> Result<Vec<Condition<RunAttribute>>, ApiError> {
    let condition = |it: parse::Clause| condition(run_field(it.entity.as_deref(), it.key)?, it.test, run_number);
    parse::clauses(filter)?.into_iter().map(condition).collect()
}

/// The order of a search for runs.
pub(crate) fn run_order(order_by: &[String]) -> Result<Vec<Order<RunAttribute>>, ApiError> {
    let order = |text: &String| {
        let key = parse::order_key(text)?;
        Ok(Order {
            field: run_field(key.entity.as_deref(), key.key)?,
            descending: key.descending,
        })
    };
    order_by.iter().map(order).collect()
}

/// The conditions of a search for experiments.
pub(crate) fn experiment_conditions(filter: &str) -> Result<Vec<Condition<ExperimentAttribute>>, ApiError> {
    let number = |it: ExperimentAttribute| {
        matches!(
            it,
            ExperimentAttribute::CreationTime | ExperimentAttribute::LastUpdateTime
        )
    };
    let condition = |it: parse::Clause| condition(experiment_field(it.entity.as_deref(), it.key)?, it.test, number);
    parse::clauses(filter)?.into_iter().map(condition).collect()
}

/// The order of a search for experiments.
pub(crate) fn experiment_order(order_by: &[String]) -> Result<Vec<Order<ExperimentAttribute>>, ApiError> {
    let order = |text: &String| {
        let key = parse::order_key(text)?;
        let field = experiment_field(key.entity.as_deref(), key.key)?;
        if matches!(field, Field::Tag(_)) {
            return Err(ApiError::invalid(format!(
                "Invalid order_by entity in '{text}': experiments have no order by tag"
            )));
        }
        Ok(Order {
            field,
            descending: key.descending,
        })
    };
    order_by.iter().map(order).collect()
}

fn run_field(entity: Option<&str>, key: String) -> Result<Field<RunAttribute>, ApiError> {
    match entity {
        None | Some("attribute" | "attributes" | "attr" | "run") => run_attribute(&key).map(Field::Attribute),
        Some("metric" | "metrics") => Ok(Field::Metric(key)),
        Some("param" | "params" | "parameter" | "parameters") => Ok(Field::Param(key)),
        Some("tag" | "tags") => Ok(Field::Tag(key)),
        Some(entity) => Err(ApiError::invalid(format!(
            "Invalid entity type '{entity}'. Valid values are ['metric', 'parameter', 'tag', 'attribute']"
        ))),
    }
}

fn run_attribute(key: &str) -> Result<RunAttribute, ApiError> {
    Ok(match key {
        "run_id" => RunAttribute::RunId,
        "run_name" | "run name" | "Run name" | "Run Name" => RunAttribute::RunName,
        "status" => RunAttribute::Status,
        "user_id" => RunAttribute::UserId,
        "artifact_uri" => RunAttribute::ArtifactUri,
        "start_time" | "created" | "Created" => RunAttribute::StartTime,
        "end_time" => RunAttribute::EndTime,
        _ => {
            return Err(ApiError::invalid(format!(
                "Invalid attribute key '{key}' specified. Valid keys are ['run_id', 'run_name', 'status', 'user_id', \
                 'artifact_uri', 'start_time', 'end_time']"
            )));
        }
    })
}

fn run_number(attribute: RunAttribute) -> bool {
    matches!(attribute, RunAttribute::StartTime | RunAttribute::EndTime)
}

fn experiment_field(entity: Option<&str>, key: String) -> Result<Field<ExperimentAttribute>, ApiError> {
    match entity {
        None | Some("attribute" | "attributes" | "attr") => experiment_attribute(&key).map(Field::Attribute),
        Some("tag" | "tags") => Ok(Field::Tag(key)),
        Some(entity) => Err(ApiError::invalid(format!(
            "Invalid entity type '{entity}'. Valid values are ['attribute', 'tag']"
        ))),
    }
}

fn experiment_attribute(key: &str) -> Result<ExperimentAttribute, ApiError> {
    Ok(match key {
        "experiment_id" => ExperimentAttribute::Id,
        "name" => ExperimentAttribute::Name,
        "creation_time" => ExperimentAttribute::CreationTime,
        "last_update_time" => ExperimentAttribute::LastUpdateTime,
        _ => {
            return Err(ApiError::invalid(format!(
                "Invalid attribute key '{key}' specified. Valid keys are ['name', 'experiment_id', 'creation_time', \
                 'last_update_time']"
            )));
        }
    })
}

/// Refuses a number where a text belongs and the other way round, in MLflow's words.
fn condition<A: Copy>(field: Field<A>, test: Test, number: impl Fn(A) -> bool) -> Result<Condition<A>, ApiError> {
    let numeric = match &field {
        Field::Attribute(attribute) => number(*attribute),
        Field::Metric(_) => true,
        Field::Param(_) | Field::Tag(_) => false,
    };
    let kind = match &field {
        Field::Attribute(_) => "attribute",
        Field::Metric(_) => "metric",
        Field::Param(_) => "parameter",
        Field::Tag(_) => "tag",
    };
    match (&test, numeric) {
        (Test::Number(..), true) => {}
        (Test::Number(_, found), false) => {
            return Err(ApiError::invalid(format!(
                "Expected a quoted string value for {kind} (e.g. 'my-value'). Got value {found}"
            )));
        }
        (Test::IsNull | Test::IsNotNull, false) if kind != "attribute" => {}
        (Test::In(_) | Test::NotIn(_), false) if kind == "attribute" => {}
        (Test::Equal(_) | Test::NotEqual(_) | Test::Like(_) | Test::ILike(_), false) => {}
        (Test::Equal(found) | Test::NotEqual(found), true) => {
            return Err(ApiError::invalid(format!(
                "Expected numeric value type for {kind}. Found {found}"
            )));
        }
        _ => {
            return Err(ApiError::invalid(format!(
                "{test:?} is not a valid comparison for {kind}"
            )));
        }
    }
    Ok(Condition { field, test })
}

#[cfg(test)]
mod tests {
    use foretell_tracking::NumberTest;

    use super::*;

    #[test]
    fn every_spelling_of_an_entity_is_known() {
        for prefix in ["metric", "metrics"] {
            let got = run_conditions(&format!("{prefix}.auc > 0.5")).unwrap();
            let test = Test::Number(NumberTest::Greater, 0.5);
            assert_eq!(
                got,
                [Condition {
                    field: Field::Metric("auc".into()),
                    test
                }]
            );
        }
        for prefix in ["", "attribute.", "attributes.", "attr.", "run."] {
            let got = run_conditions(&format!("{prefix}status = 'FINISHED'")).unwrap();
            assert_eq!(got[0].field, Field::Attribute(RunAttribute::Status));
        }
        for prefix in ["param", "params", "parameter", "parameters"] {
            assert_eq!(
                run_conditions(&format!("{prefix}.x = '1'")).unwrap()[0].field,
                Field::Param("x".into())
            );
        }
    }

    #[test]
    fn values_of_the_wrong_kind_are_refused_in_the_words_of_mlflow() {
        let check = |filter: &str, expected: &str| {
            let message = run_conditions(filter).unwrap_err().message;
            assert!(message.starts_with(expected), "{message}");
        };
        check("metrics.a = 'x'", "Expected numeric value type for metric. Found x");
        check("params.a = 1", "Expected a quoted string value for parameter");
        check("start_time = 'x'", "Expected numeric value type for attribute. Found x");
        check("foo.a = 'x'", "Invalid entity type 'foo'. Valid values are [");
        check("foo = 'x'", "Invalid attribute key 'foo' specified.");
        check("metrics.a LIKE 'x'", "Like(\"x\") is not a valid comparison for metric");
    }
}
