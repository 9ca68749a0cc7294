//! The length of tests that have a long form, from the environment that `cargo xtask soak` sets.

use std::env;

/// The number in an environment variable, if it is set.
///
/// # Panics
///
/// The variable is no number.
#[expect(
    clippy::panic,
    reason = "a long run must not silently become a short one"
)]
pub fn number_from_environment(name: &str) -> Option<u64> {
    let value = env::var(name).ok().filter(|value| !value.is_empty())?;
    let number = value.parse();
    Some(number.unwrap_or_else(|_| panic!("{name}=`{value}` is not a number")))
}
