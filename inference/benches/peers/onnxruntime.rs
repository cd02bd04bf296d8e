//! ONNX Runtime's C interface: one thread for an operator, float32 rows in, float32 scores out, written in place.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr;

use libloading::Library;

use crate::Failure;
use crate::contender::{Batch, Contender, function, load_of_package};

/// A table of functions; its order never changes, new ones come last (`onnxruntime_c_api.h`).
type Api = *const *const c_void;
type Handle = *mut c_void;
type Status = *mut c_void;

#[repr(C)]
struct ApiBase {
    get_api: unsafe extern "C" fn(u32) -> Api,
}

/// The version of the table that is asked for: that of onnxruntime 1.17, the first that has all of these.
const API_VERSION: u32 = 17;
const GET_ERROR_MESSAGE: usize = 2;
const CREATE_ENV: usize = 3;
const CREATE_SESSION: usize = 7;
const RUN: usize = 9;
const CREATE_SESSION_OPTIONS: usize = 10;
const SET_INTRA_OP_THREADS: usize = 24;
const SET_INTER_OP_THREADS: usize = 25;
const SESSION_INPUT_NAME: usize = 36;
const SESSION_OUTPUT_NAME: usize = 37;
const CREATE_TENSOR: usize = 49;
const CREATE_MEMORY_INFO: usize = 69;
const DEFAULT_ALLOCATOR: usize = 78;
const RELEASE_VALUE: usize = 96;

const WARNING: c_int = 2;
const FLOAT: c_int = 1;
/// The device's own allocator, the default memory.
const MEMORY: (c_int, c_int) = (0, 0);

type GetMessage = unsafe extern "C" fn(Status) -> *const c_char;
type CreateEnv = unsafe extern "C" fn(c_int, *const c_char, *mut Handle) -> Status;
type CreateOptions = unsafe extern "C" fn(*mut Handle) -> Status;
type SetThreads = unsafe extern "C" fn(Handle, c_int) -> Status;
type CreateSession = unsafe extern "C" fn(Handle, *const c_char, Handle, *mut Handle) -> Status;
type GetName = unsafe extern "C" fn(Handle, usize, Handle, *mut *mut c_char) -> Status;
type CreateMemory = unsafe extern "C" fn(c_int, c_int, *mut Handle) -> Status;
type CreateTensor = unsafe extern "C" fn(Handle, *mut c_void, usize, *const i64, usize, c_int, *mut Handle) -> Status;
type Run = unsafe extern "C" fn(
    Handle,
    Handle,
    *const *const c_char,
    *const Handle,
    usize,
    *const *const c_char,
    usize,
    *mut Handle,
) -> Status;
type Release = unsafe extern "C" fn(Handle);

/// A session of one graph with one dense input.
pub(crate) struct OnnxRuntime {
    api: Api,
    session: Handle,
    memory: Handle,
    input: *const c_char,
    output: *const c_char,
    /// Where the scores go.
    scores: Vec<f32>,
    /// Keeps the functions.
    _library: Library,
}

impl OnnxRuntime {
    /// `threads` 0: all cores.
    pub(crate) fn open(path: &Path, threads: usize) -> Result<Self, Failure> {
        let library = load_of_package("onnxruntime/capi", "libonnxruntime.so")?;
        // SAFETY: the one exported function has this type, and its base lives as long as the library.
        let api = unsafe {
            let base: unsafe extern "C" fn() -> *const ApiBase = function(&library, "OrtGetApiBase")?;
            ((*base()).get_api)(API_VERSION)
        };
        if api.is_null() {
            return Err(format!("ONNX Runtime has no version {API_VERSION} of its interface").into());
        }
        let mut it = Self {
            api,
            session: ptr::null_mut(),
            memory: ptr::null_mut(),
            input: ptr::null(),
            output: ptr::null(),
            scores: Vec::new(),
            _library: library,
        };
        // SAFETY: see there.
        unsafe { it.start(path, c_int::try_from(threads)?) }?;
        Ok(it)
    }

    /// # Safety
    /// `api` is the table of a loaded library. Handles are never freed: the process ends soon.
    unsafe fn start(&mut self, path: &Path, threads: c_int) -> Result<(), Failure> {
        let path = CString::new(path.to_string_lossy().as_bytes())?;
        let (mut env, mut options, mut allocator) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        let (mut input, mut output) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the positions and types are those of the interface; results go to variables that live; `path` ends in NUL.
        unsafe {
            self.check(self.at::<CreateEnv>(CREATE_ENV)(
                WARNING,
                c"peers".as_ptr(),
                &raw mut env,
            ))?;
            self.check(self.at::<CreateOptions>(CREATE_SESSION_OPTIONS)(&raw mut options))?;
            self.check(self.at::<SetThreads>(SET_INTRA_OP_THREADS)(options, threads))?;
            self.check(self.at::<SetThreads>(SET_INTER_OP_THREADS)(options, 1))?;
            let create = self.at::<CreateSession>(CREATE_SESSION);
            let made = create(env, path.as_ptr(), options, &raw mut self.session);
            self.check(made)?;
            let (which, kind) = MEMORY;
            let made = self.at::<CreateMemory>(CREATE_MEMORY_INFO)(which, kind, &raw mut self.memory);
            self.check(made)?;
            self.check(self.at::<CreateOptions>(DEFAULT_ALLOCATOR)(&raw mut allocator))?;
            let names = (
                self.at::<GetName>(SESSION_INPUT_NAME),
                self.at::<GetName>(SESSION_OUTPUT_NAME),
            );
            self.check(names.0(self.session, 0, allocator, &raw mut input))?;
            self.check(names.1(self.session, 0, allocator, &raw mut output))?;
        }
        (self.input, self.output) = (input, output);
        Ok(())
    }

    /// # Safety
    /// `F` is the type of the function at that place.
    unsafe fn at<F: Copy>(&self, place: usize) -> F {
        const { assert!(size_of::<F>() == size_of::<*const c_void>()) };
        // SAFETY: the table has at least the functions of its version, all as pointers.
        unsafe { std::mem::transmute_copy(&*self.api.add(place)) }
    }

    /// A tensor over memory of the caller, which is neither copied nor freed by it.
    ///
    /// # Safety
    /// `values` outlives the tensor.
    unsafe fn tensor(&self, values: *mut f32, rows: usize, columns: usize) -> Handle {
        let shape = [rows as i64, columns as i64];
        let mut made = ptr::null_mut();
        let bytes = rows * columns * size_of::<f32>();
        // SAFETY: the memory holds so many numbers.
        let status = unsafe {
            let create = self.at::<CreateTensor>(CREATE_TENSOR);
            create(
                self.memory,
                values.cast(),
                bytes,
                shape.as_ptr(),
                shape.len(),
                FLOAT,
                &raw mut made,
            )
        };
        self.check(status).expect("memory of the right size");
        made
    }

    fn check(&self, status: Status) -> Result<(), Failure> {
        if status.is_null() {
            return Ok(());
        }
        // SAFETY: a status that is not null has a message that ends in NUL.
        let reason = unsafe { CStr::from_ptr(self.at::<GetMessage>(GET_ERROR_MESSAGE)(status)) };
        Err(format!("ONNX Runtime: {}", reason.to_string_lossy()).into())
    }
}

impl Contender for OnnxRuntime {
    fn name(&self) -> String {
        "ONNX Runtime".to_owned()
    }

    fn predict(&mut self, batch: &Batch, out: &mut [f64]) {
        self.scores.resize(out.len(), 0.0);
        let (values, scores) = (batch.narrow.as_ptr().cast_mut(), self.scores.as_mut_ptr());
        // SAFETY: the tensors are over the batch, which is only read, and over the scores; both are released before either
        // goes. Names and session live.
        unsafe {
            let input = self.tensor(values, batch.n_rows(), batch.n_columns());
            let mut output = self.tensor(scores, out.len(), 1);
            let run = self.at::<Run>(RUN);
            let (from, to) = (&raw const self.input, &raw const self.output);
            let status = run(
                self.session,
                ptr::null_mut(),
                from,
                &raw const input,
                1,
                to,
                1,
                &raw mut output,
            );
            self.check(status).expect("rows of the right width");
            let release = self.at::<Release>(RELEASE_VALUE);
            release(input);
            release(output);
        }
        out.iter_mut()
            .zip(&self.scores)
            .for_each(|(out, it)| *out = f64::from(*it));
    }
}
