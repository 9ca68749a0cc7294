//! Which functions the sources of a program do not call.

use std::collections::HashSet;

use proc_macro2::{Spacing, TokenStream, TokenTree};

use crate::module::{FlagFunction, HEADER, Module};

impl Module {
    /// The functions that none of these texts calls, sorted by key.
    ///
    /// This is a search, not a compilation: a function counts as called where its name, or that of its
    /// constant, stands in the code, other than as that of a method or as a new function's. Comments
    /// and strings do not count, nor do modules that this crate generated. So a name that a program
    /// uses for something else hides a flag, and calls that a macro puts together are not seen.
    pub fn unused<T: AsRef<str>>(
        &self,
        sources: impl IntoIterator<Item = T>,
    ) -> Vec<&FlagFunction> {
        let mut search = UnusedSearch::default();
        for source in sources {
            search.add(source.as_ref());
        }
        search.unused(self)
    }
}

/// [`Module::unused`] for texts that come one after the other.
#[derive(Clone, Debug, Default)]
pub struct UnusedSearch {
    names: HashSet<String>,
}

impl UnusedSearch {
    /// Searches a text. If it is not Rust, every word of it counts.
    pub fn add(&mut self, source: &str) {
        if source
            .lines()
            .take(LAST_OF_HEADER)
            .any(|line| line == HEADER)
        {
            return;
        }
        match source.parse::<TokenStream>() {
            Ok(tokens) => self.add_tokens(tokens),
            Err(_) => {
                let words = source.split(|c: char| !c.is_alphanumeric() && c != '_');
                self.names.extend(words.map(ToOwned::to_owned));
            }
        }
    }

    fn add_tokens(&mut self, tokens: TokenStream) {
        // The groups that are open, since they may be nested deeper than calls can be.
        let mut open = vec![tokens.into_iter()];
        // Whether a name here is that of a method or of a new function, and whether a dot here is the
        // second one of a range.
        let (mut is_other, mut is_range) = (false, false);
        while let Some(tokens) = open.last_mut() {
            let token = tokens.next();
            let was_range = std::mem::take(&mut is_range);
            let was_other = std::mem::take(&mut is_other);
            match token {
                None => {
                    open.pop();
                }
                Some(TokenTree::Group(group)) => open.push(group.stream().into_iter()),
                Some(TokenTree::Ident(ident)) => {
                    let name = ident.to_string();
                    is_other = name == "fn";
                    if !was_other {
                        self.names.insert(name);
                    }
                }
                Some(TokenTree::Punct(punct)) if punct.as_char() == '.' => {
                    is_range = punct.spacing() == Spacing::Joint;
                    is_other = !is_range && !was_range;
                }
                Some(TokenTree::Punct(_) | TokenTree::Literal(_)) => {}
            }
        }
    }

    /// The functions of `module` that were not found.
    #[must_use]
    pub fn unused<'m>(&self, module: &'m Module) -> Vec<&'m FlagFunction> {
        let is_unused = |function: &&FlagFunction| {
            !self.names.contains(&function.name) && !self.names.contains(&function.constant)
        };
        module.functions().iter().filter(is_unused).collect()
    }
}

/// A license may come before the header of a generated module.
const LAST_OF_HEADER: usize = 100;

#[cfg(test)]
mod tests {
    use goff_engine::FlagFileFormat;
    use serde_json::json;

    use crate::{Api, FlagDefinitions, Module, ModuleOptions};

    fn module() -> Module {
        let flag = json!({"variations": {"a": true}, "defaultRule": {"variation": "a"}});
        let file = json!({"one": flag, "two": flag, "three": flag, "four": flag, "five": flag});
        let flags = FlagDefinitions::from_flag_file(file.to_string(), FlagFileFormat::Json);
        let options = ModuleOptions::new(Api::Native);
        flags.unwrap().module(&options).unwrap()
    }

    #[track_caller]
    fn check(sources: &[&str], expected: &[&str]) {
        let module = module();
        let unused = module.unused(sources);
        let keys: Vec<&str> = unused.iter().map(|function| &*function.key).collect();
        assert_eq!(keys, expected);
    }

    #[test]
    fn only_calls_in_code_count() {
        let sources = [
            "fn main() { let x = flags::one(&client, &context).await; }",
            "// two()\nconst TEXT: &str = \"two\"; /// two\nfn two() { x.two() }",
            "use flags::keys::THREE;",
            "this is 'not Rust\": four",
        ];
        check(&sources, &["five", "two"]);
    }

    #[test]
    fn a_range_is_no_method() {
        let calls = "for _ in 0..one(c, u) {} let x = T { a, ..two() }; x.0.three(); (.. four())";
        check(&[calls], &["five", "three"]);
        check(
            &["a.one(); b\n  .two(); c . three; d.. .four(); ..=five()"],
            &["four", "one", "three", "two"],
        );
    }

    #[test]
    fn generated_modules_are_found_as_git_and_editors_leave_them() {
        let module = module();
        let all = ["five", "four", "one", "three", "two"];
        let code = module.code();
        check(&[code], &all);
        check(&[&code.replace('\n', "\r\n")], &all);
        check(&[&format!("// A license\n// of two lines\n\n{code}")], &all);
        check(
            &[&format!("fn f() {{ one(); }}\n{}", "\n".repeat(200)), code],
            &["five", "four", "three", "two"],
        );
    }

    /// As deep as no file is that was written by hand.
    #[test]
    fn nesting_takes_no_stack() {
        let deep = |inner: &str| format!("{}{inner}{}", "(".repeat(100_000), ")".repeat(100_000));
        check(&[&deep("one()")], &["five", "four", "three", "two"]);
    }
}
