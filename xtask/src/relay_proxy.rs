//! Building the real relay proxy with Go.

use std::fs;
use std::path::PathBuf;

use crate::program::{self, Failure, Program};

/// The relay proxy that everything is tested against. docker-compose.yml and
/// tests-integration/relay/go.mod name it too; `cargo xtask tidy` compares them.
pub(crate) const VERSION: &str = "1.55.2";

/// The module that holds it.
pub(crate) const MODULE: &str = "github.com/thomaspoignant/go-feature-flag";

/// The relay proxy's binary, built if there is none for this version and these modules.
pub(crate) fn build() -> Result<PathBuf, Failure> {
    let root = program::root();
    let module = root.join("tests-integration/relay");
    let wanted = [
        format!("{VERSION}\n"),
        fs::read_to_string(module.join("go.mod"))?,
        fs::read_to_string(module.join("go.sum"))?,
    ]
    .concat();
    let directory = root.join(".relay");
    let binary = directory.join("relayproxy");
    let built_from = directory.join("relayproxy.built-from");
    if binary.exists() && fs::read_to_string(&built_from).is_ok_and(|built| built == wanted) {
        return Ok(binary);
    }
    if !go_is_installed() {
        return Err(
            "Go is needed to build the relay proxy: install it from https://go.dev/dl".into(),
        );
    }
    fs::create_dir_all(&directory)?;
    println!("Building relay proxy {VERSION}: about 7 minutes the first time, 20 s later.");
    Program::new("go")
        .args([
            "build",
            "-ldflags",
            &format!("-s -w -X main.version={VERSION}"),
            "-o",
        ])
        .args([&binary])
        .args([format!("{MODULE}/cmd/relayproxy")])
        .directory(&module)
        .run()?;
    fs::write(built_from, wanted)?;
    Ok(binary)
}

pub(crate) fn go_is_installed() -> bool {
    Program::new("go").words("version").succeeds()
}
