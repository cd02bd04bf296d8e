//! Raw values become matrix rows by the package's dictionary; unseen categories become "other", nulls NaN.

use std::collections::HashMap;

use foretell_features::{ColumnKind, DataType, Value};
use rustc_hash::FxBuildHasher;
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

/// An [`Encoder`] with its columns resolved and its dictionaries hashed: built once at load, used for every row.
#[derive(Debug, Clone)]
pub struct RowEncoder {
    columns: Vec<Column>,
}

/// One raw row: a value per input, in signature order, wherever the values lie.
pub trait RawRow {
    /// How many there are.
    fn width(&self) -> usize;

    /// The value of an input.
    fn value(&self, input: usize) -> &Value;
}

impl RawRow for [Value] {
    fn width(&self) -> usize {
        self.len()
    }

    #[inline]
    fn value(&self, input: usize) -> &Value {
        &self[input]
    }
}

impl<R: RawRow + ?Sized> RawRow for &R {
    fn width(&self) -> usize {
        (**self).width()
    }

    #[inline]
    fn value(&self, input: usize) -> &Value {
        (**self).value(input)
    }
}

impl RawRow for Vec<Value> {
    fn width(&self) -> usize {
        self.len()
    }

    #[inline]
    fn value(&self, input: usize) -> &Value {
        &self[input]
    }
}

/// One input, ready to be read.
#[derive(Debug, Clone)]
struct Column {
    input: Input,
    form: Form,
}

/// What a value becomes.
#[derive(Debug, Clone)]
enum Form {
    /// The number itself.
    Number,
    /// The same, 0 as missing.
    NonZero,
    /// The position in the dictionary.
    Code(Dictionary),
}

/// Codes by value. No text of a caller is ever put in, so that a plain fast hash is safe.
#[derive(Debug, Clone)]
struct Dictionary {
    texts: HashMap<Box<str>, u32, FxBuildHasher>,
    /// The texts that spell a whole number as it is printed, so that integers need not be printed to be found.
    integers: HashMap<i64, u32, FxBuildHasher>,
    /// The code of what is not in it.
    other: f64,
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
            .map(|(input, encoding)| Column::new(input, encoding));
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
    pub fn encode_into<R: RawRow + ?Sized>(&self, row: &R, out: &mut [f64]) -> Result<(), InferenceError> {
        if row.width() != self.columns.len() || out.len() != self.columns.len() {
            let reason = format!(
                "a row has {} values, the model has {} inputs",
                row.width(),
                self.columns.len()
            );
            return Err(InferenceError::Request(reason));
        }
        for (at, (column, slot)) in self.columns.iter().zip(out).enumerate() {
            *slot = column.encode(row.value(at))?;
        }
        Ok(())
    }

    /// Number of inputs.
    pub fn width(&self) -> usize {
        self.columns.len()
    }
}

impl Column {
    fn new(input: &Input, encoding: &InputEncoding) -> Result<Self, InferenceError> {
        let form = match encoding {
            InputEncoding::Numeric => Form::Number,
            InputEncoding::NonZero => Form::NonZero,
            InputEncoding::Category { categories } => Form::Code(Dictionary::new(&input.name, categories)?),
        };
        Ok(Self {
            input: input.clone(),
            form,
        })
    }

    #[inline]
    fn encode(&self, value: &Value) -> Result<f64, InferenceError> {
        match (&self.form, value) {
            (_, Value::Null) => Ok(f64::NAN),
            (Form::Number, value) => self.number(value),
            (Form::NonZero, value) => {
                let number = self.number(value)?;
                Ok(if number.abs() <= LEAST { f64::NAN } else { number })
            }
            (Form::Code(dictionary), Value::Str(text)) if self.input.data_type == DataType::String => {
                Ok(dictionary.code(text))
            }
            (Form::Code(dictionary), Value::Int(it)) if self.input.data_type == DataType::Int64 => {
                Ok(dictionary.code_of_integer(*it))
            }
            (Form::Code(dictionary), Value::Bool(it)) if self.input.data_type == DataType::Boolean => {
                Ok(dictionary.code(if *it { "true" } else { "false" }))
            }
            (Form::Code(dictionary), other) => match self.cast(other)? {
                Value::Null => Ok(f64::NAN),
                declared => Ok(dictionary.code(&declared.to_string())),
            },
        }
    }

    #[inline]
    fn number(&self, value: &Value) -> Result<f64, InferenceError> {
        match (value, self.input.data_type) {
            (Value::Float(it), DataType::Double) => Ok(*it),
            (Value::Int(it), DataType::Double | DataType::Int64) => Ok(*it as f64),
            (Value::Bool(it), DataType::Boolean) => Ok(f64::from(u8::from(*it))),
            _ => Ok(as_number(&self.cast(value)?)),
        }
    }

    #[cold]
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

impl Dictionary {
    fn new(input: &str, categories: &[String]) -> Result<Self, InferenceError> {
        let coded = || categories.iter().zip(0_u32..);
        let texts: HashMap<Box<str>, u32, FxBuildHasher> =
            coded().map(|(it, code)| (it.as_str().into(), code)).collect();
        if texts.len() != categories.len() {
            return Err(damaged(format!("input `{input}` has a category twice")));
        }
        let spelled = |(text, code): (&String, u32)| {
            let integer: i64 = text.parse().ok()?;
            (integer.to_string() == *text).then_some((integer, code))
        };
        Ok(Self {
            texts,
            integers: coded().filter_map(spelled).collect(),
            other: categories.len() as f64,
        })
    }

    fn code(&self, text: &str) -> f64 {
        self.texts.get(text).map_or(self.other, |&it| f64::from(it))
    }

    fn code_of_integer(&self, integer: i64) -> f64 {
        self.integers.get(&integer).map_or(self.other, |&it| f64::from(it))
    }
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
        encoder.encode_into(&vec![value], &mut out)?;
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
    fn categories_of_other_types_are_found_by_what_they_print() {
        let of = |texts: &[&str]| InputEncoding::Category {
            categories: texts.iter().map(|it| (*it).to_owned()).collect(),
        };
        let cases = [
            (DataType::Int64, of(&["7", "-3", "007"]), Value::Int(7), 0.0),
            (DataType::Int64, of(&["7", "-3", "007"]), Value::Int(-3), 1.0),
            (DataType::Int64, of(&["007"]), Value::Int(7), 1.0),
            (DataType::Int64, of(&["7", "-3"]), Value::text(" -3 "), 1.0),
            (DataType::Boolean, of(&["true", "false"]), Value::Bool(false), 1.0),
            (DataType::Boolean, of(&["true"]), Value::text("TRUE"), 0.0),
            (DataType::Double, of(&["0.5"]), Value::Float(0.5), 0.0),
        ];
        for (data_type, encoding, value, expected) in cases {
            assert_eq!(encode(data_type, encoding, value.clone()).unwrap(), expected, "{value}");
        }
    }

    #[test]
    fn zero_is_missing_where_the_encoding_says_so() {
        for (value, missing) in [
            (0.0, true),
            (-0.0, true),
            (1e-35, true),
            (1.1e-35, false),
            (-2.0, false),
        ] {
            let got = encode(DataType::Double, InputEncoding::NonZero, Value::Float(value)).unwrap();
            assert_eq!(got.is_nan(), missing, "{value}: {got}");
        }
        assert!(
            encode(DataType::Double, InputEncoding::NonZero, Value::text("0"))
                .unwrap()
                .is_nan()
        );
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
