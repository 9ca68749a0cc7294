//! The programs, and what is known about the peers.

/// A program of `benches/peers`.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) package: &'static str,
    /// How its subjects begin.
    pub(super) subjects: &'static str,
    /// The crates whose versions are stated.
    pub(super) crates: &'static [&'static str],
    /// What is called.
    pub(super) call: &'static str,
    /// What is not comparable.
    pub(super) differs: &'static str,
    /// Why it is faster, where it is.
    pub(super) why_faster: &'static str,
    pub(super) needs_official_module: bool,
}

const BOOLEAN_ALONE: &str =
    "It returns a boolean alone; this project's answer carries variant, reason and metadata.";

const PEER: Peer = Peer {
    package: "",
    subjects: "",
    crates: &[],
    call: "",
    differs: "",
    why_faster: "",
    needs_official_module: false,
};

/// How this project's subjects begin.
pub(super) const OURS: &str = "goff";

/// In the order of the rows: the first two are row 1 in the process and row 1 on a server.
pub(super) const PROGRAMS: &[Peer] = &[
    Peer {
        package: "peer-constant",
        subjects: "constant provider",
        crates: &["open-feature"],
        call: "`Client::get_bool_value` over a provider that returns a constant with variant, reason and one metadata entry",
        differs: "Evaluates nothing: it is what the OpenFeature SDK costs.",
        ..PEER
    },
    Peer {
        package: "peer-bare",
        subjects: "bare hyper client",
        crates: &["hyper", "hyper-util"],
        call: "a POST request with a prepared body; the answer is parsed as JSON",
        differs: "Writes no context and handles no error: it is what a request costs.",
        ..PEER
    },
    Peer {
        package: "peer-goff",
        subjects: OURS,
        call: "`LocalFlags::evaluate`, `GoFeatureFlag::evaluate`; `Client::get_bool_value` through OpenFeature",
        differs: "The answer has value, variant, reason and metadata. Comparing texts ignores case, as GO Feature Flag's does.",
        ..PEER
    },
    Peer {
        package: "peer-flagd",
        subjects: "open-feature-flagd",
        crates: &["open-feature-flagd"],
        call: "`Client::get_bool_value`; a file, without its cache",
        differs: "Targeting is JSONLogic throughout.",
        ..PEER
    },
    Peer {
        package: "peer-unleash",
        subjects: "Unleash",
        crates: &["unleash-api-client"],
        call: "`Client::is_enabled_str`, features set with `memoize`",
        differs: "The answer is a boolean alone, and its context holds texts alone. Evaluations are counted under a lock, as its \
                  usage data. A constraint has no `or`, so ten rules are twenty strategies.",
        why_faster: BOOLEAN_ALONE,
        ..PEER
    },
    Peer {
        package: "peer-launchdarkly",
        subjects: "LaunchDarkly",
        crates: &["launchdarkly-server-sdk"],
        call: "`Client::bool_variation`, flags from `TestData`, without events",
        differs: "The answer is a boolean alone. Clauses have no `or`, so ten rules are twenty.",
        why_faster: BOOLEAN_ALONE,
        ..PEER
    },
    Peer {
        package: "peer-configcat",
        subjects: "ConfigCat",
        crates: &["configcat"],
        call: "`Client::get_value`, overrides from a file",
        differs: "It takes the user by value, so each evaluation copies it. Conditions have no `or`, so ten rules are twenty.",
        ..PEER
    },
    Peer {
        package: "peer-eppo",
        subjects: "Eppo",
        crates: &["eppo"],
        call: "`Client::get_boolean_assignment`, flags fetched from a server in the process, assignments not logged",
        differs: "The answer is a boolean alone; attributes are texts, numbers and booleans alone.",
        why_faster: BOOLEAN_ALONE,
        ..PEER
    },
    Peer {
        package: "peer-growthbook",
        subjects: "GrowthBook",
        crates: &["growthbook-rust"],
        call: "`GrowthBookClient::is_on`, features set by hand",
        differs: "It takes the attributes by value, so each evaluation copies them; the client copies all features for each \
                  evaluation as well, so its time grows with their number.",
        ..PEER
    },
    Peer {
        package: "peer-official",
        subjects: "official engine",
        crates: &["goff-tests-wasm"],
        call: "`malloc`, the input, `evaluate`, the output, `free`, in wasmtime",
        differs: "Its input, which a provider writes for each evaluation, is prepared once, and its output is only searched for \
                  the value.",
        needs_official_module: true,
        ..PEER
    },
    Peer {
        package: "peer-ofrep",
        subjects: "open-feature-ofrep",
        crates: &["open-feature-ofrep"],
        call: "`Client::get_bool_value`",
        ..PEER
    },
];

/// The peer of a subject.
pub(super) fn peer_of(subject: &str) -> Option<&'static Peer> {
    PROGRAMS
        .iter()
        .find(|peer| subject.starts_with(peer.subjects))
}

/// The group within which a subject is compared: rows through OpenFeature pay the SDK, which the others do not.
pub(super) fn is_through_open_feature(subject: &str) -> bool {
    subject.contains("through OpenFeature") || subject.starts_with("open-feature-")
}

/// A row that others are compared with.
pub(super) fn is_baseline(subject: &str) -> bool {
    subject.starts_with("constant provider") || subject.starts_with("bare hyper client")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ratios are to the first row.
    #[test]
    fn baselines_come_first() {
        let baselines = PROGRAMS.iter().map(|peer| is_baseline(peer.subjects));
        let expected = (0..PROGRAMS.len()).map(|at| at < 2);
        assert!(baselines.eq(expected));
    }

    #[test]
    fn subjects_belong_to_one_peer() {
        for (subject, package) in [
            ("goff, in process, through OpenFeature", "peer-goff"),
            ("open-feature-flagd, REST", "peer-flagd"),
            ("open-feature-ofrep", "peer-ofrep"),
            ("bare hyper client", "peer-bare"),
        ] {
            assert_eq!(peer_of(subject).map(|peer| peer.package), Some(package));
        }
        for (index, peer) in PROGRAMS.iter().enumerate() {
            assert!(
                !PROGRAMS
                    .iter()
                    .skip(index + 1)
                    .any(|other| other.subjects.starts_with(peer.subjects))
            );
        }
    }

    #[test]
    fn rows_through_open_feature_are_told_from_the_others() {
        assert!(is_through_open_feature(
            "goff, in process, through OpenFeature"
        ));
        assert!(is_through_open_feature("open-feature-flagd from a file"));
        assert!(!is_through_open_feature("goff, in process"));
        assert!(!is_through_open_feature("Unleash"));
    }
}
