//! The feature files of a checkout of open-feature/spec, and the scenarios that are not put to a configuration.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cucumber::feature::Ext as _;
use cucumber::gherkin::{Feature, GherkinEnv, LineCol, Scenario, Span, Step, StepType};
use cucumber::{Parser, cli, parser};
use futures_util::stream;
use sha2::{Digest as _, Sha256};

use crate::Failure;
use crate::capabilities::{KNOWN, RESERVED, exclusions};
use crate::configuration::Configuration;

/// A directory of feature files.
#[derive(Clone, Debug)]
pub(crate) struct Suite {
    pub(crate) kind: Kind,
    /// The commit of the checkout; absent if it is none.
    commit: Option<String>,
    files: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Appendix F: what a provider owes.
    Provider,
    /// Appendix B: what an SDK owes; a part of it depends on the provider.
    Sdk,
}

impl Kind {
    pub(crate) fn file_name(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Sdk => "sdk",
        }
    }

    /// What was run last, see [`Suite::fingerprint`], and where it came from; from `pins.tsv`.
    fn pinned(self) -> Result<(String, String), Failure> {
        let pins = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/pins.tsv"))?;
        let fields = pins
            .lines()
            .map(|line| line.split('\t').collect::<Vec<_>>());
        let mut of_kind = fields.filter_map(|fields| match fields.as_slice() {
            [kind, pin, from] if *kind == self.file_name() => {
                Some(((*pin).to_owned(), (*from).to_owned()))
            }
            _ => None,
        });
        let name = self.file_name();
        Ok(of_kind.next().ok_or(format!("pins.tsv has no {name}"))?)
    }
}

/// What appendix B has of evaluation, hooks and metadata. `evaluation.feature` is the older form of
/// `evaluation_v2.feature`, and context merging is the SDK's.
const SDK_FILES: [&str; 3] = ["evaluation_v2.feature", "hooks.feature", "metadata.feature"];

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Provider => "provider suite (appendix F)",
            Kind::Sdk => "SDK suites (appendix B)",
        })
    }
}

impl Suite {
    /// The suites in a checkout of open-feature/spec, or in its directory `provider-tck` or `gherkin`.
    pub(crate) fn find(directory: &Path) -> Result<Vec<Self>, Failure> {
        let assets = directory.join("specification/assets");
        let provider = [
            assets.join("provider-tck/gherkin"),
            directory.join("gherkin"),
        ];
        let sdk = [assets.join("gherkin"), directory.to_path_buf()];
        let mut found = Vec::new();
        let mut add = |kind, files: Vec<PathBuf>| {
            if !files.is_empty() {
                let commit = commit(directory);
                found.push(Self {
                    kind,
                    commit,
                    files,
                });
            }
        };
        let all = |directory: &PathBuf| feature_files(directory);
        add(
            Kind::Provider,
            provider
                .iter()
                .map(all)
                .find(|files| !files.is_empty())
                .unwrap_or_default(),
        );
        let some = |directory: &PathBuf| -> Vec<PathBuf> {
            let files = SDK_FILES.map(|name| directory.join(name));
            files.into_iter().filter(|file| file.is_file()).collect()
        };
        add(
            Kind::Sdk,
            sdk.iter()
                .map(some)
                .find(|files| !files.is_empty())
                .unwrap_or_default(),
        );
        if found.is_empty() {
            let directory = directory.display();
            return Err(format!("`{directory}` has no feature files of open-feature/spec").into());
        }
        for suite in &found {
            println!("{}", suite.provenance()?);
        }
        if found.iter().all(|suite| suite.kind != Kind::Provider) {
            println!(
                "{}: no provider suite (appendix F) is there",
                directory.display()
            );
        }
        Ok(found)
    }

    /// What it is, and whether it is what was run last.
    pub(crate) fn provenance(&self) -> Result<String, Failure> {
        let (pinned, from) = self.kind.pinned()?;
        let fingerprint = self.fingerprint()?;
        let is = match fingerprint == pinned {
            true => format!("the scenarios are the pinned ones, from {from}"),
            false => format!("not the pinned scenarios, which are {pinned}, from {from}"),
        };
        let at = self.commit.as_deref().unwrap_or("none, not a checkout");
        let draft = match self.kind {
            Kind::Provider => "; a draft, so results are provisional",
            Kind::Sdk => "",
        };
        Ok(format!(
            "{self}: commit {at}; fingerprint {fingerprint}: {is}{draft}"
        ))
    }

    /// The commit of the checkout; without one, the fingerprint of the scenarios.
    pub(crate) fn revision(&self) -> Result<String, Failure> {
        match &self.commit {
            Some(commit) => Ok(commit.clone()),
            None => Ok(format!("fingerprint {}", self.fingerprint()?)),
        }
    }

    /// A hash of what the scenarios ask: without comments, descriptions and layout.
    pub(crate) fn fingerprint(&self) -> Result<String, Failure> {
        let mut hash = Sha256::new();
        for feature in self.parse()? {
            hash.update(format!("{} {:?}\n", feature.name, feature.tags));
            for scenario in &feature.scenarios {
                hash.update(format!("{} {:?}\n", scenario.name, scenario.tags));
                for step in &scenario.steps {
                    let rows = step.table.as_ref().map(|table| &table.rows);
                    hash.update(format!("{:?} {} {rows:?}\n", step.ty, step.value));
                }
            }
        }
        let hash = hash.finalize();
        Ok(hash
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect())
    }

    /// The scenarios, one for each row of an outline, each with its background and the tags of its feature. One that
    /// is not put to the configuration begins with a step that says why, which no definition matches.
    pub(crate) fn features(&self, configuration: &Configuration) -> Result<Vec<Feature>, Failure> {
        let excluded = exclusions(self.kind, configuration);
        let mut features = self.parse()?;
        for scenario in features
            .iter_mut()
            .flat_map(|feature| &mut feature.scenarios)
        {
            let why = excluded.iter().find(|(what, _)| applies(what, scenario));
            if let Some((what, why)) = why {
                let because = match what.starts_with('@') {
                    true => format!("{what} is not declared: {why}"),
                    false => (*why).to_owned(),
                };
                scenario.steps.insert(0, gate(&because, scenario.position));
            }
        }
        Ok(features)
    }

    /// The capabilities that its scenarios carry and the configuration declares.
    pub(crate) fn declared(&self, configuration: &Configuration) -> Result<Vec<String>, Failure> {
        let excluded = exclusions(self.kind, configuration);
        let carried = self.carried()?;
        let declared = carried
            .into_iter()
            .filter(|tag| !excluded.iter().any(|(what, _)| what == tag));
        Ok(declared.collect())
    }

    fn carried(&self) -> Result<BTreeSet<String>, Failure> {
        let features = self.parse()?;
        let scenarios = features.into_iter().flat_map(|feature| feature.scenarios);
        Ok(scenarios
            .flat_map(|scenario| scenario.tags)
            .map(|tag| format!("@{tag}"))
            .collect())
    }

    fn parse(&self) -> Result<Vec<Feature>, Failure> {
        let mut features = Vec::new();
        for file in &self.files {
            let text = readable(&fs::read_to_string(file)?);
            let feature = Feature::parse(text, GherkinEnv::default())
                .map_err(|error| format!("{}: {error}", file.display()))?;
            let mut feature = feature.expand_examples()?;
            if !feature.rules.is_empty() {
                return Err(format!("{}: rules are not supported", file.display()).into());
            }
            // As the provider suite names its files, wherever they lie.
            let name = file.file_name().unwrap_or_default();
            feature.path = Some(Path::new("gherkin").join(name));
            let background = feature.background.take().map(|given| given.steps);
            for scenario in &mut feature.scenarios {
                let inherited = feature.tags.iter().cloned();
                scenario.tags = inherited
                    .chain(std::mem::take(&mut scenario.tags))
                    .collect();
                let steps = std::mem::take(&mut scenario.steps);
                let given = background.iter().flatten().cloned();
                scenario.steps = given.chain(steps).collect();
                check_tags(self.kind, scenario)?;
            }
            features.push(feature);
        }
        Ok(features)
    }
}

/// The parser knows fewer escapes in cells than Gherkin does.
fn readable(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| match line.trim_start().starts_with('|') {
            true => line.replace("\\\"", "\\\\\""),
            false => line.to_owned(),
        });
    lines.map(|line| line + "\n").collect()
}

/// An unknown capability would gate nothing, and a reserved one has no meaning yet.
fn check_tags(kind: Kind, scenario: &Scenario) -> Result<(), Failure> {
    if kind == Kind::Sdk {
        return Ok(());
    }
    let tags = scenario.tags.iter().map(|tag| format!("@{tag}"));
    for tag in tags {
        if RESERVED.contains(&&*tag) || !KNOWN.contains(&&*tag) {
            let name = &scenario.name;
            return Err(
                format!("`{name}` has the capability {tag}, which is not known here").into(),
            );
        }
    }
    Ok(())
}

/// Whether a tag, or the words of a name, and after `: ` those of a step, are the scenario's.
pub(crate) fn applies(what: &str, scenario: &Scenario) -> bool {
    if let Some(tag) = what.strip_prefix('@') {
        return scenario.tags.iter().any(|of_scenario| of_scenario == tag);
    }
    let (name, words) = what.split_once(": ").unwrap_or((what, ""));
    let mut steps = scenario.steps.iter();
    scenario.name == name && (words.is_empty() || steps.any(|step| step.value.contains(words)))
}

/// The beginning of the step that says why a scenario is not put.
pub(crate) const GATE: &str = "this is not asked: ";

fn gate(because: &str, position: LineCol) -> Step {
    Step {
        keyword: "Given ".to_owned(),
        ty: StepType::Given,
        value: format!("{GATE}{because}"),
        docstring: None,
        table: None,
        span: Span { start: 0, end: 0 },
        position,
    }
}

fn feature_files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "feature")
        })
        .collect();
    files.sort();
    files
}

fn commit(directory: &Path) -> Option<String> {
    let git = Command::new("git")
        .arg("-C")
        .arg(directory)
        .args(["rev-parse", "--verify", "--quiet", "HEAD:specification"])
        .output()
        .ok()?;
    // A directory that merely lies in another repository has no such folder in it.
    if !git.status.success() {
        return None;
    }
    let head = Command::new("git")
        .arg("-C")
        .arg(directory)
        .args(["rev-parse", "HEAD"])
        .output()
        .ok()?;
    Some(String::from_utf8_lossy(&head.stdout).trim().to_owned())
}

/// Gives cucumber the prepared features.
pub(crate) struct Gated(pub(crate) Vec<Feature>);

impl Parser<()> for Gated {
    type Cli = cli::Empty;
    type Output = stream::Iter<std::vec::IntoIter<parser::Result<Feature>>>;

    fn parse(self, (): (), _: Self::Cli) -> Self::Output {
        let features: Vec<_> = self.0.into_iter().map(Ok).collect();
        stream::iter(features)
    }
}
