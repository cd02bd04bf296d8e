//! What a search asks for, and its SQL. Every value goes in as a bound parameter, never as text of the statement.

use sqlx::{QueryBuilder, Sqlite};

use crate::TrackingError;

/// Something of a run or an experiment that a search can test or order by; `A` lists the attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field<A> {
    /// Something that every one has.
    Attribute(A),
    /// The latest value of a metric (runs only).
    Metric(String),
    /// A parameter (runs only).
    Param(String),
    /// A tag.
    Tag(String),
}

/// What every run has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunAttribute {
    /// 32 hexadecimal digits.
    RunId,
    /// Its name.
    RunName,
    /// `RUNNING`, `FINISHED`, ..
    Status,
    /// Who started it.
    UserId,
    /// Where its files are.
    ArtifactUri,
    /// ms; a number.
    StartTime,
    /// ms; a number.
    EndTime,
}

/// How two numbers compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say all")]
pub enum NumberTest {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What must hold of a field. What is missing passes `IsNull` only, not even `NotEqual`.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// For metrics and times; a NaN metric counts as 0.
    Number(NumberTest, f64),
    /// The same text.
    Equal(String),
    /// Another text.
    NotEqual(String),
    /// A pattern with `%` and `_`, upper and lower case differ.
    Like(String),
    /// A pattern with `%` and `_`, case does not matter.
    ILike(String),
    /// One of these texts.
    In(Vec<String>),
    /// None of these texts.
    NotIn(Vec<String>),
    /// It is missing.
    IsNull,
    /// It is there.
    IsNotNull,
}

/// One clause of a search; all clauses must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition<A> {
    /// What is tested.
    pub field: Field<A>,
    /// What must hold.
    pub test: Test,
}

/// One key of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order<A> {
    /// What is compared. What is missing comes last.
    pub field: Field<A>,
    /// Largest first.
    pub descending: bool,
}

/// How attributes are read in SQL.
pub(crate) trait Column: Copy {
    /// The table of tags, joined to the row through `KEY`.
    const TAGS: &'static str;
    /// The internal key, as the table of tags and the row name it.
    const KEY: &'static str;
    /// The column.
    fn column(self) -> &'static str;
    /// Numbers are tested as numbers, all else as text.
    fn is_number(self) -> bool;
}

impl Column for RunAttribute {
    const TAGS: &'static str = "tags";
    const KEY: &'static str = "run";

    fn column(self) -> &'static str {
        match self {
            Self::RunId => "run_id",
            Self::RunName => "name",
            Self::Status => "status",
            Self::UserId => "user_id",
            Self::ArtifactUri => "artifact_uri",
            Self::StartTime => "start_time",
            Self::EndTime => "end_time",
        }
    }

    fn is_number(self) -> bool {
        matches!(self, Self::StartTime | Self::EndTime)
    }
}

type Sql = QueryBuilder<Sqlite>;

/// Appends ` AND ..` for the condition; the searched row is called `it`.
///
/// # Errors
/// `Invalid` when a number is tested as text or the other way round.
pub(crate) fn push_condition<A: Column>(sql: &mut Sql, condition: &Condition<A>) -> Result<(), TrackingError> {
    let number = match &condition.field {
        Field::Attribute(attribute) => attribute.is_number(),
        Field::Metric(_) => true,
        Field::Param(_) | Field::Tag(_) => false,
    };
    let fits = match &condition.test {
        Test::IsNull | Test::IsNotNull => true,
        Test::Number(..) => number,
        _ => !number,
    };
    if !fits {
        let expected = if number { "a number" } else { "a text" };
        let value = format!("{:?}", condition.test);
        return Err(TrackingError::invalid(
            "filter",
            value,
            format!("the field is compared with {expected}"),
        ));
    }
    sql.push(" AND ");
    push_field(sql, &condition.field);
    push_test(sql, &condition.test);
    Ok(())
}

/// Appends the keys of the order, each followed by a comma: the caller ends with a tie-break.
pub(crate) fn push_order<A: Column>(sql: &mut Sql, order: &Order<A>) {
    if let Field::Metric(key) = &order.field {
        push_metric(sql.push("coalesce("), "is_nan", key);
        sql.push(", 2), ");
    } else {
        push_field(sql, &order.field);
        sql.push(" IS NULL, ");
    }
    push_field(sql, &order.field);
    sql.push(if order.descending { " DESC, " } else { ", " });
}

fn push_field<A: Column>(sql: &mut Sql, field: &Field<A>) {
    match field {
        Field::Attribute(attribute) => {
            sql.push("it.").push(attribute.column());
        }
        Field::Metric(key) => push_metric(sql, "value", key),
        Field::Param(key) => {
            sql.push("(SELECT value FROM params p WHERE p.run = it.run AND p.key = ")
                .push_bind(key.clone())
                .push(")");
        }
        Field::Tag(key) => {
            let (tags, id) = (A::TAGS, A::KEY);
            sql.push(format!(
                "(SELECT value FROM {tags} t WHERE t.{id} = it.{id} AND t.key = "
            ));
            sql.push_bind(key.clone()).push(")");
        }
    }
}

fn push_metric(sql: &mut Sql, column: &str, key: &str) {
    sql.push(format!(
        "(SELECT {column} FROM latest_metrics m WHERE m.run = it.run AND m.key = "
    ));
    sql.push_bind(key.to_owned()).push(")");
}

fn push_test(sql: &mut Sql, test: &Test) {
    match test {
        Test::Number(operator, value) => sql.push(operator.sql()).push_bind(*value),
        Test::Equal(text) => sql.push(" = ").push_bind(text.clone()),
        Test::NotEqual(text) => sql.push(" <> ").push_bind(text.clone()),
        Test::Like(pattern) => sql.push(" GLOB ").push_bind(glob_of(pattern)),
        Test::ILike(pattern) => sql.push(" LIKE ").push_bind(pattern.clone()),
        Test::In(texts) => push_list(sql.push(" IN "), texts),
        Test::NotIn(texts) => push_list(sql.push(" NOT IN "), texts),
        Test::IsNull => sql.push(" IS NULL"),
        Test::IsNotNull => sql.push(" IS NOT NULL"),
    };
}

fn push_list<'a>(sql: &'a mut Sql, texts: &[String]) -> &'a mut Sql {
    sql.push("(");
    let mut list = sql.separated(", ");
    for text in texts {
        list.push_bind(text.clone());
    }
    sql.push(")")
}

impl NumberTest {
    fn sql(self) -> &'static str {
        match self {
            Self::Equal => " = ",
            Self::NotEqual => " <> ",
            Self::Less => " < ",
            Self::LessOrEqual => " <= ",
            Self::Greater => " > ",
            Self::GreaterOrEqual => " >= ",
        }
    }
}

/// `LIKE` of SQLite folds case; `GLOB` does not, and has other wildcards.
fn glob_of(like: &str) -> String {
    let mut glob = String::with_capacity(like.len() + 8);
    for c in like.chars() {
        match c {
            '%' => glob.push('*'),
            '_' => glob.push('?'),
            '*' | '?' | '[' => glob.extend(['[', c, ']']),
            _ => glob.push(c),
        }
    }
    glob
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_becomes_a_glob_that_means_the_same() {
        assert_eq!(glob_of("a%b_c"), "a*b?c");
        assert_eq!(glob_of("[*?]"), "[[][*][?]]");
    }
}
