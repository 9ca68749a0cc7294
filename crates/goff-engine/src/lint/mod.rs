//! Finds errors in flag files, and what their author probably does not want.
//!
//! A new lint is a code in `code.rs`, with its explanation; a check in `flags.rs`, `members.rs` or
//! `queries.rs`; a case in `tests/lint`, from which its page in `docs/lint` is written; and a line in
//! `docs/SUMMARY.md`.

mod code;
mod diagnostic;
mod effective;
mod flags;
mod members;
mod queries;
mod report;
mod rule_paths;

use std::{borrow::Cow, path::Path};

use crate::{
    configuration::date::Timestamp,
    configuration::{
        budget::{Budget, SharedBudget},
        definition::FlagDefinition,
        json::{MAX_NESTING, Node, utf8_lossy},
    },
    file::{
        self, FlagFile, FlagFileFormat,
        served::{self, CopyBudget},
    },
};

pub use code::{LintCode, LintSeverity};
pub use diagnostic::{FlagsNotClean, LintDiagnostic, LintFix};

use members::Walk;
use queries::Analysis;
use report::Report;

/// Says what is wrong with a flag file (errors: the relay proxy refuses the file or leaves the flag
/// out), and what it does that its author probably does not want (warnings), in the order of the file.
///
/// The bytes are decoded as [`FlagFile::parse`](crate::FlagFile::parse) does. `now` is for what depends
/// on time, such as scheduled steps in the past. At most 500 diagnostics are returned; it takes a few
/// times as long as loading the file.
///
/// A warning about a query holds for every context: a rule that is said never to match never does.
/// The reverse is not so: only comparisons of top-level attributes in the rule language are followed.
///
/// ```
/// use goff_engine::{FlagFileFormat, Timestamp, lint};
///
/// let file = "new-checkout:
///   variations: {on: true, off: false}
///   targeting:
///     - query: plan eq \"pro\" AND age ge 18
///       variation: on
///   defaultRule: {variation: off}
/// ";
/// let now = Timestamp::parse("2030-01-01T00:00:00Z").unwrap();
/// let found = lint(file, FlagFileFormat::Yaml, now);
/// assert_eq!(
///     found[0].to_string(),
///     "4:28: warning[uppercase-operator]: flag `new-checkout`: `AND` is no operator; it and the rest of the query are ignored",
/// );
/// assert_eq!(found[0].fix.as_ref().unwrap().replacement, "and");
/// ```
#[must_use]
pub fn lint(text: impl AsRef<[u8]>, format: FlagFileFormat, now: Timestamp) -> Vec<LintDiagnostic> {
    lint_allowing(text, format, now, &[])
}

/// As [`lint`], without the warnings that have one of the codes in `allowed`. They do not count towards
/// the 500 diagnostics. Errors cannot be allowed.
#[must_use]
pub fn lint_allowing(
    text: impl AsRef<[u8]>,
    format: FlagFileFormat,
    now: Timestamp,
    allowed: &[LintCode],
) -> Vec<LintDiagnostic> {
    let bytes = text.as_ref();
    let decoded = file::text::decode(bytes, format);
    let text = match &decoded {
        Ok(text) => Cow::Borrowed(&**text),
        Err(_) => utf8_lossy(bytes),
    };
    let before_text = match format {
        FlagFileFormat::Json => 0,
        _ => BYTE_ORDER_MARK.len() * usize::from(bytes.starts_with(BYTE_ORDER_MARK)),
    };
    let mut report = Report::new(&text, before_text, allowed);
    match FlagFile::parse(bytes, format) {
        Ok(file) => file
            .problems
            .iter()
            .for_each(|problem| report.problem(problem)),
        Err(error) => {
            report.malformed(&error);
            return report.finish();
        }
    }
    // An error has been reported.
    let Ok(root) = file::root(&text, format) else {
        return report.finish();
    };
    let mut copies = CopyBudget::of(text.len());
    let flags = served::flags(&root, format, &mut copies).unwrap_or_default();
    let mut analysis = Analysis::new(text.len());
    let mut shared = SharedBudget::default();
    let mut walk = Walk {
        text: &text,
        format,
        report: &mut report,
    };
    members::keys(&root, &mut walk);
    for (key, tree, is_merged) in &flags {
        if walk.report.is_full() {
            break;
        }
        walk.report.begin(key, tree);
        walk.flag(tree);
        let Ok(json) = served::to_json(tree, *is_merged, format, &mut copies) else {
            continue;
        };
        let Ok(node) = Node::parse_exact(&json, MAX_NESTING) else {
            continue;
        };
        let mut budget = Budget::new(json.len());
        if let Ok(flag) = FlagDefinition::decode(&node, &mut budget) {
            flags::check(&flag, now, walk.report);
            let mut budget = shared.flag(json.len());
            effective::check(&flag, now, &mut budget, walk.report);
            shared.settle(&budget);
            queries::check(&flag, &mut analysis, walk.report);
        }
    }
    report.finish()
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Checks that [`lint`] has nothing to say about a flag file, for a project's own tests. The extension
/// of the file's name is that of its format, and YAML without one that is known; the file is not read.
///
/// ```
/// use goff_engine::{Timestamp, check_clean};
///
/// # const FLAGS: &str = "f: {variations: {a: 1}, defaultRule: {variation: a}}";
/// // #[test] fn our_flags_are_clean() -> Result<(), goff_engine::FlagsNotClean>
/// // const FLAGS: &str = include_str!("../flags.yaml");
/// let now = Timestamp::from(std::time::SystemTime::now());
/// check_clean("flags.yaml", FLAGS, now)?;
/// # Ok::<(), goff_engine::FlagsNotClean>(())
/// ```
///
/// # Errors
///
/// If there is any diagnostic. `Display` and `Debug` show each on a line `file:line:column: …`, so that a
/// failed test does.
pub fn check_clean(
    file: impl AsRef<Path>,
    text: impl AsRef<[u8]>,
    now: Timestamp,
) -> Result<(), FlagsNotClean> {
    let file = file.as_ref();
    let format = FlagFileFormat::of_path(file).unwrap_or(FlagFileFormat::Yaml);
    let diagnostics = lint(text, format, now);
    if diagnostics.is_empty() {
        return Ok(());
    }
    Err(FlagsNotClean {
        file: file.to_path_buf(),
        diagnostics,
    })
}
