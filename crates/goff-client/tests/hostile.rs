//! Hostile flag files, configurations and answers, each read in a separate process with 1 GB of
//! address space: nothing aborts, and nothing takes longer than its bound.
//!
//! `cargo xtask soak hostile [--minutes N] [--seed S]` is the long form, with larger and random
//! inputs: `GOFF_HOSTILE_SECONDS` is its duration, `GOFF_SEED` chooses the inputs.
#![cfg(all(feature = "file", feature = "http", target_os = "linux"))]
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]
#![expect(clippy::print_stdout, reason = "a failed test shows what it measured")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use goff_client::{
    EvaluationContext, EvaluationType, GoFeatureFlag, GoFeatureFlagOptions, LocalFlags,
};
use goff_generators::{Hostile, Reader, every_hostile_input, hostile_inputs};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngSeed, TestRunner};
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

/// The variables of a process that reads one input.
const INPUT: &str = "GOFF_HOSTILE_INPUT";
const ANSWER: &str = "GOFF_HOSTILE_ANSWER";
const ADDRESS_SPACE_KIB: u32 = 1_000_000;

#[test]
fn hostile_inputs_are_read_within_their_bounds() {
    match (env::var_os(INPUT), env::var_os(ANSWER)) {
        (Some(path), _) => return in_one_process(read_flags(path.into())),
        (None, Some(path)) => return in_one_process(read_answer(path.into())),
        (None, None) => {}
    }
    let directory = tempfile::tempdir().unwrap();
    let check = |inputs: &mut dyn Iterator<Item = Hostile>| {
        let mut running = Vec::new();
        for (number, input) in inputs.enumerate() {
            running.push(Running::start(directory.path(), number, input));
            if running.len() == 2 {
                running.remove(0).finish();
            }
        }
        running.into_iter().for_each(Running::finish);
    };
    check(&mut every_hostile_input(20_000));
    let seed = number("GOFF_SEED").unwrap_or(1);
    let end = Instant::now() + Duration::from_secs(number("GOFF_HOSTILE_SECONDS").unwrap_or(3));
    let size = number("GOFF_HOSTILE_SECONDS").map_or(20_000, |_| 500_000);
    println!("GOFF_SEED={seed}");
    let mut runner = TestRunner::new(Config {
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    });
    let inputs = hostile_inputs(size);
    check(&mut std::iter::from_fn(|| {
        (Instant::now() < end).then(|| inputs.new_tree(&mut runner).unwrap().current())
    }));
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// A process that reads one input.
struct Running {
    input: Hostile,
    path: PathBuf,
    process: Child,
    end: Instant,
}

impl Running {
    fn start(directory: &Path, number: usize, input: Hostile) -> Self {
        let (extension, variable) = match input.reader {
            Reader::JsonFlags => ("json", INPUT),
            Reader::Yaml => ("yaml", INPUT),
            Reader::Toml => ("toml", INPUT),
            Reader::Answer => ("answer", ANSWER),
        };
        let path = directory.join(format!("{number}.{extension}"));
        fs::write(&path, &input.bytes).unwrap();
        let script = format!("ulimit -v {ADDRESS_SPACE_KIB}; exec \"$0\" \"$@\"");
        let process = Command::new("sh")
            .args(["-c", &script])
            .arg(env::current_exe().unwrap())
            .args(["--nocapture", "--test-threads=1"])
            .env(variable, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            input,
            path,
            process,
            end: Instant::now() + Duration::from_secs(60),
        }
    }

    fn finish(mut self) {
        let name = format!("`{}` of {} bytes", self.input.shape, self.input.bytes.len());
        while self.process.try_wait().unwrap().is_none() {
            if Instant::now() > self.end {
                self.process.kill().unwrap();
                panic!("{name} takes more than a minute; see {}", self.kept());
            }
            thread::sleep(Duration::from_millis(5));
        }
        let kept = self.input.bytes.clone();
        let path = self.path.clone();
        let output = self.process.wait_with_output().unwrap();
        if !output.status.success() {
            fs::write(keep(&path), kept).unwrap();
            panic!(
                "{name}: {}, kept as {}\n{}{}",
                output.status,
                keep(&path).display(),
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        fs::remove_file(path).unwrap();
    }

    /// Copies the input to where it stays.
    fn kept(&self) -> String {
        fs::write(keep(&self.path), &self.input.bytes).unwrap();
        keep(&self.path).display().to_string()
    }
}

fn keep(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap().to_string_lossy();
    env::temp_dir().join(format!("goff-hostile-{name}"))
}

fn in_one_process(reads: impl Future<Output = usize>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let before = processor_time();
    let memory = peak_memory();
    let size = runtime.block_on(reads);
    let took = processor_time() - before;
    let grown = peak_memory() - memory;
    // Ten times the bounds of an optimized build, for each of the ways in which an input is read.
    let ways = 4;
    let bound = ways
        * 10
        * (Duration::from_millis(20) + Duration::from_nanos(1_000) * u32::try_from(size).unwrap());
    println!("{size} bytes, {took:?} of {bound:?}, {grown} bytes of memory");
    assert!(
        took <= bound,
        "{took:?} for {size} bytes, more than {bound:?}"
    );
    let most = 32_000_000 + 50 * size;
    assert!(
        grown <= most,
        "{grown} bytes of memory for {size} bytes, more than {most}"
    );
}

/// As a file, as a text in the program, and as the configuration of a relay proxy.
async fn read_flags(path: PathBuf) -> usize {
    let bytes = fs::read(&path).unwrap();
    let is_json = path
        .extension()
        .is_some_and(|extension| extension == "json");
    evaluate_with(GoFeatureFlagOptions::from_file(&path)).await;
    if let Ok(text) = String::from_utf8(bytes.clone())
        && is_json
    {
        let _ = LocalFlags::from_flags(&text);
    }
    if is_json {
        let mut body = br#"{"flags":"#.to_vec();
        body.extend_from_slice(&bytes);
        body.extend_from_slice(br#","evaluationContextEnrichment":{}}"#);
        let options = remote_options(serve(body)).evaluation_type(EvaluationType::InProcess);
        evaluate_with(options).await;
    }
    bytes.len()
}

/// To one evaluation, cached and not, and to an evaluation of all flags.
async fn read_answer(path: PathBuf) -> usize {
    let bytes = fs::read(path).unwrap();
    evaluate_with(remote_options(serve(bytes.clone()))).await;
    bytes.len()
}

fn remote_options(address: SocketAddr) -> GoFeatureFlagOptions {
    GoFeatureFlagOptions::new(format!("http://{address}"))
        .disable_cache_invalidation(true)
        .timeout(Duration::from_secs(20))
}

async fn evaluate_with(options: GoFeatureFlagOptions) {
    let Ok(goff) = GoFeatureFlag::connect(options).await else {
        return;
    };
    let context = EvaluationContext::builder()
        .targeting_key("user-1")
        .attribute("a", 1)
        .attribute("text", "a b ".repeat(1_000))
        .build();
    for flag in ["flag", "0", "flag"] {
        goff.evaluate(flag, &context, Value::Null).await;
    }
    let _ = goff.evaluate_all(&context).await;
    let prefetched = goff.prefetch(&context).await;
    prefetched.evaluate("flag", &context, Value::Null);
    goff.shutdown(Duration::from_secs(5)).await;
}

/// A server that gives every request the same answer. It ends with the process.
fn serve(body: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that goes away before the end of the answer is no failure.
            let _ = stream.and_then(|stream| answer(stream, &body));
        }
    });
    address
}

fn answer(mut stream: TcpStream, body: &[u8]) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
        if let Some(end) = text.find("\r\n\r\n") {
            let length = text.split("content-length: ").nth(1);
            let length = length.and_then(|rest| rest.lines().next()?.parse().ok());
            if request.len() >= end + 4 + length.unwrap_or(0) {
                break;
            }
        }
        match stream.read(&mut chunk)? {
            0 => return Ok(()),
            read => request.extend(chunk.iter().take(read)),
        }
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap(),
    )
}

/// The most memory that this process has had resident, in bytes.
fn peak_memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib: usize = line
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    kib * 1024
}
