//! `goff doctor`.

use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use goff_core::{
    ConnectionError, ConnectionProblem, EventBatch, ExporterMetadata, RelayClient as _, RelayError,
    StreamState,
};
use goff_http::{HttpRelayClient, RelayCheck};
use serde::Serialize;

use crate::arguments::RelayArguments;
use crate::failure::{Failure, Verdict};
use crate::output::{BOLD, DIM, GREEN, Output, RED, YELLOW, shown, styled};
use crate::relay::{self, Changes};

/// Examine a relay proxy: is it reachable, does it accept the key, do stream and collector work?
///
/// Nothing is recorded: it asks for the configuration of a flag that does not exist, and delivers an
/// empty batch of usage data.
#[derive(Args)]
#[command(after_help = "\
Example:
  GOFF_API_KEY=… goff doctor --endpoint https://flags.example.org")]
pub(crate) struct Arguments {
    #[command(flatten)]
    relay: RelayArguments,
}

/// One thing that was examined.
#[derive(Serialize)]
struct Finding {
    name: &'static str,
    state: State,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Good,
    Bad,
    Unknown,
}

impl Finding {
    fn good(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            state: State::Good,
            found: found.into(),
            remedy: None,
        }
    }

    fn bad(
        name: &'static str,
        found: impl Into<String>,
        remedy: impl Into<Option<&'static str>>,
    ) -> Self {
        Self {
            name,
            state: State::Bad,
            found: found.into(),
            remedy: remedy.into(),
        }
    }

    fn unknown(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            state: State::Unknown,
            found: found.into(),
            remedy: None,
        }
    }

    fn text(&self) -> String {
        let (symbol, style) = match self.state {
            State::Good => ("✓", GREEN),
            State::Bad => ("✗", RED),
            State::Unknown => ("?", YELLOW),
        };
        let name = styled(BOLD, format!("{:10}", self.name));
        let mut text = format!("{} {name} {}\n", styled(style, symbol), shown(&self.found));
        if let Some(remedy) = self.remedy {
            text += &format!("             {}\n", styled(DIM, remedy));
        }
        text
    }
}

impl Arguments {
    pub(crate) fn run(&self, output: &Output) -> Result<Verdict, Failure> {
        let Some(endpoint) = self.relay.endpoint()? else {
            return Err(Failure::new(
                "no relay proxy to examine: give `--endpoint URL`",
            ));
        };
        let has_key = self.relay.api_key()?.is_some();
        let client = relay::client(&self.relay, endpoint.clone())?;
        let findings = relay::block_on(async {
            let started = Instant::now();
            let sent = SystemTime::now();
            let check = client.check(&flags(), None).await;
            let first = started.elapsed();
            let mut findings = vec![reachable(&check, first)];
            if findings.iter().any(|finding| finding.state == State::Bad) {
                return Ok(findings);
            }
            findings.push(key(&check, has_key));
            findings.push(version(&check));
            findings.push(latency(&client, first).await);
            findings.push(clock(&check, sent));
            if check.result.is_err() {
                let untried = |name| Finding::unknown(name, "not tried without the right key");
                findings.extend(["stream", "collector"].map(untried));
                return Ok(findings);
            }
            findings.push(self.stream(endpoint).await?);
            findings.push(collector(&client).await);
            Ok(findings)
        })?;
        let verdict = Verdict::of(findings.iter().all(|finding| finding.state != State::Bad));
        verdict.after(match output.is_json {
            true => output.json(&findings),
            false => output.text(&findings.iter().map(Finding::text).collect::<String>()),
        })
    }

    async fn stream(&self, endpoint: goff_core::Endpoint) -> Result<Finding, Failure> {
        let started = Instant::now();
        let mut changes = Changes::listen(&self.relay, endpoint)?;
        let settled = changes.seen.wait_for(|seen| seen.state.is_some());
        let settled = tokio::time::timeout(self.relay.timeout + OPENING, settled).await;
        let state = settled.ok().and_then(|seen| seen.ok()?.state);
        Ok(match state {
            Some(StreamState::Open) => Finding::good(
                "stream",
                format!("open after {}", shown_duration(started.elapsed())),
            ),
            Some(StreamState::Refused) => Finding::bad(
                "stream",
                "refused",
                "let the gateway pass WebSocket upgrades of /stream/v1/ws/flag/change and its query",
            ),
            _ => Finding::bad(
                "stream",
                format!("not open after {}", shown_duration(started.elapsed())),
                "let firewalls and gateways pass WebSockets, and keep idle ones open for a second",
            ),
        })
    }
}

fn reachable(check: &RelayCheck, took: Duration) -> Finding {
    const NAME: &str = "reachable";
    match &check.result {
        Ok(()) => Finding::good(NAME, format!("answered in {}", shown_duration(took))),
        Err(error) => match error.status() {
            Some(401 | 403) => Finding::good(NAME, format!("answered in {}", shown_duration(took))),
            Some(502..=504) => Finding::bad(
                NAME,
                error.to_string(),
                "a gateway answers: check that the relay proxy behind it runs",
            ),
            Some(429) => Finding::bad(
                NAME,
                error.to_string(),
                "too many requests: wait, or raise the limit of the relay proxy or gateway",
            ),
            Some(500) => Finding::bad(
                NAME,
                error.to_string(),
                "the log of the relay proxy, or of the gateway before it, says why",
            ),
            Some(_) => Finding::bad(
                NAME,
                error.to_string(),
                "check that the URL is that of a relay proxy, with the path of the gateway if it has one",
            ),
            None => Finding::bad(NAME, error.to_string(), without_answer(error)),
        },
    }
}

/// What to do without an answer, unless the error says it.
fn without_answer(error: &RelayError) -> Option<&'static str> {
    let problem = match error {
        RelayError::Timeout { .. } => return None,
        RelayError::NotConnected(cause) | RelayError::Interrupted(cause) => {
            cause.downcast_ref().map(ConnectionError::problem)
        }
        _ => None,
    };
    match problem {
        None | Some(ConnectionProblem::Other) => {
            Some("check host and port, that the relay proxy runs, and the firewalls on the way")
        }
        // The error names an option of the clients.
        Some(ConnectionProblem::UnknownAuthority) => Some(
            "here: add it to the authorities of this machine, or name its file in `SSL_CERT_FILE`",
        ),
        _ => None,
    }
}

fn key(check: &RelayCheck, has_key: bool) -> Finding {
    const NAME: &str = "key";
    match (&check.result, has_key) {
        (Ok(()), true) => Finding::good(NAME, "accepted"),
        (Ok(()), false) => Finding::good(NAME, "none sent, none required"),
        (Err(_), true) => Finding::bad(
            NAME,
            "refused",
            "check the key: it must be one of `authorizedKeys.evaluation` or of a flag set",
        ),
        (Err(_), false) => Finding::bad(
            NAME,
            "none sent, one required",
            "give one with `GOFF_API_KEY`",
        ),
    }
}

fn version(check: &RelayCheck) -> Finding {
    match &check.version {
        Some(version) => Finding::good("version", version.clone()),
        None => Finding::unknown("version", "not named by the relay proxy"),
    }
}

/// The median of requests on an open connection, and what opening it takes.
async fn latency(client: &HttpRelayClient, first: Duration) -> Finding {
    let mut taken = Vec::new();
    for _ in 0..REQUESTS {
        let started = Instant::now();
        if let Err(error) = client.check(&flags(), None).await.result
            && error.status().is_none()
        {
            let remedy =
                "the connection is not stable: check the network and the load of the relay proxy";
            return Finding::bad("latency", error.to_string(), remedy);
        }
        taken.push(started.elapsed());
    }
    taken.sort();
    let median = taken.get(REQUESTS / 2).copied().unwrap_or_default();
    let slowest = taken.last().copied().unwrap_or_default();
    let (median, slowest, first) = (
        shown_duration(median),
        shown_duration(slowest),
        shown_duration(first),
    );
    let text = format!("median {median}, slowest {slowest}, with a new connection {first}");
    Finding::good("latency", text)
}

/// The date of an answer has whole seconds.
fn clock(check: &RelayCheck, sent: SystemTime) -> Finding {
    const NAME: &str = "clock";
    let Some(date) = check.date else {
        return Finding::unknown(NAME, "the answers have no date");
    };
    let (ahead, behind) = (
        date.duration_since(SystemTime::now()).unwrap_or_default(),
        sent.duration_since(date + Duration::from_secs(1))
            .unwrap_or_default(),
    );
    let (skew, direction) = match ahead > behind {
        true => (ahead, "ahead of"),
        false => (behind, "behind"),
    };
    if skew <= TOLERABLE_SKEW {
        return Finding::good(NAME, "the same as here, within seconds");
    }
    Finding::bad(
        NAME,
        format!("{} s {direction} the clock of this machine", skew.as_secs()),
        "synchronize the clocks: scheduled and progressive rollouts follow them",
    )
}

async fn collector(client: &HttpRelayClient) -> Finding {
    let batch = EventBatch::new(ExporterMetadata::default(), Vec::new());
    match client.collect(&batch).await {
        Ok(()) => Finding::good("collector", "accepts usage data"),
        Err(error) => Finding::bad(
            "collector",
            error.to_string(),
            "let the gateway pass POST /v1/data/collector, and check the key",
        ),
    }
}

/// The relay proxy skips names that it does not know (docs/relay-protocol.md 12).
fn flags() -> Vec<String> {
    vec!["goff doctor: no such flag".to_owned()]
}

fn shown_duration(duration: Duration) -> String {
    match duration.as_millis() {
        0..1_000 => format!("{:.1} ms", duration.as_secs_f64() * 1e3),
        _ => format!("{:.1} s", duration.as_secs_f64()),
    }
}

/// A stream counts as open after a second, besides what its handshake takes.
const OPENING: Duration = Duration::from_secs(2);
const REQUESTS: usize = 9;
const TOLERABLE_SKEW: Duration = Duration::from_secs(5);
