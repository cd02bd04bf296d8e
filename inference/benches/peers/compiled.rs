//! Models that became machine code: TL2cgen's C through gcc, lleaves' LLVM objects linked as they are.

use std::ffi::{CStr, c_char, c_int};
use std::path::Path;

use libloading::Library;

use crate::Failure;
use crate::contender::{Batch, Contender, function, load};

/// A cell of a row: a number, or the mark of a missing value in its first four bytes.
#[derive(Clone, Copy)]
#[repr(C)]
union Entry<T: Copy> {
    missing: c_int,
    value: T,
}

type Predict<T> = unsafe extern "C" fn(*mut Entry<T>, c_int, *mut T);

/// TL2cgen's `predict` takes one row of cells; a batch is a loop around it, as in its own runtime.
pub(crate) struct Tl2cgen {
    kind: Kind,
    /// Keeps the function.
    _library: Library,
}

enum Kind {
    Float32(Predict<f32>, Vec<Entry<f32>>),
    Float64(Predict<f64>, Vec<Entry<f64>>),
}

impl Tl2cgen {
    pub(crate) fn open(path: &Path, columns: usize) -> Result<Self, Failure> {
        let library = load(path)?;
        // SAFETY: the types are those of the `header.h` that TL2cgen writes; which of the two, the library says.
        let kind = unsafe {
            let type_of: unsafe extern "C" fn() -> *const c_char = function(&library, "get_threshold_type")?;
            match CStr::from_ptr(type_of()).to_bytes() {
                b"float32" => Kind::Float32(function(&library, "predict")?, vec![Entry { missing: -1 }; columns]),
                _ => Kind::Float64(function(&library, "predict")?, vec![Entry { missing: -1 }; columns]),
            }
        };
        Ok(Self {
            kind,
            _library: library,
        })
    }
}

impl Contender for Tl2cgen {
    fn name(&self) -> String {
        "TL2cgen".to_owned()
    }

    fn predict(&mut self, batch: &Batch, out: &mut [f64]) {
        match &mut self.kind {
            Kind::Float32(predict, cells) => {
                for (row, out) in batch.narrow.chunks_exact(cells.len()).zip(out) {
                    *out = f64::from(predict_one(*predict, cells, row, 0.0, |it| it.is_nan()));
                }
            }
            Kind::Float64(predict, cells) => {
                for (row, out) in batch.rows.rows().zip(out) {
                    *out = predict_one(*predict, cells, row, 0.0, |it| it.is_nan());
                }
            }
        }
    }
}

fn predict_one<T: Copy>(
    predict: Predict<T>,
    cells: &mut [Entry<T>],
    row: &[T],
    zero: T,
    is_missing: impl Fn(T) -> bool,
) -> T {
    for (cell, &value) in cells.iter_mut().zip(row) {
        *cell = if is_missing(value) {
            Entry { missing: -1 }
        } else {
            Entry { value }
        };
    }
    let mut sum = zero;
    // SAFETY: the row has the columns of the model, the sum is its one output; 1: no link.
    unsafe { predict(cells.as_mut_ptr(), 1, &raw mut sum) };
    sum
}

type ForestRoot = unsafe extern "C" fn(*const f64, *mut f64, c_int, c_int);

/// The entry of an object that lleaves made: rows, results, first row, last row.
pub(crate) struct Lleaves {
    root: ForestRoot,
    /// Keeps the function.
    _library: Library,
}

impl Lleaves {
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let library = load(path)?;
        // SAFETY: the type is that of `get_entry_func_type` in lleaves.py, with its default of float64.
        let root = unsafe { function(&library, "forest_root") }?;
        Ok(Self {
            root,
            _library: library,
        })
    }
}

impl Contender for Lleaves {
    fn name(&self) -> String {
        "lleaves".to_owned()
    }

    fn predict(&mut self, batch: &Batch, out: &mut [f64]) {
        out.fill(0.0);
        // SAFETY: the matrix has so many rows of the model's width, `out` one number per row.
        unsafe {
            (self.root)(
                batch.rows.values().as_ptr(),
                out.as_mut_ptr(),
                0,
                batch.n_rows() as c_int,
            )
        };
    }
}
