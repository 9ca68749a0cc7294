//! `goff generate`.

use goff_testkit::EmbeddedRelay;

use crate::FLAGS;
use crate::goff::Goff;

const MAIN: &str = "\
mod flags;

// banner() was here.
async fn checkout(goff: &goff_client::GoFeatureFlag, user: &goff_client::EvaluationContext) {
    if flags::new_checkout(goff, user).await {
        // …
    }
}
";

#[test]
fn a_session() {
    let mut goff = Goff::with(&[("flags.yaml", FLAGS), ("checkout.rs", MAIN)]);
    let line = "goff generate rust -f flags.yaml --output flags.rs";
    goff.show(line).has(0, &["flags.rs written: 2 functions"]);
    goff.show("grep -A 4 '^/// The flag `new' flags.rs");
    goff.show(&format!("{line} --check"))
        .has(0, &["flags.rs is up to date: 2 functions"]);
    goff.show("goff generate -f flags.yaml --unused .")
        .has(1, &["banner: no code calls banner", "1 of 2 functions"]);
    goff.show(&format!(
        "sed -i s/banner:/footer:/ flags.yaml; {line} --check"
    ))
    .has(1, &["error: flags.rs is out of date"]);
    goff.document("generate");
    let text = std::fs::read_to_string(goff.path("flags.rs")).unwrap();
    assert!(text.contains("pub async fn banner("));
}

#[test]
fn an_unchanged_file_is_not_written() {
    let goff = Goff::with(&[("flags.yaml", FLAGS)]);
    let line = "goff generate -f flags.yaml --output flags.rs --json";
    let changed = |expected: bool| {
        let ran = goff.run(line);
        assert_eq!(ran.json()["written"], expected, "{ran:?}");
        std::fs::metadata(goff.path("flags.rs")).unwrap().modified()
    };
    let first = changed(true).unwrap();
    assert_eq!(changed(false).unwrap(), first);
    let printed = goff.run("goff generate rust -f flags.yaml");
    let written = std::fs::read_to_string(goff.path("flags.rs")).unwrap();
    assert_eq!(printed.stdout, written);
}

/// What is written to is not read, unless it is a file.
#[test]
fn the_module_goes_where_the_path_leads() {
    let goff = Goff::with(&[("flags.yaml", FLAGS)]);
    let line = "timeout 30 goff generate -f flags.yaml --output";
    for path in ["/dev/zero", "/dev/null"] {
        goff.run(&format!("{line} {path}"))
            .has(0, &["written: 2 functions"]);
    }
    goff.run(&format!("{line} /dev/stdout | cat"))
        .has(0, &["pub async fn banner(", "written: 2 functions"]);
    goff.run(&format!("mkfifo fifo; cat fifo & {line} fifo; wait"))
        .has(0, &["pub async fn banner(", "fifo written"]);
    goff.run(&format!("{line} fifo --check"))
        .has(1, &["out of date"]);
    goff.run(&format!("ln -s new.rs link.rs; {line} link.rs"))
        .has(0, &["link.rs written"]);
    assert!(goff.path("link.rs").is_symlink() && goff.path("new.rs").is_file());
}

/// git may change line ends, and a license may come first.
#[test]
fn a_module_is_recognized_with_other_line_ends() {
    let goff = Goff::with(&[("flags.yaml", FLAGS), ("checkout.rs", MAIN)]);
    let line = "goff generate -f flags.yaml --output flags.rs";
    goff.run(line).has(0, &[]);
    let unused = "goff generate -f flags.yaml --unused .";
    for change in ["s/$/\\r/", "1i // A license"] {
        goff.run(&format!("sed -i '{change}' flags.rs")).has(0, &[]);
        goff.run(unused).has(1, &["1 of 2 functions unused"]);
    }
    goff.run(&format!("{line} --check"))
        .has(1, &["out of date"]);
    goff.run(&format!(
        "{line}; sed -i 's/$/\\r/' flags.rs; {line} --check"
    ))
    .has(0, &["flags.rs is up to date"]);
}

const WITH_DEFAULTS: &str = "\
new-checkout:
  variations: {on: true, off: false}
  defaultRule: {variation: on}
  metadata: {defaultValue: true, description: Shows the new checkout.}
limits:
  variations: {low: {calls: 1}, high: {calls: 2}}
  defaultRule: {variation: low}
";

#[test]
fn a_relay_proxy_gives_a_manifest_or_its_configuration() {
    let relay = EmbeddedRelay::builder()
        .flags(WITH_DEFAULTS)
        .api_key("secret");
    let relay = relay.start().unwrap();
    let goff = Goff::with(&[("flags.yaml", WITH_DEFAULTS)]);
    let line = format!("goff generate --endpoint {}", relay.endpoint());
    goff.run(&line).has(2, &["401"]);
    let line = format!("GOFF_API_KEY=secret {line}");
    let manifest = goff.run(&line);
    manifest.has(
        0,
        &[
            "/// Shows the new checkout.",
            "true` where it gives no value",
        ],
    );
    assert!(!manifest.stdout.contains("limits"));
    let configuration = goff.run(&format!("{line} --from configuration"));
    let file = goff.run("goff generate -f flags.yaml");
    assert_eq!(configuration.stdout, file.stdout);
    file.has(0, &["pub struct Limits"]);
    assert!(relay.events().is_empty());
}

/// No function, and nothing unused among none, would look like success.
#[test]
fn a_manifest_without_flags_is_an_error() {
    let relay = EmbeddedRelay::builder().flags(FLAGS).start().unwrap();
    let goff = Goff::with(&[("flags.yaml", FLAGS), ("main.rs", "fn main() {}")]);
    let line = format!("goff generate rust --endpoint {}", relay.endpoint());
    for arguments in ["", "--output flags.rs", "--unused main.rs"] {
        let ran = goff.run(&format!("{line} {arguments}"));
        ran.has(2, &["`defaultValue`", "`--from configuration`"]);
    }
    goff.run(&format!("{line} --from configuration"))
        .has(0, &["pub async fn "]);
    goff.run("goff generate -f flags.yaml --from configuration")
        .has(2, &["--from", "cannot be used with"]);
}

#[test]
fn a_list_has_no_function_for_the_sdk_and_no_manifest() {
    let lists = "list:\n  variations: {a: [1]}\n  defaultRule: {variation: a}\n";
    let relay = EmbeddedRelay::builder().flags(lists).start().unwrap();
    let goff = Goff::with(&[("flags.yaml", lists)]);
    let line = format!("goff generate --endpoint {}", relay.endpoint());
    goff.run(&line).has(2, &["500", "`--from configuration`"]);
    goff.run("goff generate -f flags.yaml --api open-feature")
        .has(
            0,
            &["flag `list` has no function", "SDK evaluates no arrays"],
        );
    goff.run("goff generate -f flags.yaml --api local")
        .has(0, &["pub fn list(client: &LocalFlags", "-> Vec<i64>"]);
    goff.write(
        "flags.yaml",
        "mixed: {variations: {a: 1}, defaultRule: {variation: a}, \
         scheduledRollout: [{date: 2030-01-01, variations: {b: '1'}}]}",
    );
    goff.run("goff generate -f flags.yaml --api open-feature")
        .has(
            0,
            &["flag `mixed` has no function: its variations have different types"],
        );
}

#[test]
fn failures_say_what_to_do() {
    let invalid = FLAGS.replace("variation: summer", "variation: sumer");
    let goff = Goff::with(&[("flags.yaml", &*invalid), ("manifest.json", "{}")]);
    goff.run("goff generate").has(
        2,
        &["give `--file FILE`, `--manifest FILE` or `--endpoint URL`"],
    );
    goff.run("goff generate -f flags.yaml")
        .has(2, &["flags.yaml: ", "sumer does not exist", "`goff lint`"]);
    let ran = goff.run("goff generate --manifest manifest.json");
    ran.has(2, &["manifest.json: ", "no member `flags`", "; correct it"]);
    assert!(!ran.stderr.contains("lint"), "{ran:?}");
    // Names that are made to collide: the error names both flags.
    let flag = "{variations: {a: true}, defaultRule: {variation: a}}";
    let two = format!("a-b: {flag}\na.b: {flag}\n");
    goff.write("flags.yaml", &two);
    let name = goff.run("goff generate -f flags.yaml --json").json();
    let name = name["functions"][0]["function"]
        .as_str()
        .unwrap()
        .to_owned();
    goff.write("flags.yaml", format!("{two}{name}: {flag}\n"));
    goff.run("goff generate -f flags.yaml").has(
        2,
        &[
            &format!("flag `{name}`: its function and that of flag `a-b` would both be `{name}`"),
            "give one of them another key",
        ],
    );
    goff.write("flags.yaml", FLAGS);
    goff.run("goff generate -f flags.yaml --unused flags.yaml/x")
        .has(2, &["cannot be read"]);
    goff.run("mkdir empty; goff generate -f flags.yaml --unused empty")
        .has(2, &["no Rust files to search"]);
    goff.run("goff generate -f flags.yaml --check")
        .has(2, &["--output"]);
}
