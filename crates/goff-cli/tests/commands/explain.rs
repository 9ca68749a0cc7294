//! `goff explain`.

use goff_testkit::EmbeddedRelay;

use crate::FLAGS;
use crate::goff::Goff;

#[test]
fn a_session() {
    let mut goff = Goff::with(&[("flags.yaml", FLAGS)]);
    let at = "--at 2026-11-30";
    goff.show(&format!(
        "goff explain -f flags.yaml new-checkout -u user-1 -c plan=pro -c age='\"42\"' {at}"
    ))
    .has(0, &["new-checkout", "age", "42"]);
    goff.show(&format!("goff explain -f flags.yaml banner {at}"))
        .has(0, &["banner", "2026-12-01"]);
    let ran = goff.run("goff explain -f flags.yaml no-such-flag --json");
    assert_eq!(ran.has(1, &[]).json()["error"]["code"], "FLAG_NOT_FOUND");
    goff.document("explain");
}

/// Its result is that of `goff evaluate`, from a file and from a relay proxy, for one flag and for all.
#[test]
fn an_explanation_has_the_result_of_the_evaluation() {
    let goff = Goff::with(&[("flags.yaml", FLAGS)]);
    let relay = EmbeddedRelay::builder()
        .flag_file(goff.path("flags.yaml"))
        .start()
        .unwrap();
    let context = "-u user-7 -c plan=pro --at 2026-12-24 --json";
    for source in [
        "-f flags.yaml".to_owned(),
        format!("--endpoint {}", relay.endpoint()),
    ] {
        let run = |command: &str, flag: &str| {
            let ran = goff.run(&format!("goff {command} {source} {flag} {context}"));
            ran.has(0, &[]).json()
        };
        let (explained, evaluated) = (run("explain", "--all"), run("evaluate", "--all"));
        let (explained, evaluated) = (explained.as_array().unwrap(), evaluated.as_array().unwrap());
        assert_eq!(explained.len(), 2);
        for (explained, evaluated) in explained.iter().zip(evaluated) {
            for member in ["flag", "value", "variant", "reason"] {
                assert_eq!(explained[member], evaluated[member], "{source}");
            }
        }
        assert_eq!(run("explain", "banner")["variant"], "winter");
    }
    // The relay proxy recorded no explanation, and no evaluation of all flags.
    assert!(relay.events().is_empty(), "{:?}", relay.events());
}

#[test]
fn a_watched_explanation_is_printed_anew_on_changes_only() {
    let goff = Goff::with(&[("flags.yaml", FLAGS)]);
    let mut watch = goff.start("goff explain -f flags.yaml banner --watch --json --at 2026-11-30");
    watch.line("Sunny");
    goff.write("flags.yaml", FLAGS.replace("Sunny", "Rainy"));
    watch.line("Rainy");
    assert_eq!(watch.read().lines().count(), 2, "{}", watch.read());
}

#[test]
fn a_watched_progressive_rollout_is_printed_once() {
    let flags = "f:
  variations: {a: 1, b: 2}
  defaultRule:
    progressiveRollout:
      initial: {variation: a, percentage: 0, date: 2020-01-01T00:00:00Z}
      end: {variation: b, percentage: 100, date: 2100-01-01T00:00:00Z}
";
    let goff = Goff::with(&[("flags.yaml", flags)]);
    let mut watch = goff.start("goff explain -f flags.yaml f -u u --watch --json");
    watch.line("progressiveRollout");
    // Each is noticed, so time has passed in between.
    for broken in ["f: [", "f: {", "f: '"] {
        goff.write("flags.yaml", broken);
        watch.line("error: flags.yaml");
        goff.write("flags.yaml", flags);
    }
    let printed = watch.read().matches("progressiveRollout").count();
    assert_eq!(printed, 1, "{}", watch.read());
}
