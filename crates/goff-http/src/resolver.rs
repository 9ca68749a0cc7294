//! [`Resolver`]: the addresses of one host, looked up outside the runtime.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use hyper_util::client::legacy::connect::dns::Name;
use tokio::sync::watch;
use tower_service::Service;

/// Resolves the name of one host. Clones share the addresses.
///
/// `getaddrinfo` cannot be canceled and may block for long, so that it runs in a thread of the
/// resolver and not in the blocking pool of the application. There is one lookup at a time, for all
/// who wait. An answer is used for a few seconds; after that it is used while a new lookup takes
/// long, and where it fails.
#[derive(Clone)]
pub(crate) struct Resolver(Arc<Shared>);

struct Shared {
    host: Box<str>,
    lookup: Box<Lookup>,
    state: watch::Sender<State>,
}

type Lookup = dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync;

#[derive(Default)]
struct State {
    answer: Option<Answer>,
    /// How the last lookup failed, if it did.
    failure: Option<(io::ErrorKind, String)>,
    is_looking_up: bool,
}

struct Answer {
    addresses: Vec<SocketAddr>,
    at: Instant,
}

impl Resolver {
    pub(crate) fn new(host: &str) -> Self {
        Self::with_lookup(host, |host| Ok((host, 0).to_socket_addrs()?.collect()))
    }

    fn with_lookup(
        host: &str,
        lookup: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Shared {
            host: host.into(),
            lookup: Box::new(lookup),
            state: watch::Sender::default(),
        }))
    }

    /// The addresses, from an answer or a lookup.
    async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let mut updates = self.0.state.subscribe();
        if let Some(fresh) = self.fresh_or_look_up() {
            return Ok(fresh);
        }
        let has_answer = updates.borrow().answer.is_some();
        // The sender is in `self`, so the channel is open.
        let done = updates.wait_for(|state| !state.is_looking_up);
        if has_answer {
            let _ = tokio::time::timeout(PATIENCE, done).await;
        } else {
            let _ = done.await;
        }
        self.0.state.borrow().addresses()
    }

    /// A recent answer; without one there is a lookup in progress afterwards.
    fn fresh_or_look_up(&self) -> Option<Vec<SocketAddr>> {
        let mut fresh = None;
        let begins = self.0.state.send_if_modified(|state| {
            let recent = |answer: &&Answer| answer.at.elapsed() < FRESH;
            fresh = state
                .answer
                .as_ref()
                .filter(recent)
                .map(|answer| answer.addresses.clone());
            let begins = fresh.is_none() && !state.is_looking_up;
            state.is_looking_up |= begins;
            begins
        });
        if begins {
            let shared = Arc::clone(&self.0);
            let thread = thread::Builder::new().name("goff-dns".to_owned());
            if let Err(error) = thread.spawn(move || shared.look_up()) {
                self.0.finish(Err(error));
            }
        }
        fresh
    }
}

impl Shared {
    fn look_up(&self) {
        let addresses = (self.lookup)(&self.host);
        self.finish(addresses.and_then(|addresses| {
            let none = || io::Error::new(io::ErrorKind::NotFound, "the host has no address");
            (!addresses.is_empty())
                .then_some(addresses)
                .ok_or_else(none)
        }));
    }

    fn finish(&self, outcome: io::Result<Vec<SocketAddr>>) {
        self.state.send_modify(|state| {
            state.is_looking_up = false;
            state.failure = outcome
                .as_ref()
                .err()
                .map(|error| (error.kind(), error.to_string()));
            if let Ok(addresses) = outcome {
                let at = Instant::now();
                state.answer = Some(Answer { addresses, at });
            }
        });
    }
}

/// Why a name has no address.
#[derive(Debug)]
pub(crate) struct UnknownHost(String);

impl fmt::Display for UnknownHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UnknownHost {}

impl State {
    fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        match (&self.answer, &self.failure) {
            (Some(answer), _) => Ok(answer.addresses.clone()),
            (None, Some((kind, message))) => {
                Err(io::Error::new(*kind, UnknownHost(message.clone())))
            }
            (None, None) => Err(io::Error::other("the host was not looked up")),
        }
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ignores the name, which is that of the one host.
    fn call(&mut self, _: Name) -> Self::Future {
        let resolver = self.clone();
        Box::pin(async move { resolver.addresses().await.map(Vec::into_iter) })
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver")
            .field("host", &self.0.host)
            .finish_non_exhaustive()
    }
}

/// How long an answer is used without a new lookup.
const FRESH: Duration = Duration::from_secs(5);
/// How long a lookup may take where there is an older answer: longer than most.
const PATIENCE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Mutex, mpsc};

    use tokio::runtime::Builder;

    use super::*;

    fn address(last: u8) -> SocketAddr {
        ([192, 0, 2, last], 0).into()
    }

    /// A resolver each of whose lookups waits for its outcome.
    struct Slow {
        resolver: Resolver,
        outcomes: mpsc::Sender<io::Result<Vec<SocketAddr>>>,
        begun: Arc<AtomicUsize>,
    }

    fn slow() -> Slow {
        let (outcomes, next) = mpsc::channel();
        let next = Mutex::new(next);
        let begun = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&begun);
        let resolver = Resolver::with_lookup("relay.example", move |host| {
            assert_eq!(host, "relay.example");
            count.fetch_add(1, Ordering::SeqCst);
            let next = next.lock().unwrap().recv();
            next.unwrap_or_else(|_| Err(io::ErrorKind::ConnectionAborted.into()))
        });
        Slow {
            resolver,
            outcomes,
            begun,
        }
    }

    impl Slow {
        fn begun(&self) -> usize {
            self.begun.load(Ordering::SeqCst)
        }

        /// Makes the answer old, as if time had passed.
        fn age(&self) {
            self.resolver.0.state.send_modify(|state| {
                let answer = state.answer.as_mut().unwrap();
                answer.at = answer.at.checked_sub(FRESH).unwrap();
            });
        }

        async fn idle(&self) {
            let mut updates = self.resolver.0.state.subscribe();
            updates
                .wait_for(|state| !state.is_looking_up)
                .await
                .unwrap();
        }
    }

    #[tokio::test]
    async fn lookups_are_shared_and_their_answer_is_kept() {
        let slow = slow();
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..1_000 {
            let resolver = slow.resolver.clone();
            waiting.spawn(async move { resolver.addresses().await });
        }
        tokio::task::yield_now().await;
        slow.outcomes.send(Ok(vec![address(1)])).unwrap();
        for addresses in waiting.join_all().await {
            assert_eq!(addresses.unwrap(), [address(1)]);
        }
        assert_eq!(slow.resolver.addresses().await.unwrap(), [address(1)]);
        assert_eq!(slow.begun(), 1);
    }

    #[tokio::test]
    async fn old_answer_serves_while_a_lookup_hangs_or_fails() {
        let slow = slow();
        slow.outcomes.send(Ok(vec![address(1)])).unwrap();
        slow.resolver.addresses().await.unwrap();
        slow.age();
        let began = Instant::now();
        for _ in 0..5 {
            assert_eq!(slow.resolver.addresses().await.unwrap(), [address(1)]);
        }
        assert!(began.elapsed() >= PATIENCE && began.elapsed() < Duration::from_secs(5));
        assert_eq!(slow.begun(), 2);
        slow.outcomes
            .send(Err(io::ErrorKind::TimedOut.into()))
            .unwrap();
        slow.idle().await;
        slow.outcomes
            .send(Err(io::ErrorKind::TimedOut.into()))
            .unwrap();
        assert_eq!(slow.resolver.addresses().await.unwrap(), [address(1)]);
        // The host has moved.
        slow.outcomes.send(Ok(vec![address(2)])).unwrap();
        assert_eq!(slow.resolver.addresses().await.unwrap(), [address(2)]);
        assert_eq!(slow.begun(), 4);
    }

    #[tokio::test]
    async fn failures_are_told_and_not_kept() {
        let slow = slow();
        let refused = io::Error::new(io::ErrorKind::NotFound, "no such host");
        slow.outcomes.send(Err(refused)).unwrap();
        let error = slow.resolver.addresses().await.unwrap_err();
        assert_eq!(
            (error.kind(), &*error.to_string()),
            (io::ErrorKind::NotFound, "no such host")
        );
        slow.outcomes.send(Ok(Vec::new())).unwrap();
        let error = slow.resolver.addresses().await.unwrap_err();
        assert!(error.to_string().contains("no address"), "{error}");
        slow.outcomes.send(Ok(vec![address(1)])).unwrap();
        slow.resolver.addresses().await.unwrap();
    }

    #[test]
    fn hanging_lookup_takes_no_blocking_thread_and_delays_no_exit() {
        let slow = slow();
        let mut builder = Builder::new_current_thread();
        let runtime = builder
            .enable_all()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        let began = Instant::now();
        runtime.block_on(async {
            for _ in 0..100 {
                let waiting = slow.resolver.addresses();
                let limit = Duration::from_millis(1);
                tokio::time::timeout(limit, waiting).await.unwrap_err();
            }
            tokio::task::spawn_blocking(|| ()).await.unwrap();
        });
        assert_eq!(slow.begun(), 1);
        drop(runtime);
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}
