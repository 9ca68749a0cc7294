//! What the fleet asks of its relay proxies.

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use goff_testkit::{RoundRobinBalancer, TrafficSecond};
use goff_tests_integration::RelayProxy;

/// The interval of polls and flushes, and the age limit of cached answers: so short that some seconds show them.
pub(crate) const PERIOD: Duration = Duration::from_secs(10);

/// The flag that changes.
pub(crate) const FLAG: &str = "fleet";

/// The flag file with this value, among ninety-nine other flags.
pub(crate) fn flags(value: usize) -> String {
    let mut text =
        format!("{FLAG}:\n  variations:\n    edit: {value}\n  defaultRule:\n    variation: edit\n");
    for other in 1..100 {
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "other-{other}:\n  variations:\n    enabled: true\n    disabled: false\n  targeting:\n    - query: country in \
             [\"FR\", \"DE\"]\n      variation: enabled\n  defaultRule:\n    percentage:\n      enabled: 20\n      \
             disabled: 80\n"
        );
    }
    text
}

/// Measures a part of the run.
#[derive(Debug)]
pub(crate) struct Meter<'a> {
    balancer: &'a RoundRobinBalancer,
    relays: &'a [RelayProxy],
    begun: Instant,
    cpu: (Duration, Duration),
}

/// What passed the balancer, and the time of processors.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) peak: u64,
    pub(crate) mean: f64,
    pub(crate) seconds: Vec<TrafficSecond>,
    text: String,
}

impl<'a> Meter<'a> {
    pub(crate) fn start(balancer: &'a RoundRobinBalancer, relays: &'a [RelayProxy]) -> Self {
        let _ = balancer.take_traffic();
        Self {
            balancer,
            relays,
            begun: Instant::now(),
            cpu: cpu(relays),
        }
    }

    pub(crate) fn stop(self) -> Load {
        let elapsed = self.begun.elapsed().as_secs_f64();
        let mut seconds = self.balancer.take_traffic();
        let (clients, relays) = cpu(self.relays);
        let cores =
            |now: Duration, before: Duration| (now.saturating_sub(before)).as_secs_f64() / elapsed;
        let (clients, relays) = (cores(clients, self.cpu.0), cores(relays, self.cpu.1));
        let total = TrafficSecond::sum(&seconds);
        // The last second is not a whole one.
        seconds.pop();
        let peak = seconds
            .iter()
            .map(|second| second.requests_to("/"))
            .max()
            .unwrap_or(0);
        let requests = total.requests_to("/");
        let mean = requests as f64 / elapsed;
        let rate = |count: u64| count as f64 / elapsed;
        let kinds = [
            ("configuration", "/v1/flag/configuration"),
            ("evaluation", "/v1/feature/"),
            ("usage data", "/v1/data/"),
            ("change stream", "/stream/"),
        ];
        let mut text = format!("{mean:.0} requests a second, {peak} at most:");
        for (name, prefix) in kinds {
            let _ = write!(text, " {name} {:.1},", rate(total.requests_to(prefix)));
        }
        let _ = write!(
            text,
            " {:.0} kB a second to the clients, {:.0} kB from them, {} connections open at most, {} opened; processors: \
             {clients:.2} for clients and balancer, {relays:.2} for relay proxies",
            rate(total.bytes_to_clients) / 1e3,
            rate(total.bytes_to_servers) / 1e3,
            total.most_open,
            total.connections
        );
        Load {
            peak,
            mean,
            seconds,
            text,
        }
    }
}

impl std::fmt::Display for Load {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// The processor time of this process, and of the relay proxies outside it.
fn cpu(relays: &[RelayProxy]) -> (Duration, Duration) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let relays = relays.iter().filter_map(RelayProxy::processor_time);
    (
        goff_tests_integration::processor_time(&stat).unwrap(),
        relays.sum(),
    )
}
