//! The report of one configuration, in the form of the specification's appendix C.

use super::Citations;
use super::requirements::{Configuration, Requirement, Severity, Verdict};

/// The report: a title, the verdict, then the findings by severity.
pub(super) fn report(
    configuration: Configuration,
    version: &str,
    requirements: &[Requirement],
    citations: &Citations,
) -> String {
    let constructor = configuration.constructor();
    let verdict = verdict(configuration, requirements);
    let mut text = format!(
        "GO Feature Flag Provider Specification 1.0 — goff-provider {version}, {constructor}(endpoint)\n{verdict}\n"
    );
    for severity in Severity::ALL {
        let mut title = Some(format!("\n{}\n", severity.name().to_uppercase()));
        for finding in failed(configuration, requirements) {
            if finding.severity == severity {
                text += &title.take().unwrap_or_default();
                let Requirement { id, reason, .. } = finding;
                let id = id.to_string();
                let location = location(finding, citations);
                text += &format!("  {id:WIDTH$}  {reason}  {location}\n");
            }
        }
    }
    text
}

/// The line with the verdict and the counts.
pub(super) fn verdict(configuration: Configuration, requirements: &[Requirement]) -> String {
    let [critical, major, minor] = Severity::ALL.map(|severity| {
        let failed = failed(configuration, requirements);
        failed.filter(|it| it.severity == severity).count()
    });
    let [pass, fail, not_applicable] = [Verdict::Pass, Verdict::Fail, Verdict::NotApplicable]
        .map(|verdict| with(verdict, configuration, requirements).count());
    let conformant = match fail {
        0 => "CONFORMANT",
        _ => "NON-CONFORMANT",
    };
    format!(
        "VERDICT: {conformant} — {critical} Critical, {major} Major, {minor} Minor ({pass} PASS, {fail} FAIL, {not_applicable} N/A)"
    )
}

fn failed(
    configuration: Configuration,
    requirements: &[Requirement],
) -> impl Iterator<Item = &Requirement> {
    with(Verdict::Fail, configuration, requirements)
}

fn with(
    verdict: Verdict,
    configuration: Configuration,
    requirements: &[Requirement],
) -> impl Iterator<Item = &Requirement> {
    let requirements = requirements.iter();
    requirements.filter(move |it| it.verdict(configuration) == verdict)
}

/// Empty if no such test cites it, which is a fault of the list.
fn location(finding: &Requirement, citations: &Citations) -> String {
    let mut citing = citations.get(&finding.id).into_iter().flatten();
    let evidence = citing.find(|citation| citation.test == finding.evidence);
    evidence.map_or_else(String::new, |it| format!("{}::{}", it.path, it.test))
}

/// Of the longest id.
const WIDTH: usize = "GOFF-FALLBACK-001".len();
