//! The configurations of relay proxies for tests, and their keys.
//!
//! Each is a file in `relay/`. `docker compose up` serves the same files.

use std::fmt;

/// A relay proxy configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instance {
    /// Requires no key.
    Open,
    /// Accepts [`EVALUATION_KEY`] and [`EVALUATION_KEY_TO_ESCAPE`].
    Authenticated,
    /// Has two flag sets, selected by [`TEAM_A_KEY`] and [`TEAM_B_KEY`]; [`KEY_WITHOUT_FLAG_SET`] has none.
    FlagSets,
    /// Requires no key and indents every body.
    Debug,
    /// Requires no key and listens on a Unix socket.
    UnixSocket,
}

/// Accepted by the authenticated relay proxy.
pub const EVALUATION_KEY: &str = "authorized_token";
/// Accepted by the authenticated relay proxy. Most of its characters must be escaped in a URL.
pub const EVALUATION_KEY_TO_ESCAPE: &str = "a+b&c d#e/=%2F?~";
/// Selects the flag set in `flags-team-a.yaml`.
pub const TEAM_A_KEY: &str = "team_a_token";
/// Selects the flag set in `flags-team-b.yaml`.
pub const TEAM_B_KEY: &str = "team_b_token";
/// Accepted by the relay proxy with flag sets. Selects none.
pub const KEY_WITHOUT_FLAG_SET: &str = "no_set_token";
/// Accepted by every relay proxy. Lets a test force a reload of the flag files.
pub const ADMIN_KEY: &str = "admin_token";

/// The name and the text of a file in `relay/`.
macro_rules! file {
    ($name:literal) => {
        ($name, include_str!(concat!("../relay/", $name)))
    };
}

impl Instance {
    /// The name and the text of the configuration file.
    pub(crate) fn configuration(self) -> (&'static str, &'static str) {
        match self {
            Self::Open => file!("open.yaml"),
            Self::Authenticated => file!("authenticated.yaml"),
            Self::FlagSets => file!("flag-sets.yaml"),
            Self::Debug => file!("debug.yaml"),
            Self::UnixSocket => file!("unix-socket.yaml"),
        }
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Open => "an open relay proxy",
            Self::Authenticated => "a relay proxy with keys",
            Self::FlagSets => "a relay proxy with two flag sets",
            Self::Debug => "a relay proxy at log level debug",
            Self::UnixSocket => "a relay proxy on a Unix socket",
        })
    }
}

/// The flags that OpenFeature's suites assume, for [`own_relay_with_flags`](crate::own_relay_with_flags).
pub const CANONICAL_FLAGS: &str = include_str!("../relay/canonical-flags.yaml");

/// The flag files of the configurations.
pub(crate) const FLAG_FILES: [(&str, &str); 3] = [
    file!("flags.yaml"),
    file!("flags-team-a.yaml"),
    file!("flags-team-b.yaml"),
];

#[cfg(test)]
mod tests {
    use super::Instance::{Authenticated, Debug, FlagSets, Open, UnixSocket};
    use super::*;

    #[test]
    fn the_keys_are_those_of_the_configuration_files() {
        let check = |instance: Instance, key: &str| {
            let (name, text) = instance.configuration();
            assert!(text.contains(key), "{name} does not name `{key}`");
        };
        check(Authenticated, EVALUATION_KEY);
        check(Authenticated, EVALUATION_KEY_TO_ESCAPE);
        check(FlagSets, TEAM_A_KEY);
        check(FlagSets, TEAM_B_KEY);
        check(FlagSets, KEY_WITHOUT_FLAG_SET);
        for instance in [Open, Authenticated, FlagSets, Debug, UnixSocket] {
            check(instance, ADMIN_KEY);
        }
    }
}
