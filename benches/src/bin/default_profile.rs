//! The measured flags as a user's build evaluates them, in cargo's default release profile from
//! another crate, beside the bench profile. The other program is `benches/default-profile`; the two
//! take turns.

use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::Instant;

use goff_benches::measured_flags::{NativeContext, document, key_of, measured};
use goff_benches::{Budget, Row, Suite, WINDOWS, median};
use goff_engine::{FlagContext, FlagSet, Timestamp};
use serde_json::Value;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<ExitCode, Failure> {
    let mut suite = Suite::from_arguments()?;
    let names: Vec<_> = measured().into_iter().map(|(name, ..)| name).collect();
    let rows = names.iter().take(6).map(|name| (*name, row_name(name)));
    let wanted: Vec<_> = rows.filter(|(_, row)| suite.wants(row)).collect();
    if wanted.is_empty() {
        return suite.finish().map_err(Into::into);
    }
    let configuration = Value::from(document()).to_string();
    let mut users_build = UsersBuild::start(&configuration)?;
    let flags = FlagSet::from_json(configuration.as_bytes())?;
    let context = NativeContext::new();
    let flag_context = FlagContext::default();
    let now = Timestamp::from_unix_seconds(1_720_000_000);
    for (name, row) in wanted {
        let key = key_of(name);
        let bench_build = || {
            let start = Instant::now();
            for _ in 0..OPERATIONS {
                black_box(flags.evaluate(black_box(&key), black_box(&context), &flag_context, now));
            }
            start.elapsed().as_secs_f64() * 1e9 / f64::from(OPERATIONS)
        };
        users_build.evaluate(&key)?;
        bench_build();
        let (mut users, mut benches) = (Vec::new(), Vec::new());
        for _ in 0..WINDOWS {
            users.push(users_build.evaluate(&key)?);
            benches.push(bench_build());
        }
        let (value, baseline) = (median(&mut users), median(&mut benches));
        let budget = Budget::AtMost(1.4);
        // Cargo's default profile lacks link-time optimization.
        suite.add(
            Row::stated(row, value, "ns")
                .beside(baseline, "the bench profile", budget)
                .to_do(),
        );
    }
    suite.finish().map_err(Into::into)
}

const OPERATIONS: u32 = 5_000;

fn row_name(flag: &str) -> String {
    format!("default profile, engine: {flag}")
}

/// The program in the default profile. Closing its standard input ends it.
struct UsersBuild {
    _process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl UsersBuild {
    fn start(configuration: &str) -> Result<Self, Failure> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let target = root.join("../target/default-profile");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--release", "--quiet", "--manifest-path"])
            .arg(root.join("default-profile/Cargo.toml"))
            .arg("--target-dir")
            .arg(&target)
            .status()?;
        if !built.success() {
            return Err("`benches/default-profile` cannot be built".into());
        }
        let mut process = Command::new(target.join("release/goff-default-profile"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = process.stdin.take().ok_or("no standard input")?;
        let output = process.stdout.take().ok_or("no standard output")?;
        let mut program = Self {
            _process: process,
            input,
            output: BufReader::new(output),
        };
        writeln!(program.input, "{configuration}")?;
        Ok(program)
    }

    /// Nanoseconds of one evaluation.
    fn evaluate(&mut self, key: &str) -> Result<f64, Failure> {
        writeln!(self.input, "{OPERATIONS} {key}")?;
        self.input.flush()?;
        let mut answer = String::new();
        self.output.read_line(&mut answer)?;
        Ok(answer.trim().parse()?)
    }
}
