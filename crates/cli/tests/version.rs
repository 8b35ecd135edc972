//! The program starts and says what it is.
//!
//! An integration test of its own package also makes cargo build the program before any test of the
//! workspace runs; the whole-program tests (`tests/`) find it there.

use std::process::Command;

#[test]
fn version_is_that_of_the_workspace() {
    let output = Command::new(env!("CARGO_BIN_EXE_auricle")).arg("--version").output().unwrap();
    assert!(output.status.success());
    let expected = format!("auricle {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}
