//! The faults of the relay proxy.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use goff_tests_integration::{Instance, RelayProxy};

use crate::history::{FLAGS, History};
use crate::random::Random;

/// The number of faults of each kind.
pub(crate) type FaultCounts = BTreeMap<&'static str, u32>;

pub(crate) fn flag_key(flag: usize) -> String {
    format!("stress-{flag}")
}

/// The flag file with the latest values.
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

/// Causes faults until `end` is set. Returns the relay proxy, running.
pub(crate) fn cause_faults(
    mut relay: RelayProxy,
    port: SocketAddr,
    history: &History,
    mut random: Random,
    end: &Arc<AtomicBool>,
) -> (RelayProxy, FaultCounts) {
    let mut counts = FaultCounts::new();
    let mut done = |fault| *counts.entry(fault).or_default() += 1;
    while !end.load(Ordering::Relaxed) {
        match random.below(10) {
            0 => {
                done("killed");
                relay.signal("KILL").unwrap();
                relay = restart(relay, port, history, &mut random);
            }
            1 => {
                done("terminated");
                relay = restart(relay, port, history, &mut random);
            }
            2 | 3 => {
                done("suspended");
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
    (relay, counts)
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
    history: &History,
    random: &mut Random,
) -> RelayProxy {
    drop(relay);
    thread::sleep(random.milliseconds(0..1500));
    if random.below(2) == 0 {
        history.write(random.below(FLAGS as u64) as usize);
    }
    // A closing connection may hold the port for a moment.
    let give_up = Instant::now() + Duration::from_secs(60);
    loop {
        let flags = flags(history);
        match RelayProxy::start_at_with_flags(port, Instance::Open, &flags) {
            Ok(relay) => return relay,
            Err(error) => assert!(Instant::now() < give_up, "{error}"),
        }
    }
}
