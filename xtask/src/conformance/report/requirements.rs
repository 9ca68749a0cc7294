//! The list of requirements, `requirements.tsv`.

use std::collections::BTreeSet;

use super::citations::Id;

/// The options for which there is a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Configuration {
    /// `GoFeatureFlagOptions::conformant(endpoint)`.
    Conformant,
    /// `GoFeatureFlagOptions::new(endpoint)`.
    Default,
}

impl Configuration {
    pub(super) const ALL: [Self; 2] = [Self::Conformant, Self::Default];

    pub(super) fn constructor(self) -> &'static str {
        match self {
            Self::Conformant => "GoFeatureFlagOptions::conformant",
            Self::Default => "GoFeatureFlagOptions::new",
        }
    }
}

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Requirement {
    pub(super) id: Id,
    pub(super) tier: String,
    pub(super) severity: Severity,
    /// What it requires, in a few words.
    pub(super) requires: String,
    verdict: Verdict,
    in_default: InDefault,
    /// The test that shows a failure; empty without one.
    pub(super) evidence: String,
    /// Why, or what should be known beside the tests; may be empty where tests alone decide.
    pub(super) reason: String,
}

/// In the specification's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    Critical,
    Major,
    Minor,
}

/// The specification has these three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// Tests show it.
    Pass,
    Fail,
    /// It is outside the declared tiers, or the SDK has no such capability.
    NotApplicable,
}

/// How the default differs from the preset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InDefault {
    /// It does not.
    Same,
    /// It meets the requirement, too, in another way.
    Differs,
    /// It fails.
    Fails,
}

impl Requirement {
    pub(super) fn verdict(&self, configuration: Configuration) -> Verdict {
        match (configuration, self.in_default) {
            (Configuration::Default, InDefault::Fails) => Verdict::Fail,
            _ => self.verdict,
        }
    }

    pub(super) fn fails_somewhere(&self) -> bool {
        let verdicts = Configuration::ALL.map(|configuration| self.verdict(configuration));
        verdicts.contains(&Verdict::Fail)
    }

    /// Whether tests of the default show nothing about the preset.
    pub(super) fn differs(&self) -> bool {
        self.in_default != InDefault::Same
    }

    pub(super) fn is_of_the_relay_proxy(&self) -> bool {
        self.fails_somewhere() && self.reason.starts_with(RELAY_PROXY)
    }
}

impl Severity {
    pub(super) const ALL: [Self; 3] = [Self::Critical, Self::Major, Self::Minor];

    fn parse(word: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|severity| severity.name() == word)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Critical => "Critical",
            Self::Major => "Major",
            Self::Minor => "Minor",
        }
    }
}

impl Verdict {
    /// As the list spells it.
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "" => Self::Pass,
            "FAIL" => Self::Fail,
            "N/A" => Self::NotApplicable,
            _ => return None,
        })
    }

    /// As the report spells it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::NotApplicable => "N/A",
        }
    }
}

impl InDefault {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "" => Self::Same,
            "differs" => Self::Differs,
            "FAIL" => Self::Fails,
            _ => return None,
        })
    }
}

/// Reads the list; a fault names its line.
pub(super) fn parse(list: &str) -> Result<Vec<Requirement>, Vec<String>> {
    let mut requirements = Vec::new();
    let mut faults = Vec::new();
    let mut ids = BTreeSet::new();
    let mut lines = list.lines();
    if lines.next() != Some(HEADER) {
        faults.push("the first line does not name the columns".to_owned());
    }
    for line in lines {
        match parse_line(line) {
            Ok(requirement) if ids.insert(requirement.id.clone()) => requirements.push(requirement),
            Ok(requirement) => faults.push(format!("{} is listed twice", requirement.id)),
            Err(fault) => faults.push(format!("{fault}: {line}")),
        }
    }
    match faults.is_empty() {
        true => Ok(requirements),
        false => Err(faults),
    }
}

pub(super) const HEADER: &str =
    "id\ttier\tseverity\trequirement\tverdict\tdefault\tevidence\treason";

fn parse_line(line: &str) -> Result<Requirement, &'static str> {
    let cells: Vec<&str> = line.split('\t').collect();
    let [
        id,
        tier,
        severity,
        requires,
        verdict,
        in_default,
        evidence,
        reason,
    ] = cells[..]
    else {
        return Err("not eight cells");
    };
    if [tier, severity, requires].contains(&"") {
        return Err("an empty cell");
    }
    let requirement = Requirement {
        id: Id::parse(id).ok_or("not an id")?,
        tier: tier.to_owned(),
        severity: Severity::parse(severity).ok_or("not a severity")?,
        requires: requires.to_owned(),
        verdict: Verdict::parse(verdict).ok_or("not a verdict")?,
        in_default: InDefault::parse(in_default).ok_or("not FAIL or `differs` in the default")?,
        evidence: evidence.to_owned(),
        reason: reason.to_owned(),
    };
    if requirement.verdict != Verdict::Pass && requirement.differs() {
        return Err("the default differs only from PASS");
    }
    if requirement.verdict == Verdict::NotApplicable && reason.is_empty() {
        return Err("N/A without its reason");
    }
    let fails = requirement.fails_somewhere();
    if fails == evidence.is_empty() {
        return Err("FAIL needs the test that shows it, and nothing else does");
    }
    if fails && !FAILURES.iter().any(|begin| reason.starts_with(begin)) {
        return Err(
            "the reason of a FAIL begins with `the SDK cannot: `, `the relay proxy behaves otherwise: ` or `decided: `",
        );
    }
    Ok(requirement)
}

const RELAY_PROXY: &str = "the relay proxy behaves otherwise: ";
const FAILURES: [&str; 3] = ["the SDK cannot: ", RELAY_PROXY, "decided: "];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_requirement() {
        let check = |cells: &str, conformant: Verdict, default: Verdict, differs: bool| {
            let list = format!("{HEADER}\nGOFF-A-001\tCore\tMajor\tasks\t{cells}\n");
            let requirements = parse(&list).unwrap();
            let [requirement] = &requirements[..] else {
                panic!("{requirements:?}")
            };
            let verdicts = Configuration::ALL.map(|one| requirement.verdict(one));
            assert_eq!(verdicts, [conformant, default], "{cells}");
            assert_eq!(requirement.differs(), differs, "{cells}");
        };
        let (pass, fail, not_applicable) = (Verdict::Pass, Verdict::Fail, Verdict::NotApplicable);
        check("\t\t\t", pass, pass, false);
        check("\tdiffers\t\tnote", pass, pass, true);
        check("\tFAIL\ta\tdecided: why", pass, fail, true);
        check("FAIL\t\ta\tthe SDK cannot: why", fail, fail, false);
        check("N/A\t\t\twhy", not_applicable, not_applicable, false);
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said_with_the_line() {
        let check = |line: &str, fault: &str| {
            let faults = parse(&format!("{HEADER}\n{line}\n")).unwrap_err();
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert!(faults[0].starts_with(fault), "{faults:?}");
        };
        let cells = |cells: &str, fault: &str| {
            check(&format!("GOFF-A-001\tCore\tMajor\tasks\t{cells}"), fault);
        };
        cells("\t\t", "not eight cells");
        check("GOFF-A-1\tCore\tMajor\tasks\t\t\t\t", "not an id");
        check("GOFF-A-001\tCore\t\tasks\t\t\t\t", "an empty cell");
        check("GOFF-A-001\tCore\tmajor\tasks\t\t\t\t", "not a severity");
        for verdict in ["PASS", "DEVIATES", "PENDING"] {
            cells(&format!("{verdict}\t\t\t"), "not a verdict");
        }
        cells("\tPASS\t\t", "not FAIL or");
        cells("N/A\t\t\t", "N/A without");
        cells("N/A\tdiffers\t\twhy", "the default differs only");
        cells("FAIL\tFAIL\ta\tdecided: why", "the default differs only");
        for fails in ["FAIL\t", "\tFAIL"] {
            cells(&format!("{fails}\t\tdecided: why"), "FAIL needs");
            cells(&format!("{fails}\ta\twhy"), "the reason of a FAIL");
            cells(&format!("{fails}\ta\t"), "the reason of a FAIL");
        }
        cells("\t\ta\t", "FAIL needs");
        let line = "GOFF-A-001\tCore\tMajor\tasks\t\t\t\t";
        check(&format!("{line}\n{line}"), "GOFF-A-001 is listed twice");
        assert_eq!(parse("").unwrap_err().len(), 1);
    }
}
