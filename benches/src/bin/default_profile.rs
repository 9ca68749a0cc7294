//! The measured flags as a user's build evaluates them, in cargo's default release profile from
//! another crate, beside the bench profile. The other program is `benches/default-profile`; the two
//! take turns.

use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::Instant;

use goff_benches::contexts::{NativeContext, core_context};
use goff_benches::measured_flags::{document, key_of, measured};
use goff_benches::{Budget, Row, Suite, WINDOWS, median};
use goff_client::LocalFlags;
use goff_engine::{FlagContext, FlagSet, Timestamp};
use serde_json::Value;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<ExitCode, Failure> {
    let mut suite = Suite::from_arguments()?;
    let names: Vec<_> = measured().into_iter().map(|(name, ..)| name).collect();
    let rows = ["engine", "client"].into_iter().flat_map(|what| {
        let row = move |name| (what, name, format!("default profile, {what}: {name}"));
        names.iter().take(6).map(row)
    });
    let wanted: Vec<_> = rows.filter(|(.., row)| suite.wants(row)).collect();
    if wanted.is_empty() {
        return suite.finish().map_err(Into::into);
    }
    share_a_processor()?;
    let configuration = Value::from(document()).to_string();
    let mut users_build = UsersBuild::start(&configuration)?;
    let flags = FlagSet::from_json(configuration.as_bytes())?;
    let local = LocalFlags::from_flags(&configuration)?;
    let (native, context) = (NativeContext::new(), core_context());
    let flag_context = FlagContext::default();
    let now = Timestamp::from_unix_seconds(1_720_000_000);
    for (what, name, row) in wanted {
        let key = key_of(name);
        let engine = || {
            black_box(flags.evaluate(black_box(&key), black_box(&native), &flag_context, now));
        };
        let client = || {
            black_box(local.evaluate(black_box(&key), black_box(&context), false));
        };
        let bench_build = || match what {
            "engine" => nanoseconds(engine),
            _ => nanoseconds(client),
        };
        users_build.evaluate(what, &key)?;
        bench_build();
        let (mut users, mut benches) = (Vec::new(), Vec::new());
        for _ in 0..WINDOWS {
            users.push(users_build.evaluate(what, &key)?);
            benches.push(bench_build());
        }
        let (value, baseline) = (median(&mut users), median(&mut benches));
        let budget = Budget::AtMost(1.4);
        suite.add(Row::stated(row, value, "ns").beside(baseline, "the bench profile", budget));
    }
    suite.finish().map_err(Into::into)
}

/// Binds this process and those that it starts to one processor, because two of a machine may differ
/// by half. They take turns.
fn share_a_processor() -> Result<(), Failure> {
    #[cfg(target_os = "linux")]
    {
        let mut one = rustix::thread::CpuSet::new();
        one.set(rustix::thread::sched_getcpu());
        rustix::thread::sched_setaffinity(None, &one)?;
    }
    Ok(())
}

/// What one call takes.
fn nanoseconds(evaluate: impl Fn()) -> f64 {
    let start = Instant::now();
    (0..OPERATIONS).for_each(|_| evaluate());
    start.elapsed().as_secs_f64() * 1e9 / f64::from(OPERATIONS)
}

const OPERATIONS: u32 = 5_000;

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
    fn evaluate(&mut self, what: &str, key: &str) -> Result<f64, Failure> {
        writeln!(self.input, "{what} {OPERATIONS} {key}")?;
        self.input.flush()?;
        let mut answer = String::new();
        self.output.read_line(&mut answer)?;
        Ok(answer.trim().parse()?)
    }
}
