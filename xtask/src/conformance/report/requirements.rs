//! The list of requirements, `requirements.tsv`.

use std::collections::BTreeSet;

use super::citations::Id;

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Requirement {
    pub(super) id: Id,
    pub(super) tier: String,
    pub(super) severity: String,
    /// What it requires, in a few words.
    pub(super) requires: String,
    pub(super) status: Status,
    /// Why, or what should be known beside the tests; may be empty where tests alone decide.
    pub(super) note: String,
}

/// What the list says of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// Nothing: tests have to show it.
    ByTests,
    /// The project has nothing to which it applies.
    NotApplicable,
    /// The project departs from it on purpose.
    Deviates,
    /// Work on it has begun.
    Pending,
}

impl Status {
    /// As the list spells it.
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "" => Self::ByTests,
            "N/A" => Self::NotApplicable,
            "DEVIATES" => Self::Deviates,
            "PENDING" => Self::Pending,
            _ => return None,
        })
    }

    /// As the report spells it.
    pub(super) fn result(self) -> &'static str {
        match self {
            Self::ByTests => "PASS",
            Self::NotApplicable => "N/A",
            Self::Deviates => "DEVIATES",
            Self::Pending => "PENDING",
        }
    }
}

/// Reads the list; a fault names its line.
pub(super) fn parse(list: &str) -> Result<Vec<Requirement>, Vec<String>> {
    const HEADER: &str = "id\ttier\tseverity\trequirement\tstatus\tnote";
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

fn parse_line(line: &str) -> Result<Requirement, &'static str> {
    let cells: Vec<&str> = line.split('\t').collect();
    let [id, tier, severity, requires, status, note] = cells[..] else {
        return Err("not six cells");
    };
    let requirement = Requirement {
        id: Id::parse(id).ok_or("not an id")?,
        tier: tier.to_owned(),
        severity: severity.to_owned(),
        requires: requires.to_owned(),
        status: Status::parse(status).ok_or("not a status")?,
        note: note.to_owned(),
    };
    if [tier, severity, requires].contains(&"") {
        return Err("an empty cell");
    }
    let wants_reason = matches!(requirement.status, Status::NotApplicable | Status::Deviates);
    if wants_reason && note.is_empty() {
        return Err("a status without its reason");
    }
    Ok(requirement)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "id\ttier\tseverity\trequirement\tstatus\tnote\n";

    #[test]
    fn a_line_is_a_requirement() {
        let list = format!(
            "{HEADER}GOFF-A-001\tCore\tMajor\tasks\t\t\nGOFF-A-002\tCore\tMinor\tasks\tN/A\twhy\n"
        );
        let requirements = parse(&list).unwrap();
        assert_eq!(requirements.len(), 2);
        assert_eq!(requirements[0].status, Status::ByTests);
        assert_eq!(requirements[1].status, Status::NotApplicable);
        assert_eq!(requirements[1].note, "why");
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said_with_the_line() {
        let check = |line: &str, fault: &str| {
            let faults = parse(&format!("{HEADER}{line}\n")).unwrap_err();
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert!(faults[0].starts_with(fault), "{faults:?}");
        };
        check("GOFF-A-001\tCore\tMajor\tasks\t", "not six cells");
        check("GOFF-A-1\tCore\tMajor\tasks\t\t", "not an id");
        check("GOFF-A-001\tCore\tMajor\tasks\tPASS\t", "not a status");
        check("GOFF-A-001\tCore\t\tasks\t\t", "an empty cell");
        check("GOFF-A-001\tCore\tMajor\tasks\tN/A\t", "a status without");
        let deviates = "GOFF-A-001\tCore\tMajor\tasks\tDEVIATES\t";
        check(deviates, "a status without");
        let line = "GOFF-A-001\tCore\tMajor\tasks\t\t";
        check(&format!("{line}\n{line}"), "GOFF-A-001 is listed twice");
        assert_eq!(parse("").unwrap_err().len(), 1);
    }
}
