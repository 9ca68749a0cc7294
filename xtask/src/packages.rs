//! The packages as crates.io would get them: made, unpacked beside each other, compiled and tested.

use std::fs;
use std::path::{Path, PathBuf};

use crate::program::{Failure, Program, empty_directory, no_arguments, root, target};
use crate::workspace;

pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    no_arguments(arguments)?;
    let unpacked = unpack(&workspace::published()?)?;
    Program::cargo("test --workspace --all-features --no-fail-fast")
        .directory(&unpacked)
        .env("CARGO_TARGET_DIR", target())
        .run()
}

/// Makes the packages and unpacks them; returns the directory of the workspace that they are in.
pub(crate) fn unpack(names: &[String]) -> Result<PathBuf, Failure> {
    let made = empty_directory("target/package")?;
    let unpacked = empty_directory("target/packages")?;
    let chosen = names.iter().flat_map(|name| ["--package", name]);
    Program::cargo("package --no-verify --allow-dirty --quiet --target-dir target")
        .args(chosen)
        .run()?;
    for entry in fs::read_dir(&made)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "crate")
        {
            let tar = Program::new("tar").args(["-xzf"]).args([&path]);
            tar.directory(&unpacked).run()?;
        }
    }
    fs::write(unpacked.join("Cargo.toml"), manifest(&unpacked, names)?)?;
    // The versions of the other dependencies are those of the workspace.
    fs::copy(root().join("Cargo.lock"), unpacked.join("Cargo.lock"))?;
    Ok(unpacked)
}

/// A workspace of the packages, in which each uses the others as if they were published.
fn manifest(unpacked: &Path, names: &[String]) -> Result<String, Failure> {
    let mut members = Vec::new();
    let mut patches = String::new();
    for entry in fs::read_dir(unpacked)? {
        let folder = entry?.file_name().to_string_lossy().into_owned();
        // A folder is a name, a dash and a version.
        let name = folder.rsplit_once('-').map_or("", |(name, _)| name);
        patches += &format!("{name} = {{ path = \"{folder}\" }}\n");
        members.push(folder);
    }
    if members.len() != names.len() {
        return Err(format!("packages of {names:?} were expected, not {members:?}").into());
    }
    let workspace = fs::read_to_string(root().join("Cargo.toml"))?;
    let profiles = workspace
        .find("[profile.dev]")
        .map(|at| workspace.split_at(at).1);
    let profiles = profiles.and_then(|rest| rest.split("\n[profile.release]").next());
    let profiles = profiles.unwrap_or_default();
    Ok(format!(
        "[workspace]\nresolver = \"3\"\nmembers = {members:?}\n\n[patch.crates-io]\n{patches}\n{profiles}\n"
    ))
}
