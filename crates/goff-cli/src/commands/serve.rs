//! `goff serve`.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::Duration;

use clap::Args;
use goff_testkit::{EmbeddedRelay, Fault, RelayActivity, RelayEndpoint};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::failure::{Failure, Verdict};
use crate::output::{
    BOLD, DIM, GREEN, Output, RED, YELLOW, brief, counted, grouped, presentable, shown, styled,
};
use crate::relay;

/// Serve flag files as a relay proxy does, for development and tests.
///
/// It speaks the protocol of a relay proxy: evaluation in both protocols, configuration, change stream
/// and data collector. Files are read again when they change. What is asked and collected is printed.
/// Ctrl-C, or on Unix SIGTERM, stops it once what was asked is answered, for at most 5 s; a second
/// one at once.
#[derive(Args)]
#[command(after_help = "\
Examples:
  goff serve flags.yaml
  goff serve flags.yaml more.json --listen 127.0.0.1:0 --api-key secret
  goff serve flags.yaml --fault status=503@collector*3 --fault delay=2s

Faults: delay=TIME, status=CODE, rate-limit=TIME, reset, garbage, silence;
  @evaluation, @bulk, @configuration, @collector or @stream restricts one to these requests,
  and *NUMBER to so many of them.")]
pub(crate) struct Arguments {
    /// The flag files. Of flags with the same key, that of the last file is served.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Where to listen: an address and a port, 0 for a free one, or on Unix `unix:///path`.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:1031")]
    listen: String,
    /// A key that clients need. Repeat it for several. Other users can see arguments, and not the
    /// variable; `GOFF_API_KEY`, which the other commands send, has no effect here.
    #[arg(
        long,
        value_name = "KEY",
        env = "GOFF_SERVE_API_KEY",
        hide_env_values = true
    )]
    api_key: Vec<String>,
    /// A key for `POST /admin/v1/retriever/refresh`.
    #[arg(
        long,
        value_name = "KEY",
        env = "GOFF_SERVE_ADMIN_KEY",
        hide_env_values = true
    )]
    admin_key: Vec<String>,
    /// A fault to cause, see below. Repeat it for several.
    #[arg(long, value_name = "FAULT", value_parser = parse_fault)]
    fault: Vec<Fault>,
}

impl Arguments {
    pub(crate) fn run(&self, output: &Output) -> Result<Verdict, Failure> {
        for file in &self.files {
            crate::file::check_regular(file)?;
            crate::flags::load(file)?;
        }
        let (sender, activities) = mpsc::sync_channel(QUEUE);
        let counts = Arc::new(Counts::default());
        let counting = Arc::clone(&counts);
        let mut relay = EmbeddedRelay::builder()
            .poll_interval(POLL_INTERVAL)
            // They are printed.
            .keep_events(0)
            .on_activity(move |activity| counting.forward(activity, &sender));
        for file in &self.files {
            relay = relay.flag_file(file);
        }
        let mut needs_key = false;
        for key in self.api_key.iter().filter(|key| !key.is_empty()) {
            relay = relay.api_key(key);
            needs_key = true;
        }
        for key in self.admin_key.iter().filter(|key| !key.is_empty()) {
            relay = relay.admin_key(key);
        }
        relay = match self.listen.strip_prefix("unix://") {
            #[cfg(unix)]
            Some(path) => relay.listen_at_socket(path),
            #[cfg(not(unix))]
            Some(_) => return Err(Failure::at("--listen", "Unix sockets need a Unix system")),
            None => relay.listen_at(self.listen.parse::<SocketAddr>().map_err(|_| {
                let message = "is not an address; write `127.0.0.1:1031` or `unix:///path`";
                Failure::at("--listen", message)
            })?),
        };
        let relay = relay.start().map_err(|error| {
            let message =
                format!("cannot serve: {error}; check the files, or choose another address");
            Failure::at(format!("--listen {}", self.listen), message)
        })?;
        self.fault
            .iter()
            .for_each(|fault| relay.inject(fault.clone()));
        let log = Log { output: *output };
        let endpoint = relay.endpoint();
        let needs = if needs_key {
            " (requests need a key)"
        } else {
            ""
        };
        relay::block_on(async {
            // Who reads the line may send a signal.
            let stop = Stop::new()?;
            log.line(
                &json!({"event": "listening", "endpoint": endpoint, "needsKey": needs_key}),
                &format!(
                    "{} at {}{needs}",
                    styled(GREEN, "listening"),
                    shown(&endpoint)
                ),
            )?;
            serve(relay, stop, activities, &counts, log).await
        })?;
        Ok(Verdict::Good)
    }
}

/// Serves until a signal, then answers what was asked. A second signal ends the wait for that.
async fn serve(
    relay: EmbeddedRelay,
    mut stop: Stop,
    activities: Receiver<RelayActivity>,
    counts: &Counts,
    log: Log,
) -> Result<(), Failure> {
    let (sender, mut printed) = oneshot::channel();
    // A thread, since it waits for the reader of the output, which may have stopped to read.
    std::thread::spawn(move || {
        let mut activities = activities.iter();
        // Without a receiver the process ends.
        let _ = sender.send(activities.try_for_each(|activity| log.activity(activity)));
    });
    tokio::select! {
        () = stop.wait() => {}
        printed = &mut printed => return printed.unwrap_or(Ok(())),
    }
    let relay = Arc::new(relay);
    let draining = Arc::clone(&relay);
    let (is_drained, patience) = tokio::select! {
        drained = tokio::task::spawn_blocking(move || draining.drain(GRACE)) => {
            (drained.unwrap_or_else(|error| Err(io::Error::other(error))), GRACE)
        }
        () = stop.wait() => (relay.stop().map(|()| false), Duration::from_millis(100)),
    };
    let is_drained = is_drained
        .map_err(|error| Failure::new(format!("cannot stop: {error}; end the process")))?;
    // The end of the activities.
    drop(relay);
    tokio::select! {
        printed = printed => {
            printed.unwrap_or(Ok(()))?;
            log.stopped(counts, is_drained)
        }
        () = stop.wait() => Ok(()),
        () = tokio::time::sleep(patience) => Ok(()),
    }
}

/// What happened, printed or not.
#[derive(Default)]
struct Counts {
    requests: AtomicU64,
    events: AtomicU64,
    /// Lines that are not printed.
    lost: AtomicU64,
}

impl Counts {
    /// A reader that is too slow misses lines, and does not slow down answers.
    fn forward(&self, activity: RelayActivity, sender: &SyncSender<RelayActivity>) {
        match activity {
            RelayActivity::Request { .. } => self.requests.fetch_add(1, Ordering::Relaxed),
            RelayActivity::Collected(_) => self.events.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
        if sender.try_send(activity).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The signals to stop.
struct Stop {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    fn new() -> Result<Self, Failure> {
        #[cfg(unix)]
        let signal = |kind| {
            let signal = tokio::signal::unix::signal(kind);
            signal.map_err(|error| {
                Failure::new(format!("no signal handler: {error}; end the process"))
            })
        };
        Ok(Self {
            #[cfg(unix)]
            interrupt: signal(tokio::signal::unix::SignalKind::interrupt())?,
            #[cfg(unix)]
            terminate: signal(tokio::signal::unix::SignalKind::terminate())?,
        })
    }

    async fn wait(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
    }
}

/// What is printed.
#[derive(Clone, Copy)]
struct Log {
    output: Output,
}

impl Log {
    fn line(&self, json: &Value, text: &str) -> Result<(), Failure> {
        match self.output.is_json {
            true => self.output.json_line(json),
            false => self.output.text(&format!("{text}\n")),
        }
    }

    fn stopped(&self, counts: &Counts, is_drained: bool) -> Result<(), Failure> {
        let [requests, events, lost] = [&counts.requests, &counts.events, &counts.lost]
            .map(|count| count.load(Ordering::Relaxed));
        let mut text = format!(
            "{} after {} and {}",
            styled(GREEN, "stopped"),
            counted(requests, "request"),
            counted(events, "event")
        );
        if !is_drained {
            text += "; requests without an answer were cut off";
        }
        if lost > 0 {
            text += &format!(
                "; {} lines were lost: the output was read too slowly",
                grouped(lost)
            );
        }
        let json = json!({
            "event": "stopped", "requests": requests, "events": events, "allAnswered": is_drained,
            "linesLost": lost,
        });
        self.line(&json, &text)
    }

    fn activity(&self, activity: RelayActivity) -> Result<(), Failure> {
        match activity {
            RelayActivity::Request {
                method,
                path,
                status,
                duration,
                ..
            } => {
                let milliseconds = duration.as_secs_f64() * 1e3;
                let style = if status < 400 { GREEN } else { RED };
                let text = format!(
                    "{} {} {} {}",
                    styled(style, status),
                    method,
                    shown(&path),
                    styled(DIM, format!("{milliseconds:.1} ms"))
                );
                let json = json!({
                    "event": "request", "method": method, "path": path, "status": status,
                    "milliseconds": milliseconds,
                });
                self.line(&json, &text)
            }
            RelayActivity::Collected(event) => {
                let text = |name: &str| match event.json.get(name) {
                    Some(Value::String(text)) => shown(text).into_owned(),
                    Some(value) => brief(value),
                    None => "?".to_owned(),
                };
                let line = format!(
                    "    {} {} for {}: {} {}",
                    styled(BOLD, text("kind")),
                    text("key"),
                    text("userKey"),
                    text("variation"),
                    styled(DIM, format!("({})", text("source")))
                );
                self.line(&json!({"event": "collected", "data": event.json}), &line)
            }
            RelayActivity::Changed { flags, .. } => {
                let names: Vec<_> = flags.iter().map(|flag| shown(flag)).collect();
                let text = format!("{} {}", styled(YELLOW, "flags changed:"), names.join(", "));
                self.line(&json!({"event": "changed", "flags": flags}), &text)
            }
            RelayActivity::LeftOut { problems, .. } => {
                for problem in problems {
                    let text = format!(
                        "{} {}; the flag is not served",
                        styled(RED, "left out:"),
                        presentable(&problem)
                    );
                    self.line(&json!({"event": "left_out", "problem": problem}), &text)?;
                }
                Ok(())
            }
            RelayActivity::LoadFailed { error, .. } => {
                let text = format!(
                    "{} {}; the flags before are served",
                    styled(RED, "not loaded:"),
                    presentable(&error)
                );
                self.line(&json!({"event": "load_failed", "error": error}), &text)
            }
            _ => Ok(()),
        }
    }
}

fn parse_fault(text: &str) -> Result<Fault, String> {
    let (text, times) = match text.split_once('*') {
        Some((text, times)) => (
            text,
            Some(times.parse().map_err(|_| "write `*3` for three requests")?),
        ),
        None => (text, None),
    };
    let (effect, endpoint) = match text.split_once('@') {
        Some((effect, endpoint)) => (effect, Some(parse_endpoint(endpoint)?)),
        None => (text, None),
    };
    let (name, value) = effect.split_once('=').unwrap_or((effect, ""));
    let time = || humantime::parse_duration(value).map_err(|_| format!("write `{name}=2s`"));
    let mut fault = match name {
        "delay" => Fault::delay(time()?),
        "rate-limit" => Fault::rate_limited(time()?),
        "status" => match value.parse() {
            Ok(status @ 400..=599) => Fault::status(status),
            _ => return Err("write a status from 400 to 599, as `status=503`".to_owned()),
        },
        "reset" => Fault::reset(),
        "silence" => Fault::silence(),
        "garbage" => Fault::garbage("\u{0}garbage\r\n"),
        _ => {
            return Err(
                "write delay=TIME, status=CODE, rate-limit=TIME, reset, garbage or silence"
                    .to_owned(),
            );
        }
    };
    if let Some(endpoint) = endpoint {
        fault = fault.on(endpoint);
    }
    if let Some(times) = times {
        fault = fault.times(times);
    }
    Ok(fault)
}

fn parse_endpoint(name: &str) -> Result<RelayEndpoint, &'static str> {
    Ok(match name {
        "evaluation" => RelayEndpoint::Evaluation,
        "bulk" => RelayEndpoint::BulkEvaluation,
        "configuration" => RelayEndpoint::Configuration,
        "collector" => RelayEndpoint::Collector,
        "stream" => RelayEndpoint::ChangeStream,
        _ => return Err("write @evaluation, @bulk, @configuration, @collector or @stream"),
    })
}

/// How many lines may wait to be printed.
const QUEUE: usize = 1_000;
/// How long to wait for answers to what was asked before a signal to stop.
const GRACE: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(200);
