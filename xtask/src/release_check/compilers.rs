//! The oldest compiler and the oldest dependencies that the crates say they build with.

use std::fs;

use super::public_api::nightly;
use crate::program::{Failure, Program, cargo_of, target};
use crate::{packages, workspace};

/// The crates that are published compile with `rust-version`, with all features.
pub(super) fn oldest() -> Result<(), Failure> {
    let names = workspace::published()?;
    let chosen = names.iter().flat_map(|name| ["--package", name]);
    let compiler = workspace::oldest_compiler()?;
    cargo_of(&compiler, "check --locked --all-features")?
        .args(chosen)
        .run()
}

/// The libraries compile with the oldest versions of their direct dependencies that their manifests allow. The command
/// is left out, because it is installed and not depended on.
pub(super) fn oldest_dependencies() -> Result<(), Failure> {
    let resolve = cargo_of(&nightly()?, "generate-lockfile -Z direct-minimal-versions")?;
    let unpacked = packages::unpack(&workspace::libraries()?)?;
    for entry in fs::read_dir(&unpacked)? {
        let manifest = entry?.path().join("Cargo.toml");
        if manifest.exists() {
            let text = fs::read_to_string(&manifest)?;
            fs::write(manifest, without_tests(&text))?;
        }
    }
    fs::remove_file(unpacked.join("Cargo.lock"))?;
    resolve.directory(&unpacked).run()?;
    Program::cargo("check --workspace --all-features --locked")
        .directory(&unpacked)
        .env("CARGO_TARGET_DIR", target())
        .run()
}

/// A manifest without the dependencies of tests, which users do not get.
fn without_tests(manifest: &str) -> String {
    let mut is_kept = true;
    let lines = manifest.split_inclusive('\n').filter(|line| {
        if line.starts_with('[') {
            is_kept = !line.contains("dev-dependencies");
        }
        is_kept
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dependencies_of_tests_are_left_out() {
        let manifest = "[package]\nname = \"a\"\n\n[dependencies.b]\nversion = \"1\"\n\n[dev-dependencies.c]\nversion = \
                        \"2\"\n\n[target.\"cfg(unix)\".dev-dependencies.d]\nversion = \"3\"\n\n[lints.rust]\n";
        let expected =
            "[package]\nname = \"a\"\n\n[dependencies.b]\nversion = \"1\"\n\n[lints.rust]\n";
        assert_eq!(without_tests(manifest), expected);
    }
}
