//! The tests of a Rust file, with what their comments say.

/// A test, which `cargo test` would run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Test {
    pub(super) name: String,
    /// What stands before its name and in its body, joined by spaces; without the module's own documentation.
    pub(super) comments: String,
}

/// Every function with an attribute whose path is `test` or ends in it, those inside macros too; not the ignored ones.
pub(super) fn tests(source: &str) -> Vec<Test> {
    let mut tokens = Tokens { rest: source };
    let mut found = Vec::new();
    let mut comments = String::new();
    let mut attributes = Vec::new();
    while let Some(token) = tokens.next() {
        match token {
            Token::Comment(text) => push(&mut comments, text),
            Token::Punctuation('#') => attributes.extend(tokens.attribute()),
            Token::Word("fn") => {
                let runs = attributes.contains(&"test") && !attributes.contains(&"ignore");
                if let (true, Some(Token::Word(name))) = (runs, tokens.next()) {
                    tokens.body(&mut comments);
                    found.push(Test {
                        name: name.to_owned(),
                        comments: comments.trim().to_owned(),
                    });
                }
                comments.clear();
                attributes.clear();
            }
            Token::Punctuation('{' | '}' | ';') => {
                comments.clear();
                attributes.clear();
            }
            Token::Word(_) | Token::Punctuation(_) => {}
        }
    }
    found
}

fn push(comments: &mut String, comment: &str) {
    if comment.starts_with("//!") || comment.starts_with("/*!") {
        return;
    }
    let text = comment.trim_start_matches(['/', '*']);
    comments.push_str(text.trim_end_matches("*/").trim());
    comments.push(' ');
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Comment(&'a str),
    /// An identifier, a keyword or a number.
    Word(&'a str),
    Punctuation(char),
}

/// The tokens of a source; literals of characters and texts are left out.
#[derive(Clone, Debug)]
struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    /// Reads an attribute behind its `#`: the last word of its path, unless it belongs to what it is in.
    fn attribute(&mut self) -> Option<&'a str> {
        let mut is_inner = false;
        let mut next = self.next();
        if next == Some(Token::Punctuation('!')) {
            is_inner = true;
            next = self.next();
        }
        if next != Some(Token::Punctuation('[')) {
            return None;
        }
        let mut depth = 1_usize;
        let mut last_of_path = None;
        let mut in_path = true;
        for token in self.by_ref() {
            match token {
                Token::Word(word) if in_path => last_of_path = Some(word),
                Token::Punctuation(':') => {}
                _ => in_path = false,
            }
            match token {
                Token::Punctuation('[') => depth += 1,
                Token::Punctuation(']') => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        last_of_path.filter(|_| !is_inner)
    }

    /// Reads a function from behind its name to its end, and adds the comments in it.
    fn body(&mut self, comments: &mut String) {
        let mut depth = 0_usize;
        for token in self {
            match token {
                Token::Comment(text) => push(comments, text),
                Token::Punctuation('{') => depth += 1,
                Token::Punctuation('}') if depth <= 1 => return,
                Token::Punctuation('}') => depth -= 1,
                _ => {}
            }
        }
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.rest = self.rest.trim_start();
        while let Some(rest) = behind_literal(self.rest) {
            self.rest = rest.trim_start();
        }
        // A raw identifier; raw literals are gone already.
        self.rest = self.rest.strip_prefix("r#").unwrap_or(self.rest);
        let first = self.rest.chars().next()?;
        let rest = self.rest;
        if rest.starts_with("//") {
            return Some(Token::Comment(
                self.take(rest.find('\n').unwrap_or(rest.len())),
            ));
        }
        if rest.starts_with("/*") {
            return Some(Token::Comment(self.take(block_comment(rest))));
        }
        if is_word(first) {
            let length = rest.find(|character| !is_word(character));
            return Some(Token::Word(self.take(length.unwrap_or(rest.len()))));
        }
        self.take(first.len_utf8());
        Some(Token::Punctuation(first))
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The length of the comment at the start, those nested in it included.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut from = 0;
    while let Some(rest) = text.get(from..).filter(|rest| !rest.is_empty()) {
        let step = if rest.starts_with("/*") {
            depth += 1;
            2
        } else if rest.starts_with("*/") {
            depth -= 1;
            2
        } else {
            rest.chars().next().map_or(1, char::len_utf8)
        };
        from += step;
        if depth == 0 {
            break;
        }
    }
    from
}

/// What follows the literal at the start, if there is one. The quote of a lifetime counts as one.
fn behind_literal(text: &str) -> Option<&str> {
    for prefix in ["br", "cr", "r"] {
        let Some(rest) = text.strip_prefix(prefix) else {
            continue;
        };
        let inner = rest.trim_start_matches('#');
        if let Some(inner) = inner.strip_prefix('"') {
            let hashes = rest.bytes().take_while(|byte| *byte == b'#').count();
            let end = format!("\"{}", "#".repeat(hashes));
            return Some(inner.split_once(&end).map_or("", |(_, behind)| behind));
        }
    }
    for prefix in ["b", "c", ""] {
        let Some(rest) = text.strip_prefix(prefix) else {
            continue;
        };
        if let Some(inner) = rest.strip_prefix('"') {
            return Some(behind_quote(inner, '"'));
        }
        if let Some(inner) = rest.strip_prefix('\'') {
            let mut characters = inner.chars();
            let is_character = match characters.next() {
                Some('\\') => true,
                _ => characters.next() == Some('\''),
            };
            return Some(if is_character {
                behind_quote(inner, '\'')
            } else {
                inner
            });
        }
    }
    None
}

/// What follows the next such quote that no backslash escapes.
fn behind_quote(text: &str, quote: char) -> &str {
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character == '\\' {
            characters.next();
        } else if character == quote {
            break;
        }
    }
    characters.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expected: &[(&str, &str)]) {
        let found: Vec<_> = tests(source)
            .into_iter()
            .map(|test| (test.name, test.comments))
            .collect();
        let found: Vec<_> = found
            .iter()
            .map(|(name, comments)| (name.as_str(), comments.as_str()))
            .collect();
        assert_eq!(found, expected, "{source}");
    }

    #[test]
    fn a_test_has_the_comments_before_and_in_it() {
        check(
            "/// One,\n/// two.\n#[tokio::test(start_paused = true)]\n// Three.\nasync fn a() {\n    if x { // Four.\n    }\n    /* Five /* six */ */\n}\n// Not this.\n",
            &[("a", "One, two. Three. Four. Five /* six */")],
        );
    }

    #[test]
    fn comments_of_anything_else_are_nobodys() {
        check(
            "//! Module.\n/// Use.\nuse std::fmt;\n/// Code.\nfn code() { // In it.\n}\n#[test]\nfn a() {}\n/// After.\nstruct A;\n",
            &[("a", "")],
        );
        check(
            "#[cfg(test)]\n/// Module.\nmod tests {\n    #[test]\n    fn a() {}\n    fn b() { /* b */ }\n    #[test]\n    fn c() {}\n}\n",
            &[("a", ""), ("c", "")],
        );
    }

    #[test]
    fn only_an_attribute_called_test_makes_a_test() {
        check(
            "#[cfg(test)]\nfn a() {}\n#[expect(x, reason = \"test\")]\nfn b() {}\n",
            &[],
        );
        check(
            "#![test]\nfn a() {}\nfn test() {}\n#[tested]\nfn c() {}\n#[a::test]\nfn d() {}\n",
            &[("d", "")],
        );
        check(
            "#[test]\n#[cfg(feature = \"tls\")]\n#[expect(x)]\npub(crate) fn a() {}\n",
            &[("a", "")],
        );
        check(
            "#[derive([test])]\nstruct A;\n#[test]\nconst A: u8 = 0;\nfn a() {}\n",
            &[],
        );
    }

    #[test]
    fn ignored_tests_show_nothing() {
        check(
            "#[test]\n#[ignore = \"slow\"]\nfn a() {}\n#[test]\nfn b() {}\n",
            &[("b", "")],
        );
    }

    #[test]
    fn properties_are_tests() {
        check(
            "proptest! {\n    #![proptest_config(Config::with_cases(64))]\n\n    /// One.\n    #[test]\n    fn a(x in \"[a-z{]*\", y in any::<u8>()) {\n        // Two.\n    }\n}\n",
            &[("a", "One. Two.")],
        );
    }

    #[test]
    fn literals_hide_what_is_in_them() {
        for literal in [
            r##""} // \" no""##,
            r###"r#"} // " no"#"###,
            r##"b"} // no""##,
            r##"br"} // \""##,
            "'}'",
            "b'}'",
            r"'\''",
            "'\"'",
        ] {
            check(
                &format!(
                    "#[test]\nfn a<'a>(_: &'a str) {{\n    f({literal});\n    // In it.\n}}\n"
                ),
                &[("a", "In it.")],
            );
        }
        check(
            "#[test]\nfn r#try() { let r#type = 1; /* é } */ }\nfn b() {}\n",
            &[("try", "é }")],
        );
    }

    #[test]
    fn any_text_is_read_to_its_end() {
        for text in [
            "#",
            "#[",
            "#[test",
            "#[test] fn",
            "#[test] fn a(",
            "/* /*",
            "\"",
            "r#\"",
            "'",
            "'\\",
            "b'é",
            "*/",
        ] {
            tests(text);
        }
    }
}
