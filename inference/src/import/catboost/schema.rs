//! The parts of the model file that matter here. What a list may hold many of has a part that must be there, so that a file
//! in memory does not cost more than ten times its bytes.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, MapAccess, SeqAccess, Visitor};

#[derive(serde::Deserialize)]
pub(super) struct File {
    #[serde(default)]
    pub(super) model_info: ModelInfo,
    pub(super) features_info: Features,
    /// Trees that ask the same question on each level.
    pub(super) oblivious_trees: Option<Vec<Oblivious>>,
    /// Trees of any shape.
    pub(super) trees: Option<Vec<Grown>>,
    pub(super) scale_and_bias: (f64, Numbers),
    /// Counts by category, by the `identifier` of their table.
    #[serde(default)]
    pub(super) ctr_data: BTreeMap<String, Table>,
}

#[derive(Default, serde::Deserialize)]
pub(super) struct ModelInfo {
    pub(super) params: Option<Embedded<Parameters>>,
    pub(super) class_params: Option<Embedded<Classes>>,
}

#[derive(serde::Deserialize)]
pub(super) struct Parameters {
    pub(super) loss_function: Loss,
}

#[derive(serde::Deserialize)]
pub(super) struct Loss {
    #[serde(rename = "type")]
    pub(super) name: String,
}

#[derive(serde::Deserialize)]
pub(super) struct Classes {
    #[serde(default)]
    pub(super) class_names: Vec<ClassName>,
}

#[derive(serde::Deserialize)]
pub(super) struct Features {
    #[serde(default)]
    pub(super) float_features: Vec<FloatFeature>,
    #[serde(default)]
    pub(super) categorical_features: Vec<CategoryFeature>,
    #[serde(default)]
    pub(super) text_features: Vec<serde::de::IgnoredAny>,
    #[serde(default)]
    pub(super) embedding_features: Vec<serde::de::IgnoredAny>,
    /// The categories of the training data and the numbers that stand for them.
    #[serde(default)]
    pub(super) cat_features_hash: Vec<Hashed>,
    #[serde(default)]
    pub(super) ctrs: Vec<Ctr>,
}

#[derive(serde::Deserialize)]
pub(super) struct FloatFeature {
    pub(super) flat_feature_index: u32,
    pub(super) feature_index: u32,
    #[serde(default)]
    pub(super) feature_id: String,
    #[serde(default)]
    pub(super) nan_value_treatment: String,
    pub(super) borders: Option<Vec<f64>>,
}

#[derive(serde::Deserialize)]
pub(super) struct CategoryFeature {
    pub(super) flat_feature_index: u32,
    pub(super) feature_index: u32,
    #[serde(default)]
    pub(super) feature_id: String,
    /// Hashes that splits compare with.
    #[serde(default)]
    pub(super) values: Vec<i32>,
}

#[derive(serde::Deserialize)]
pub(super) struct Hashed {
    pub(super) hash: u32,
    pub(super) value: String,
}

/// A number that stands for a category, from counts of the training data.
#[derive(serde::Deserialize)]
pub(super) struct Ctr {
    pub(super) identifier: String,
    pub(super) elements: Vec<Element>,
    pub(super) ctr_type: String,
    pub(super) borders: Vec<f64>,
    pub(super) prior_numerator: f64,
    /// So spelled in the file.
    #[serde(rename = "prior_denomerator")]
    pub(super) prior_denominator: f64,
    pub(super) scale: f64,
    pub(super) shift: f64,
    #[serde(default)]
    pub(super) target_border_idx: usize,
}

#[derive(serde::Deserialize)]
pub(super) struct Element {
    pub(super) combination_element: String,
    pub(super) cat_feature_index: Option<u32>,
}

#[derive(serde::Deserialize)]
pub(super) struct Table {
    /// Rows of `hash_stride`: a hash as text, then counts.
    pub(super) hash_map: Vec<Cell>,
    pub(super) hash_stride: usize,
    #[serde(default)]
    pub(super) counter_denominator: f64,
}

#[derive(serde::Deserialize)]
pub(super) struct Oblivious {
    pub(super) splits: Option<Vec<Split>>,
    pub(super) leaf_values: Vec<f64>,
    #[serde(default)]
    pub(super) leaf_weights: Vec<f64>,
}

#[derive(serde::Deserialize)]
pub(super) struct Split {
    pub(super) split_type: SplitType,
    pub(super) border: Option<f64>,
    pub(super) float_feature_index: Option<u32>,
    pub(super) cat_feature_index: Option<u32>,
    pub(super) value: Option<i32>,
    /// Its place among all borders and values of the model: floats, then values, then borders of `ctrs`.
    pub(super) split_index: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, serde::Deserialize)]
pub(super) enum SplitType {
    FloatFeature,
    OneHotFeature,
    OnlineCtr,
    #[serde(other)]
    Other,
}

/// A node with all that is below it.
#[derive(serde::Deserialize)]
#[serde(try_from = "RawGrown")]
pub(super) enum Grown {
    Split {
        split: Box<Split>,
        left: Box<Grown>,
        right: Box<Grown>,
    },
    Leaf {
        value: Numbers,
        weight: f64,
    },
}

#[derive(serde::Deserialize)]
struct RawGrown {
    split: Option<Box<Split>>,
    left: Option<Box<Grown>>,
    right: Option<Box<Grown>>,
    value: Option<Numbers>,
    weight: Option<f64>,
}

impl TryFrom<RawGrown> for Grown {
    type Error = &'static str;

    fn try_from(raw: RawGrown) -> Result<Self, Self::Error> {
        match (raw.split, raw.left, raw.right, raw.value) {
            (Some(split), Some(left), Some(right), _) => Ok(Grown::Split { split, left, right }),
            (None, None, None, Some(value)) => Ok(Grown::Leaf {
                value,
                weight: raw.weight.unwrap_or(0.0),
            }),
            _ => Err("a node that is neither a split with two children nor a leaf with a value"),
        }
    }
}

/// A number, or a list with one per output.
pub(super) enum Numbers {
    One(f64),
    Many(Vec<f64>),
}

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumbersVisitor)
    }
}

struct NumbersVisitor;

impl<'de> Visitor<'de> for NumbersVisitor {
    type Value = Numbers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a list of numbers")
    }

    fn visit_f64<E: Error>(self, it: f64) -> Result<Numbers, E> {
        Ok(Numbers::One(it))
    }

    fn visit_i64<E: Error>(self, it: i64) -> Result<Numbers, E> {
        Ok(Numbers::One(it as f64))
    }

    fn visit_u64<E: Error>(self, it: u64) -> Result<Numbers, E> {
        Ok(Numbers::One(it as f64))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Numbers, A::Error> {
        let mut numbers = Vec::new();
        while let Some(number) = items.next_element()? {
            numbers.push(number);
        }
        Ok(Numbers::Many(numbers))
    }
}

/// A hash, which is text because JSON's numbers are too short for it, or a count.
#[derive(Clone, Copy)]
pub(super) enum Cell {
    Hash(u64),
    Number(f64),
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CellVisitor)
    }
}

struct CellVisitor;

impl Visitor<'_> for CellVisitor {
    type Value = Cell;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or a hash as text")
    }

    fn visit_str<E: Error>(self, it: &str) -> Result<Cell, E> {
        it.parse()
            .map(Cell::Hash)
            .map_err(|_| E::custom("a hash that is no whole number"))
    }

    fn visit_f64<E: Error>(self, it: f64) -> Result<Cell, E> {
        Ok(Cell::Number(it))
    }

    fn visit_i64<E: Error>(self, it: i64) -> Result<Cell, E> {
        Ok(Cell::Number(it as f64))
    }

    fn visit_u64<E: Error>(self, it: u64) -> Result<Cell, E> {
        Ok(Cell::Number(it as f64))
    }
}

/// The name of a class, whatever its type, as text.
pub(super) struct ClassName(pub(super) String);

impl<'de> Deserialize<'de> for ClassName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ClassNameVisitor)
    }
}

struct ClassNameVisitor;

impl Visitor<'_> for ClassNameVisitor {
    type Value = ClassName;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a class")
    }

    fn visit_str<E: Error>(self, it: &str) -> Result<ClassName, E> {
        Ok(ClassName(it.to_owned()))
    }

    fn visit_bool<E: Error>(self, it: bool) -> Result<ClassName, E> {
        Ok(ClassName(it.to_string()))
    }

    fn visit_f64<E: Error>(self, it: f64) -> Result<ClassName, E> {
        Ok(ClassName(it.to_string()))
    }

    fn visit_i64<E: Error>(self, it: i64) -> Result<ClassName, E> {
        Ok(ClassName(it.to_string()))
    }

    fn visit_u64<E: Error>(self, it: u64) -> Result<ClassName, E> {
        Ok(ClassName(it.to_string()))
    }
}

/// JSON in JSON: some versions write these parts as text, some as they are.
pub(super) struct Embedded<T>(pub(super) T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Embedded<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EmbeddedVisitor(PhantomData))
    }
}

struct EmbeddedVisitor<T>(PhantomData<T>);

impl<'de, T: DeserializeOwned> Visitor<'de> for EmbeddedVisitor<T> {
    type Value = Embedded<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object, or one as text")
    }

    fn visit_str<E: Error>(self, it: &str) -> Result<Embedded<T>, E> {
        serde_json::from_str(it).map(Embedded).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Embedded<T>, A::Error> {
        T::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(Embedded)
    }
}
