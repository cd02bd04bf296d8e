//! Where ONNX Runtime's library is found, and the one environment of a process.
//!
//! Nothing is downloaded or built: the library is what the machine has. In order: the file that `ORT_DYLIB_PATH` names, a library
//! beside the executable, the loader's usual places, a Python installation's `onnxruntime` package. Nothing is run to find out.

use std::ffi::{CStr, OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use libloading::{Library, Symbol};
use ort::environment::Environment;

use crate::error::InferenceError;

/// What runs graphs in this process.
#[derive(Debug)]
pub struct Runtime {
    pub(super) environment: Environment,
    /// The library's file, or `tract`.
    pub origin: String,
    pub(super) is_tract: bool,
}

/// The runtime, looked for once.
///
/// # Errors
/// `Request`: what was tried and what to install or set.
pub fn runtime() -> Result<&'static Runtime, InferenceError> {
    static FOUND: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| start(&Surroundings::of_process()));
    found.as_ref().map_err(|reason| InferenceError::Request(reason.clone()))
}

fn start(surroundings: &Surroundings) -> Result<Runtime, String> {
    if let Some(set) = &surroundings.set {
        return load(Path::new(set))
            .map_err(|reason| format!("ORT_DYLIB_PATH names no ONNX Runtime that can be used: {reason}"));
    }
    let mut tried = Vec::new();
    for path in surroundings.candidates() {
        match load(&path) {
            Ok(runtime) => return Ok(runtime),
            Err(reason) => tried.push(reason),
        }
    }
    fallback().unwrap_or_else(|| Err(absent(&tried)))
}

fn load(path: &Path) -> Result<Runtime, String> {
    // `ort` must never be given a library that it refuses: it believes afterwards that it has one.
    probe(path).map_err(|reason| format!("`{}`: {reason}", path.display()))?;
    let builder = ort::init_from(path).map_err(|error| error.to_string())?;
    let environment = builder.with_name("foretell").with_telemetry(false).build();
    Ok(Runtime {
        environment: environment.map_err(|error| error.to_string())?,
        origin: path.display().to_string(),
        is_tract: false,
    })
}

/// Whether a file is an ONNX Runtime that is new enough. One that is stays loaded.
#[allow(
    unsafe_code,
    reason = "a library runs code as it is loaded, and says its version through C functions"
)]
fn probe(path: &Path) -> Result<(), String> {
    type GetBase = unsafe extern "C" fn() -> *const ort::sys::OrtApiBase;
    // SAFETY: the file has the name of ONNX Runtime in a place where the owner of the machine installs libraries, or the owner
    // named it; its initialisers are trusted as those of any library of the machine.
    let library = unsafe { Library::new(path) }.map_err(|error| error.to_string())?;
    // SAFETY: the C interface of ONNX Runtime, stable since its first release.
    let version = unsafe {
        let get: Symbol<'_, GetBase> = library.get(b"OrtGetApiBase\0").map_err(|error| error.to_string())?;
        let base = get().as_ref().ok_or("it gives no interface")?;
        CStr::from_ptr((base.GetVersionString)()).to_string_lossy().into_owned()
    };
    let minor = version.split('.').nth(1).and_then(|it| it.parse::<u32>().ok());
    // It may not be unloaded again: it has threads and thread-local values of its own.
    std::mem::forget(library);
    match minor {
        Some(minor) if minor >= ort::MINOR_VERSION => Ok(()),
        _ => Err(format!(
            "it is ONNX Runtime {version}, 1.{} or newer is needed",
            ort::MINOR_VERSION
        )),
    }
}

#[cfg(feature = "tract")]
fn fallback() -> Option<Result<Runtime, String>> {
    ort::set_api(ort_tract::api());
    let environment = ort::init().with_name("foretell").build();
    Some(
        environment
            .map_err(|error| error.to_string())
            .map(|environment| Runtime {
                environment,
                origin: "tract".to_owned(),
                is_tract: true,
            }),
    )
}

#[cfg(not(feature = "tract"))]
fn fallback() -> Option<Result<Runtime, String>> {
    None
}

/// Names that a loader looks up by itself are always tried, so their failure says nothing.
fn absent(tried: &[String]) -> String {
    let seen: Vec<&str> = tried
        .iter()
        .map(String::as_str)
        .filter(|it| it.starts_with("`/"))
        .collect();
    let seen = if seen.is_empty() {
        String::new()
    } else {
        format!("; {}", seen.join("; "))
    };
    format!(
        "no ONNX Runtime library was found: install one (`pip install onnxruntime` does), put `{}` beside foretell, or set \
         ORT_DYLIB_PATH to its file{seen}",
        library_name()
    )
}

/// What the search depends on; a value, so that it can be tested.
#[derive(Debug, Default)]
struct Surroundings {
    /// `ORT_DYLIB_PATH`
    set: Option<OsString>,
    executable: Option<PathBuf>,
    /// Installations of Python: those of active environments first.
    prefixes: Vec<PathBuf>,
    home: Option<PathBuf>,
    /// Folders that libraries are installed in.
    usual: Vec<PathBuf>,
}

impl Surroundings {
    fn of_process() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|it| !it.is_empty());
        let environments = ["VIRTUAL_ENV", "CONDA_PREFIX"]
            .into_iter()
            .filter_map(set)
            .map(PathBuf::from);
        let path = set("PATH").unwrap_or_default();
        let usual = [
            "/usr/local/lib",
            "/usr/lib",
            "/usr/lib64",
            "/opt/onnxruntime/lib",
            "/opt/homebrew/lib",
        ];
        let multiarch = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        Self {
            set: set("ORT_DYLIB_PATH"),
            executable: std::env::current_exe().ok(),
            prefixes: environments.chain(pythons(&path)).collect(),
            home: set("HOME").map(PathBuf::from),
            usual: usual.map(PathBuf::from).into_iter().chain([multiarch.into()]).collect(),
        }
    }

    fn candidates(&self) -> Vec<PathBuf> {
        let beside = self.executable.iter().filter_map(|it| it.parent());
        let beside = beside.flat_map(|it| [it.to_owned(), it.join("../lib")]);
        let by_name = [library_name(), format!("{}.1", library_name())].map(PathBuf::from);
        let mut found: Vec<PathBuf> = beside.flat_map(|it| libraries_in(&it)).collect();
        found.extend(by_name);
        found.extend(self.usual.iter().flat_map(|it| libraries_in(it)));
        found.extend(
            self.site_packages()
                .iter()
                .flat_map(|it| libraries_in(&it.join("onnxruntime/capi"))),
        );
        let mut seen = std::collections::HashSet::new();
        found.retain(|it| seen.insert(it.clone()));
        found
    }

    /// `lib/python3.12/site-packages` and the like, of every installation.
    fn site_packages(&self) -> Vec<PathBuf> {
        let own = self.home.iter().map(|it| it.join(".local"));
        let prefixes = self.prefixes.iter().cloned().chain(own);
        prefixes.flat_map(|it| packages_under(&it)).collect()
    }
}

/// The folder above the `bin` of each `python3` on the path, and that of the file it is a link to.
fn pythons(path: &OsStr) -> Vec<PathBuf> {
    let files = std::env::split_paths(path).flat_map(|it| [it.join("python3"), it.join("python.exe")]);
    let files = files.filter(|it| it.is_file());
    let above = |file: &Path| {
        let folder = file.parent()?;
        let in_bin = folder.file_name().is_some_and(|it| it == "bin" || it == "Scripts");
        Some(if in_bin {
            folder.parent()?.to_owned()
        } else {
            folder.to_owned()
        })
    };
    files
        .flat_map(|it| [above(&it), it.canonicalize().ok().and_then(|it| above(&it))])
        .flatten()
        .collect()
}

fn packages_under(prefix: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = ["lib", "lib64", "local/lib"]
        .iter()
        .flat_map(|it| children(&prefix.join(it)))
        .collect();
    folders.retain(|it| {
        it.file_name()
            .is_some_and(|it| it.to_string_lossy().starts_with("python3"))
    });
    // The greatest version first.
    folders.sort_by_key(|it| std::cmp::Reverse(version(it)));
    let packages = folders
        .iter()
        .flat_map(|it| [it.join("site-packages"), it.join("dist-packages")]);
    packages.chain([prefix.join("Lib/site-packages")]).collect()
}

/// Numbers of a file name, for order.
fn version(path: &Path) -> Vec<u64> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    name.split(|it: char| !it.is_ascii_digit())
        .filter_map(|it| it.parse().ok())
        .collect()
}

/// Files of this folder that are the library, the newest first: `libonnxruntime.so`, `libonnxruntime.so.1.23.0`.
fn libraries_in(folder: &Path) -> Vec<PathBuf> {
    let (name, stem) = (
        library_name(),
        library_name().replace(std::env::consts::DLL_SUFFIX, "."),
    );
    let is_library = |it: &PathBuf| {
        let file = it.file_name().unwrap_or_default().to_string_lossy().into_owned();
        file.starts_with(&name) || (file.starts_with(&stem) && file.ends_with(std::env::consts::DLL_SUFFIX))
    };
    let mut found: Vec<PathBuf> = children(folder).into_iter().filter(is_library).collect();
    found.sort_by_key(|it| std::cmp::Reverse(version(it)));
    found
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries.filter_map(|it| it.ok().map(|it| it.path())).collect()
}

fn library_name() -> String {
    format!(
        "{}onnxruntime{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"").unwrap();
    }

    #[test]
    fn libraries_beside_the_executable_come_before_the_loaders_and_those_before_pythons() {
        let name = library_name();
        let folder = std::env::temp_dir().join(format!("foretell-library-{}", std::process::id()));
        let python = folder
            .join("venv/lib/python3.12/site-packages/onnxruntime/capi")
            .join(format!("{name}.1.23.0"));
        let older = folder
            .join("venv/lib/python3.9/site-packages/onnxruntime/capi")
            .join(format!("{name}.1.16.0"));
        let beside = folder.join("bin").join(&name);
        for it in [
            &python,
            &older,
            &beside,
            &folder.join("bin/libonnxruntime_providers_shared.so"),
        ] {
            touch(it);
        }
        let surroundings = Surroundings {
            executable: Some(folder.join("bin/foretell")),
            prefixes: vec![folder.join("venv")],
            ..Surroundings::default()
        };
        let found = surroundings.candidates();
        fs::remove_dir_all(&folder).unwrap();
        let by_name = [PathBuf::from(&name), PathBuf::from(format!("{name}.1"))];
        let expected = [&[beside][..], &by_name, &[python, older]].concat();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_variable_that_names_no_library_is_an_error_that_says_so() {
        let surroundings = Surroundings {
            set: Some("/nowhere/libonnxruntime.so".into()),
            ..Surroundings::default()
        };
        let error = start(&surroundings).unwrap_err();
        assert!(error.starts_with("ORT_DYLIB_PATH names no ONNX Runtime"), "{error}");
    }

    #[test]
    fn what_is_absent_is_said_with_what_to_do() {
        let error = absent(&["`libonnxruntime.so`: no such file".to_owned()]);
        assert!(
            error.contains("pip install onnxruntime") && error.ends_with("ORT_DYLIB_PATH to its file"),
            "{error}"
        );
    }
}
