//! What happens to the relay proxy.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use goff_tests_integration::{Instance, RelayProxy, RelaySource};

use crate::history::{FLAGS, History};
use crate::random::Random;

/// How often each thing happened.
pub(crate) type Deeds = BTreeMap<&'static str, u32>;

pub(crate) fn flag_key(flag: usize) -> String {
    format!("stress-{flag}")
}

/// The flag file of what was written last.
pub(crate) fn flags(history: &History) -> String {
    let mut text = String::new();
    for flag in 0..FLAGS {
        let (key, value) = (flag_key(flag), history.value(flag));
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "{key}:\n  variations:\n    edit: {value}\n  defaultRule:\n    variation: edit\n"
        );
    }
    text
}

/// Treats the relay proxy badly until told to end, and leaves it running.
pub(crate) fn treat_badly(
    mut relay: RelayProxy,
    port: SocketAddr,
    source: &RelaySource,
    history: &History,
    mut random: Random,
    end: &Arc<AtomicBool>,
) -> (RelayProxy, Deeds) {
    let mut deeds = Deeds::new();
    let mut done = |deed| *deeds.entry(deed).or_default() += 1;
    while !end.load(Ordering::Relaxed) {
        match random.below(10) {
            0 => {
                done("killed");
                relay.signal("KILL").unwrap();
                relay = restart(relay, port, source, history, &mut random);
            }
            1 => {
                done("ended");
                relay = restart(relay, port, source, history, &mut random);
            }
            2 | 3 => {
                done("stopped");
                relay.signal("STOP").unwrap();
                if random.below(2) == 0 {
                    edit(&relay, history, &mut random);
                }
                thread::sleep(random.milliseconds(50..3000));
                relay.signal("CONT").unwrap();
            }
            _ => {
                done("edited");
                edit(&relay, history, &mut random);
            }
        }
        thread::sleep(random.milliseconds(50..700));
    }
    (relay, deeds)
}

fn edit(relay: &RelayProxy, history: &History, random: &mut Random) {
    for _ in 0..=random.below(2) {
        history.write(random.below(FLAGS as u64) as usize);
    }
    relay.set_flags(&flags(history)).unwrap();
}

fn restart(
    relay: RelayProxy,
    port: SocketAddr,
    source: &RelaySource,
    history: &History,
    random: &mut Random,
) -> RelayProxy {
    drop(relay);
    thread::sleep(random.milliseconds(0..1500));
    if random.below(2) == 0 {
        history.write(random.below(FLAGS as u64) as usize);
    }
    // The port may be in use for a moment by a connection that is going away.
    let give_up = Instant::now() + Duration::from_secs(60);
    loop {
        let flags = flags(history);
        match RelayProxy::start_at_with_flags(port, Instance::Open, source, &flags) {
            Ok(relay) => return relay,
            Err(error) => assert!(Instant::now() < give_up, "{error}"),
        }
    }
}
