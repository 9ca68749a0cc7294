//! The provider suite's report form for each run, and one page about all of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::Failure;
use crate::outcome::{Outcome, Run};
use crate::suite::Kind;
use crate::world::relay;

/// Writes the envelope that the draft of the report defines, which refers to the results beside it, and a summary for
/// [`write`].
pub(crate) fn write_envelope(run: &Run, path: &Path, results: &Path) -> Result<(), Failure> {
    let summary = Summary::of(run)?;
    fs::write(
        path.with_extension("summary.json"),
        serde_json::to_string_pretty(&summary)?,
    )?;
    if run.suite.kind != Kind::Provider {
        return Ok(());
    }
    let digest = Sha256::digest(fs::read(results)?);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let location = results.file_name().unwrap_or_default().to_string_lossy();
    let mut envelope = json!({
        "schemaVersion": "1",
        "provider": {
            "name": goff_provider::PROVIDER_NAME,
            "version": version("goff-provider"),
            "language": "rust",
            "configuration": format!("{}, {}", summary.mode, summary.api),
            "repository": "https://github.com/goff-rs/goff-rs",
        },
        "sdk": {"name": "open-feature", "version": version("open-feature")},
        "tck": {
            "implementation": "goff-rs/tests-tck",
            "version": version("goff-tests-tck"),
            "specRevision": summary.revision,
        },
        "backend": {
            "description": format!(
                "{} relay proxy {}; the runner edits its flag file, and breaks a TCP proxy before it",
                summary.relay, summary.relay_version
            ),
        },
        "declaration": {"declared": summary.declared},
        "results": {
            "format": "cucumber-json",
            "location": location,
            "digest": format!("sha256:{digest}"),
        },
    });
    // Absent and empty say different things: the form wants it absent.
    if !summary.deviations.is_empty() {
        let deviations = summary.deviations.iter();
        let known = deviations.map(|(what, why)| json!({"summary": format!("{what}: {why}")}));
        envelope["knownDeviations"] = known.collect();
    }
    Ok(fs::write(path, serde_json::to_string_pretty(&envelope)?)?)
}

/// What the page says of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Summary {
    kind: String,
    suite: String,
    provenance: String,
    revision: String,
    relay: String,
    relay_version: String,
    mode: String,
    api: String,
    declared: Vec<String>,
    passed: usize,
    /// Those that fail as declared.
    deviating: usize,
    surprises: Vec<String>,
    /// Why scenarios were not put, and how many.
    not_asked: BTreeMap<String, usize>,
    /// The scenarios, and why.
    deviations: BTreeMap<String, String>,
}

impl Summary {
    fn of(run: &Run) -> Result<Self, Failure> {
        let (suite, configuration) = (&run.suite, &run.configuration);
        let mut not_asked = BTreeMap::new();
        for (_, outcome) in &run.results {
            if let Outcome::NotAsked(why) = outcome {
                *not_asked.entry(why.clone()).or_default() += 1;
            }
        }
        let known = run.deviations.iter();
        let is_known = |(scenario, outcome): &&(_, Outcome)| {
            matches!(outcome, Outcome::Failed(_)) && run.deviation(scenario).is_some()
        };
        Ok(Self {
            kind: suite.kind.file_name().to_owned(),
            suite: suite.to_string(),
            provenance: suite.provenance()?,
            revision: suite.revision()?,
            relay: configuration.relay.clone(),
            relay_version: relay().version().to_owned(),
            mode: configuration.mode.name().to_owned(),
            api: configuration.api.name().to_owned(),
            declared: match suite.kind {
                Kind::Provider => suite.declared(configuration)?,
                Kind::Sdk => Vec::new(),
            },
            passed: run.count(|outcome| *outcome == Outcome::Passed),
            deviating: run.results.iter().filter(is_known).count(),
            surprises: run.surprises(),
            not_asked,
            deviations: known
                .map(|(what, why)| ((*what).to_owned(), (*why).to_owned()))
                .collect(),
        })
    }
}

/// The version of a crate in our lock file.
fn version(name: &str) -> &'static str {
    const LOCK: &str = include_str!("../Cargo.lock");
    let entry = LOCK.split_once(&format!("name = \"{name}\"\nversion = \""));
    let version = entry.and_then(|(_, rest)| rest.split_once('"'));
    version.map_or("unknown", |(version, _)| version)
}

/// Writes the page about the runs whose summaries are in a directory.
pub(crate) fn write(directory: &Path, file: &Path) -> Result<(), Failure> {
    let mut runs: Vec<Summary> = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(".summary.json") {
            runs.push(serde_json::from_slice(&fs::read(&path)?)?);
        }
    }
    if runs.is_empty() {
        return Err(format!("no results are in {}", directory.display()).into());
    }
    let order = |run: &Summary| {
        let modes = ["remote", "OFREP", "in process"];
        let mode = modes.iter().position(|mode| *mode == run.mode);
        (
            run.kind.clone(),
            run.relay.clone(),
            mode,
            run.api == "native",
        )
    };
    runs.sort_by_key(order);
    fs::write(file, page(&runs)?)?;
    println!("wrote {}", file.display());
    Ok(())
}

fn page(runs: &[Summary]) -> Result<String, Failure> {
    let mut page = HEAD.to_owned();
    for kind in [Kind::Provider, Kind::Sdk].map(Kind::file_name) {
        let of_kind: Vec<&Summary> = runs.iter().filter(|run| run.kind == kind).collect();
        let Some(first) = of_kind.first() else {
            writeln!(page, "## {kind} suite\n\nNot run.\n")?;
            continue;
        };
        writeln!(page, "## The {}\n", first.suite)?;
        let provenance: Vec<&str> = distinct(of_kind.iter().map(|run| run.provenance.as_str()));
        writeln!(page, "{}.\n", provenance.join("; "))?;
        page.push_str(TABLE);
        for run in &of_kind {
            let not_asked: usize = run.not_asked.values().sum();
            writeln!(
                page,
                "| {} {} | {} | {} | {} | {} | {} | {} |",
                run.relay,
                run.relay_version,
                run.mode,
                run.api,
                run.passed,
                run.deviating,
                not_asked,
                run.surprises.len(),
            )?;
        }
        let declared: BTreeMap<&str, String> = of_kind
            .iter()
            .map(|run| (run.api.as_str(), run.declared.join(" ")))
            .filter(|(_, declared)| !declared.is_empty())
            .collect();
        if !declared.is_empty() {
            page.push_str("\nCapabilities declared:\n\n");
            for (api, declared) in declared {
                writeln!(page, "* {api}: {declared}")?;
            }
        }
        section(
            &mut page,
            "Not asked, and why",
            of_kind.iter().flat_map(|run| {
                let place = run.api.as_str();
                run.not_asked
                    .keys()
                    .map(move |why| format!("{place}: {why}"))
            }),
        )?;
        section(
            &mut page,
            "Known deviations",
            of_kind.iter().flat_map(|run| {
                let place = format!("{}, {}", run.mode, run.api);
                run.deviations
                    .iter()
                    .map(move |(what, why)| format!("{place}: *{what}*: {why}"))
            }),
        )?;
        section(
            &mut page,
            "Not as declared",
            of_kind.iter().flat_map(|run| run.surprises.iter().cloned()),
        )?;
        page.push('\n');
    }
    Ok(page)
}

fn section(
    page: &mut String,
    title: &str,
    lines: impl Iterator<Item = String>,
) -> Result<(), Failure> {
    let lines: Vec<String> = distinct(lines);
    if lines.is_empty() {
        return Ok(());
    }
    write!(page, "\n{title}:\n\n")?;
    for line in lines {
        writeln!(page, "* {line}")?;
    }
    Ok(())
}

fn distinct<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut distinct = Vec::new();
    for item in items {
        if !distinct.contains(&item) {
            distinct.push(item);
        }
    }
    distinct
}

const HEAD: &str = "# What OpenFeature's suites find

Written by `cargo xtask tck --suite DIR --write`, which runs the feature files of a checkout of
[open-feature/spec](https://github.com/open-feature/spec) against relay proxies, in each mode, through the client of the
OpenFeature SDK and natively. A scenario that cannot be put to an API is not asked, with the reason, and never counts as
passed. The expectations are also rows of a test, `tests-integration/tests/scenarios/started_relay/provider_suite.rs`,
which CI runs.

";

const TABLE: &str =
    "| relay proxy | mode | API | passed | known deviations | not asked | not as declared |
|---|---|---|---|---|---|---|
";
