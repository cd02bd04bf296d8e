//! TOML with places: every problem of a file is found at once and names file, line, key and the nearest valid spelling.
//!
//! A [`Document`] is one parsed file; a [`Section`] reads one of its tables by typed getters. A getter that meets something
//! wrong records a [`Problem`] and answers `None`, so that reading goes on; [`Section::refuse_unknown`] then refuses every
//! key that nothing asked for. The order of the file is kept.

use std::cell::RefCell;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::spelling;

mod item;
mod tree;

pub use item::FromItem;
pub use tree::{Entry, Item, ListItem};

/// One wrong thing in one file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// 1-based line.
    pub line: usize,
    /// Dotted key, `view.purchases.features.spend`.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// All wrong things found, in order of file and line.
#[derive(Debug, Clone, PartialEq, Eq, Default, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

/// A TOML file with the places of its values.
#[derive(Debug)]
pub struct Document {
    file: PathBuf,
    entries: Vec<Entry>,
    problems: RefCell<Vec<Problem>>,
}

/// One table of a document.
#[derive(Debug)]
pub struct Section<'a> {
    document: &'a Document,
    key: String,
    line: usize,
    entries: &'a [Entry],
    asked: RefCell<Vec<String>>,
}

/// Where a value is, for a problem that is found later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// 1-based line.
    pub line: usize,
    /// Dotted key.
    pub key: String,
}

impl Place {
    /// A problem here.
    pub fn problem(&self, message: impl Into<String>) -> Problem {
        Problem {
            file: self.file.clone(),
            line: self.line,
            key: self.key.clone(),
            message: message.into(),
        }
    }
}

impl Problems {
    /// Nothing wrong: `value`. Else the problems in order of file and line, each once.
    ///
    /// # Errors
    /// The problems, where there are any.
    pub fn or<T>(mut problems: Vec<Problem>, value: T) -> Result<T, Problems> {
        if problems.is_empty() {
            return Ok(value);
        }
        problems.sort_by(|a, b| (&a.file, a.line, &a.key, &a.message).cmp(&(&b.file, b.line, &b.key, &b.message)));
        problems.dedup();
        Err(Problems(problems))
    }
}

impl Document {
    /// Reads one file's text.
    ///
    /// # Errors
    /// The text is not TOML: the first place where it is not.
    pub fn parse(file: impl Into<PathBuf>, text: &str) -> Result<Self, Problem> {
        let file = file.into();
        match tree::entries(text) {
            Ok(entries) => Ok(Self {
                file,
                entries,
                problems: RefCell::default(),
            }),
            Err((line, message)) => Err(Problem {
                file,
                line,
                key: String::new(),
                message,
            }),
        }
    }

    /// The whole file as a section.
    pub fn root(&self) -> Section<'_> {
        Section {
            document: self,
            key: String::new(),
            line: 1,
            entries: &self.entries,
            asked: RefCell::default(),
        }
    }

    /// The file's path, as given.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What was found wrong so far.
    pub fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }
}

impl<'a> Section<'a> {
    /// The value of a key, where it is there and right.
    pub fn get<T: FromItem>(&self, name: &str) -> Option<T> {
        let entry = self.entry(name)?;
        match T::from_item(&entry.item) {
            Ok(value) => Some(value),
            Err(message) => self.wrong(name, message),
        }
    }

    /// The value of a key that must be there.
    pub fn need<T: FromItem>(&self, name: &str) -> Option<T> {
        if self.entry(name).is_none() {
            self.missing(name, T::EXPECTED);
        }
        self.get(name)
    }

    /// A table in this one.
    pub fn table(&self, name: &str) -> Option<Section<'a>> {
        let entry = self.entry(name)?;
        match self.section_of(entry) {
            Some(section) => Some(section),
            None => self.wrong(name, format!("not a table. got={}", entry.item)),
        }
    }

    /// A table that must be there.
    pub fn need_table(&self, name: &str) -> Option<Section<'a>> {
        if self.entry(name).is_none() {
            self.missing(name, "a table");
        }
        self.table(name)
    }

    /// The tables of an array of tables, `[[name]]`, in file order; none where the key is absent.
    pub fn tables(&self, name: &str) -> Vec<Section<'a>> {
        let Some(entry) = self.entry(name) else {
            return Vec::new();
        };
        let Item::List(items) = &entry.item else {
            self.problem(
                name,
                format!(
                    "not a list of tables; write `[[{}]]`. got={}",
                    self.key_of(name),
                    entry.item
                ),
            );
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (at, it) in items.iter().enumerate() {
            match &it.item {
                Item::Table(entries) => sections.push(self.child(format!("{name}[{at}]"), it.line, entries)),
                other => self.problem(name, format!("not a table. got={other}")),
            }
        }
        sections
    }

    /// Every entry in file order, for tables with free keys; all count as asked for.
    pub fn entries(&self) -> &'a [Entry] {
        self.asked
            .borrow_mut()
            .extend(self.entries.iter().map(|it| it.name.clone()));
        self.entries
    }

    /// The entries that no getter has asked for, in file order; from now on they count as asked for.
    pub fn rest(&self) -> Vec<&'a Entry> {
        let asked = self.asked.borrow().clone();
        self.entries().iter().filter(|it| !asked.contains(&it.name)).collect()
    }

    /// The entry as a section, where it is a table.
    pub fn section_of(&self, entry: &'a Entry) -> Option<Section<'a>> {
        match &entry.item {
            Item::Table(entries) => Some(self.child(entry.name.clone(), entry.line, entries)),
            _ => None,
        }
    }

    /// Whether the key is written.
    pub fn has(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }

    /// The raw value of a key.
    pub fn item(&self, name: &str) -> Option<&'a Item> {
        self.entry(name).map(|it| &it.item)
    }

    /// The table's own dotted key, `view.purchases`.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Where a key is; the table itself where the key is absent or empty.
    pub fn place(&self, name: &str) -> Place {
        let line = self
            .entries
            .iter()
            .find(|it| it.name == name)
            .map_or(self.line, |it| it.line);
        Place {
            file: self.document.file.clone(),
            line,
            key: self.key_of(name),
        }
    }

    /// Where a text is in the list of a key; the key where it is not.
    pub fn place_in_list(&self, name: &str, text: &str) -> Place {
        let mut place = self.place(name);
        if let Some(Item::List(items)) = self.item(name) {
            let found = items.iter().find(|it| matches!(&it.item, Item::Text(it) if it == text));
            place.line = found.map_or(place.line, |it| it.line);
        }
        place
    }

    /// Records a problem at a text in the list of a key.
    pub fn problem_in_list(&self, name: &str, text: &str, message: impl Into<String>) {
        let problem = self.place_in_list(name, text).problem(message);
        self.document.problems.borrow_mut().push(problem);
    }

    /// Records a problem at a key; at the table itself where the name is empty.
    pub fn problem(&self, name: &str, message: impl Into<String>) {
        self.document
            .problems
            .borrow_mut()
            .push(self.place(name).problem(message));
    }

    /// Refuses every key that nothing has asked for, each with the nearest valid one.
    pub fn refuse_unknown(&self) {
        let asked = self.asked.borrow();
        for entry in self.entries.iter().filter(|it| !asked.contains(&it.name)) {
            let hint = spelling::hint(&entry.name, asked.iter().map(String::as_str));
            self.problem(&entry.name, format!("unknown key `{}`{hint}", entry.name));
        }
    }

    fn entry(&self, name: &str) -> Option<&'a Entry> {
        let mut asked = self.asked.borrow_mut();
        if !asked.iter().any(|it| it == name) {
            asked.push(name.to_owned());
        }
        self.entries.iter().find(|it| it.name == name)
    }

    fn child(&self, name: String, line: usize, entries: &'a [Entry]) -> Section<'a> {
        let key = self.key_of(&name);
        Section {
            document: self.document,
            key,
            line,
            entries,
            asked: RefCell::default(),
        }
    }

    fn key_of(&self, name: &str) -> String {
        match (self.key.is_empty(), name.is_empty()) {
            (true, _) => name.to_owned(),
            (false, true) => self.key.clone(),
            (false, false) => format!("{}.{name}", self.key),
        }
    }

    fn missing(&self, name: &str, expected: &str) {
        self.problem(name, format!("`{name}` is missing; it is {expected}"));
    }

    fn wrong<T>(&self, name: &str, message: String) -> Option<T> {
        self.problem(name, message);
        None
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file.display(), self.line)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
