//! The public items of the libraries: listed in `api/`, and compared with those of an earlier revision.

use std::fs;
use std::path::{Path, PathBuf};

use crate::program::{
    Failure, Program, Tool, cargo_of, empty_directory, no_arguments, root, target,
};
use crate::workspace;

const LISTS: Tool = Tool("cargo-public-api", "0.52.0");
const COMPARES: Tool = Tool("cargo-semver-checks", "0.51.0");

/// Writes the listings in `api/`.
pub(crate) fn write(arguments: &[String]) -> Result<(), Failure> {
    no_arguments(arguments)?;
    list("api")
}

/// The listings in `api/` are those of the code. A difference is printed, for its reader to judge.
pub(super) fn is_listed() -> Result<(), Failure> {
    list("target/api")?;
    let compared = Program::new("git").words("diff --no-index --exit-code api target/api");
    compared.run().map_err(|failure| {
        format!("{failure}\nif the changes are meant, `cargo xtask public-api` lists them").into()
    })
}

/// Nothing that users call has changed since the baseline in a way that the version does not announce.
pub(super) fn keeps_semver() -> Result<(), Failure> {
    COMPARES.program()?;
    let revision = baseline()?;
    println!("the baseline is {revision}");
    let checkout = empty_directory("target/baseline")?;
    let archive = checkout.with_extension("tar");
    Program::new("git")
        .args(["archive", &revision, "--output"])
        .args([&archive])
        .run()?;
    let tar = Program::new("tar").args(["-xf"]).args([&archive]);
    tar.directory(&checkout).run()?;
    let before = document(&checkout, "target/api-before")?;
    let now = document(&root(), "target/api-now")?;
    let mut failures = Vec::new();
    for name in workspace::libraries()? {
        let before = before.join(json(&name));
        if !before.exists() {
            println!("{name} is not in the baseline");
            continue;
        }
        let compare = COMPARES.program()?;
        let compare = compare.args(["semver-checks", "--baseline-rustdoc"]);
        let compare = compare.args([&before]).args(["--current-rustdoc"]);
        failures.extend(compare.args([now.join(json(&name))]).run().err());
    }
    match failures.pop() {
        None => Ok(()),
        Some(failure) => Err(failure),
    }
}

/// The last release; before the first one, the commit that last changed the listings in `api/`, or the
/// manifest of the workspace, without which an older commit may not build.
fn baseline() -> Result<String, Failure> {
    let git = |arguments| Program::new("git").words(arguments).output();
    let release = git("describe --tags --abbrev=0 --match v[0-9]*");
    let revision = release.or_else(|_| git("log -1 --format=%H -- api Cargo.toml"))?;
    match revision.trim() {
        "" => Err("no commit in this clone has changed api/: fetch all of the history".into()),
        revision => Ok(revision.to_owned()),
    }
}

fn list(folder: &str) -> Result<(), Failure> {
    LISTS.program()?;
    let documented = document(&root(), "target/api-now")?;
    let folder = empty_directory(folder)?;
    for name in workspace::libraries()? {
        let lister = LISTS.program()?.args(["public-api", "--color=never"]);
        let lister = lister.args(["--omit=blanket-impls,auto-trait-impls,auto-derived-impls"]);
        let items = lister
            .args(["--rustdoc-json"])
            .args([documented.join(json(&name))]);
        fs::write(folder.join(name).with_extension("txt"), items.output()?)?;
    }
    Ok(())
}

/// What rustdoc writes for machines about the libraries of a checkout, in an own folder.
fn document(checkout: &Path, folder: &str) -> Result<PathBuf, Failure> {
    let folder = empty_directory(folder)?;
    // cargo takes what another checkout built for up to date where the sources are older.
    let built = match checkout == root() {
        true => target(),
        false => checkout.join("target"),
    };
    let names = workspace::libraries()?;
    let names = names
        .iter()
        .filter(|name| checkout.join("crates").join(name).exists());
    let flags = "-Z unstable-options --output-format=json --cap-lints=allow";
    cargo_of(&nightly()?, "doc --lib --no-deps --all-features --locked")?
        .args(names.clone().flat_map(|name| ["--package", name]))
        .directory(checkout)
        .env("CARGO_TARGET_DIR", &built)
        .env("RUSTDOCFLAGS", flags)
        .run()?;
    for name in names {
        let written = built.join("doc").join(json(name));
        fs::copy(written, folder.join(json(name)))?;
    }
    Ok(folder)
}

fn json(library: &str) -> String {
    library.replace('-', "_") + ".json"
}

/// The nightly compiler that fuzzing uses as well.
pub(super) fn nightly() -> Result<String, Failure> {
    let file = root().join("crates/goff-engine/fuzz/rust-toolchain.toml");
    let text = fs::read_to_string(file)?;
    let channel = text.split("channel = \"").nth(1);
    let channel = channel.and_then(|rest| rest.split('"').next());
    Ok(channel
        .ok_or("rust-toolchain.toml names no channel")?
        .to_owned())
}
