//! The tests of a Rust file, with the text that can cite a requirement.

/// A test that `cargo test` or `cargo xtask integration` runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Test {
    pub(super) name: String,
    /// The comments before it and its lines, joined by spaces.
    pub(super) text: String,
}

/// Every function with an attribute whose path ends in `test`, read by the lines that rustfmt writes.
///
/// Ignored tests are left out, but for those that are only ignored where there is no relay proxy.
pub(super) fn tests_of(source: &str) -> Vec<Test> {
    let mut found = Vec::new();
    let mut lines = source.lines();
    let mut before = Before::default();
    while let Some(line) = lines.next() {
        let trimmed = line.trim();
        if let Some(name) = function(trimmed) {
            let Before { is_test, comments } = std::mem::take(&mut before);
            if is_test {
                let end = line.replace(trimmed, "}");
                let lines = lines.by_ref().take_while(|line| *line != end);
                let body = lines.take(if trimmed.ends_with('}') {
                    0
                } else {
                    usize::MAX
                });
                let text = body.fold(comments, |text, line| text + without_slashes(line) + " ");
                found.push(Test { name, text });
            }
        } else if trimmed.starts_with("//") && !trimmed.starts_with("//!") {
            before.comments += without_slashes(trimmed);
            before.comments.push(' ');
        } else if let Some(attribute) = trimmed.strip_prefix("#[") {
            let path = attribute.split(['(', ']', ' ']).next().unwrap_or_default();
            before.is_test |= path.rsplit("::").next() == Some("test");
            if path == "ignore" && !attribute.contains("needs a relay proxy") {
                before = Before::default();
            }
        } else if trimmed.ends_with(['{', '}', ';']) {
            before = Before::default();
        }
    }
    found
}

/// What stands before an item.
#[derive(Debug, Default)]
struct Before {
    is_test: bool,
    comments: String,
}

/// The name of the function that begins on a line.
fn function(line: &str) -> Option<String> {
    let (words, rest) = line.split_once("fn ")?;
    let qualifiers = ["pub", "pub(crate)", "pub(super)", "async", "const"];
    let mut words = words.split_whitespace();
    let begins = words.all(|word| qualifiers.contains(&word));
    let mut names = rest.split(|next: char| !next.is_alphanumeric() && next != '_');
    let name = names.next().filter(|name| begins && !name.is_empty());
    name.map(str::to_owned)
}

fn without_slashes(line: &str) -> &str {
    line.trim().trim_start_matches('/').trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expected: &[(&str, &str)]) {
        let tests = tests_of(source);
        let found = tests.iter().map(|test| (&*test.name, test.text.trim()));
        assert_eq!(found.collect::<Vec<_>>(), expected, "{source}");
    }

    #[test]
    fn a_test_has_the_comments_before_it_and_its_lines() {
        check(
            "/// One,\n/// two.\n#[tokio::test(start_paused = true)]\n// Three.\nasync fn a() {\n    // Four.\n    if x {\n    }\n}\n// Not this.\n",
            &[("a", "One, two. Three. Four. if x { }")],
        );
        check(
            "proptest! {\n    /// One.\n    #[test]\n    fn a(x in \"[a-z{]*\") {\n        // Two.\n    }\n}\n",
            &[("a", "One. Two.")],
        );
    }

    #[test]
    fn comments_of_other_code_are_left_out() {
        check(
            "//! Module.\n/// Use.\nuse std::fmt;\n/// Code.\nfn code() {\n    // In it.\n}\n\n#[test]\nfn a() {}\n/// After.\nstruct A;\n",
            &[("a", "")],
        );
    }

    #[test]
    fn only_an_attribute_called_test_makes_a_test() {
        check(
            "#[cfg(test)]\nfn a() {}\n#[tested]\nfn b() {}\n#[expect(x, reason = \"test\")]\nfn c() {}\n",
            &[],
        );
        let tested = "#[test]\n#[cfg(feature = \"tls\")]\npub(crate) fn a() {\n}\n";
        check(tested, &[("a", "")]);
    }

    #[test]
    fn ignored_tests_are_left_out_unless_they_need_a_relay_proxy() {
        check("#[test]\n#[ignore = \"slow\"]\nfn a() {\n}\n", &[]);
        check(
            "/// One.\n#[tokio::test]\n#[ignore = \"needs a relay proxy: cargo xtask integration\"]\nasync fn a() {\n}\n",
            &[("a", "One.")],
        );
    }
}
