//! Filters and orders of experiments and runs, handed to the tracking store.

use foretell_tracking::{
    Condition, DatasetAttribute, ExperimentAttribute, ExperimentId, Field, Order, RunAttribute, Test,
};

use super::parse;
use crate::error::ApiError;

/// The conditions of a search for runs.
pub(crate) fn run_conditions(filter: &str) -> Result<Vec<Condition<RunAttribute>>, ApiError> {
    let condition = |it: parse::Clause| {
        let field = run_field(it.entity.as_deref(), it.key.clone())?;
        check_run_test(&field, &it)?;
        Ok(Condition { field, test: it.test })
    };
    parse::clauses(filter)?.into_iter().map(condition).collect()
}

/// The order of a search for runs.
pub(crate) fn run_order(order_by: &[String]) -> Result<Vec<Order<RunAttribute>>, ApiError> {
    let order = |text: &String| {
        let key = parse::order_key(text)?;
        let field = run_field(key.entity.as_deref(), key.key)?;
        if matches!(field, Field::Dataset(_)) {
            return Err(ApiError::invalid("Invalid identifier type 'dataset'"));
        }
        Ok(Order {
            field,
            descending: key.descending,
        })
    };
    let order: Vec<_> = order_by.iter().map(order).collect::<Result<_, _>>()?;
    for (i, key) in order.iter().enumerate() {
        if order[..i].iter().any(|it| it.field == key.field) {
            let listed = crate::tracking_errors::python_list(order_by);
            return Err(ApiError::invalid(format!(
                "`order_by` contains duplicate fields: {listed}"
            )));
        }
    }
    Ok(order)
}

/// The conditions of a search for experiments.
pub(crate) fn experiment_conditions(filter: &str) -> Result<Vec<Condition<ExperimentAttribute>>, ApiError> {
    let condition = |it: parse::Clause| {
        let field = experiment_field(it.entity.as_deref(), it.key.clone())?;
        check_experiment_test(&field, &it)?;
        Ok(Condition { field, test: it.test })
    };
    parse::clauses(filter)?.into_iter().map(condition).collect()
}

/// The order of a search for experiments.
pub(crate) fn experiment_order(order_by: &[String]) -> Result<Vec<Order<ExperimentAttribute>>, ApiError> {
    let order = |text: &String| {
        let key = parse::order_key(text)?;
        let field = experiment_field(key.entity.as_deref(), key.key)?;
        if matches!(field, Field::Tag(_)) {
            return Err(ApiError::invalid("Invalid order_by entity: tag"));
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
        Some("dataset" | "datasets") => dataset_attribute(&key).map(Field::Dataset),
        Some(entity) => Err(ApiError::invalid(format!(
            "Invalid entity type '{entity}'. Valid values are ['metric', 'parameter', 'tag', 'attribute', 'dataset']"
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

fn dataset_attribute(key: &str) -> Result<DatasetAttribute, ApiError> {
    Ok(match key {
        "name" => DatasetAttribute::Name,
        "digest" => DatasetAttribute::Digest,
        "context" => DatasetAttribute::Context,
        _ => {
            return Err(ApiError::invalid(format!(
                "Invalid dataset key '{key}' specified. Valid keys are ['name', 'digest', 'context']"
            )));
        }
    })
}

fn experiment_field(entity: Option<&str>, key: String) -> Result<Field<ExperimentAttribute>, ApiError> {
    match entity {
        None | Some("attribute" | "attributes" | "attr") => experiment_attribute(&key).map(Field::Attribute),
        Some("tag" | "tags") => Ok(Field::Tag(key)),
        Some(entity) => Err(ApiError::invalid(format!(
            "Invalid entity type '{entity}'. Valid entity types are ('attribute', 'tag', 'tags')"
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

fn check_run_test(field: &Field<RunAttribute>, clause: &parse::Clause) -> Result<(), ApiError> {
    let number = matches!(field, Field::Attribute(RunAttribute::StartTime | RunAttribute::EndTime));
    let (kind, key) = (kind(field), &clause.key);
    match &clause.test {
        Test::IsNull | Test::IsNotNull if !matches!(field, Field::Param(_) | Field::Tag(_)) => Err(ApiError::invalid(
            format!("IS NULL / IS NOT NULL is only supported for tags and params, not for '{kind}' '{key}'"),
        )),
        Test::In(_) | Test::NotIn(_) if matches!(field, Field::Attribute(_)) && key != "run_id" && !number => {
            Err(only_lists("run_id"))
        }
        test => check_value(field, number, key, test),
    }
}

fn check_experiment_test(field: &Field<ExperimentAttribute>, clause: &parse::Clause) -> Result<(), ApiError> {
    let number = matches!(
        field,
        Field::Attribute(ExperimentAttribute::CreationTime | ExperimentAttribute::LastUpdateTime)
    );
    let key = &clause.key;
    match (field, &clause.test) {
        (Field::Attribute(_), Test::IsNull | Test::IsNotNull) => Err(ApiError::invalid(format!(
            "IS NULL / IS NOT NULL is only supported for tags, not for attribute '{key}'"
        ))),
        (Field::Attribute(ExperimentAttribute::Id), test) => check_experiment_id(test),
        (Field::Attribute(ExperimentAttribute::Name), Test::In(_) | Test::NotIn(_)) => Err(only_lists("experiment_id")),
        (field, test) => check_value(field, number, key, test),
    }
}

fn only_lists(key: &str) -> ApiError {
    ApiError::invalid(format!(
        "Only ['{key}'] attributes support comparison with a list of quoted string values."
    ))
}

/// The id is a number that is compared as a text.
fn check_experiment_id(test: &Test) -> Result<(), ApiError> {
    let ids = match test {
        Test::Equal(id) | Test::NotEqual(id) => std::slice::from_ref(id),
        Test::In(ids) | Test::NotIn(ids) => ids,
        Test::Number(..) => return Err(unquoted("attributes", test)),
        test => {
            let comparator = comparator(test);
            return Err(ApiError::invalid(format!(
                "Invalid comparator for experiment_id: {comparator}"
            )));
        }
    };
    ids.iter().try_for_each(|it| Ok(it.parse::<ExperimentId>().map(drop)?))
}

fn kind<A>(field: &Field<A>) -> &'static str {
    match field {
        Field::Attribute(_) => "attribute",
        Field::Metric(_) => "metric",
        Field::Param(_) => "parameter",
        Field::Tag(_) => "tag",
        Field::Dataset(_) => "dataset",
    }
}

/// Refuses a number where a text belongs and the other way round, in MLflow's words.
pub(super) fn check_value<A>(field: &Field<A>, number: bool, key: &str, test: &Test) -> Result<(), ApiError> {
    let kind = kind(field);
    match (field, test) {
        (_, Test::IsNull | Test::IsNotNull) => Ok(()),
        (Field::Metric(_), Test::Number(..)) => Ok(()),
        (Field::Metric(_), test) => Err(ApiError::invalid(format!(
            "Expected numeric value type for metric. Found {}",
            value(test)
        ))),
        (Field::Attribute(_), Test::Number(..)) if number => Ok(()),
        (Field::Attribute(_), test) if number => Err(ApiError::invalid(format!(
            "Expected numeric value type for numeric attribute: {key}. Found {}",
            value(test)
        ))),
        (Field::Attribute(_), test @ Test::Number(..)) => Err(unquoted("attributes", test)),
        (Field::Dataset(_), test @ Test::Number(..)) => Err(unquoted("dataset attributes", test)),
        (Field::Param(_) | Field::Tag(_), test @ (Test::Number(..) | Test::In(_) | Test::NotIn(_))) => {
            Err(unquoted(&format!("{kind} (e.g. 'my-value')"), test))
        }
        _ => Ok(()),
    }
}

fn unquoted(what: &str, test: &Test) -> ApiError {
    ApiError::invalid(format!(
        "Expected a quoted string value for {what}. Got value {}",
        value(test)
    ))
}

/// As it stands in the filter.
fn value(test: &Test) -> String {
    match test {
        Test::Number(_, number) => number.to_string(),
        Test::Equal(text) | Test::NotEqual(text) | Test::Like(text) | Test::ILike(text) => format!("'{text}'"),
        Test::In(texts) | Test::NotIn(texts) => {
            let listed = crate::tracking_errors::python_list(texts);
            format!("({})", &listed[1..listed.len() - 1])
        }
        Test::IsNull | Test::IsNotNull => "NULL".to_owned(),
    }
}

pub(super) fn comparator(test: &Test) -> &'static str {
    match test {
        Test::Number(..) => "a number",
        Test::Equal(_) => "=",
        Test::NotEqual(_) => "!=",
        Test::Like(_) => "LIKE",
        Test::ILike(_) => "ILIKE",
        Test::In(_) => "IN",
        Test::NotIn(_) => "NOT IN",
        Test::IsNull => "IS NULL",
        Test::IsNotNull => "IS NOT NULL",
    }
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
            let field = Field::Metric("auc".into());
            assert_eq!(got, [Condition { field, test }]);
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
        for prefix in ["dataset", "datasets"] {
            let got = run_conditions(&format!("{prefix}.context IN ('train')")).unwrap();
            assert_eq!(got[0].field, Field::Dataset(DatasetAttribute::Context));
        }
    }

    #[test]
    fn values_of_the_wrong_kind_are_refused_in_the_words_of_mlflow() {
        let check = |filter: &str, expected: &str| {
            let message = run_conditions(filter).unwrap_err().message;
            assert!(message.starts_with(expected), "{message}");
        };
        check("metrics.a = 'x'", "Expected numeric value type for metric. Found 'x'");
        check(
            "metrics.a LIKE 'x'",
            "Expected numeric value type for metric. Found 'x'",
        );
        check(
            "params.a = 1",
            "Expected a quoted string value for parameter (e.g. 'my-value'). Got value 1",
        );
        check(
            "params.a IN ('x')",
            "Expected a quoted string value for parameter (e.g. 'my-value'). Got value ('x')",
        );
        check(
            "start_time = 'x'",
            "Expected numeric value type for numeric attribute: start_time. Found 'x'",
        );
        check(
            "status = 1",
            "Expected a quoted string value for attributes. Got value 1",
        );
        check(
            "status IN ('a')",
            "Only ['run_id'] attributes support comparison with a list",
        );
        check(
            "status IS NULL",
            "IS NULL / IS NOT NULL is only supported for tags and params, not for 'attribute'",
        );
        check(
            "datasets.name = 1",
            "Expected a quoted string value for dataset attributes. Got value 1",
        );
        check("datasets.size = '1'", "Invalid dataset key 'size' specified.");
        check("foo.a = 'x'", "Invalid entity type 'foo'. Valid values are [");
        check("foo = 'x'", "Invalid attribute key 'foo' specified.");
    }

    #[test]
    fn conditions_on_experiments_follow_their_own_rules() {
        let check = |filter: &str, expected: &str| {
            let message = experiment_conditions(filter).unwrap_err().message;
            assert!(message.starts_with(expected), "{message}");
        };
        check("experiment_id = 'x'", "Invalid experiment ID 'x'.");
        check("experiment_id LIKE '1'", "Invalid comparator for experiment_id: LIKE");
        check("name IN ('a')", "Only ['experiment_id'] attributes support");
        check("name IS NULL", "IS NULL / IS NOT NULL is only supported for tags");
        check(
            "creation_time = 'x'",
            "Expected numeric value type for numeric attribute: creation_time",
        );
        assert_eq!(
            experiment_conditions("experiment_id IN ('1', '2') AND tags.a IS NULL")
                .unwrap()
                .len(),
            2
        );
    }

    #[test]
    fn a_field_orders_once() {
        let keys = |texts: &[&str]| run_order(&texts.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>());
        assert_eq!(keys(&["metrics.a", "start_time DESC"]).unwrap().len(), 2);
        let twice = keys(&["metrics.a", "metrics.`a` DESC"]).unwrap_err();
        assert!(
            twice.message.starts_with("`order_by` contains duplicate fields"),
            "{twice}"
        );
        assert!(keys(&["datasets.name"]).is_err());
    }
}
