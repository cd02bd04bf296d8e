//! Names and numbers of arguments of the functions.

use std::ops::RangeInclusive;

use super::Function;

const MANY: usize = 64;

/// Name in SQL, function, how many arguments. Casts are not among them: they have their own syntax.
pub(super) const FUNCTIONS: &[(&str, Function, RangeInclusive<usize>)] = &[
    ("abs", Function::Abs, 1..=1),
    ("ln", Function::Ln, 1..=1),
    ("exp", Function::Exp, 1..=1),
    ("sqrt", Function::Sqrt, 1..=1),
    ("floor", Function::Floor, 1..=1),
    ("ceil", Function::Ceil, 1..=1),
    ("round", Function::Round, 1..=1),
    ("greatest", Function::Greatest, 1..=MANY),
    ("least", Function::Least, 1..=MANY),
    ("coalesce", Function::Coalesce, 1..=MANY),
    ("nullif", Function::NullIf, 2..=2),
    ("lower", Function::Lower, 1..=1),
    ("upper", Function::Upper, 1..=1),
    ("length", Function::Length, 1..=1),
    ("concat", Function::Concat, 1..=MANY),
    ("starts_with", Function::StartsWith, 2..=2),
    ("matches", Function::Matches, 2..=2),
    ("to_timestamp", Function::ToTimestamp, 1..=2),
    ("add_days", Function::AddDays, 2..=2),
    ("year", Function::Year, 1..=1),
    ("month", Function::Month, 1..=1),
    ("day", Function::Day, 1..=1),
    ("weekday", Function::Weekday, 1..=1),
    ("hour", Function::Hour, 1..=1),
];

/// Target types of `cast`, the first name of each is the one printed.
pub(super) const CASTS: &[(&str, Function)] = &[
    ("double", Function::ToDouble),
    ("float", Function::ToDouble),
    ("real", Function::ToDouble),
    ("int", Function::ToInt64),
    ("integer", Function::ToInt64),
    ("bigint", Function::ToInt64),
    ("int64", Function::ToInt64),
    ("text", Function::ToText),
    ("string", Function::ToText),
    ("varchar", Function::ToText),
    ("boolean", Function::ToBoolean),
    ("bool", Function::ToBoolean),
    ("timestamp", Function::ToTimestamp),
];

impl Function {
    /// The SQL name; of a cast, its target.
    pub fn name(self) -> &'static str {
        let named = FUNCTIONS.iter().map(|(name, function, _)| (*name, *function));
        let mut all = named.chain(CASTS.iter().copied());
        all.find(|(_, function)| *function == self)
            .map(|(name, _)| name)
            .expect("every function has a name")
    }

    /// Whether it is written `cast(x AS name)`.
    pub fn is_cast(self) -> bool {
        matches!(
            self,
            Function::ToDouble | Function::ToInt64 | Function::ToText | Function::ToBoolean
        )
    }
}
