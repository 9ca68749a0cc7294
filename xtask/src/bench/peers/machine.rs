//! The machine and the versions that figures depend on.

use std::env::consts::{ARCH, OS};
use std::fs;
use std::thread;

use crate::program::{Failure, Program, root};

/// Processor, cores, operating system and compiler.
pub(super) fn description() -> Result<String, Failure> {
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = value(&processor, "model name", ':').unwrap_or(ARCH);
    let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let system = value(&system, "PRETTY_NAME", '=').unwrap_or(OS);
    let cores = thread::available_parallelism()?;
    let compiler = Program::new("rustc").words("--version").output()?;
    Ok(format!(
        "{processor}, {cores} cores, {}, {}",
        system.trim_matches('"'),
        compiler.trim()
    ))
}

fn value<'a>(text: &'a str, name: &str, separator: char) -> Option<&'a str> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(separator));
    let (_, value) = pairs.find(|(key, _)| key.trim() == name)?;
    Some(value.trim())
}

/// The version of a crate in the lock file of `benches/peers`.
pub(super) fn version(name: &str) -> Result<String, Failure> {
    let lock = fs::read_to_string(root().join("benches/peers/Cargo.lock"))?;
    version_in(&lock, name).ok_or_else(|| format!("`{name}` is not in the lock file").into())
}

fn version_in(lock: &str, name: &str) -> Option<String> {
    let (_, rest) = lock.split_once(&format!("\nname = \"{name}\"\n"))?;
    let (_, rest) = rest.split_once("version = \"")?;
    let (version, _) = rest.split_once('"')?;
    Some(version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_name() {
        let text = "processor : 0\nmodel name\t: A Processor: 3 GHz\nmodel name: other";
        assert_eq!(value(text, "model name", ':'), Some("A Processor: 3 GHz"));
        assert_eq!(value(text, "model", ':'), None);
    }

    #[test]
    fn versions_are_those_of_the_lock_file() {
        let lock = "[[package]]\nname = \"eppo_core\"\nversion = \"10.0.0\"\n\n[[package]]\nname = \"eppo\"\nversion = \"5.2.1\"\n";
        assert_eq!(version_in(lock, "eppo").as_deref(), Some("5.2.1"));
        assert_eq!(version_in(lock, "absent"), None);
        assert!(version("open-feature").unwrap().starts_with("0.3."));
    }
}
