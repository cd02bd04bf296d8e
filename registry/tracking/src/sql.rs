//! Statements that SQLite and PostgreSQL both understand: values are numbered `$1`, `$2`, .., and the few words in which the
//! two differ are chosen here.

use std::fmt::Write;

/// Rows in one `VALUES` list: the 100 metrics that clients send at a time are one statement, and the next hundred the same.
const ROWS: usize = 128;

/// Whose words a statement is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "one of them is a feature"))]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// Who may change the rows that a statement read before the transaction ends. SQLite has one writer, so it needs no word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock {
    /// Everybody.
    Open,
    /// Nobody, others may read them under the same lock.
    Share,
    /// Nobody but us.
    Update,
}

impl Dialect {
    /// 32 random hexadecimal digits.
    pub(crate) fn random_id(self) -> &'static str {
        match self {
            Self::Sqlite => "lower(hex(randomblob(16)))",
            Self::Postgres => "replace(CAST(gen_random_uuid() AS TEXT), '-', '')",
        }
    }

    pub(crate) fn lock(self, lock: Lock) -> &'static str {
        match (self, lock) {
            (Self::Sqlite, _) | (_, Lock::Open) => "",
            (Self::Postgres, Lock::Share) => " FOR SHARE",
            (Self::Postgres, Lock::Update) => " FOR UPDATE",
        }
    }
}

/// A value of a statement.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Arg {
    Int(i64),
    Real(f64),
    Text(String),
    MaybeInt(Option<i64>),
    MaybeText(Option<String>),
    /// A list of any length as one value.
    Ints(Vec<i64>),
}

macro_rules! arg_from {
    ($($from:ty => |$it:ident| $make:expr;)+) => {
        $(impl From<$from> for Arg {
            fn from($it: $from) -> Self {
                $make
            }
        })+
    };
}

arg_from! {
    i64 => |it| Self::Int(it);
    f64 => |it| Self::Real(it);
    bool => |it| Self::Int(i64::from(it));
    &str => |it| Self::Text(it.to_owned());
    &String => |it| Self::Text(it.clone());
    String => |it| Self::Text(it);
    Option<i64> => |it| Self::MaybeInt(it);
    Option<&str> => |it| Self::MaybeText(it.map(str::to_owned));
    Vec<i64> => |it| Self::Ints(it);
}

/// A statement and its values.
#[derive(Debug)]
pub(crate) struct Sql {
    pub(crate) text: String,
    pub(crate) args: Vec<Arg>,
    /// Whether the database shall keep it for the next time: its text is always the same.
    pub(crate) prepared: bool,
    dialect: Dialect,
}

impl Sql {
    /// A statement whose text is always the same.
    pub(crate) fn new(dialect: Dialect, text: &str) -> Self {
        Self {
            text: text.to_owned(),
            args: Vec::new(),
            prepared: true,
            dialect,
        }
    }

    /// Whose text depends on what is asked.
    pub(crate) fn composed(mut self) -> Self {
        self.prepared = false;
        self
    }

    /// The value of the next `$n` of the text.
    pub(crate) fn bind(mut self, value: impl Into<Arg>) -> Self {
        self.args.push(value.into());
        self
    }

    pub(crate) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Appends a value.
    pub(crate) fn value(&mut self, value: impl Into<Arg>) -> &mut Self {
        self.args.push(value.into());
        let n = self.args.len();
        write!(self.text, "${n}").expect("a string takes everything");
        self
    }

    /// Appends a value to a statement that names none of its values: SQLite looks a name up among all names, so that
    /// hundreds of named values cost their square.
    fn next_value(&mut self, value: impl Into<Arg>) -> &mut Self {
        match self.dialect {
            Dialect::Sqlite => {
                self.args.push(value.into());
                self.push("?")
            }
            Dialect::Postgres => self.value(value),
        }
    }

    /// Appends ` = ..` or ` IN ..`: what is left of it is one of the keys.
    pub(crate) fn among(&mut self, keys: &[i64]) -> &mut Self {
        if let [key] = keys {
            return self.push(" = ").value(*key);
        }
        let (before, after) = match self.dialect {
            Dialect::Sqlite => (" IN (SELECT value FROM json_each(", "))"),
            Dialect::Postgres => (" = ANY(", ")"),
        };
        self.push(before).value(keys.to_vec()).push(after)
    }

    /// The same, for a statement that is about to be run.
    pub(crate) fn for_keys(mut self, keys: &[i64]) -> Self {
        self.among(keys);
        self
    }

    /// Appends a match with a pattern of `%` and `_`, in which upper and lower case differ.
    pub(crate) fn like(&mut self, pattern: &str) -> &mut Self {
        match self.dialect {
            Dialect::Sqlite => self.push(" GLOB ").value(glob_of(pattern)),
            Dialect::Postgres => self.push(" LIKE ").value(pattern).push(" ESCAPE ''"),
        }
    }

    /// Appends a match with a pattern of `%` and `_`, in which case does not matter.
    pub(crate) fn ilike(&mut self, pattern: &str) -> &mut Self {
        match self.dialect {
            Dialect::Sqlite => self.push(" LIKE ").value(pattern),
            Dialect::Postgres => self.push(" ILIKE ").value(pattern).push(" ESCAPE ''"),
        }
    }

    /// Statements that insert the rows: `before VALUES (..), (..) after`.
    pub(crate) fn inserts<const N: usize>(
        dialect: Dialect,
        before: &str,
        rows: Vec<[Arg; N]>,
        after: &str,
    ) -> Vec<Self> {
        let mut statements = Vec::new();
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let mut sql = Self::new(dialect, before);
            for (at, row) in rows.by_ref().take(ROWS).enumerate() {
                sql.push(if at == 0 { " VALUES (" } else { ", (" });
                for (i, value) in row.into_iter().enumerate() {
                    sql.push(if i == 0 { "" } else { ", " }).next_value(value);
                }
                sql.push(")");
            }
            sql.push(after);
            statements.push(sql);
        }
        statements
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

    #[test]
    fn a_list_is_one_value_in_either_dialect() {
        let text = |dialect, keys: &[i64]| Sql::new(dialect, "run").for_keys(keys).text;
        assert_eq!(text(Dialect::Postgres, &[1, 2]), "run = ANY($1)");
        assert_eq!(text(Dialect::Sqlite, &[]), "run IN (SELECT value FROM json_each($1))");
        assert_eq!(text(Dialect::Sqlite, &[7]), "run = $1");
    }

    #[test]
    fn many_rows_are_few_statements_that_stay_prepared() {
        let made = |dialect| {
            let rows: Vec<_> = (0..130).map(|i: i64| [Arg::from(i), Arg::from("x")]).collect();
            Sql::inserts(dialect, "INSERT INTO t (a, b)", rows, " ON CONFLICT DO NOTHING")
        };
        let shapes: Vec<_> = made(Dialect::Sqlite)
            .iter()
            .map(|it| (it.args.len(), it.prepared))
            .collect();
        assert_eq!(shapes, [(256, true), (4, true)]);
        for (dialect, values) in [
            (Dialect::Sqlite, "(?, ?), (?, ?)"),
            (Dialect::Postgres, "($1, $2), ($3, $4)"),
        ] {
            let text = format!("INSERT INTO t (a, b) VALUES {values} ON CONFLICT DO NOTHING");
            assert_eq!(made(dialect)[1].text, text);
        }
    }
}
