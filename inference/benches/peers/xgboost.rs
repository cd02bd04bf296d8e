//! XGBoost's C interface: in-place prediction on dense float32 rows, and contributions of a matrix that was made before.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io::Write;
use std::ptr;

use libloading::Library;

use crate::Failure;
use crate::contender::{Batch, Contender, function, load_of_package};
use crate::model::PeerModel;

type Handle = *mut c_void;
type Create = unsafe extern "C" fn(*const Handle, u64, *mut Handle) -> c_int;
type Load = unsafe extern "C" fn(Handle, *const c_char) -> c_int;
type Set = unsafe extern "C" fn(Handle, *const c_char, *const c_char) -> c_int;
type InPlace = unsafe extern "C" fn(
    Handle,
    *const c_char,
    *const c_char,
    Handle,
    *mut *const u64,
    *mut u64,
    *mut *const f32,
) -> c_int;
type MakeMatrix = unsafe extern "C" fn(*const c_char, *const c_char, *mut Handle) -> c_int;
type OnMatrix =
    unsafe extern "C" fn(Handle, Handle, *const c_char, *mut *const u64, *mut u64, *mut *const f32) -> c_int;
type LastError = unsafe extern "C" fn() -> *const c_char;

const MARGIN: &CStr =
    c"{\"type\":1,\"training\":false,\"iteration_begin\":0,\"iteration_end\":0,\"strict_shape\":false,\"cache_id\":0,\"missing\":NaN}";
const CONTRIBUTIONS: &CStr =
    c"{\"type\":2,\"training\":false,\"iteration_begin\":0,\"iteration_end\":0,\"strict_shape\":false}";

/// A loaded model.
pub(crate) struct XGBoost {
    booster: Handle,
    threads: usize,
    in_place: InPlace,
    make_matrix: MakeMatrix,
    on_matrix: OnMatrix,
    last_error: LastError,
    /// The description of the rows that are asked, written anew for each call as any caller must.
    array: Vec<u8>,
    /// Keeps the functions.
    _library: Library,
}

/// Rows that XGBoost has taken over: its contributions take nothing else.
pub(crate) struct Matrix(Handle);

impl XGBoost {
    /// `threads` 0: all cores.
    pub(crate) fn open(model: &PeerModel, threads: usize) -> Result<Self, Failure> {
        let library = load_of_package("xgboost/lib", "libxgboost")?;
        let path = CString::new(model.own_file().to_string_lossy().as_bytes())?;
        let count = CString::new(threads.to_string())?;
        // SAFETY: the types are those of `xgboost/c_api.h` 3.x, and the library is kept as long as the functions.
        let (create, load, set, in_place, make_matrix, on_matrix, last_error) = unsafe {
            (
                function::<Create>(&library, "XGBoosterCreate")?,
                function::<Load>(&library, "XGBoosterLoadModel")?,
                function::<Set>(&library, "XGBoosterSetParam")?,
                function(&library, "XGBoosterPredictFromDense")?,
                function(&library, "XGDMatrixCreateFromDense")?,
                function(&library, "XGBoosterPredictFromDMatrix")?,
                function(&library, "XGBGetLastError")?,
            )
        };
        let mut it = Self {
            booster: ptr::null_mut(),
            threads,
            in_place,
            make_matrix,
            on_matrix,
            last_error,
            array: Vec::new(),
            _library: library,
        };
        // SAFETY: strings end in NUL, results go to variables that live; the handle is never freed, the process ends soon.
        unsafe {
            let made = create(ptr::null(), 0, &raw mut it.booster);
            it.check(made)?;
            it.check(load(it.booster, path.as_ptr()))?;
            it.check(set(it.booster, c"nthread".as_ptr(), count.as_ptr()))?;
        }
        Ok(it)
    }

    /// One row as its own matrix.
    pub(crate) fn matrix(&mut self, row: &[f32]) -> Result<Matrix, Failure> {
        let settings = CString::new(format!("{{\"missing\":NaN,\"nthread\":{}}}", self.threads))?;
        self.describe(row, 1, row.len());
        let mut made = ptr::null_mut();
        // SAFETY: the description names `row`, which is read in the call only.
        let code = unsafe { (self.make_matrix)(self.array.as_ptr().cast(), settings.as_ptr(), &raw mut made) };
        self.check(code)?;
        Ok(Matrix(made))
    }

    /// Contributions by column of the matrix's one row, and the mean score last.
    pub(crate) fn contributions(&mut self, matrix: &Matrix, out: &mut [f64]) {
        let (mut shape, mut dimensions, mut result) = (ptr::null(), 0, ptr::null());
        let to = (&raw mut shape, &raw mut dimensions, &raw mut result);
        // SAFETY: both handles live; the result stays with the booster until its next prediction.
        let code = unsafe { (self.on_matrix)(self.booster, matrix.0, CONTRIBUTIONS.as_ptr(), to.0, to.1, to.2) };
        self.check(code).expect("a matrix of the right width");
        copy(result, out);
    }

    /// The array interface of dense rows, with a NUL at the end.
    fn describe(&mut self, values: &[f32], rows: usize, columns: usize) {
        self.array.clear();
        let at = values.as_ptr() as usize;
        let shape = format_args!("[{rows},{columns}]");
        write!(
            self.array,
            "{{\"data\":[{at},true],\"shape\":{shape},\"typestr\":\"<f4\",\"version\":3}}\0"
        )
        .expect("memory takes what is written");
    }

    fn check(&self, code: c_int) -> Result<(), Failure> {
        if code == 0 {
            return Ok(());
        }
        // SAFETY: the library gives a string that ends in NUL and lives until its next error.
        let reason = unsafe { CStr::from_ptr((self.last_error)()) };
        Err(format!("XGBoost: {}", reason.to_string_lossy()).into())
    }
}

impl Contender for XGBoost {
    fn name(&self) -> String {
        "XGBoost".to_owned()
    }

    fn predict(&mut self, batch: &Batch, out: &mut [f64]) {
        self.describe(&batch.narrow, batch.n_rows(), batch.n_columns());
        let (mut shape, mut dimensions, mut result) = (ptr::null(), 0, ptr::null());
        let (array, margin) = (self.array.as_ptr().cast(), MARGIN.as_ptr());
        let to = (&raw mut shape, &raw mut dimensions, &raw mut result);
        // SAFETY: the description names the batch, which is read in the call only; no matrix (null) is allowed; the result
        // stays with the booster until its next prediction.
        let code = unsafe { (self.in_place)(self.booster, array, margin, ptr::null_mut(), to.0, to.1, to.2) };
        self.check(code).expect("rows of the right width");
        copy(result, out);
    }
}

fn copy(result: *const f32, out: &mut [f64]) {
    // SAFETY: the library gave as many numbers as were asked for.
    let result = unsafe { std::slice::from_raw_parts(result, out.len()) };
    out.iter_mut().zip(result).for_each(|(out, it)| *out = f64::from(*it));
}
