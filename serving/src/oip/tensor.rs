//! A tensor of the Open Inference Protocol, whatever wire it came by.

use foretell_features::Value;

use crate::error::ServeError;

/// A named tensor, row-major.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) shape: Vec<i64>,
    pub(crate) data: TensorData,
}

/// Its elements. What a client may send in more ways than these is converted when it is read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TensorData {
    /// BOOL
    Bools(Vec<bool>),
    /// INT8 to INT64, UINT8 to UINT32
    Ints(Vec<i64>),
    /// FP32, FP64, UINT64; NaN is null
    Doubles(Vec<f64>),
    /// BYTES
    Texts(Vec<Vec<u8>>),
    /// JSON data of any type, already named values
    Values(Vec<Value>),
}

impl Tensor {
    /// A tensor whose number of elements is what its shape says.
    ///
    /// # Errors
    /// It is not; the tensor is named.
    pub(crate) fn checked(name: String, shape: Vec<i64>, data: TensorData) -> Result<Self, ServeError> {
        let size = shape
            .iter()
            .try_fold(1i64, |size, &it| size.checked_mul(it).filter(|_| it >= 0));
        // [n, 0] has no elements for any n: it would claim rows that nobody sent.
        let hollow = data.len() == 0 && shape.first().is_some_and(|it| *it > 0);
        if !hollow && size.is_some_and(|it| usize::try_from(it) == Ok(data.len())) {
            return Ok(Self { name, shape, data });
        }
        let message = format!("input `{name}` has {} elements, its shape is {shape:?}", data.len());
        Err(ServeError::Request(message))
    }

    /// The batch dimension.
    pub(crate) fn rows(&self) -> Result<usize, ServeError> {
        let first = self.shape.first().and_then(|it| usize::try_from(*it).ok());
        first.ok_or_else(|| {
            ServeError::request(format!(
                "input `{}` has no batch dimension; send shape [n, 1]",
                self.name
            ))
        })
    }

    /// The elements as values, `width` per row.
    pub(crate) fn values(&self, width: usize) -> Result<Vec<Value>, ServeError> {
        if self.rows()?.checked_mul(width) != Some(self.data.len()) {
            let message = format!(
                "input `{}` has shape {:?}, expected [n, {width}]",
                self.name, self.shape
            );
            return Err(ServeError::Request(message));
        }
        Ok(match &self.data {
            TensorData::Bools(it) => it.iter().map(|it| Value::Bool(*it)).collect(),
            TensorData::Ints(it) => it.iter().map(|it| Value::Int(*it)).collect(),
            TensorData::Doubles(it) => it.iter().map(|it| double(*it)).collect(),
            TensorData::Texts(it) => it.iter().map(|it| self.text(it)).collect::<Result<_, _>>()?,
            TensorData::Values(it) => it.clone(),
        })
    }

    fn text(&self, bytes: &[u8]) -> Result<Value, ServeError> {
        let wrong = |_| ServeError::request(format!("input `{}` holds bytes that are not UTF-8", self.name));
        std::str::from_utf8(bytes).map(Value::text).map_err(wrong)
    }

    /// Its datatype, for answers.
    pub(crate) fn datatype(&self) -> &'static str {
        match self.data {
            TensorData::Bools(_) => "BOOL",
            TensorData::Ints(_) => "INT64",
            TensorData::Doubles(_) => "FP64",
            TensorData::Texts(_) | TensorData::Values(_) => "BYTES",
        }
    }

    /// Little-endian bytes, as the binary extension and gRPC carry them.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        match &self.data {
            TensorData::Bools(it) => it.iter().map(|it| u8::from(*it)).collect(),
            TensorData::Ints(it) => it.iter().flat_map(|it| it.to_le_bytes()).collect(),
            TensorData::Doubles(it) => it.iter().flat_map(|it| it.to_le_bytes()).collect(),
            TensorData::Texts(it) => it.iter().flat_map(|it| prefixed(it)).collect(),
            TensorData::Values(it) => it.iter().flat_map(|it| prefixed(it.to_string().as_bytes())).collect(),
        }
    }
}

impl TensorData {
    fn len(&self) -> usize {
        match self {
            Self::Bools(it) => it.len(),
            Self::Ints(it) => it.len(),
            Self::Doubles(it) => it.len(),
            Self::Texts(it) => it.len(),
            Self::Values(it) => it.len(),
        }
    }

    /// Reads little-endian bytes of a datatype.
    ///
    /// # Errors
    /// The tensor is named; the datatype is unknown, or the bytes are no whole number of elements.
    pub(crate) fn from_bytes(name: &str, datatype: &str, bytes: &[u8]) -> Result<Self, ServeError> {
        Ok(match datatype {
            "BOOL" => Self::Bools(bytes.iter().map(|it| *it != 0).collect()),
            "INT8" => Self::Ints(elements(name, bytes, |it: [u8; 1]| i64::from(i8::from_le_bytes(it)))?),
            "INT16" => Self::Ints(elements(name, bytes, |it: [u8; 2]| i64::from(i16::from_le_bytes(it)))?),
            "INT32" => Self::Ints(elements(name, bytes, |it: [u8; 4]| i64::from(i32::from_le_bytes(it)))?),
            "INT64" => Self::Ints(elements(name, bytes, i64::from_le_bytes)?),
            "UINT8" => Self::Ints(bytes.iter().map(|it| i64::from(*it)).collect()),
            "UINT16" => Self::Ints(elements(name, bytes, |it: [u8; 2]| i64::from(u16::from_le_bytes(it)))?),
            "UINT32" => Self::Ints(elements(name, bytes, |it: [u8; 4]| i64::from(u32::from_le_bytes(it)))?),
            "UINT64" => Self::Doubles(elements(name, bytes, |it: [u8; 8]| u64::from_le_bytes(it) as f64)?),
            "FP32" => Self::Doubles(elements(name, bytes, |it: [u8; 4]| f64::from(f32::from_le_bytes(it)))?),
            "FP64" => Self::Doubles(elements(name, bytes, f64::from_le_bytes)?),
            "BYTES" => Self::Texts(texts(name, bytes)?),
            other => return Err(unknown_datatype(name, other)),
        })
    }
}

/// The names of datatypes that are read.
pub(crate) fn check_datatype(name: &str, datatype: &str) -> Result<(), ServeError> {
    TensorData::from_bytes(name, datatype, &[]).map(drop)
}

fn unknown_datatype(name: &str, datatype: &str) -> ServeError {
    let all = "BOOL, INT8 to INT64, UINT8 to UINT64, FP32, FP64 and BYTES";
    ServeError::request(format!("input `{name}` has datatype `{datatype}`; {all} are read"))
}

fn elements<const N: usize, T>(name: &str, bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Result<Vec<T>, ServeError> {
    let (whole, rest) = bytes.as_chunks::<N>();
    if rest.is_empty() {
        Ok(whole.iter().copied().map(read).collect())
    } else {
        Err(ragged(name))
    }
}

fn texts(name: &str, mut bytes: &[u8]) -> Result<Vec<Vec<u8>>, ServeError> {
    let mut texts = Vec::new();
    while !bytes.is_empty() {
        let (len, rest) = bytes.split_first_chunk::<4>().ok_or_else(|| ragged(name))?;
        let (text, rest) = rest
            .split_at_checked(u32::from_le_bytes(*len) as usize)
            .ok_or_else(|| ragged(name))?;
        texts.push(text.to_vec());
        bytes = rest;
    }
    Ok(texts)
}

fn ragged(name: &str) -> ServeError {
    ServeError::request(format!(
        "input `{name}`: its bytes are no whole number of elements of its datatype"
    ))
}

fn prefixed(text: &[u8]) -> Vec<u8> {
    let len = u32::try_from(text.len()).expect("an answer's text is shorter than 4 GiB");
    [&len.to_le_bytes()[..], text].concat()
}

fn double(value: f64) -> Value {
    if value.is_nan() {
        Value::Null
    } else {
        Value::Float(value)
    }
}
