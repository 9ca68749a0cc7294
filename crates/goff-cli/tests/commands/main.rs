//! The commands, run as processes. What they print in `docs/tools.md` is from these tests. To write
//! it anew after a change:
//!
//! ```text
//! GOFF_WRITE_DOCS=1 cargo test -p goff-cli --test commands
//! ```
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::panic, reason = "a test fails by panicking")]

mod bad_input;
mod diff;
mod doctor;
mod evaluate;
mod explain;
mod generate;
mod goff;
mod lint;
mod serve;
mod shell;
mod snippets;
mod start;
mod terminal;
mod tests;

const FLAGS: &str = "\
new-checkout:
  variations:
    on: true
    off: false
  targeting:
    - name: pro-customers
      query: plan eq \"pro\" and age ge 18
      variation: on
  defaultRule:
    percentage:
      on: 20
      off: 80
  metadata:
    owner: checkout-team

banner:
  variations:
    summer: Sunny days!
    winter: Let it snow
  defaultRule:
    variation: summer
  scheduledRollout:
    - date: 2026-12-01T00:00:00Z
      defaultRule:
        variation: winter
";
