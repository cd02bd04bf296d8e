//! LightGBM's C interface: the prepared single row where there is one row, `PredictForMat` otherwise. float64, as it is inside.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;

use libloading::Library;

use crate::Failure;
use crate::contender::{Batch, Contender, function, load_of_package};
use crate::model::PeerModel;

type Handle = *mut c_void;
type Create = unsafe extern "C" fn(*const c_char, *mut c_int, *mut Handle) -> c_int;
type PredictMany = unsafe extern "C" fn(
    Handle,
    *const c_void,
    c_int,
    i32,
    i32,
    c_int,
    c_int,
    c_int,
    c_int,
    *const c_char,
    *mut i64,
    *mut f64,
) -> c_int;
type Prepare = unsafe extern "C" fn(Handle, c_int, c_int, c_int, c_int, i32, *const c_char, *mut Handle) -> c_int;
type PredictOne = unsafe extern "C" fn(Handle, *const c_void, *mut i64, *mut f64) -> c_int;
type LastError = unsafe extern "C" fn() -> *const c_char;

const FLOAT64: c_int = 1;
const ROW_MAJOR: c_int = 1;
/// All trees.
const ALL: c_int = -1;

/// What is asked.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Raw = 1,
    Contributions = 3,
}

/// A loaded model and its prepared single row.
pub(crate) struct LightGbm {
    booster: Handle,
    prepared: Handle,
    settings: CString,
    predict_many: PredictMany,
    predict_one: PredictOne,
    last_error: LastError,
    /// Keeps the functions.
    _library: Library,
}

impl LightGbm {
    /// The raw scores; `threads` 0: all cores.
    pub(crate) fn scores(model: &PeerModel, threads: usize) -> Result<Self, Failure> {
        Self::open(model, Kind::Raw, threads)
    }

    /// The contributions of single rows.
    pub(crate) fn contributions(model: &PeerModel) -> Result<Self, Failure> {
        Self::open(model, Kind::Contributions, 1)
    }

    fn open(model: &PeerModel, kind: Kind, threads: usize) -> Result<Self, Failure> {
        let library = load_of_package("lightgbm/lib", "lib_lightgbm")?;
        let path = CString::new(model.own_file().to_string_lossy().as_bytes())?;
        // SAFETY: the types are those of `LightGBM/c_api.h` 4.x, and the library is kept as long as the functions.
        let (create, prepare, predict_many, predict_one, last_error) = unsafe {
            (
                function::<Create>(&library, "LGBM_BoosterCreateFromModelfile")?,
                function::<Prepare>(&library, "LGBM_BoosterPredictForMatSingleRowFastInit")?,
                function(&library, "LGBM_BoosterPredictForMat")?,
                function(&library, "LGBM_BoosterPredictForMatSingleRowFast")?,
                function(&library, "LGBM_GetLastError")?,
            )
        };
        let mut it = Self {
            booster: ptr::null_mut(),
            prepared: ptr::null_mut(),
            settings: CString::new(format!("num_threads={threads} verbosity=-1"))?,
            predict_many,
            predict_one,
            last_error,
            _library: library,
        };
        let columns = i32::try_from(model.columns)?;
        let (mut trees, settings) = (0, it.settings.as_ptr());
        // SAFETY: strings end in NUL, results go to variables that live; the handles are never freed, the process ends soon.
        unsafe {
            let made = create(path.as_ptr(), &raw mut trees, &raw mut it.booster);
            it.check(made)?;
            let (booster, prepared) = (it.booster, &raw mut it.prepared);
            it.check(prepare(
                booster,
                kind as c_int,
                0,
                ALL,
                FLOAT64,
                columns,
                settings,
                prepared,
            ))?;
        }
        Ok(it)
    }

    /// One prepared row; `out` is as long as one row's answers.
    pub(crate) fn one(&mut self, row: &[f64], out: &mut [f64]) {
        let mut length = 0;
        // SAFETY: `row` has the columns that were prepared for, `out` the outputs.
        let code = unsafe { (self.predict_one)(self.prepared, row.as_ptr().cast(), &raw mut length, out.as_mut_ptr()) };
        self.check(code).expect("a row of the right width");
    }

    fn many(&mut self, batch: &Batch, out: &mut [f64]) {
        let (rows, columns) = (batch.n_rows() as i32, batch.n_columns() as i32);
        let (values, mut length) = (batch.rows.values().as_ptr().cast(), 0);
        // SAFETY: the matrix has so many rows and columns, `out` one number per row.
        let code = unsafe {
            (self.predict_many)(
                self.booster,
                values,
                FLOAT64,
                rows,
                columns,
                ROW_MAJOR,
                Kind::Raw as c_int,
                0,
                ALL,
                self.settings.as_ptr(),
                &raw mut length,
                out.as_mut_ptr(),
            )
        };
        self.check(code).expect("rows of the right width");
    }

    fn check(&self, code: c_int) -> Result<(), Failure> {
        if code == 0 {
            return Ok(());
        }
        // SAFETY: the library gives a string that ends in NUL and lives until its next error.
        let reason = unsafe { CStr::from_ptr((self.last_error)()) };
        Err(format!("LightGBM: {}", reason.to_string_lossy()).into())
    }
}

impl Contender for LightGbm {
    fn name(&self) -> String {
        "LightGBM".to_owned()
    }

    fn predict(&mut self, batch: &Batch, out: &mut [f64]) {
        match batch.n_rows() {
            1 => self.one(batch.rows.row(0), out),
            _ => self.many(batch, out),
        }
    }
}
