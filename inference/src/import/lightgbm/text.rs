//! The sections of the file: a header, a block of lists per tree, and Python's dictionaries at the end.

use std::collections::BTreeMap;
use std::str::FromStr;

/// The file in sections, its numbers still text.
pub(super) struct Text<'a> {
    header: BTreeMap<&'a str, &'a str>,
    /// The trees, in order.
    pub(super) blocks: Vec<Block<'a>>,
    /// JSON after `pandas_categorical:`.
    pub(super) pandas_categorical: Option<&'a str>,
}

/// The lists of one tree by name.
#[derive(Default)]
pub(super) struct Block<'a> {
    fields: Vec<(&'a str, &'a str)>,
}

impl<'a> Text<'a> {
    /// Finds the sections.
    pub(super) fn split(text: &'a str) -> Result<Self, String> {
        let mut lines = text.lines();
        let mut sections = Self {
            header: BTreeMap::new(),
            blocks: Vec::new(),
            pandas_categorical: None,
        };
        let complete = lines.by_ref().any(|line| {
            sections.add(line.trim());
            line.trim() == "end of trees"
        });
        if !complete {
            return Err("it ends before its line `end of trees`: a part is missing".to_owned());
        }
        sections.read_tail(lines)?;
        Ok(sections)
    }

    fn add(&mut self, line: &'a str) {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        match (name, self.blocks.last_mut()) {
            ("Tree", _) => self.blocks.push(Block::default()),
            (_, Some(block)) => block.fields.push((name, value)),
            (_, None) => drop(self.header.insert(name, value)),
        }
    }

    fn read_tail(&mut self, lines: impl Iterator<Item = &'a str>) -> Result<(), String> {
        let mut in_parameters = false;
        for line in lines {
            match line.trim() {
                "parameters:" => in_parameters = true,
                "end of parameters" => in_parameters = false,
                line => {
                    let dictionaries = line.strip_prefix("pandas_categorical:");
                    self.pandas_categorical = dictionaries.or(self.pandas_categorical);
                }
            }
        }
        if in_parameters {
            return Err("it ends before its line `end of parameters`: a part is missing".to_owned());
        }
        Ok(())
    }

    /// A line of the header; a flag without `=` is empty.
    pub(super) fn header(&self, name: &str) -> Option<&'a str> {
        self.header.get(name).copied()
    }

    /// A count in the header; `None` where it is not there.
    pub(super) fn header_number(&self, name: &str) -> Option<Result<usize, String>> {
        self.header(name).map(|value| number(name, value))
    }
}

impl<'a> Block<'a> {
    /// The text of a list.
    pub(super) fn field(&self, name: &str) -> Option<&'a str> {
        self.fields.iter().find(|(it, _)| *it == name).map(|(_, value)| *value)
    }

    /// One number.
    pub(super) fn number(&self, name: &str) -> Result<usize, String> {
        number(name, self.field(name).ok_or_else(|| absent(name))?)
    }

    /// A list of exactly so many numbers.
    pub(super) fn list<T: FromStr>(&self, name: &str, count: usize) -> Result<Vec<T>, String> {
        let numbers = self.numbers(name)?;
        if numbers.len() != count {
            return Err(format!("`{name}` has {} numbers where {count} belong", numbers.len()));
        }
        Ok(numbers)
    }

    /// A list of any length.
    pub(super) fn numbers<T: FromStr>(&self, name: &str) -> Result<Vec<T>, String> {
        let items = self.field(name).ok_or_else(|| absent(name))?.split_ascii_whitespace();
        items.map(|item| number(name, item)).collect()
    }
}

fn absent(name: &str) -> String {
    format!("`{name}` is not there")
}

fn number<T: FromStr>(name: &str, text: &str) -> Result<T, String> {
    let shown: String = text.chars().take(40).collect();
    text.trim()
        .parse()
        .map_err(|_| format!("`{name}` has `{shown}` where a number belongs"))
}
