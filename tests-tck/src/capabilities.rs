//! What the provider declares, what it cannot be asked and why, and where its results are known to deviate.

use crate::configuration::{Api, Configuration, Mode};
use crate::suite::Kind;

/// The vocabulary of the provider suite. An unknown tag fails the run: it would gate nothing.
pub(crate) const KNOWN: &[&str] = &[
    "@events",
    "@lifecycle",
    "@stale",
    "@configuration-change",
    "@object",
    "@variants",
    "@disabled-flags",
    "@unavailable",
    "@unavailable-init",
    "@numeric-coercion",
    "@string-typing",
    "@fully-typed-values",
    "@large-integers",
    "@reinitialization",
    "@targeting",
    "@standard-reasons",
];

/// Part of the vocabulary, and on no scenario yet.
pub(crate) const RESERVED: &[&str] = &["@caching"];

/// Why a scenario is not put to this configuration: the capability, or the words of the scenario's name, and the
/// reason.
pub(crate) type Exclusion = (&'static str, &'static str);

/// What cannot be asked. A tag of the provider suite is a capability that is not declared.
pub(crate) fn exclusions(kind: Kind, configuration: &Configuration) -> Vec<Exclusion> {
    let mut excluded: Vec<Exclusion> = match (kind, configuration.api) {
        (Kind::Provider, Api::OpenFeature) => NOT_IN_THE_SDK.to_vec(),
        (Kind::Provider, Api::Native) => Vec::new(),
        (Kind::Sdk, Api::OpenFeature) => [ASKS_THE_SDK, NO_STATE_IN_THE_SDK].concat(),
        (Kind::Sdk, Api::Native) => [ASKS_THE_SDK, ONLY_IN_THE_SDK].concat(),
    };
    if kind == Kind::Sdk {
        match configuration.mode {
            Mode::InProcess => excluded.push(("CACHED reason", "in process nothing is cached")),
            Mode::Remote | Mode::Ofrep => excluded.extend([
                (
                    "Provider in fatal state error",
                    "remote evaluation has no fatal state: a refused key fails each evaluation",
                ),
                (
                    "Provider status accessibility: FATAL",
                    "remote evaluation has no fatal state: a refused key fails each evaluation",
                ),
            ]),
        }
    }
    excluded
}

const NO_EVENTS: &str = "SDK 0.3 has no provider events, client state or shutdown; tested natively";
const NO_DEFAULT: &str = "SDK 0.3 gives a provider no default to return; tested natively";

const NOT_IN_THE_SDK: &[Exclusion] = &[
    ("@events", NO_EVENTS),
    ("@lifecycle", NO_EVENTS),
    ("@stale", NO_EVENTS),
    ("@configuration-change", NO_EVENTS),
    ("@unavailable", NO_EVENTS),
    ("@unavailable-init", NO_EVENTS),
    ("@reinitialization", NO_EVENTS),
    ("@disabled-flags", NO_DEFAULT),
];

const OF_THE_SDK: &str = "asks the SDK, whatever the provider";

const ASKS_THE_SDK: &[Exclusion] = &[
    ("Evaluation options with hooks", OF_THE_SDK),
    ("Evaluation context immutability", OF_THE_SDK),
    ("Asynchronous flag evaluation", OF_THE_SDK),
];

const NO_STATE_IN_THE_SDK: &[Exclusion] = &[
    ("Provider status accessibility", NO_EVENTS),
    ("DISABLED reason", NO_DEFAULT),
];

const ONLY_IN_THE_SDK: &[Exclusion] = &[("@hooks", "hooks are the SDK's")];

/// A result that is known not to be the expected one: the words of the scenario's name, the requirement, and why.
pub(crate) type Deviation = (&'static str, &'static str);

pub(crate) fn deviations(kind: Kind, configuration: &Configuration) -> Vec<Deviation> {
    let mut known: Vec<Deviation> = Vec::new();
    if kind == Kind::Sdk && configuration.api == Api::OpenFeature {
        let finally = "SDK 0.3 gives `finally` after a failure the type's zero value and no error code, because it \
                       knows neither the default nor the code there; `error` has the code";
        known.extend([("Flag not found", finally), ("Type error", finally)]);
    }
    if kind == Kind::Sdk && configuration.mode == Mode::Ofrep {
        let added = "the relay proxy adds `gofeatureflag_cacheable` to each OFREP answer";
        known.push(("Returns no metadata", added));
    }
    if kind == Kind::Sdk && configuration.api == Api::Native {
        let any_json = "the native API gives any JSON as an object; the SDK has the mismatch";
        known.push(("Type mismatch error: Object-flag", any_json));
    }
    if kind == Kind::Sdk && configuration.mode == Mode::InProcess {
        let fatal =
            "the code is PROVIDER_NOT_READY: SDK 0.3 has no PROVIDER_FATAL; the state is fatal";
        known.push(("Provider in fatal state error", fatal));
    }
    known
}
