//! [`Traffic`]: what passes a balancer, second by second.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What passed a [`RoundRobinBalancer`](crate::RoundRobinBalancer) in one second.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrafficSecond {
    /// The requests by path, without queries. WebSocket handshakes count too.
    pub requests: BTreeMap<String, u64>,
    /// What the clients sent.
    pub bytes_to_servers: u64,
    /// What the servers sent.
    pub bytes_to_clients: u64,
    /// The connections that were opened.
    pub connections: u64,
    /// The most connections that were open at the same time.
    pub most_open: u64,
}

impl TrafficSecond {
    /// The number of requests whose path begins with `prefix`.
    #[must_use]
    pub fn requests_to(&self, prefix: &str) -> u64 {
        let paths = self.requests.iter();
        let matching = paths.filter(|(path, _)| path.starts_with(prefix));
        matching.map(|(_, count)| count).sum()
    }

    /// All of these seconds as one.
    #[must_use]
    pub fn sum(seconds: &[Self]) -> Self {
        let mut sum = Self::default();
        for second in seconds {
            for (path, count) in &second.requests {
                *sum.requests.entry(path.clone()).or_default() += count;
            }
            sum.bytes_to_servers += second.bytes_to_servers;
            sum.bytes_to_clients += second.bytes_to_clients;
            sum.connections += second.connections;
            sum.most_open = sum.most_open.max(second.most_open);
        }
        sum
    }
}

#[derive(Debug)]
pub(super) struct Traffic(Mutex<Counted>);

#[derive(Debug)]
struct Counted {
    since: Instant,
    /// The seconds that are over.
    over: Vec<TrafficSecond>,
    current: TrafficSecond,
    open: u64,
}

impl Default for Traffic {
    fn default() -> Self {
        Self(Mutex::new(Counted {
            since: Instant::now(),
            over: Vec::new(),
            current: TrafficSecond::default(),
            open: 0,
        }))
    }
}

impl Traffic {
    pub(super) fn sent(&self, bytes: usize, paths: Vec<String>) {
        let mut counted = self.lock();
        let second = counted.current();
        second.bytes_to_servers += bytes as u64;
        for path in paths {
            let is_new = !second.requests.contains_key(&path);
            let path = match is_new && second.requests.len() >= MOST_PATHS {
                true => OTHER.to_owned(),
                false => path,
            };
            *second.requests.entry(path).or_default() += 1;
        }
    }

    pub(super) fn received(&self, bytes: usize) {
        self.lock().current().bytes_to_clients += bytes as u64;
    }

    pub(super) fn open(&self) -> usize {
        usize::try_from(self.lock().open).unwrap_or(usize::MAX)
    }

    pub(super) fn take(&self) -> Vec<TrafficSecond> {
        let mut counted = self.lock();
        let current = counted.current().clone();
        counted.current = counted.quiet();
        counted.since = Instant::now();
        let mut seconds = std::mem::take(&mut counted.over);
        seconds.push(current);
        seconds
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    fn current(&mut self) -> &mut TrafficSecond {
        let second = usize::try_from(self.since.elapsed().as_secs()).unwrap_or(MOST_SECONDS);
        while self.over.len() < second.min(MOST_SECONDS) {
            let quiet = self.quiet();
            self.over.push(std::mem::replace(&mut self.current, quiet));
        }
        &mut self.current
    }

    /// A second in which nothing has passed yet.
    fn quiet(&self) -> TrafficSecond {
        TrafficSecond {
            most_open: self.open,
            ..TrafficSecond::default()
        }
    }
}

/// Counts a connection as open while it lives.
pub(super) struct OpenConnection<'a>(&'a Traffic);

impl<'a> OpenConnection<'a> {
    pub(super) fn count(traffic: &'a Traffic) -> Self {
        let mut counted = traffic.lock();
        // The seconds that are over had one connection less.
        counted.current();
        counted.open += 1;
        let open = counted.open;
        let second = counted.current();
        second.connections += 1;
        second.most_open = second.most_open.max(open);
        Self(traffic)
    }
}

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        let mut counted = self.0.lock();
        // The connection was open in the seconds that are over.
        counted.current();
        counted.open -= 1;
    }
}

/// An hour. What comes later counts in the last second.
const MOST_SECONDS: usize = 3_600;
/// The paths of one second; further ones count together.
const MOST_PATHS: usize = 100;
const OTHER: &str = "other paths";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Lets seconds pass.
    fn pass(traffic: &Traffic, seconds: u64) {
        traffic.lock().since -= Duration::from_secs(seconds);
    }

    #[test]
    fn quiet_seconds_have_the_connections_that_were_open_in_them() {
        let traffic = Traffic::default();
        pass(&traffic, 2);
        let first = OpenConnection::count(&traffic);
        pass(&traffic, 3);
        drop(first);
        let second = OpenConnection::count(&traffic);
        pass(&traffic, 2);
        let seconds = traffic.take();
        let most_open: Vec<u64> = seconds.iter().map(|second| second.most_open).collect();
        assert_eq!(most_open, [0, 0, 1, 1, 1, 1, 1, 1]);
        pass(&traffic, 1);
        drop(second);
        pass(&traffic, 2);
        let most_open: Vec<u64> = traffic.take().iter().map(|it| it.most_open).collect();
        assert_eq!(most_open, [1, 1, 0, 0]);
    }
}
