//! Entity keys as dense codes, so that joins compare integers. Nothing is allocated per row or entity: texts stay where
//! polars has them.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash};

use foretell_features::EntityKey;
use foretell_features::row::KeyPart;
use hashbrown::HashTable;
use polars::prelude as pl;
use rustc_hash::FxBuildHasher;

/// The keys seen, numbered from 0 in order of first appearance.
#[derive(Debug, Default)]
pub(crate) struct KeyIndex {
    /// Per key column, part to code.
    parts: Vec<PartIndex>,
    /// From the code of the first columns and the code of the next one to a code of both; one map per column after the first.
    joined: Vec<HashMap<(u32, u32), u32, FxBuildHasher>>,
    /// The row in which each key was seen first.
    first_rows: Vec<u32>,
}

/// The code of a row without key.
pub(crate) const NO_KEY: u32 = u32::MAX;

#[derive(Debug)]
enum PartIndex {
    Int(pl::Int64Chunked, Integers),
    Text(pl::StringChunked, Texts),
}

/// From integers to codes.
#[derive(Debug)]
enum Integers {
    /// Codes of `least`, `least + 1`, ..; where integers lie close together.
    Dense {
        least: i64,
        codes: Vec<u32>,
    },
    Sparse(HashMap<i64, u32, FxBuildHasher>),
}

/// From texts to codes; the texts are those of the rows in `first_rows`.
#[derive(Debug, Default)]
struct Texts {
    codes: HashTable<u32>,
    first_rows: Vec<u32>,
}

impl KeyIndex {
    /// Numbers the rows' keys; a row with a null part has [`NO_KEY`]. No column at all is one key for all rows.
    ///
    /// # Panics
    /// If a column is neither integer nor text, or there are 2^32 rows: bugs of this crate.
    pub(crate) fn of(columns: &[pl::Column], n_rows: usize) -> (Self, Vec<u32>) {
        assert!(n_rows < NO_KEY as usize, "a partition has fewer than 2^32 rows");
        let mut index = Self::default();
        let Some((first, more)) = columns.split_first() else {
            index.first_rows.push(0);
            return (index, vec![0; n_rows]);
        };
        let mut codes = index.number(first);
        for column in more {
            let next = index.number(column);
            let mut joined = HashMap::default();
            for (code, next) in codes.iter_mut().zip(next) {
                *code = if *code == NO_KEY || next == NO_KEY {
                    NO_KEY
                } else {
                    numbered(&mut joined, (*code, next))
                };
            }
            index.joined.push(joined);
        }
        for (row, code) in (0u32..).zip(&codes) {
            if *code == small(index.first_rows.len()) {
                index.first_rows.push(row);
            }
        }
        (index, codes)
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.first_rows.len()
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

    /// The row in which a key was seen first.
    pub(crate) fn first_row(&self, code: u32) -> usize {
        self.first_rows[code as usize] as usize
    }

    /// The key of a code.
    pub(crate) fn key(&self, code: u32) -> EntityKey {
        let row = self.first_row(code);
        EntityKey(self.parts.iter().map(|it| it.part(row)).collect())
    }

    /// The keys in order of their codes.
    pub(crate) fn keys(&self) -> Vec<EntityKey> {
        (0..small(self.len())).map(|it| self.key(it)).collect()
    }

    fn number(&mut self, column: &pl::Column) -> Vec<u32> {
        let series = column.as_materialized_series().rechunk();
        let (part, codes) = if let Ok(integers) = series.i64() {
            let (index, codes) = Integers::of(integers);
            (PartIndex::Int(integers.clone(), index), codes)
        } else {
            let texts = series.str().expect("a key column is integer or text");
            let (index, codes) = Texts::of(texts);
            (PartIndex::Text(texts.clone(), index), codes)
        };
        self.parts.push(part);
        codes
    }
}

impl PartIndex {
    fn code(&self, part: &KeyPart) -> Option<u32> {
        match (self, part) {
            (PartIndex::Int(_, index), KeyPart::Int(it)) => index.code(*it),
            (PartIndex::Text(texts, index), KeyPart::Str(it)) => index.code(texts, it),
            // A caller may hold `5` where the column is text, or the other way round.
            (PartIndex::Text(texts, index), KeyPart::Int(it)) => index.code(texts, &it.to_string()),
            (PartIndex::Int(_, index), KeyPart::Str(it)) => index.code(it.trim().parse().ok()?),
        }
    }

    fn part(&self, row: usize) -> KeyPart {
        const NULL: &str = "a row with a code has a key";
        match self {
            PartIndex::Int(integers, _) => KeyPart::Int(integers.get(row).expect(NULL)),
            PartIndex::Text(texts, _) => KeyPart::Str(texts.get(row).expect(NULL).into()),
        }
    }
}

impl Integers {
    fn of(integers: &pl::Int64Chunked) -> (Self, Vec<u32>) {
        let values = || integers.downcast_iter().flat_map(|it| it.iter()).map(|it| it.copied());
        let (least, greatest) = values()
            .flatten()
            .fold((i64::MAX, i64::MIN), |(a, b), it| (a.min(it), b.max(it)));
        let range = greatest.checked_sub(least).and_then(|it| usize::try_from(it).ok());
        match range.filter(|it| *it < integers.len().saturating_mul(4)) {
            Some(range) => {
                let (mut codes, mut next) = (vec![NO_KEY; range + 1], 0);
                let code = |it: i64| {
                    let code = &mut codes[(it - least) as usize];
                    if *code == NO_KEY {
                        (*code, next) = (next, next + 1);
                    }
                    *code
                };
                let numbered = numbered_rows(values(), code);
                (Integers::Dense { least, codes }, numbered)
            }
            None => {
                let mut seen = HashMap::default();
                let codes = numbered_rows(values(), |it| numbered(&mut seen, it));
                (Integers::Sparse(seen), codes)
            }
        }
    }

    fn code(&self, it: i64) -> Option<u32> {
        match self {
            Integers::Sparse(seen) => seen.get(&it).copied(),
            Integers::Dense { least, codes } => {
                let at = usize::try_from(it.checked_sub(*least)?).ok()?;
                codes.get(at).copied().filter(|it| *it != NO_KEY)
            }
        }
    }
}

impl Texts {
    fn of(texts: &pl::StringChunked) -> (Self, Vec<u32>) {
        let mut index = Self::default();
        let codes = (0u32..)
            .zip(texts.iter())
            .map(|(row, text)| text.map_or(NO_KEY, |it| index.number(texts, row, it)));
        let codes = codes.collect();
        (index, codes)
    }

    fn number(&mut self, texts: &pl::StringChunked, row: u32, text: &str) -> u32 {
        let first_rows = &mut self.first_rows;
        let hash = |code: &u32| FxBuildHasher.hash_one(texts.get(first_rows[*code as usize] as usize));
        let same = |code: &u32| texts.get(first_rows[*code as usize] as usize) == Some(text);
        let found = self.codes.entry(FxBuildHasher.hash_one(Some(text)), same, hash);
        match found {
            hashbrown::hash_table::Entry::Occupied(it) => *it.get(),
            hashbrown::hash_table::Entry::Vacant(it) => {
                let code = small(first_rows.len());
                it.insert(code);
                first_rows.push(row);
                code
            }
        }
    }

    fn code(&self, texts: &pl::StringChunked, text: &str) -> Option<u32> {
        let same = |code: &u32| texts.get(self.first_rows[*code as usize] as usize) == Some(text);
        self.codes.find(FxBuildHasher.hash_one(Some(text)), same).copied()
    }
}

fn numbered_rows(values: impl Iterator<Item = Option<i64>>, mut code: impl FnMut(i64) -> u32) -> Vec<u32> {
    values.map(|it| it.map_or(NO_KEY, &mut code)).collect()
}

fn numbered<K: Hash + Eq>(seen: &mut HashMap<K, u32, FxBuildHasher>, key: K) -> u32 {
    let fresh = small(seen.len());
    *seen.entry(key).or_insert(fresh)
}

fn small(count: usize) -> u32 {
    u32::try_from(count).expect("fewer than u32::MAX entities")
}
