//! How many crates a program brings, and how much CPU time its build takes.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::program::{Failure, Program, root, target};

/// Name, directory, what to build, and the edges of its tree.
const BUILDS: [(&str, &str, &str, &str); 3] = [
    (
        "the README's program",
        "benches/peers",
        "--package peer-hello-goff",
        "normal,build",
    ),
    (
        "the same with `open-feature-ofrep`",
        "benches/peers",
        "--package peer-hello-ofrep",
        "normal,build",
    ),
    (
        "`cargo run --example quickstart`, with an embedded relay proxy and what the other examples need",
        ".",
        "--package goff-provider --example quickstart",
        "normal,build,dev",
    ),
];

/// What was measured, one line for each build.
fn file() -> PathBuf {
    target().join("peers/builds.tsv")
}

/// A measured build.
#[derive(Debug, PartialEq)]
pub(super) struct Build {
    pub(super) name: String,
    pub(super) crates: usize,
    pub(super) cpu_seconds: f64,
}

/// Builds each from an empty directory, with cargo's development profile.
pub(super) fn measure() -> Result<(), Failure> {
    let mut lines = String::new();
    for (name, directory, what, edges) in BUILDS {
        let directory = root().join(directory);
        let crates = crates(&directory, what, edges)?;
        let cpu_seconds = build(&directory, what)?;
        println!("{name}: {crates} crates, {cpu_seconds:.1} s of CPU time");
        lines.push_str(&format!("{name}\t{crates}\t{cpu_seconds}\n"));
    }
    fs::write(file(), lines)?;
    Ok(())
}

/// The last figures, if there are any.
pub(super) fn last() -> Result<Option<Vec<Build>>, Failure> {
    let Ok(lines) = fs::read_to_string(file()) else {
        return Ok(None);
    };
    let builds = lines.lines().map(read).collect::<Option<_>>();
    builds
        .ok_or_else(|| format!("`{}` cannot be read", file().display()).into())
        .map(Some)
}

fn read(line: &str) -> Option<Build> {
    let [name, crates, cpu_seconds] = line.split('\t').collect::<Vec<_>>().try_into().ok()?;
    Some(Build {
        name: name.to_owned(),
        crates: crates.parse().ok()?,
        cpu_seconds: cpu_seconds.parse().ok()?,
    })
}

/// Beside the package that is built.
fn crates(directory: &Path, what: &str, edges: &str) -> Result<usize, Failure> {
    let package: Vec<&str> = what.split(' ').take(2).collect();
    let tree = Program::cargo("tree --locked --prefix=none --no-dedupe --format={p}")
        .args(package)
        .args(["--edges", edges])
        .directory(directory)
        .output()?;
    Ok(distinct(&tree).saturating_sub(1))
}

/// Crates of a tree, each version once.
fn distinct(tree: &str) -> usize {
    let mut names: Vec<String> = tree
        .lines()
        .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .filter(|name| !name.trim().is_empty())
        .collect();
    names.sort();
    names.dedup();
    names.len()
}

fn build(directory: &Path, what: &str) -> Result<f64, Failure> {
    let empty = target().join("peers/empty");
    remove(&empty)?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // `times` prints the time of the shell and, in the second line, that of the programs it ran.
    let output = Program::new("sh")
        .args(["-c", "\"$@\" && times", "sh"])
        .args([cargo])
        .words("build --locked --quiet")
        .words(what)
        .args([OsStr::new("--target-dir"), empty.as_os_str()])
        .env("CARGO_INCREMENTAL", "0")
        .directory(directory)
        .output()?;
    remove(&empty)?;
    cpu_seconds(&output).ok_or_else(|| format!("`times` printed `{output}`").into())
}

fn remove(directory: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// User and system time of the second line, such as `1m2.50s 0m3.00s`.
fn cpu_seconds(times: &str) -> Option<f64> {
    let children = times.lines().nth(1)?;
    let mut sum = 0.0;
    for time in children.split_whitespace() {
        let (minutes, seconds) = time.strip_suffix('s')?.split_once('m')?;
        sum += minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_user_and_system_time_of_the_children() {
        let times = "0m0.00s 0m0.01s\n1m2.500000s 0m3.25s\n";
        assert_eq!(cpu_seconds(times), Some(65.75));
        for wrong in ["", "0m0.00s 0m0.01s", "a\nb"] {
            assert_eq!(cpu_seconds(wrong), None, "{wrong}");
        }
        let shell = Program::new("sh").args(["-c", "true && times"]).output();
        assert!(cpu_seconds(&shell.unwrap()).is_some());
    }

    #[test]
    fn crates_count_once_for_each_version() {
        let tree =
            "ours v0.0.0 (/somewhere)\na v1.0.0\nb v2.0.0 (proc-macro)\na v1.0.0\na v2.0.0\n\n";
        assert_eq!(distinct(tree), 4);
    }

    #[test]
    fn lines_of_builds_are_read_back() {
        let build = Build {
            name: "a build".to_owned(),
            crates: 7,
            cpu_seconds: 1.5,
        };
        assert_eq!(read("a build\t7\t1.5"), Some(build));
        assert_eq!(read("a build\t7"), None);
    }
}
