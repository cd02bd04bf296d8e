//! A TOML text as entries in file order, each with its line.

use std::fmt;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::time::Timestamp;

/// One key and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub name: String,
    /// 1-based line of the key.
    pub line: usize,
    /// The value.
    pub item: Item,
}

/// One value of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct ListItem {
    /// 1-based line of the value.
    pub line: usize,
    /// The value.
    pub item: Item,
}

/// A value as written.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// `"text"`
    Text(String),
    /// `42`
    Integer(i64),
    /// `0.5`
    Float(f64),
    /// `true`
    Boolean(bool),
    /// `2026-06-30T00:00:00Z`, local times read as UTC.
    Time(Timestamp),
    /// `[1, 2]`
    List(Vec<ListItem>),
    /// `{ a = 1 }`
    Table(Vec<Entry>),
    /// What this reader has no use for (times of day, numbers out of range), as written.
    Other(String),
}

/// The file's top table, or the line and the reason why it is not TOML.
pub(super) fn entries(text: &str) -> Result<Vec<Entry>, (usize, String)> {
    let lines = Lines::of(text);
    match DeTable::parse(text) {
        Ok(table) => Ok(lines.table(table.get_ref())),
        Err(error) => {
            let at = error.span().map_or(text.len(), |span| span.start);
            Err((
                lines.line(at),
                format!("not TOML: {}", error.message().replace('\n', ", ")),
            ))
        }
    }
}

/// Byte offsets of line starts.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self(std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect())
    }

    fn line(&self, at: usize) -> usize {
        self.0.partition_point(|start| *start <= at)
    }

    fn table(&self, table: &DeTable<'_>) -> Vec<Entry> {
        let mut placed: Vec<(usize, Entry)> = Vec::new();
        for (key, value) in table {
            let start = key.span().start;
            let entry = Entry {
                name: key.get_ref().to_string(),
                line: self.line(start),
                item: self.item(value),
            };
            placed.push((start, entry));
        }
        // The parsed table is sorted by name; the order of features and candidates is the file's.
        placed.sort_by_key(|(start, _)| *start);
        placed.into_iter().map(|(_, entry)| entry).collect()
    }

    fn list(&self, list: &DeArray<'_>) -> Vec<ListItem> {
        list.iter()
            .map(|it| ListItem {
                line: self.line(it.span().start),
                item: self.item(it),
            })
            .collect()
    }

    fn item(&self, value: &Spanned<DeValue<'_>>) -> Item {
        match value.get_ref() {
            DeValue::String(it) => Item::Text(it.to_string()),
            DeValue::Integer(it) => {
                let number = i64::from_str_radix(it.as_str(), it.radix());
                number.map_or_else(|_| Item::Other(it.to_string()), Item::Integer)
            }
            DeValue::Float(it) => it
                .as_str()
                .parse()
                .map_or_else(|_| Item::Other(it.to_string()), Item::Float),
            DeValue::Boolean(it) => Item::Boolean(*it),
            DeValue::Datetime(it) => {
                let text = it.to_string();
                text.parse().map_or_else(|_| Item::Other(text.clone()), Item::Time)
            }
            DeValue::Array(it) => Item::List(self.list(it)),
            DeValue::Table(it) => Item::Table(self.table(it)),
        }
    }
}

/// As a message shows it: `` `text` ``, `` `4` ``, `a list`, `a table`.
impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::Text(it) => write!(f, "`\"{it}\"`"),
            Item::Integer(it) => write!(f, "`{it}`"),
            Item::Float(it) => write!(f, "`{it}`"),
            Item::Boolean(it) => write!(f, "`{it}`"),
            Item::Time(it) => write!(f, "`{it}`"),
            Item::Other(it) => write!(f, "`{it}`"),
            Item::List(_) => f.write_str("a list"),
            Item::Table(_) => f.write_str("a table"),
        }
    }
}
