//! The parts of the model file that matter here, the same for JSON and UBJSON. Lists that each tree has are not optional: a
//! tree in memory must not cost more than ten times its bytes.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

#[derive(serde::Deserialize)]
pub(super) struct File {
    pub(super) learner: Learner,
    #[serde(default)]
    pub(super) version: Vec<u32>,
}

#[derive(serde::Deserialize)]
pub(super) struct Learner {
    #[serde(default)]
    pub(super) feature_names: Vec<String>,
    #[serde(default)]
    pub(super) feature_types: Vec<String>,
    pub(super) gradient_booster: Booster,
    pub(super) learner_model_param: ModelParameters,
    pub(super) objective: Objective,
}

/// Numbers are text in the file.
#[derive(serde::Deserialize)]
pub(super) struct ModelParameters {
    pub(super) base_score: String,
    pub(super) num_class: String,
    pub(super) num_feature: String,
    #[serde(default = "one")]
    pub(super) num_target: String,
}

fn one() -> String {
    "1".to_owned()
}

#[derive(serde::Deserialize)]
pub(super) struct Objective {
    pub(super) name: String,
}

/// `gbtree` and `gblinear` have a `model`; `dart` has a `gbtree` and weights.
#[derive(serde::Deserialize)]
pub(super) struct Booster {
    pub(super) name: String,
    pub(super) model: Option<Model>,
    pub(super) gbtree: Option<Wrapped>,
    #[serde(default)]
    pub(super) weight_drop: Vec<Float>,
}

#[derive(serde::Deserialize)]
pub(super) struct Wrapped {
    pub(super) model: Model,
}

#[derive(serde::Deserialize)]
pub(super) struct Model {
    pub(super) gbtree_model_param: Option<TreeParameters>,
    #[serde(default)]
    pub(super) tree_info: Vec<u32>,
    #[serde(default)]
    pub(super) trees: Vec<Tree>,
    #[serde(default)]
    pub(super) cats: Categories,
    /// Of `gblinear`: a row per column, the intercept last.
    #[serde(default)]
    pub(super) weights: Vec<Float>,
}

#[derive(serde::Deserialize)]
pub(super) struct TreeParameters {
    #[serde(default = "one")]
    pub(super) num_parallel_tree: String,
}

#[derive(serde::Deserialize)]
pub(super) struct Tree {
    pub(super) left_children: Vec<i32>,
    pub(super) right_children: Vec<i32>,
    pub(super) split_indices: Vec<u32>,
    pub(super) split_conditions: Vec<Float>,
    pub(super) default_left: Vec<Flag>,
    /// Trees of vector leaves had none before 3.1.
    #[serde(default)]
    pub(super) sum_hessian: Vec<Float>,
    pub(super) base_weights: Vec<Float>,
    #[serde(default)]
    pub(super) leaf_weights: Vec<Float>,
    #[serde(default)]
    pub(super) split_type: Vec<Flag>,
    #[serde(default)]
    pub(super) categories: Vec<u32>,
    #[serde(default)]
    pub(super) categories_nodes: Vec<u32>,
    #[serde(default)]
    pub(super) categories_segments: Vec<u64>,
    #[serde(default)]
    pub(super) categories_sizes: Vec<u64>,
    pub(super) tree_param: Shape,
}

#[derive(serde::Deserialize)]
pub(super) struct Shape {
    pub(super) size_leaf_vector: String,
}

/// Dictionaries of the columns that a data frame called categories.
#[derive(Default, serde::Deserialize)]
pub(super) struct Categories {
    #[serde(default)]
    pub(super) enc: Vec<Dictionary>,
}

/// With `offsets`: text, its bytes in `values`. Without: whole numbers.
#[derive(serde::Deserialize)]
pub(super) struct Dictionary {
    pub(super) values: Vec<i64>,
    pub(super) offsets: Option<Vec<i64>>,
}

/// A yes or no that is a bool in some versions and a number in others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Flag(pub(super) bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FlagVisitor)
    }
}

struct FlagVisitor;

impl Visitor<'_> for FlagVisitor {
    type Value = Flag;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0, 1, true or false")
    }

    fn visit_bool<E: Error>(self, it: bool) -> Result<Flag, E> {
        Ok(Flag(it))
    }

    fn visit_u64<E: Error>(self, it: u64) -> Result<Flag, E> {
        Ok(Flag(it != 0))
    }

    fn visit_i64<E: Error>(self, it: i64) -> Result<Flag, E> {
        Ok(Flag(it != 0))
    }
}

/// A float32, where JSON may hold a null in place of NaN.
#[derive(Clone, Copy)]
pub(super) struct Float(pub(super) f32);

impl<'de> Deserialize<'de> for Float {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FloatVisitor)
    }
}

struct FloatVisitor;

impl Visitor<'_> for FloatVisitor {
    type Value = Float;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_f32<E: Error>(self, it: f32) -> Result<Float, E> {
        Ok(Float(it))
    }

    fn visit_f64<E: Error>(self, it: f64) -> Result<Float, E> {
        Ok(Float(it as f32))
    }

    fn visit_i64<E: Error>(self, it: i64) -> Result<Float, E> {
        Ok(Float(it as f32))
    }

    fn visit_u64<E: Error>(self, it: u64) -> Result<Float, E> {
        Ok(Float(it as f32))
    }

    fn visit_unit<E: Error>(self) -> Result<Float, E> {
        Ok(Float(f32::NAN))
    }
}
