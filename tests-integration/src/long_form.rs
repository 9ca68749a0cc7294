//! How much the tests do that have a long form: `cargo xtask soak` tells them.

use std::env;

/// A number that the environment holds under this name, if it holds any.
///
/// # Panics
///
/// If it holds something else.
#[expect(
    clippy::panic,
    reason = "a long run must not silently become a short one"
)]
pub fn number_from_environment(name: &str) -> Option<u64> {
    let value = env::var(name).ok().filter(|value| !value.is_empty())?;
    let number = value.parse();
    Some(number.unwrap_or_else(|_| panic!("{name}=`{value}` is not a number")))
}
