//! Entity keys as dense codes, so that joins compare integers.

use std::collections::HashMap;
use std::sync::Arc;

use foretell_features::row::KeyPart;
use foretell_features::{Column, EntityKey};

/// The keys seen, numbered from 0 in order of first appearance.
#[derive(Debug, Default)]
pub(crate) struct KeyIndex {
    /// Per key column, part to code.
    parts: Vec<PartIndex>,
    /// From the code of the first columns and the code of the next one to a code of both; one map per column after the first.
    joined: Vec<HashMap<(u32, u32), u32>>,
    keys: Vec<EntityKey>,
}

#[derive(Debug)]
enum PartIndex {
    Int(HashMap<i64, u32>),
    Text(HashMap<Arc<str>, u32>),
}

impl KeyIndex {
    /// Numbers the rows' keys; a row with a null part has none. No column at all is one key for all rows.
    ///
    /// # Panics
    /// If a column is neither integer nor text, which is a bug of this crate.
    pub(crate) fn of(columns: &[Column], n_rows: usize) -> (Self, Vec<Option<u32>>) {
        let mut index = Self::default();
        if columns.is_empty() {
            index.keys.push(EntityKey(Vec::new()));
            return (index, vec![Some(0); n_rows]);
        }
        let mut codes = index.number(&columns[0]);
        for column in &columns[1..] {
            let next = index.number(column);
            let mut joined = HashMap::new();
            for (code, next) in codes.iter_mut().zip(next) {
                let fresh = small(joined.len());
                *code = (*code).zip(next).map(|pair| *joined.entry(pair).or_insert(fresh));
            }
            index.joined.push(joined);
        }
        for (row, code) in codes.iter().enumerate() {
            if *code == Some(small(index.keys.len())) {
                index.keys.push(key_of(columns, row));
            }
        }
        (index, codes)
    }

    /// The code of a key, where it was seen.
    pub(crate) fn code(&self, key: &EntityKey) -> Option<u32> {
        if self.parts.is_empty() {
            return Some(0);
        }
        let mut parts = self.parts.iter().zip(&key.0).map(|(index, part)| index.code(part));
        let mut code = parts.next()??;
        for (joined, part) in self.joined.iter().zip(parts) {
            code = *joined.get(&(code, part?))?;
        }
        (key.0.len() == self.parts.len()).then_some(code)
    }

    /// The keys in order of their codes.
    pub(crate) fn keys(&self) -> &[EntityKey] {
        &self.keys
    }

    fn number(&mut self, column: &Column) -> Vec<Option<u32>> {
        let (index, codes) = match column {
            Column::Int(values) => {
                let mut seen = HashMap::new();
                let codes = values.iter().map(|it| it.map(|it| numbered(&mut seen, it))).collect();
                (PartIndex::Int(seen), codes)
            }
            Column::Str(values) => {
                let mut seen = HashMap::new();
                let codes = values
                    .iter()
                    .map(|it| it.clone().map(|it| numbered(&mut seen, it)))
                    .collect();
                (PartIndex::Text(seen), codes)
            }
            other => panic!("a {} column is no key", other.data_type()),
        };
        self.parts.push(index);
        codes
    }
}

impl PartIndex {
    fn code(&self, part: &KeyPart) -> Option<u32> {
        match (self, part) {
            (PartIndex::Int(seen), KeyPart::Int(it)) => seen.get(it).copied(),
            (PartIndex::Text(seen), KeyPart::Str(it)) => seen.get(it).copied(),
            // A caller may hold `5` where the column is text, or the other way round.
            (PartIndex::Text(seen), KeyPart::Int(it)) => seen.get(it.to_string().as_str()).copied(),
            (PartIndex::Int(seen), KeyPart::Str(it)) => seen.get(&it.trim().parse::<i64>().ok()?).copied(),
        }
    }
}

fn numbered<K: std::hash::Hash + Eq>(seen: &mut HashMap<K, u32>, key: K) -> u32 {
    let fresh = small(seen.len());
    *seen.entry(key).or_insert(fresh)
}

fn small(count: usize) -> u32 {
    u32::try_from(count).expect("fewer than u32::MAX entities")
}

pub(crate) fn key_of(columns: &[Column], row: usize) -> EntityKey {
    let part = |column: &Column| match column {
        Column::Int(it) => KeyPart::Int(it[row].expect("the row has a key")),
        Column::Str(it) => KeyPart::Str(it[row].clone().expect("the row has a key")),
        other => panic!("a {} column is no key", other.data_type()),
    };
    EntityKey(columns.iter().map(part).collect())
}
