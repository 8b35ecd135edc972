//! Where the vendor's libraries are, and their functions.
//!
//! | library | what is taken from it |
//! |---|---|
//! | `libascendcl.so` | devices, memory, streams |
//! | `libnnopbase.so` | descriptors of tensors and arrays |
//! | `libopapi.so` | operations, looked up when they are first used |
//!
//! They are looked for in `$ASCEND_HOME_PATH/lib64`, `$ASCEND_TOOLKIT_HOME/lib64`,
//! `/usr/local/Ascend/ascend-toolkit/latest/lib64`, and wherever the system's loader looks.

use std::ffi::{c_char, c_void};
use std::path::{Path, PathBuf};

use libloading::Library;

use crate::npu::runtime::RuntimeError;

/// A pointer to something of the library.
pub type Handle = *mut c_void;

/// The libraries, in the order in which they need each other.
const LIBRARIES: [&str; 3] = ["libascendcl.so", "libnnopbase.so", "libopapi.so"];

/// A folder to look in, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Why it is looked in.
    pub why: String,
    /// The folder; none for the system's loader.
    pub folder: Option<PathBuf>,
}

impl Place {
    /// A folder.
    pub fn folder(why: &str, folder: &Path) -> Self {
        Self { why: why.to_owned(), folder: Some(folder.to_owned()) }
    }
}

/// The places of this machine.
pub fn places() -> Vec<Place> {
    let variables = ["ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME"];
    let of_variable = |name: &&str| {
        let home = std::env::var_os(name).filter(|home| !home.is_empty())?;
        Some(Place::folder(&format!("${name}"), &PathBuf::from(home).join("lib64")))
    };
    let mut places: Vec<Place> = variables.iter().filter_map(of_variable).collect();
    places.push(Place::folder("usual folder", Path::new("/usr/local/Ascend/ascend-toolkit/latest/lib64")));
    places.push(Place { why: "the system's loader".into(), folder: None });
    places
}

/// What was found of the libraries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// Library and the file it was found as, if it was.
    pub found: Vec<(&'static str, Option<PathBuf>)>,
    /// Where it was looked.
    pub places: Vec<Place>,
}

impl Presence {
    /// Looks for the libraries without loading them; the system's loader is not asked.
    pub fn look(places: &[Place]) -> Self {
        let find = |name: &'static str| {
            let files = places.iter().filter_map(|place| place.folder.as_ref().map(|f| f.join(name)));
            (name, files.into_iter().find(|file| file.is_file()))
        };
        Self { found: LIBRARIES.map(find).to_vec(), places: places.to_vec() }
    }
}

impl std::fmt::Display for Presence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, file) in &self.found {
            match file {
                Some(file) => writeln!(f, "  {name}: {}", file.display())?,
                None => writeln!(f, "  {name}: not found")?,
            }
        }
        f.write_str("  looked in:")?;
        for place in &self.places {
            match &place.folder {
                Some(folder) => write!(f, " {} ({});", folder.display(), place.why)?,
                None => write!(f, " {};", place.why)?,
            }
        }
        f.write_str(" set ASCEND_HOME_PATH to the installed toolkit")
    }
}

fn load(name: &str, places: &[Place]) -> Result<Library, String> {
    let mut failures = Vec::new();
    for place in places {
        let path = place.folder.as_ref().map_or_else(|| PathBuf::from(name), |folder| folder.join(name));
        if place.folder.is_some() && !path.is_file() {
            continue;
        }
        // SAFETY: loading runs the library's initialisers. These are the vendor's libraries by name, from the
        // places that the user's environment names.
        match unsafe { Library::new(&path) } {
            Ok(library) => return Ok(library),
            Err(error) => failures.push(format!("{}: {error}", path.display())),
        }
    }
    Err(failures.join("; "))
}

macro_rules! api {
    ($($library:literal { $($(#[$meta:meta])* $name:ident: fn($($arg:ty),*) -> $out:ty;)* })*) => {
        /// Functions of the libraries. Calling one is unsafe as calling any C function is: the caller answers for the
        /// pointers.
        #[allow(non_snake_case, missing_docs)]
        pub struct Api {
            $($($(#[$meta])* pub $name: unsafe extern "C" fn($($arg),*) -> $out,)*)*
            operations: Library,
            /// Kept loaded as long as the functions.
            _others: [Library; 2],
        }

        impl Api {
            /// Loads the libraries and looks all functions up.
            #[allow(non_snake_case)]
            pub fn open(places: &[Place]) -> Result<Self, RuntimeError> {
                let missing = |what: String| {
                    RuntimeError::Missing(format!("AscendCL is not there: {what}\n{}", Presence::look(places)))
                };
                let open = |i: usize| load(LIBRARIES[i], places).map_err(|why| missing(format!("{}: {why}", LIBRARIES[i])));
                let libraries = [open(0)?, open(1)?, open(2)?];
                $($(
                    // SAFETY: the type is the documented signature of the function of this name.
                    let $name = *unsafe {
                        libraries[$library].get::<unsafe extern "C" fn($($arg),*) -> $out>(concat!(stringify!($name), "\0").as_bytes())
                    }
                    .map_err(|_| missing(format!("{} has no function {}", LIBRARIES[$library], stringify!($name))))?;
                )*)*
                let [ascendcl, nnopbase, operations] = libraries;
                Ok(Self { $($($name,)*)* operations, _others: [ascendcl, nnopbase] })
            }
        }
    };
}

api! {
    0 {
        aclInit: fn(*const c_char) -> i32;
        aclGetRecentErrMsg: fn() -> *const c_char;
        aclrtGetSocName: fn() -> *const c_char;
        aclrtGetDeviceCount: fn(*mut u32) -> i32;
        aclrtSetDevice: fn(i32) -> i32;
        aclrtCreateStream: fn(*mut Handle) -> i32;
        aclrtDestroyStream: fn(Handle) -> i32;
        aclrtSynchronizeStream: fn(Handle) -> i32;
        aclrtMalloc: fn(*mut Handle, usize, i32) -> i32;
        aclrtFree: fn(Handle) -> i32;
        aclrtMemcpy: fn(Handle, usize, *const c_void, usize, i32) -> i32;
    }
    1 {
        aclCreateTensor: fn(*const i64, u64, i32, *const i64, i64, i32, *const i64, u64, Handle) -> Handle;
        aclDestroyTensor: fn(Handle) -> i32;
        aclCreateScalar: fn(Handle, i32) -> Handle;
        aclDestroyScalar: fn(Handle) -> i32;
        aclCreateIntArray: fn(*const i64, u64) -> Handle;
        aclDestroyIntArray: fn(Handle) -> i32;
        aclCreateBoolArray: fn(*const bool, u64) -> Handle;
        aclDestroyBoolArray: fn(Handle) -> i32;
        aclDestroyAclOpExecutor: fn(Handle) -> i32;
    }
}

impl Api {
    /// A function of the operations' library.
    ///
    /// # Safety
    /// `F` is the type of the function pointer of that name.
    pub unsafe fn operation<F: Copy>(&self, name: &str) -> Result<F, RuntimeError> {
        // SAFETY: see above.
        let symbol = unsafe { self.operations.get::<F>(format!("{name}\0").as_bytes()) };
        match symbol {
            Ok(function) => Ok(*function),
            Err(_) => Err(RuntimeError::Missing(format!(
                "{} has no function {name}: is the toolkit older?",
                LIBRARIES[2]
            ))),
        }
    }
}
