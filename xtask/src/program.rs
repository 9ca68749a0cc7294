//! Running other programs, and what a command ends with when it fails.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The directory with the workspace's manifest.
pub(crate) fn root() -> PathBuf {
    // Cargo says where xtask is; a binary that is run without cargo remembers where it was built.
    let xtask = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    xtask.parent().map_or(xtask.clone(), PathBuf::from)
}

/// The directory of cargo's output.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into)
}

/// An empty directory for what a command leaves, in place of the last one.
pub(crate) fn empty_directory(path: &str) -> Result<PathBuf, Failure> {
    let directory = root().join(path);
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    fs::create_dir_all(&directory)?;
    Ok(directory)
}

/// Why a command failed, for its user to read.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What this machine lacks, and the command that installs it.
#[derive(Debug)]
pub(crate) struct Missing(pub(crate) String);

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "not run: {}", self.0)
    }
}

impl std::error::Error for Missing {}

/// A program from crates.io, and the version whose output the commands here understand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tool(pub(crate) &'static str, pub(crate) &'static str);

impl Tool {
    /// The program, if it is installed in this version.
    pub(crate) fn program(self) -> Result<Program, Failure> {
        let Self(name, version) = self;
        let installed = Program::new(name).args(["--version"]).output();
        let installed = installed.unwrap_or_else(|_| "none".to_owned());
        if installed.contains(version) {
            return Ok(Program::new(name));
        }
        let (installed, wanted) = (installed.trim(), format!("{name}@{version}"));
        Err(Missing(format!(
            "{name} {version} is needed, {installed} is installed: `cargo install --locked {wanted}`"
        ))
        .into())
    }
}

/// cargo with another compiler than the one that runs us, which rustup must have.
pub(crate) fn cargo_of(compiler: &str, arguments: &str) -> Result<Program, Failure> {
    let answers = Program::new("rustup").args(["run", compiler, "rustc", "--version"]);
    if !answers.succeeds() {
        return Err(Missing(format!(
            "Rust {compiler} is not installed: `rustup toolchain install --profile minimal {compiler}`"
        ))
        .into());
    }
    let cargo = Program::new("cargo").args([format!("+{compiler}")]);
    // The cargo that runs us has set them to its own compiler.
    let cargo = cargo
        .env_remove("CARGO")
        .env_remove("RUSTC")
        .env_remove("RUSTDOC");
    Ok(cargo.words(arguments))
}

/// For a command that takes no arguments.
pub(crate) fn no_arguments(arguments: &[String]) -> Result<(), Failure> {
    match arguments.first() {
        None => Ok(()),
        Some(argument) => Err(format!("unknown argument `{argument}`").into()),
    }
}

/// Arguments as a shell splits them.
pub(crate) fn words(arguments: &str) -> Vec<String> {
    arguments.split_whitespace().map(str::to_owned).collect()
}

/// The value of an argument that takes a number.
pub(crate) fn number(argument: &str, value: Option<&String>) -> Result<u64, Failure> {
    let number = value.and_then(|value| value.replace('_', "").parse().ok());
    number.ok_or_else(|| format!("`{argument}` needs a number").into())
}

/// A program to run at the root of the workspace, with our standard streams.
#[derive(Debug)]
pub(crate) struct Program {
    command: Command,
}

impl Program {
    pub(crate) fn new(name: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(name);
        command.current_dir(root());
        Self { command }
    }

    /// The cargo that runs us.
    pub(crate) fn cargo(arguments: &str) -> Self {
        Self::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into())).words(arguments)
    }

    /// Arguments that a space separates.
    pub(crate) fn words(self, arguments: &str) -> Self {
        self.args(arguments.split(' '))
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn env_remove(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    pub(crate) fn directory(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// Runs it, printing it first; a failure to start it or a status other than 0 is a failure.
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        println!("$ {self}");
        let status = self.command.status();
        let status = status.map_err(|error| self.cannot_start(&error))?;
        match status.success() {
            true => Ok(()),
            false => Err(format!("`{self}` failed: {status}").into()),
        }
    }

    /// Runs it silently and returns what it printed.
    pub(crate) fn output(mut self) -> Result<String, Failure> {
        let output = self.command.stdin(Stdio::null()).output();
        let output = output.map_err(|error| self.cannot_start(&error))?;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            return Err(format!("`{self}` failed: {}\n{errors}", output.status).into());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Whether it can be run and ends with status 0; prints nothing.
    pub(crate) fn succeeds(self) -> bool {
        self.output().is_ok()
    }

    fn cannot_start(&self, error: &io::Error) -> String {
        format!("`{self}` cannot be started: {error}")
    }
}

impl fmt::Display for Program {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = Path::new(self.command.get_program()).file_name();
        write!(formatter, "{}", program.unwrap_or_default().display())?;
        for argument in self.command.get_args() {
            write!(formatter, " {}", argument.display())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_program_its_arguments_and_the_status() {
        let check = |failure: Failure, named: &[&str]| {
            let failure = failure.to_string();
            assert!(
                named.iter().all(|named| failure.contains(named)),
                "{failure}"
            );
        };
        let failing = Program::new("sh").args(["-c", "echo words >&2; exit 3"]);
        check(
            failing.output().unwrap_err(),
            &["sh -c", "exit status: 3", "words"],
        );
        let absent = Program::new("no-such-program").run();
        check(
            absent.unwrap_err(),
            &["`no-such-program` cannot be started"],
        );
    }

    #[test]
    fn a_tool_or_compiler_that_is_absent_is_named_with_the_command_that_installs_it() {
        let check = |failure: Failure, command: &str| {
            assert!(failure.is::<Missing>(), "{failure}");
            assert!(failure.to_string().contains(command), "{failure}");
        };
        let absent = Tool("no-such-program", "1.2.3").program().unwrap_err();
        check(absent, "`cargo install --locked no-such-program@1.2.3`");
        let older = Tool("cargo", "0.0.0").program().unwrap_err();
        check(older, "cargo 0.0.0 is needed, cargo 1.");
        let absent = cargo_of("1.0.0", "check").unwrap_err();
        check(absent, "`rustup toolchain install --profile minimal 1.0.0`");
    }
}
