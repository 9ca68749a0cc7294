//! What the documents say about the tree and about each other, and their words.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::program::{Failure, Program, root};

/// Each folder and file on the map of ARCHITECTURE.md exists, and each folder of a crate's `src/` is on the map.
pub(super) fn map(architecture: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut mapped = BTreeSet::new();
    let mut base = "";
    let map = architecture.split("\n## Map\n").nth(1).unwrap_or_default();
    let map = map.split("```").nth(1).unwrap_or_default();
    for line in map.lines().filter(|line| line.contains('/')) {
        let (path, what) = line.trim().split_once(' ').unwrap_or((line, ""));
        let is_inside = line.starts_with(' ');
        let folder = if is_inside { base } else { "" }.to_owned() + path;
        base = if is_inside { base } else { path };
        let files = what.split(|c: char| !c.is_alphanumeric() && !"_.".contains(c));
        for file in files.filter(|word| word.ends_with(".rs")).chain([""]) {
            if !root().join(&folder).join(file).exists() {
                faults.push(format!("ARCHITECTURE.md: there is no {folder}{file}"));
            }
        }
        mapped.insert(folder);
    }
    let is_source = |folder: &&String| folder.starts_with("crates/") && folder.ends_with("/src/");
    let sources = mapped.iter().filter(is_source);
    for folder in sources.flat_map(|source| folders_in(source)) {
        if !mapped.contains(&folder) && !mapped.iter().any(|other| other.starts_with(&folder)) {
            faults.push(format!("ARCHITECTURE.md: {folder} is not on the map"));
        }
    }
    faults
}

/// The folders in a folder, without those that only divide a file of the same name.
fn folders_in(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(folder)).into_iter().flatten();
    let folders = entries.flatten().map(|entry| entry.path());
    let folders = folders.filter(|path| path.is_dir() && !path.with_extension("rs").exists());
    let names = folders.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
    names.map(|name| format!("{folder}{name}/")).collect()
}

/// Every citation, such as `docs/NAME.md 6.3`, leads to a heading of that document.
pub(super) fn citations(path: &Path, text: &str) -> Result<Vec<String>, Failure> {
    let mut faults = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let place = format!("{}:{}", path.display(), index + 1);
        for citation in line.split("docs/").skip(1) {
            let mut words =
                citation.splitn(3, |c: char| !c.is_alphanumeric() && !"-_.".contains(c));
            let mut word = || words.next().unwrap_or_default().trim_end_matches('.');
            let (document, section) = (word(), word());
            let is_cited = citation.starts_with(&format!("{document} "));
            let is_section = section
                .starts_with(|c: char| c.is_ascii_uppercase() || c.is_ascii_digit())
                && section.contains(|c: char| c.is_ascii_digit());
            if !document.ends_with(".md") || document == "NAME.md" {
                continue;
            }
            let Ok(target) = fs::read_to_string(root().join("docs").join(document)) else {
                faults.push(format!("{place}: no docs/{document}"));
                continue;
            };
            let mut headings = target.lines().filter(|line| line.starts_with('#'));
            let leads_to = |heading: &str| {
                let number = heading.trim_start_matches('#').split_whitespace().next();
                number.is_some_and(|number| number.trim_end_matches('.') == section)
            };
            if is_cited && is_section && !headings.any(leads_to) {
                faults.push(format!("{place}: docs/{document} has no {section}"));
            }
        }
    }
    Ok(faults)
}

/// Each relative link of a document leads to a file, in the book to one that the book has. The table of contents has each
/// page of the book, and docs/guide.rs each one with code.
pub(super) fn links() -> Result<Vec<String>, Failure> {
    let mut faults = Vec::new();
    let summary = fs::read_to_string(root().join("docs/SUMMARY.md"))?;
    let compiled = fs::read_to_string(root().join("docs/guide.rs"))?;
    let files = Program::new("git").args(["ls-files", "*.md"]).output()?;
    for file in files.lines() {
        let text = fs::read_to_string(root().join(file))?;
        let folder = Path::new(file).parent().unwrap_or(Path::new(""));
        let broken = relative_links(&text).filter(|link| !root().join(folder).join(link).exists());
        faults.extend(broken.map(|link| format!("{file}: no {link}")));
        let Some(page) = file.strip_prefix("docs/") else {
            continue;
        };
        if page != "SUMMARY.md" && !summary.contains(&format!("({page})")) {
            faults.push(format!("docs/SUMMARY.md does not list {page}"));
        }
        let mut lines = text.lines();
        if lines.any(|line| line.starts_with("```rust") && !line.contains("ignore"))
            && !compiled.contains(&format!("\"{page}\""))
        {
            faults.push(format!("docs/guide.rs does not compile {page}"));
        }
        let leaves = |link: &&str| link.matches("../").count() > page.matches('/').count();
        let outside = relative_links(&text).filter(leaves);
        faults.extend(
            outside.map(|link| format!("{file}: {link} is not in the book; link to it on GitHub")),
        );
    }
    Ok(faults)
}

/// The files that a document links to, outside its code.
fn relative_links(text: &str) -> impl Iterator<Item = &str> {
    let prose = text.split("```").step_by(2);
    let targets = prose.flat_map(|prose| prose.split("](").skip(1));
    let targets = targets.filter_map(|rest| rest.split([')', '#']).next());
    targets.filter(|target| !target.is_empty() && !target.contains(':') && !target.contains(' '))
}

/// No line has a filler that hides who does what.
pub(super) fn fillers() -> Vec<String> {
    const FILLERS: &str = r"\b(whoever|nobody|somebody|everybody|of its own|by itself|meanwhile)\b";
    // Without a hit, git fails.
    let lines = Program::new("git")
        .args(["grep", "-niE", FILLERS, "--", "*.rs", "*.md", "*.toml"])
        .output()
        .unwrap_or_default();
    let this = "xtask/src/tidy/documents.rs";
    let lines = lines.lines().filter(|line| !line.starts_with(this));
    lines.map(|line| format!("a filler: {line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_citation_leads_to_a_heading() {
        let check = |line: &str, faults: usize| {
            let found = citations(Path::new("a.rs"), line).unwrap();
            assert_eq!(found.len(), faults, "{line}: {found:?}");
        };
        check(
            "// docs/relay-protocol.md 6.3, docs/engine-semantics.md 9.1.",
            0,
        );
        let rows = "(docs/python-parity.md C19) and docs/python-parity.md A.6, row 29";
        check(rows, 0);
        check(
            "// docs/relay-protocol.md says; see [it](docs/relay-protocol.md)",
            0,
        );
        check(
            "// docs/relay-protocol.md 6.99, docs/relay-protocol.md Z1",
            2,
        );
        check("// docs/missing.md", 1);
    }

    #[test]
    fn relative_links_are_those_outside_code() {
        let text =
            "[a](a.md#part) [b](https://b.example) [c](#c) `x`\n```rust\nf[0](no)\n```\n[d](../d)";
        let links: Vec<&str> = relative_links(text).collect();
        assert_eq!(links, ["a.md", "../d"]);
    }

    #[test]
    fn a_map_with_a_folder_too_many_or_too_few_is_a_fault() {
        let map = |lines: &str| map(&format!("# A\n\n## Map\n\n```text\n{lines}```\n"));
        let good = "xtask/src/  the commands: main.rs\n  tidy/  circles.rs\n";
        assert_eq!(map(good), [""; 0]);
        let absent = "xtask/src/  absent.rs\n  absent/  of nothing\n";
        assert_eq!(map(absent).len(), 2);
        assert!(map("crates/goff-core/src/  vocabulary\n").len() > 3);
    }
}
