//! Refreshes of in-process evaluation in which one flag changes, with 1,000 to 50,000 flags: their CPU
//! time, memory, and effect on evaluations. Each size has a separate process for the client, and
//! one for the relay proxy, so that CPU time and resident memory are the client's. The same for flag files.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use goff_benches::contexts::core_context;
use goff_benches::measured_flags::configuration;
use goff_benches::{Budget, Row, Suite, median, process_cpu_time, thread_cpu_time};
use goff_client::{
    EvaluationType, GoFeatureFlag, GoFeatureFlagOptions, Invalidation, InvalidationSink, LocalFlags,
};
use goff_engine::{Flag, FlagFile, FlagFileFormat, FlagSet};
use serde_json::{Map, Value};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<ExitCode, Failure> {
    let flags = |name| std::env::var(name).ok().map(|flags| flags.parse());
    if let Some(flags) = flags(RELAY) {
        serve(flags?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(flags) = flags(CLIENT) {
        measure(flags?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(flags) = flags(FILE) {
        measure_files(flags?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut suite = Suite::from_arguments()?;
    for flags in [1_000, 10_000, 50_000] {
        if suite.wants(&format!("refresh: {flags} flags")) {
            add_rows(&mut suite, flags)?;
        }
        if suite.wants(&format!("refresh: {flags} flags of a file")) {
            add_rows_of_files(&mut suite, flags)?;
        }
    }
    suite.finish().map_err(Into::into)
}

/// Set to the number of flags in the process that is the relay proxy.
const RELAY: &str = "GOFF_BENCH_RELAY";
/// Set to the number of flags in the process that is the client.
const CLIENT: &str = "GOFF_BENCH_CLIENT";

/// Set to the number of flags in the process whose client reads flag files.
const FILE: &str = "GOFF_BENCH_FILE";

/// What a process in one of these parts prints: figures by name.
struct Figures(HashMap<String, f64>);

impl Figures {
    fn of(part: &str, flags: usize) -> Result<Self, Failure> {
        let (mut process, output) = start(part, flags)?;
        let mut figures = HashMap::new();
        for line in output.lines() {
            let line = line?;
            if let Some((name, value)) = line.split_once(' ') {
                figures.insert(name.to_owned(), value.parse()?);
            }
        }
        match process.wait()?.success() {
            true => Ok(Self(figures)),
            false => Err(format!("the client with {flags} flags failed").into()),
        }
    }

    fn get(&self, name: &str) -> Result<f64, Failure> {
        Ok(*self.0.get(name).ok_or(format!("no figure {name}"))?)
    }
}

/// One flag of a file changes.
fn add_rows_of_files(suite: &mut Suite, flags: usize) -> Result<(), Failure> {
    let figures = Figures::of(FILE, flags)?;
    for (format, _) in FORMATS {
        let name = format!("refresh: {flags} flags of a file, {format}, CPU time");
        let row = Row::stated(name, figures.get(&format!("{format}_ms"))?, "ms");
        suite.add(row.beside(
            figures.get(&format!("{format}_parse_ms"))?,
            "parsing, compiling and checking the file",
            Budget::Stated,
        ));
    }
    Ok(())
}

fn add_rows(suite: &mut Suite, flags: usize) -> Result<(), Failure> {
    let figures = Figures::of(CLIENT, flags)?;
    let figure = |name: &str| figures.get(name);
    let row = |what: &str, value: f64, unit| {
        Row::stated(format!("refresh: {flags} flags, {what}"), value, unit)
    };
    // What does not depend on the number of flags outweighs the rest where there are few.
    let of_many = |budget| match flags {
        50_000 => budget,
        _ => Budget::Stated,
    };
    suite.add(row("load, CPU time", figure("load_ms")?, "ms"));
    suite.add(
        row("resident memory", figure("resident_kb")? * 1e3, "B").beside(
            figure("json_bytes")?,
            "JSON",
            Budget::Stated,
        ),
    );
    let pair = |round: usize| -> Result<_, Failure> {
        let figure = |name| figures.get(&format!("{name}_{round}"));
        Ok((figure("refresh_ms")?, figure("compile_ms")?))
    };
    suite.add(Row::of_pairs(
        format!("refresh: {flags} flags, CPU time"),
        &(0..ROUNDS).map(pair).collect::<Result<Vec<_>, _>>()?,
        "ms",
        "compiling and checking all flags",
        of_many(Budget::AtMost(0.15)),
    ));
    suite.add(row("peak memory", figure("peak_kb")? * 1e3, "B").beside(
        figure("process_kb")? * 1e3,
        "resident memory of the process",
        of_many(Budget::AtMost(1.3)),
    ));
    suite.add(row("p99 of evaluations", figure("p99_ns")?, "ns").beside(
        figure("usual_p99_ns")?,
        "the usual p99",
        of_many(Budget::AtMost(1.5)),
    ));
    let (value, longest) = (figure("message_ms")?, figure("longest_message_ms")?);
    let message = row("message to new value", value, "ms");
    suite.add(match flags {
        50_000 => message,
        _ => message.judged(
            format!("<= 50 ms; the longest {longest:.1} ms"),
            value <= 50.0,
        ),
    });
    Ok(())
}

/// Starts this program in another part.
fn start(part: &str, flags: usize) -> Result<(Child, BufReader<ChildStdout>), Failure> {
    let mut child = Command::new(std::env::current_exe()?)
        .env_remove(CLIENT)
        .env_remove(FILE)
        .env(part, flags.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().ok_or("no output")?;
    Ok((child, BufReader::new(output)))
}

/// What the relay proxy answers.
#[derive(Default)]
struct Served {
    version: usize,
    body: String,
}

/// A relay proxy that answers each request with the configuration. Prints its port; then each line
/// that it reads makes a new version, and is answered with a line.
#[expect(clippy::print_stdout, reason = "the client reads it")]
fn serve(flags: usize) -> Result<(), Failure> {
    let others = configuration(flags - 1);
    let served = Arc::new(Mutex::new(Served::default()));
    let next = |version| Served {
        version,
        body: format!(r#"{{"flags":{}}}"#, with_version(&others, version)),
    };
    *served.lock().unwrap_or_else(PoisonError::into_inner) = next(0);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    let answering = Arc::clone(&served);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let served = Arc::clone(&answering);
            thread::spawn(move || answer(stream, &served));
        }
    });
    for (line, version) in io::stdin().lock().lines().zip(1..) {
        line?;
        let next = next(version);
        *served.lock().unwrap_or_else(PoisonError::into_inner) = next;
        println!("{version}");
    }
    Ok(())
}

/// The flags with one more, whose value is the version.
fn with_version(others: &str, version: usize) -> String {
    let others = others.strip_suffix('}').unwrap_or(others);
    format!(
        r#"{others},"zz-changing":{{"variations":{{"current":{version}}},"defaultRule":{{"variation":"current"}}}}}}"#
    )
}

/// Answers the requests of a connection.
fn answer(stream: TcpStream, served: &Mutex<Served>) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let (mut line, mut held, mut length) = (String::new(), String::new(), 0);
        reader.read_line(&mut line)?;
        if !line.starts_with("POST /v1/flag/configuration") {
            // There is no change stream.
            return write!(
                stream,
                "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
            );
        }
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some((name, value)) = line.split_once(": ") {
                match &*name.to_ascii_lowercase() {
                    "content-length" => length = value.trim().parse().unwrap_or(0),
                    "if-none-match" => held = value.trim().to_owned(),
                    _ => {}
                }
            }
        }
        io::copy(&mut (&mut reader).take(length), &mut io::sink())?;
        let served = served.lock().unwrap_or_else(PoisonError::into_inner);
        let etag = format!("\"{}\"", served.version);
        if held == etag {
            write!(stream, "HTTP/1.1 304 Not Modified\r\netag: {etag}\r\n\r\n")?;
            continue;
        }
        // Without a length, as the relay proxy sends it.
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\netag: {etag}\r\n\
             transfer-encoding: chunked\r\n\r\n{:x}\r\n",
            served.body.len()
        )?;
        stream.write_all(served.body.as_bytes())?;
        stream.write_all(b"\r\n0\r\n\r\n")?;
    }
}

const ROUNDS: usize = 9;

/// A pause between two messages. Messages that follow each other faster share fetches, and wait for
/// them on purpose.
const QUIET: Duration = Duration::from_millis(1_200);

/// The client: prints figures by name.
#[expect(clippy::print_stdout, reason = "the bench reads them")]
fn measure(flags: usize) -> Result<(), Failure> {
    let (mut relay, mut output) = start(RELAY, flags)?;
    let mut commands = relay.stdin.take().ok_or("no input")?;
    let mut line = String::new();
    output.read_line(&mut line)?;
    let endpoint = format!("http://127.0.0.1:{}", line.trim());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let options = GoFeatureFlagOptions::new(endpoint)
        .evaluation_type(EvaluationType::InProcess)
        .timeout(Duration::from_secs(60))
        // No poll comes between a version and its announcement.
        .flag_change_polling_interval(Duration::from_secs(3_600))
        .disable_data_collection(true);
    let (before, cpu) = (memory("VmRSS:")?, process_cpu_time());
    let goff = runtime.block_on(GoFeatureFlag::connect(options))?;
    println!("load_ms {}", milliseconds(process_cpu_time() - cpu));
    let resident = memory("VmRSS:")?;
    println!("resident_kb {}", resident - before);

    let local = goff.local().ok_or("evaluation is not in process")?;
    let sink = goff.invalidation_sink();
    let mut next = || -> Result<i64, Failure> {
        commands.write_all(b"\n")?;
        line.clear();
        output.read_line(&mut line)?;
        Ok(line.trim().parse()?)
    };
    let (mut message_times, mut peaks) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let version = next()?;
        thread::sleep(QUIET);
        // Resets the peak to what is resident now.
        fs::write("/proc/self/clear_refs", "5")?;
        let resident = memory("VmRSS:")?;
        let (message_time, _) = refresh(&local, &sink, version)?;
        message_times.push(message_time);
        peaks.push((memory("VmHWM:")?, resident));
    }
    println!("message_ms {}", median(&mut message_times));
    println!(
        "longest_message_ms {}",
        message_times.last().ok_or("no round")?
    );
    let highest = peaks
        .into_iter()
        .max_by(|(a, b), (c, d)| (a / b).total_cmp(&(c / d)));
    let (peak, process) = highest.ok_or("no round")?;
    println!("peak_kb {peak}");
    println!("process_kb {process}");

    let text = with_version(&configuration(flags - 1), 0);
    println!("json_bytes {}", text.len());
    let mut keys = Vec::new();
    for round in 0..ROUNDS {
        let version = next()?;
        let begun = Instant::now();
        let cpu = thread_cpu_time();
        let set = FlagSet::from_json(black_box(text.as_bytes()))?;
        for flag in set.iter() {
            black_box(flag.validate().is_ok());
        }
        println!(
            "compile_ms_{round} {}",
            milliseconds(thread_cpu_time() - cpu)
        );
        keys = set.iter().map(Flag::key).map(str::to_owned).collect();
        drop(set);
        thread::sleep(QUIET.saturating_sub(begun.elapsed()));
        let (_, cpu_time) = refresh(&local, &sink, version)?;
        println!("refresh_ms_{round} {cpu_time}");
    }

    let context = core_context();
    let clock = cost_of_the_clock();
    let mut at = 0;
    let mut evaluate = || {
        // A stride coprime to the number of flags visits each.
        at = (at + 7919) % keys.len();
        let key = keys.get(at).map_or("", String::as_str);
        let start = thread_cpu_time();
        black_box(local.evaluate(key, &context, Value::Null).value);
        (thread_cpu_time() - start).as_secs_f64() * 1e9 - clock
    };
    for _ in 0..flags {
        evaluate();
    }
    let (mut usual, mut refreshing) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut times: Vec<f64> = (0..flags.max(10_000)).map(|_| evaluate()).collect();
        usual.push(ninety_ninth(&mut times));
        times.clear();
        let version = next()?;
        let begun = Instant::now();
        announce(&sink);
        while value(&local) != version {
            within(begun)?;
            times.extend((0..100).map(|_| evaluate()));
        }
        // While what was replaced is freed.
        let served = Instant::now();
        while served.elapsed() < Duration::from_millis(20) {
            times.extend((0..100).map(|_| evaluate()));
        }
        refreshing.push(ninety_ninth(&mut times));
    }
    println!("usual_p99_ns {}", median(&mut usual));
    println!("p99_ns {}", median(&mut refreshing));
    relay.kill()?;
    relay.wait()?;
    Ok(())
}

/// Announces that a version is there. Returns after how many milliseconds it is served, and how many
/// milliseconds of CPU time that took the other threads: this one asks for the flag all the time.
fn refresh(
    local: &LocalFlags,
    sink: &Arc<dyn InvalidationSink>,
    version: i64,
) -> Result<(f64, f64), Failure> {
    let (begun, cpu) = (Instant::now(), others_cpu_time());
    announce(sink);
    until_served(local, version, begun)?;
    let message_time = milliseconds(begun.elapsed());
    // The configuration before is freed.
    thread::sleep(Duration::from_millis(300));
    Ok((message_time, milliseconds(others_cpu_time() - cpu)))
}

const FORMATS: [(&str, FlagFileFormat); 2] = [
    ("json", FlagFileFormat::Json),
    ("yaml", FlagFileFormat::Yaml),
];

/// The client of a flag file: prints figures by name.
#[expect(clippy::print_stdout, reason = "the bench reads them")]
fn measure_files(flags: usize) -> Result<(), Failure> {
    let others = configuration(flags - 1);
    let folder = std::env::temp_dir().join(format!("goff-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    for (name, format) in FORMATS {
        let text = |version| -> Result<String, Failure> {
            let json = with_version(&others, version);
            match format {
                FlagFileFormat::Yaml => block_style(&json),
                _ => Ok(json),
            }
        };
        let path = folder.join(format!("flags.{name}"));
        let replace = |text| -> Result<(), Failure> {
            let temporary = folder.join("temporary");
            fs::write(&temporary, text)?;
            Ok(fs::rename(temporary, &path)?)
        };
        replace(text(0)?)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let options = GoFeatureFlagOptions::from_file(&path).disable_data_collection(true);
        let goff = runtime.block_on(GoFeatureFlag::connect(options))?;
        let local = goff.local().ok_or("evaluation is not in process")?;
        let mut cpu_times = Vec::new();
        for version in 1..=ROUNDS {
            let (next, version) = (text(version)?, i64::try_from(version)?);
            thread::sleep(QUIET);
            let cpu = others_cpu_time();
            replace(next)?;
            until_served(&local, version, Instant::now())?;
            thread::sleep(Duration::from_millis(300));
            cpu_times.push(milliseconds(others_cpu_time() - cpu));
        }
        println!("{name}_ms {}", median(&mut cpu_times));
        let text = text(0)?;
        let mut parse_times = Vec::new();
        for _ in 0..3 {
            let cpu = thread_cpu_time();
            black_box(FlagFile::parse(black_box(&text), format)?);
            parse_times.push(milliseconds(thread_cpu_time() - cpu));
        }
        println!("{name}_parse_ms {}", median(&mut parse_times));
    }
    Ok(fs::remove_dir_all(&folder)?)
}

/// A YAML file with a line for each member of a flag.
fn block_style(flags: &str) -> Result<String, Failure> {
    let flags: Map<String, Value> = serde_json::from_str(flags)?;
    let mut text = String::new();
    for (key, flag) in &flags {
        writeln!(text, "{}:", Value::from(key.as_str()))?;
        for (name, value) in flag.as_object().ok_or("a flag is no object")? {
            writeln!(text, "  {name}: {value}")?;
        }
    }
    Ok(text)
}

fn announce(sink: &Arc<dyn InvalidationSink>) {
    sink.invalidate(Invalidation::Flags(["zz-changing".to_owned()].into()));
}

fn value(local: &LocalFlags) -> i64 {
    local.evaluate("zz-changing", &core_context(), -1_i64).value
}

fn until_served(local: &LocalFlags, version: i64, begun: Instant) -> Result<(), Failure> {
    while value(local) != version {
        within(begun)?;
        thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}

fn within(begun: Instant) -> Result<(), Failure> {
    match begun.elapsed() < Duration::from_secs(30) {
        true => Ok(()),
        false => Err("no result within 30 s".into()),
    }
}

/// A line of the process's status, in kB.
fn memory(name: &str) -> Result<f64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(value.ok_or("no such line")?.parse()?)
}

/// The CPU time of the other threads.
fn others_cpu_time() -> Duration {
    process_cpu_time() - thread_cpu_time()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn cost_of_the_clock() -> f64 {
    let time = |_| {
        let start = thread_cpu_time();
        (thread_cpu_time() - start).as_secs_f64() * 1e9
    };
    median(&mut (0..10_000).map(time).collect::<Vec<_>>())
}

fn ninety_ninth(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times
        .get(times.len() * 99 / 100)
        .copied()
        .unwrap_or_default()
}
