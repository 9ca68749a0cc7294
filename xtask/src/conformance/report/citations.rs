//! Which requirements a text cites.

use std::collections::BTreeSet;

/// A requirement's id, such as `GOFF-EVAL-003`: group and number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    group: String,
    number: u16,
}

impl Id {
    /// The whole text is one id.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (id, rest) = full(text)?;
        rest.is_empty().then_some(id)
    }

    pub(super) fn group(&self) -> &str {
        &self.group
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{PREFIX}{}-{:03}", self.group, self.number)
    }
}

/// The ids in a text: alone, as `GOFF-IP-005, -006`, as `GOFF-EVAL-003 to -006`, and with both ends in full.
pub(super) fn cited(text: &str) -> BTreeSet<Id> {
    let mut found = BTreeSet::new();
    let mut rest = text;
    while let Some(start) = rest.find(PREFIX) {
        rest = rest.get(start..).unwrap_or_default();
        let Some((mut id, behind)) = full(rest) else {
            rest = rest.get(PREFIX.len()..).unwrap_or_default();
            continue;
        };
        rest = behind;
        found.insert(id.clone());
        while let Some((to, is_range, behind)) = continuation(rest, &id) {
            if is_range {
                found.extend((id.number..to.number).map(|number| Id {
                    group: id.group.clone(),
                    number,
                }));
            }
            found.insert(to.clone());
            id = to;
            rest = behind;
        }
    }
    found
}

const PREFIX: &str = "GOFF-";

/// An id in full at the start, and what follows it.
fn full(text: &str) -> Option<(Id, &str)> {
    let rest = text.strip_prefix(PREFIX)?;
    let (group, _) = rest.split_once('-')?;
    if group.is_empty() || !group.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let (number, rest) = number(rest.strip_prefix(group)?)?;
    let group = group.to_owned();
    Some((Id { group, number }, rest))
}

/// `-123` at the start, and what follows it.
fn number(text: &str) -> Option<(u16, &str)> {
    let (digits, rest) = text.strip_prefix('-')?.split_at_checked(3)?;
    let ends = !rest.starts_with(|next: char| next.is_ascii_alphanumeric());
    let is_number = ends && digits.bytes().all(|byte| byte.is_ascii_digit());
    Some((digits.parse().ok().filter(|_| is_number)?, rest))
}

/// A further id at the start, whether it ends a range, and what follows it.
fn continuation<'a>(text: &'a str, before: &Id) -> Option<(Id, bool, &'a str)> {
    let (rest, is_range) = [(", ", false), (" and ", false), (" to ", true)]
        .into_iter()
        .find_map(|(word, is_range)| Some((text.strip_prefix(word)?, is_range)))?;
    let (id, rest) = full(rest).or_else(|| {
        let (number, rest) = number(rest)?;
        let group = before.group.clone();
        Some((Id { group, number }, rest))
    })?;
    Some((id.clone(), is_range && id.group == before.group, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_of_citing_is_understood() {
        let check = |text: &str, expected: &[&str]| {
            let found: Vec<_> = cited(text).iter().map(Id::to_string).collect();
            let expected = expected.iter().map(|id| format!("GOFF-{id}"));
            assert_eq!(found, expected.collect::<Vec<_>>(), "{text}");
        };
        check("nothing", &[]);
        check("GOFF-EVAL-001.", &["EVAL-001"]);
        check("(GOFF-EVAL-001)", &["EVAL-001"]);
        check("GOFF-IP-005, -006: quotes", &["IP-005", "IP-006"]);
        let four = ["EVAL-003", "EVAL-004", "EVAL-005", "EVAL-006"];
        check("GOFF-EVAL-003 to -006", &four);
        let four = ["ERR-001", "ERR-002", "ERR-003", "EVAL-011"];
        check("GOFF-ERR-001 to GOFF-ERR-003, GOFF-EVAL-011", &four);
        let five = ["COLL-010", "COLL-018", "COLL-020", "COLL-021", "COLL-022"];
        check("GOFF-COLL-010, -020 to -022 and -018", &five);
        let ends = ["ENG-003", "IP-001"];
        check("from GOFF-IP-001 to GOFF-ENG-003", &ends);
        check("GOFF-EVAL-001, 2 of them", &["EVAL-001"]);
        check("GOFF-EVAL-001 to -6", &["EVAL-001"]);
        check("GOFF-EVAL-003 to -001", &["EVAL-001", "EVAL-003"]);
        check("GOFF-EVAL-1, GOFF-EVAL-0011, GOFF-eval-001", &[]);
        check("GOFF--001, GOFF-", &[]);
        check("GOFF-GOFF-EVAL-001é", &["EVAL-001"]);
    }

    #[test]
    fn an_id_is_nothing_but_an_id() {
        assert!(Id::parse("GOFF-EVAL-001").is_some());
        for text in ["GOFF-EVAL-001 ", "EVAL-001", ""] {
            assert_eq!(Id::parse(text), None, "{text}");
        }
    }
}
