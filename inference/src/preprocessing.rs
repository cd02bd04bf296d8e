//! Raw values become matrix rows by the package's dictionary; unseen categories become "other", nulls NaN.

use std::collections::HashMap;

use foretell_features::{ColumnKind, DataType, Value};
use serde::{Deserialize, Serialize};

use crate::error::InferenceError;
use crate::manifest::Input;

/// Numbers this near 0 are 0 to [`InputEncoding::NonZero`]: LightGBM's own limit, a float32.
const LEAST: f64 = 1e-35_f32 as f64;

/// How one input becomes one column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum InputEncoding {
    /// A number, bool or time as it is (times in days since 1970).
    Numeric,
    /// The same, but a number within 1e-35 of 0 counts as missing (as LightGBM's `zero_as_missing` has it).
    NonZero,
    /// Text by dictionary: code = position, not found = `categories.len()`.
    Category {
        /// The dictionary, by falling training frequency, ties by text.
        categories: Vec<String>,
    },
}

/// The encodings of all inputs, in signature order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Encoder {
    /// One per input.
    pub inputs: Vec<InputEncoding>,
}

/// An [`Encoder`] with its dictionaries hashed: built once at load, used for every row.
#[derive(Debug, Clone)]
pub struct RowEncoder {
    columns: Vec<ColumnEncoder>,
}

#[derive(Debug, Clone)]
struct ColumnEncoder {
    input: Input,
    zero_is_missing: bool,
    codes: Option<HashMap<Box<str>, u32>>,
}

impl Encoder {
    /// What each column of the matrix is.
    pub fn kinds(&self) -> Vec<ColumnKind> {
        let kind = |it: &InputEncoding| match it {
            InputEncoding::Numeric | InputEncoding::NonZero => ColumnKind::Numeric,
            InputEncoding::Category { categories } => ColumnKind::Category {
                cardinality: u32::try_from(categories.len()).unwrap_or(u32::MAX),
            },
        };
        self.inputs.iter().map(kind).collect()
    }

    /// Hashes the dictionaries.
    ///
    /// # Errors
    /// Another number of inputs than encodings, or a category that is there twice.
    pub fn compile(&self, inputs: &[Input]) -> Result<RowEncoder, InferenceError> {
        if inputs.len() != self.inputs.len() {
            return Err(damaged(format!(
                "{} inputs but {} encodings",
                inputs.len(),
                self.inputs.len()
            )));
        }
        let columns = inputs
            .iter()
            .zip(&self.inputs)
            .map(|(input, encoding)| ColumnEncoder::new(input, encoding));
        Ok(RowEncoder {
            columns: columns.collect::<Result<_, _>>()?,
        })
    }
}

impl RowEncoder {
    /// Writes one number per input. Nothing is allocated for values of the declared type.
    ///
    /// # Errors
    /// Another number of values than inputs, or a value of the wrong type.
    pub fn encode_into(&self, row: &[Value], out: &mut [f64]) -> Result<(), InferenceError> {
        if row.len() != self.columns.len() || out.len() != row.len() {
            let reason = format!(
                "a row has {} values, the model has {} inputs",
                row.len(),
                self.columns.len()
            );
            return Err(InferenceError::Request(reason));
        }
        for ((column, value), slot) in self.columns.iter().zip(row).zip(out) {
            *slot = column.encode(value)?;
        }
        Ok(())
    }
}

impl ColumnEncoder {
    fn new(input: &Input, encoding: &InputEncoding) -> Result<Self, InferenceError> {
        let codes = match encoding {
            InputEncoding::Numeric | InputEncoding::NonZero => None,
            InputEncoding::Category { categories } => Some(dictionary(&input.name, categories)?),
        };
        Ok(Self {
            input: input.clone(),
            zero_is_missing: *encoding == InputEncoding::NonZero,
            codes,
        })
    }

    fn encode(&self, value: &Value) -> Result<f64, InferenceError> {
        let Some(codes) = &self.codes else {
            let number = self.number(value)?;
            let is_missing = self.zero_is_missing && number.abs() <= LEAST;
            return Ok(if is_missing { f64::NAN } else { number });
        };
        match value {
            Value::Null => Ok(f64::NAN),
            Value::Str(text) if self.input.data_type == DataType::String => Ok(code(codes, text)),
            other => match self.cast(other)? {
                Value::Null => Ok(f64::NAN),
                declared => Ok(code(codes, &declared.to_string())),
            },
        }
    }

    fn number(&self, value: &Value) -> Result<f64, InferenceError> {
        match (self.input.data_type, value) {
            (_, Value::Null) => Ok(f64::NAN),
            (DataType::Double | DataType::Int64, Value::Int(it)) => Ok(*it as f64),
            (DataType::Double, Value::Float(it)) => Ok(*it),
            (DataType::Boolean, Value::Bool(it)) => Ok(f64::from(u8::from(*it))),
            (_, other) => Ok(as_number(&self.cast(other)?)),
        }
    }

    fn cast(&self, value: &Value) -> Result<Value, InferenceError> {
        let is_blank = value.as_str().is_some_and(|it| it.trim().is_empty());
        if is_blank && self.input.data_type != DataType::String {
            return Ok(Value::Null);
        }
        let refused = |got: Value| InferenceError::Type {
            name: self.input.name.clone(),
            expected: self.input.data_type,
            got: got.to_string(),
        };
        value
            .clone()
            .cast(self.input.data_type)
            .map_err(|error| refused(error.got))
    }
}

/// The number a declared value stands for in a matrix: times in days since 1970, so that they neither overflow an f32 nor
/// dwarf every other column.
fn as_number(value: &Value) -> f64 {
    match value {
        Value::Time(it) => it.0 as f64 / 86_400e6,
        other => other.as_f64().unwrap_or(f64::NAN),
    }
}

fn dictionary(input: &str, categories: &[String]) -> Result<HashMap<Box<str>, u32>, InferenceError> {
    let coded = categories.iter().zip(0_u32..);
    let codes: HashMap<Box<str>, u32> = coded.map(|(it, code)| (it.as_str().into(), code)).collect();
    if codes.len() == categories.len() {
        Ok(codes)
    } else {
        Err(damaged(format!("input `{input}` has a category twice")))
    }
}

fn code(codes: &HashMap<Box<str>, u32>, text: &str) -> f64 {
    codes.get(text).map_or(codes.len() as f64, |&it| f64::from(it))
}

fn damaged(reason: String) -> InferenceError {
    InferenceError::Damaged {
        file: "manifest.json".to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use foretell_features::Timestamp;

    use super::*;

    fn encode(data_type: DataType, encoding: InputEncoding, value: Value) -> Result<f64, InferenceError> {
        let input = Input {
            name: "it".to_owned(),
            data_type,
        };
        let encoder = Encoder { inputs: vec![encoding] }.compile(&[input])?;
        let mut out = [0.0];
        encoder.encode_into(&[value], &mut out)?;
        Ok(out[0])
    }

    #[test]
    fn known_categories_have_their_position_unseen_ones_the_cardinality_and_nulls_are_nan() {
        let plan = || InputEncoding::Category {
            categories: vec!["basic".into(), "pro".into()],
        };
        let cases = [
            (Value::text("basic"), 0.0),
            (Value::text("pro"), 1.0),
            (Value::text("gold"), 2.0),
            (Value::Int(7), 2.0),
        ];
        for (value, expected) in cases {
            assert_eq!(encode(DataType::String, plan(), value).unwrap(), expected);
        }
        assert!(encode(DataType::String, plan(), Value::Null).unwrap().is_nan());
    }

    #[test]
    fn numbers_are_read_from_any_spelling_and_times_are_days() {
        let day = Value::Time(Timestamp(86_400_000_000));
        let cases = [
            (DataType::Double, Value::Int(3), 3.0),
            (DataType::Double, Value::text(" 3.5 "), 3.5),
            (DataType::Int64, Value::Float(4.0), 4.0),
            (DataType::Boolean, Value::text("True"), 1.0),
            (DataType::Timestamp, day, 1.0),
            (DataType::Timestamp, Value::text("1970-01-03"), 2.0),
        ];
        for (data_type, value, expected) in cases {
            assert_eq!(encode(data_type, InputEncoding::Numeric, value).unwrap(), expected);
        }
        for blank in [Value::Null, Value::Float(f64::NAN), Value::text(" ")] {
            assert!(
                encode(DataType::Double, InputEncoding::Numeric, blank)
                    .unwrap()
                    .is_nan()
            );
        }
    }

    #[test]
    fn a_zero_is_missing_where_the_model_takes_it_so() {
        for (value, is_missing) in [
            (0.0, true),
            (-0.0, true),
            (1e-35, true),
            (-1e-36, true),
            (1.1e-35, false),
        ] {
            let got = encode(DataType::Double, InputEncoding::NonZero, Value::Float(value)).unwrap();
            assert_eq!(got.is_nan(), is_missing, "{value:e}");
        }
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused_by_name() {
        let error = encode(DataType::Double, InputEncoding::Numeric, Value::text("many")).unwrap_err();
        assert_eq!(error.to_string(), "input `it` is not double. got=`many`");
    }

    #[test]
    fn dictionaries_with_a_category_twice_are_refused() {
        let twice = InputEncoding::Category {
            categories: vec!["a".into(), "a".into()],
        };
        assert!(encode(DataType::String, twice, Value::Null).is_err());
    }
}
