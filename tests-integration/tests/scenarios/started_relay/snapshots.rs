//! Flags that change while the application handles a request.

use std::cell::Cell;
use std::time::Duration;

use goff_provider::Snapshot;
use goff_provider::native::EvaluationContext;
use goff_tests_integration::{Instance, own_relay};
use tokio::time::{sleep, timeout};

use crate::following::{STATIC_KEY, change_of, static_key_with_b, stream_opens};
use crate::surfaces::{Surface, User, plain, surfaces};

/// A flag with the value of `static_key`, whose text is `flag`, in the same file.
fn and_its_pair(flag: &str) -> String {
    format!("{flag}{}", flag.replace("static_key", "pair_key"))
}

/// The values of both flags.
fn read(snapshot: &Snapshot, user: &EvaluationContext) -> (String, String) {
    let value = |flag| snapshot.evaluate(flag, user, "default".to_owned()).value;
    let all = snapshot.evaluate_all(user).unwrap();
    let (first, second) = (value("static_key"), value("pair_key"));
    assert_eq!(
        (&all["static_key"].value, &all["pair_key"].value),
        (&first.clone().into(), &second.clone().into())
    );
    (first, second)
}

/// What is known of the requests.
#[derive(Default)]
struct Requests {
    end: Cell<bool>,
    /// How many saw `a`, and how many `b`.
    seen: [Cell<usize>; 2],
}

impl Requests {
    /// Handles requests, each of which reads the pair several times.
    async fn handle(&self, surface: &Surface) {
        let user = User::john().native();
        while !self.end.get() {
            let snapshot = surface.goff.prefetch(&user).await;
            let first = read(&snapshot, &user);
            assert_eq!(first.0, first.1, "{surface}");
            for _ in 0..5 {
                sleep(PAUSE).await;
                assert_eq!(read(&snapshot, &user), first, "{surface}");
            }
            let seen = self.seen(&first.0);
            seen.set(seen.get() + 1);
        }
    }

    fn seen(&self, value: &str) -> &Cell<usize> {
        let [a, b] = &self.seen;
        if value == "b" { b } else { a }
    }

    /// Waits until another request has seen this value.
    async fn see(&self, value: &str) {
        let before = self.seen(value).get();
        let seeing = async {
            while self.seen(value).get() == before {
                sleep(PAUSE).await;
            }
        };
        timeout(Duration::from_secs(20), seeing).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn flags_do_not_change_during_a_request() {
    let relay = own_relay(Instance::Open);
    let (a, b) = (and_its_pair(STATIC_KEY), and_its_pair(&static_key_with_b()));
    relay.edit_flags(STATIC_KEY, &a).unwrap();
    for surface in surfaces(relay.endpoint(), plain).await {
        stream_opens(&surface.goff, 0).await;
        let john = User::john();
        // The first surface may be faster than the relay proxy reads the pair.
        while surface.evaluate("pair_key", "default", &john).await.value != "a" {
            sleep(PAUSE).await;
        }
        let requests = Requests::default();
        let changing = async {
            let before = surface.goff.prefetch(&john.native()).await;
            let mut subscription = surface.goff.subscribe();
            for (old, new, value) in [(&a, &b, "b"), (&b, &a, "a"), (&a, &b, "b")] {
                relay.edit_flags(old, new).unwrap();
                change_of("pair_key", &mut subscription).await;
                requests.see(value).await;
                assert_eq!(read(&before, &john.native()).0, "a", "{surface}");
            }
            surface.serves("pair_key", &john, "b").await;
            let after = surface.goff.prefetch(&john.native()).await;
            assert_eq!(read(&after, &john.native()).1, "b", "{surface}");
            relay.edit_flags(&b, &a).unwrap();
            change_of("pair_key", &mut subscription).await;
            requests.end.set(true);
        };
        tokio::join!(changing, requests.handle(&surface));
    }
}

/// Requests and files can only be polled.
const PAUSE: Duration = Duration::from_millis(20);
