//! What a search asks for, and its SQL. Every value goes in as a bound parameter, never as text of the statement.

use crate::sql::Sql;
use crate::{DATASET_CONTEXT_TAG, TrackingError};

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
    /// Something of a data set that the run read (runs only, not for orders): one of its data sets must pass.
    Dataset(DatasetAttribute),
}

/// What every data set of a run has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatasetAttribute {
    /// Its name.
    Name,
    /// The digest of its content.
    Digest,
    /// What it was for; may be missing.
    Context,
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
    /// For metrics and times; a NaN metric passes `NotEqual` only.
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

/// How the fields of a searched thing are read in SQL; its row is called `it`.
pub(crate) trait Column: Copy + PartialEq {
    /// The table of the thing.
    const TABLE: &'static str;
    /// The internal key, as all tables name it.
    const KEY: &'static str;
    /// The table of tags.
    const TAGS: &'static str;
    /// The table of parameters, if it has some.
    const PARAMS: Option<&'static str>;
    /// The table of latest metrics, if it has some.
    const METRICS: Option<&'static str>;
    /// What is compared.
    fn column(self) -> &'static str;
    /// What is ordered by.
    fn order(self) -> &'static str {
        self.column()
    }
    /// Numbers are tested as numbers, all else as text.
    fn is_number(self) -> bool;
    /// Whether it may be missing.
    fn is_optional(self) -> bool;
}

impl Column for RunAttribute {
    const TABLE: &'static str = "runs";
    const KEY: &'static str = "run";
    const TAGS: &'static str = "tags";
    const PARAMS: Option<&'static str> = Some("params");
    const METRICS: Option<&'static str> = Some("latest_metrics");

    fn column(self) -> &'static str {
        match self {
            Self::RunId => "it.run_id",
            Self::RunName => "it.name",
            Self::Status => "it.status",
            Self::UserId => "it.user_id",
            Self::ArtifactUri => "it.artifact_uri",
            Self::StartTime => "it.start_time",
            Self::EndTime => "it.end_time",
        }
    }

    fn is_number(self) -> bool {
        matches!(self, Self::StartTime | Self::EndTime)
    }

    fn is_optional(self) -> bool {
        self == Self::EndTime
    }
}

/// The fields of a search that lie in tables of their own, each joined once as `f0`, `f1`, ..
///
/// Joins are what both databases plan well: a condition on the joined value makes the outer join an inner one.
pub(crate) struct Joined<'a, A>(Vec<&'a Field<A>>);

impl<'a, A: Column> Joined<'a, A> {
    /// Of the conditions and orders that name them.
    ///
    /// # Errors
    /// `Invalid` for a field that the searched thing does not have.
    pub(crate) fn of(fields: impl Iterator<Item = &'a Field<A>>) -> Result<Self, TrackingError> {
        let mut joined: Vec<&Field<A>> = Vec::new();
        for field in fields {
            if table::<A>(field)?.is_some() && !joined.contains(&field) {
                joined.push(field);
            }
        }
        Ok(Self(joined))
    }

    /// Appends `FROM` with all joins.
    pub(crate) fn push_from(&self, sql: &mut Sql) {
        let (table, key) = (A::TABLE, A::KEY);
        sql.push(&format!(" FROM {table} it"));
        for (i, field) in self.0.iter().enumerate() {
            let Ok(Some((table, name))) = self::table::<A>(field) else {
                continue;
            };
            sql.push(&format!(
                " LEFT JOIN {table} f{i} ON f{i}.{key} = it.{key} AND f{i}.key = "
            ));
            sql.value(name);
        }
    }

    fn value(&self, field: &Field<A>) -> String {
        match field {
            Field::Attribute(attribute) => attribute.column().to_owned(),
            field => format!("{}.value", self.alias(field)),
        }
    }

    fn alias(&self, field: &Field<A>) -> String {
        let at = self.0.iter().position(|it| *it == field);
        format!("f{}", at.expect("every field of the search was joined"))
    }

    /// Appends ` AND ..` for the condition.
    ///
    /// # Errors
    /// `Invalid` when a number is tested as text or the other way round.
    pub(crate) fn push_condition(&self, sql: &mut Sql, condition: &Condition<A>) -> Result<(), TrackingError> {
        check_kind(condition)?;
        sql.push(" AND ");
        match &condition.field {
            Field::Dataset(attribute) => push_dataset(sql, *attribute, &condition.test),
            field @ Field::Metric(_) => {
                let nan = format!("{}.is_nan", self.alias(field));
                push_metric_test(sql, &self.value(field), &nan, &condition.test);
            }
            field => push_test(sql, &self.value(field), &condition.test),
        }
        Ok(())
    }

    /// Appends the keys of an order, each followed by a comma: the caller ends with a tie-break.
    pub(crate) fn push_order(&self, sql: &mut Sql, order: &Order<A>) {
        match &order.field {
            Field::Attribute(attribute) => {
                if attribute.is_optional() {
                    sql.push(&format!("{} IS NULL, ", attribute.order()));
                }
                sql.push(attribute.order());
            }
            field @ Field::Metric(_) => {
                let (alias, value) = (self.alias(field), self.value(field));
                sql.push(&format!("coalesce({alias}.is_nan, 2), {value}"));
            }
            field => {
                let value = self.value(field);
                sql.push(&format!("{value} IS NULL, {value}"));
            }
        }
        sql.push(if order.descending { " DESC, " } else { ", " });
    }
}

/// The table of a field that has one, and the key to look for.
fn table<A: Column>(field: &Field<A>) -> Result<Option<(&'static str, &str)>, TrackingError> {
    let (table, key) = match field {
        Field::Attribute(_) | Field::Dataset(_) => return Ok(None),
        Field::Tag(key) => (Some(A::TAGS), key),
        Field::Param(key) => (A::PARAMS, key),
        Field::Metric(key) => (A::METRICS, key),
    };
    let missing = || TrackingError::invalid("filter", key, format!("{} have no such field", A::TABLE));
    Ok(Some((table.ok_or_else(missing)?, key)))
}

/// Refuses a number where a text belongs and the other way round.
pub(crate) fn check_kind<A: Column>(condition: &Condition<A>) -> Result<(), TrackingError> {
    let number = match &condition.field {
        Field::Attribute(attribute) => attribute.is_number(),
        Field::Metric(_) => true,
        Field::Param(_) | Field::Tag(_) | Field::Dataset(_) => false,
    };
    let fits = match &condition.test {
        Test::IsNull | Test::IsNotNull => true,
        Test::Number(..) => number,
        _ => !number,
    };
    if fits {
        return Ok(());
    }
    let expected = if number { "a number" } else { "a text" };
    let value = format!("{:?}", condition.test);
    let reason = format!("the field is compared with {expected}");
    Err(TrackingError::invalid("filter", value, reason))
}

fn push_dataset(sql: &mut Sql, attribute: DatasetAttribute, test: &Test) {
    sql.push("EXISTS (SELECT 1 FROM run_datasets i ");
    match attribute {
        DatasetAttribute::Context => {
            sql.push("LEFT JOIN run_dataset_tags t ON t.run = i.run AND t.dataset = i.dataset AND t.key = ");
            sql.value(DATASET_CONTEXT_TAG).push(" WHERE i.run = it.run AND ");
            push_test(sql, "t.value", test);
        }
        DatasetAttribute::Name | DatasetAttribute::Digest => {
            sql.push("JOIN datasets d ON d.dataset = i.dataset WHERE i.run = it.run AND ");
            let name = attribute == DatasetAttribute::Name;
            push_test(sql, if name { "d.name" } else { "d.digest" }, test);
        }
    }
    sql.push(")");
}

/// A NaN is stored as 0, which must not pass for one.
pub(crate) fn push_metric_test(sql: &mut Sql, value: &str, is_nan: &str, test: &Test) {
    sql.push("(");
    push_test(sql, value, test);
    sql.push(&match test {
        Test::Number(NumberTest::NotEqual, _) => format!(" OR {is_nan} = 1)"),
        Test::Number(..) => format!(" AND {is_nan} = 0)"),
        _ => ")".to_owned(),
    });
}

pub(crate) fn push_test(sql: &mut Sql, value: &str, test: &Test) {
    sql.push(value);
    match test {
        Test::Number(operator, number) => sql.push(operator.sql()).value(*number),
        Test::Equal(text) => sql.push(" = ").value(text),
        Test::NotEqual(text) => sql.push(" <> ").value(text),
        Test::Like(pattern) => sql.like(pattern),
        Test::ILike(pattern) => sql.ilike(pattern),
        Test::In(texts) => push_list(sql.push(" IN "), texts),
        Test::NotIn(texts) => push_list(sql.push(" NOT IN "), texts),
        Test::IsNull => sql.push(" IS NULL"),
        Test::IsNotNull => sql.push(" IS NOT NULL"),
    };
}

/// No text is a list of one null, which nothing is in or out of: SQL has no empty list.
fn push_list<'a>(sql: &'a mut Sql, texts: &[String]) -> &'a mut Sql {
    sql.push("(");
    for (i, text) in texts.iter().enumerate() {
        sql.push(if i == 0 { "" } else { ", " }).value(text);
    }
    sql.push(if texts.is_empty() { "NULL)" } else { ")" })
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
