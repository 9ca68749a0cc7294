//! Readers of the documentation do not know the ids of the provider specification's requirements: they stand on an own
//! line, `*Specification*: …`, at the end of what users read.

use std::fs;

use super::sources::Source;
use crate::program::{Failure, Program, root};

/// An id elsewhere in the documentation of a public item, read by the lines that rustfmt writes.
pub(super) fn in_documentation(source: &Source) -> Vec<String> {
    let is_crate = source.path.ends_with("src/lib.rs");
    let (mut faults, mut documentation) = (Vec::new(), Vec::new());
    // The line that ends the public enum or trait around the current line.
    let mut body_end: Option<String> = None;
    let mut in_attribute = false;
    for (index, line) in source.before_tests().lines().enumerate() {
        let trimmed = line.trim_start();
        let is_public = match trimmed {
            _ if trimmed.starts_with("///") || (is_crate && trimmed.starts_with("//!")) => {
                documentation.push((index + 1, trimmed.trim_start_matches(['/', '!']).trim()));
                continue;
            }
            _ if in_attribute || trimmed.starts_with("#[") => {
                in_attribute = !trimmed.ends_with(']');
                continue;
            }
            _ if trimmed.starts_with("//") && !trimmed.starts_with("//!") => continue,
            _ => {
                is_crate && trimmed.is_empty() || trimmed.starts_with("pub ") || body_end.is_some()
            }
        };
        let documented = documentation.drain(..);
        if is_public {
            faults.extend(outside_of_specification(documented));
        }
        let declares = |what: &str| trimmed.starts_with("pub ") && trimmed.contains(what);
        if (declares("enum ") || declares("trait ")) && trimmed.ends_with('{') {
            body_end = Some(line.replace(trimmed, "}"));
        } else if body_end.as_deref() == Some(line) {
            body_end = None;
        }
    }
    let path = source.path.display();
    let faults = faults.into_iter();
    faults
        .map(|line| format!("{path}:{line}: a requirement outside of `*Specification*: …`"))
        .collect()
}

/// An id in a page or README.
pub(super) fn in_pages() -> Result<Vec<String>, Failure> {
    let mut faults = Vec::new();
    let pages = Program::new("git").words("ls-files README.md crates/*/README.md docs/*.md");
    for page in pages.output()?.lines() {
        let text = fs::read_to_string(root().join(page))?;
        let lines = text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line));
        let found = outside_of_specification(lines);
        faults.extend(
            found
                .into_iter()
                .map(|line| format!("{page}:{line}: a requirement")),
        );
    }
    Ok(faults)
}

/// The lines with an id that are not in a paragraph that begins with the word.
fn outside_of_specification<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> Vec<usize> {
    let (mut found, mut in_specification) = (Vec::new(), false);
    for (number, line) in lines {
        in_specification =
            (in_specification && !line.is_empty()) || line.starts_with("*Specification*");
        if line.contains("GOFF-") && !in_specification {
            found.push(number);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::sources::source;
    use super::*;

    fn check(text: &str, lines: &[usize]) {
        let faults = in_documentation(&source("src/lib.rs", text));
        let expected = lines.iter().map(|line| format!("src/lib.rs:{line}: "));
        let expected: Vec<_> = expected.collect();
        assert_eq!(faults.len(), expected.len(), "{text}: {faults:?}");
        let mut both = faults.iter().zip(&expected);
        assert!(
            both.all(|(fault, start)| fault.starts_with(start)),
            "{text}: {faults:?}"
        );
    }

    #[test]
    fn an_id_stands_on_the_line_of_the_specification() {
        check("/// It (GOFF-IP-001).\npub fn a() {}\n", &[1]);
        check(
            "/// It.\n///\n/// *Specification*: GOFF-IP-001,\n/// GOFF-IP-002.\n///\n/// # Errors\n/// GOFF-IP-003.\npub fn a() {}\n",
            &[7],
        );
        check("//! The crate (GOFF-IP-001).\n\nuse std::fmt;\n", &[1]);
        check(
            "/// It (GOFF-IP-001).\n#[expect(\n    dead_code\n)]\n// A comment.\npub(crate) fn a() {}\n",
            &[],
        );
        check(
            "/// It (GOFF-IP-001).\n#[expect(\n    dead_code\n)]\n// A comment.\npub fn a() {}\n",
            &[1],
        );
    }

    #[test]
    fn members_of_a_public_enum_or_trait_are_public() {
        check(
            "pub enum A {\n    /// It (GOFF-IP-001).\n    B,\n}\n/// It (GOFF-IP-002).\nfn a() {}\n",
            &[2],
        );
        check("enum A {\n    /// It (GOFF-IP-001).\n    B,\n}\n", &[]);
        check(
            "pub trait A {\n    /// It (GOFF-IP-001).\n    fn a();\n}\n",
            &[2],
        );
    }

    #[test]
    fn comments_and_tests_may_have_ids() {
        check("// GOFF-IP-001.\npub fn a() {}\n", &[]);
        check(
            "use std::fmt;\n#[cfg(test)]\nmod tests {\n    /// GOFF-IP-001.\n    pub fn a() {}\n}\n",
            &[],
        );
    }
}
