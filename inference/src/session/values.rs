//! Matrices become tensors, tensors and maps become rows of numbers.

use std::borrow::Cow;

use foretell_features::FeatureMatrix;
use ort::session::SessionInputValue;
use ort::value::{DynMap, DynMapValueType, DynValue, Tensor, TensorElementType, ValueType};

use super::plan::{Block, Kind};
use crate::onnx::{ElementType, GraphValue};

/// What stands for a text that no category is.
const UNSEEN: &str = "\u{fffd}unseen";

/// What came back, row-major.
#[derive(Debug)]
pub(super) struct Answers {
    /// Numbers per row, at least 1.
    pub width: usize,
    pub numbers: Vec<f64>,
    /// Of maps: what the numbers belong to.
    pub keys: Vec<String>,
}

type Inputs<'a> = Vec<(Cow<'a, str>, SessionInputValue<'static>)>;

/// One tensor per block, of the block's columns.
pub(super) fn tensors<'a>(blocks: &'a [Block], x: &FeatureMatrix) -> Result<Inputs<'a>, String> {
    let mut first = 0;
    let mut inputs = Vec::with_capacity(blocks.len());
    for block in blocks {
        let cells = x.rows().flat_map(|row| &row[first..first + block.width]).copied();
        let tensor = tensor(block, cells, x.n_rows()).map_err(|reason| format!("input `{}`: {reason}", block.name))?;
        inputs.push((Cow::Borrowed(block.name.as_str()), tensor));
        first += block.width;
    }
    Ok(inputs)
}

/// What of a row no tensor of its block's type holds.
pub(super) fn unfit(blocks: &[Block], row: &[f64]) -> Option<String> {
    let mut first = 0;
    blocks.iter().find_map(|block| {
        let cells = &row[first..first + block.width];
        first += block.width;
        let is_whole = matches!(block.kind, Kind::Int32 | Kind::Int64 | Kind::Bool);
        let mut cells = cells.iter().filter(|_| is_whole);
        let reason = cells.find_map(|&it| whole(it).err())?;
        Some(format!("input `{}`: {reason}", block.name))
    })
}

fn tensor(
    block: &Block,
    cells: impl Iterator<Item = f64>,
    n_rows: usize,
) -> Result<SessionInputValue<'static>, String> {
    let shape = match block.flat {
        true => vec![n_rows],
        false => vec![n_rows, block.width],
    };
    let refused = |error: ort::Error| error.to_string();
    Ok(match block.kind {
        Kind::Float => Tensor::from_array((shape, cells.map(|it| it as f32).collect::<Vec<_>>()))
            .map_err(refused)?
            .into(),
        Kind::Double => Tensor::from_array((shape, cells.collect::<Vec<_>>()))
            .map_err(refused)?
            .into(),
        Kind::Int64 => {
            let whole: Result<Vec<i64>, String> = cells.map(whole).collect();
            Tensor::from_array((shape, whole?)).map_err(refused)?.into()
        }
        Kind::Int32 => {
            let narrow = |it| i32::try_from(whole(it)?).map_err(|_| format!("{it} is beyond 32 bits"));
            let whole: Result<Vec<i32>, String> = cells.map(narrow).collect();
            Tensor::from_array((shape, whole?)).map_err(refused)?.into()
        }
        Kind::Bool => {
            let truths: Result<Vec<bool>, String> = cells.map(|it| whole(it).map(|it| it != 0)).collect();
            Tensor::from_array((shape, truths?)).map_err(refused)?.into()
        }
        Kind::String => {
            let texts: Vec<String> = cells.map(|it| text(it, &block.categories).to_owned()).collect();
            Tensor::from_string_array((shape, &*texts)).map_err(refused)?.into()
        }
    })
}

fn whole(x: f64) -> Result<i64, String> {
    let is_whole = x.trunc() == x && x.abs() < 9.0e18;
    match is_whole {
        true => Ok(x as i64),
        false if x.is_nan() => Err("it takes whole numbers, which cannot be missing; send a value".to_owned()),
        false => Err(format!("it takes whole numbers. got=`{x}`")),
    }
}

fn text(code: f64, categories: &[Box<str>]) -> &str {
    if code.is_nan() {
        return "";
    }
    categories.get(code as usize).map_or(UNSEEN, |it| it)
}

/// Whether an output of the graph can be a number per row: floats, or maps to them.
pub(super) fn may_answer(output: &GraphValue) -> bool {
    match &output.tensor {
        None => true,
        Some((element, dims)) => {
            matches!(element, ElementType::Float | ElementType::Double) && (1..=2).contains(&dims.len())
        }
    }
}

/// Whether an output is the class that was chosen.
pub(super) fn is_label(output: &GraphValue) -> bool {
    let element = output.tensor.as_ref().map(|it| it.0);
    matches!(
        element,
        Some(ElementType::Int64 | ElementType::Int32 | ElementType::String)
    ) || output.name == "output_label"
}

/// Reads `[rows]`, `[rows, width]` or a sequence of a map per row.
pub(super) fn answers(output: &DynValue, n_rows: usize) -> Result<Answers, String> {
    let (numbers, keys) = match output.dtype() {
        ValueType::Tensor { ty, .. } => (numbers(output, *ty)?, Vec::new()),
        ValueType::Sequence(_) => maps(output)?,
        other => return Err(format!("its output is {other}, neither a tensor nor maps")),
    };
    let width = numbers.len() / n_rows.max(1);
    if width > 0 && width * n_rows == numbers.len() {
        Ok(Answers { width, numbers, keys })
    } else {
        Err(format!("{} numbers came back for {n_rows} rows", numbers.len()))
    }
}

fn numbers(output: &DynValue, element: TensorElementType) -> Result<Vec<f64>, String> {
    let refused = |error: ort::Error| error.to_string();
    match element {
        TensorElementType::Float32 => {
            let (_, numbers) = output.try_extract_tensor::<f32>().map_err(refused)?;
            Ok(numbers.iter().map(|&it| f64::from(it)).collect())
        }
        TensorElementType::Float64 => Ok(output.try_extract_tensor::<f64>().map_err(refused)?.1.to_vec()),
        other => Err(format!("its output holds {other}, not floats")),
    }
}

fn maps(output: &DynValue) -> Result<(Vec<f64>, Vec<String>), String> {
    let maps: Vec<DynMap> = output
        .try_extract_sequence::<DynMapValueType>()
        .map_err(|error| error.to_string())?;
    let mut numbers = Vec::new();
    let mut keys: Vec<String> = Vec::new();
    for map in &maps {
        let entries = entries(map)?;
        if keys.is_empty() {
            keys = entries.iter().map(|it| it.0.clone()).collect();
        }
        let same = entries.len() == keys.len() && entries.iter().zip(&keys).all(|(entry, key)| entry.0 == *key);
        if !same {
            return Err("its maps do not all have the same keys".to_owned());
        }
        numbers.extend(entries.iter().map(|it| it.1));
    }
    Ok((numbers, keys))
}

/// In order of key, whatever order the runtime keeps them in.
fn entries(map: &DynMap) -> Result<Vec<(String, f64)>, String> {
    let refused = |error: ort::Error| error.to_string();
    match map.dtype() {
        ValueType::Map {
            key: TensorElementType::Int64,
            ..
        } => {
            let mut entries = map.try_extract_key_values::<i64, f32>().map_err(refused)?;
            entries.sort_unstable_by_key(|it| it.0);
            Ok(entries
                .into_iter()
                .map(|(key, it)| (key.to_string(), f64::from(it)))
                .collect())
        }
        _ => {
            let mut entries = map.try_extract_key_values::<String, f32>().map_err(refused)?;
            entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            Ok(entries.into_iter().map(|(key, it)| (key, f64::from(it))).collect())
        }
    }
}
