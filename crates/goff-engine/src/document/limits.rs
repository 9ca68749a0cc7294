//! The size limits of the compiled evaluation module, checked by scanning bytes
//! before anything is decoded (docs/engine-semantics.md 4; upstream checks them
//! in the module's entry point). The relay proxy has no such limits.

pub(super) const MAX_INPUT_NESTING: usize = 128;
const MAX_JSON_LOGIC_NESTING: usize = 256;
const MAX_RULE_LANGUAGE_NESTING: usize = 64;
const MAX_LIST_LENGTH: usize = 1000;
const MAX_CONDITIONS: usize = 1000;
const MAX_PATH_LENGTH: usize = 128;

/// Checks the nesting of a JSON text.
pub(super) fn check_input(text: &str) -> Result<(), String> {
    if nesting(text, false) <= MAX_INPUT_NESTING {
        return Ok(());
    }
    Err(format!(
        "input JSON exceeds the maximum nesting depth ({MAX_INPUT_NESTING})"
    ))
}

/// Checks a query that has been trimmed.
pub(super) fn check_query(query: &str) -> Result<(), String> {
    let start = query.trim_start_matches([' ', '\t', '\n', '\r']);
    let json = start.starts_with(['{', '[']);
    let maximum = if json {
        MAX_JSON_LOGIC_NESTING
    } else {
        MAX_RULE_LANGUAGE_NESTING
    };
    check("query", "nesting depth", nesting(query, !json), maximum)?;
    check(
        "query list",
        "item count",
        longest_list(query),
        MAX_LIST_LENGTH,
    )?;
    if json {
        return Ok(());
    }
    let (conditions, path) = conditions_and_path(query);
    check("query", "condition count", conditions, MAX_CONDITIONS)?;
    check(
        "query attribute path",
        "segment count",
        path,
        MAX_PATH_LENGTH,
    )
}

fn check(part: &str, measure: &str, found: usize, maximum: usize) -> Result<(), String> {
    if found <= maximum {
        return Ok(());
    }
    Err(format!(
        "targeting {part} exceeds the maximum {measure} ({found} > {maximum})"
    ))
}

/// The bytes outside double quotes; a closing and an opening quote both come out as `"`.
fn unquoted(text: &str) -> impl Iterator<Item = u8> + '_ {
    let mut quoted = false;
    let mut escaped = false;
    text.bytes().filter(move |byte| {
        if quoted {
            if escaped {
                escaped = false;
            } else if *byte == b'\\' {
                escaped = true;
            } else if *byte == b'"' {
                quoted = false;
                return true;
            }
            return false;
        }
        quoted = *byte == b'"';
        true
    })
}

fn nesting(text: &str, parentheses: bool) -> usize {
    let mut depth = 0_isize;
    let mut deepest = 0;
    for byte in unquoted(text) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b'(' if parentheses => depth += 1,
            b')' if parentheses => depth -= 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest.unsigned_abs()
}

fn longest_list(query: &str) -> usize {
    let mut open = Vec::new();
    let mut longest = 0;
    for byte in unquoted(query) {
        match byte {
            b'[' => {
                open.push(1);
                longest = longest.max(1);
            }
            b']' => {
                open.pop();
            }
            b',' => {
                if let Some(length) = open.last_mut() {
                    *length += 1;
                    longest = longest.max(*length);
                }
            }
            _ => {}
        }
    }
    longest
}

fn conditions_and_path(query: &str) -> (usize, usize) {
    let mut conditions = 1;
    let mut longest_path = 0;
    // The two counts split words differently: brackets and commas end a condition, but not a path.
    let mut word: [u8; 4] = [0; 4];
    let mut length = 0_usize;
    let mut path = 0_usize;
    for byte in unquoted(query).chain([b' ']) {
        let in_word = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':' | b'.');
        if in_word {
            if let Some(place) = word.get_mut(length) {
                *place = byte;
            }
            length += 1;
            path = path.max(1) + usize::from(byte == b'.');
        } else {
            if matches!((length, &word), (3, b"and\0") | (2, b"or\0\0")) {
                conditions += 1;
            }
            word = [0; 4];
            length = 0;
            if !matches!(byte, b'(' | b')' | b'[' | b']' | b'{' | b'}' | b',') {
                longest_path = longest_path.max(path);
                path = 0;
            }
        }
    }
    (conditions, longest_path.max(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_nesting_counts_brackets_outside_strings() {
        let deep = |depth: usize| format!("{}\"{{[\\\"[\"{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(check_input(&deep(128)), Ok(()));
        let message = "input JSON exceeds the maximum nesting depth (128)";
        assert_eq!(check_input(&deep(129)), Err(message.to_owned()));
    }

    #[test]
    fn query_limits_accept_the_maximum_and_reject_more() {
        let check = |maximum: usize, query: fn(usize) -> String, message: &str| {
            assert_eq!(check_query(&query(maximum)), Ok(()));
            let message = format!("targeting {message} ({} > {maximum})", maximum + 1);
            assert_eq!(check_query(&query(maximum + 1)), Err(message));
        };
        let nested = |depth| format!("{}x eq 1{}", "(".repeat(depth), ")".repeat(depth));
        check(64, nested, "query exceeds the maximum nesting depth");
        let logic = |depth| format!("{}1{}", "{\"!\":".repeat(depth), "}".repeat(depth));
        check(256, logic, "query exceeds the maximum nesting depth");
        let list = |length| format!("x in [{}1]", "1,".repeat(length - 1));
        check(1000, list, "query list exceeds the maximum item count");
        let chain = |count| format!("{}x eq 1", "x eq 1 and ".repeat(count - 1));
        check(1000, chain, "query exceeds the maximum condition count");
        let path = |length| format!("{}x eq 1", "x.".repeat(length - 1));
        check(
            128,
            path,
            "query attribute path exceeds the maximum segment count",
        );
    }

    #[test]
    fn unclosed_lists_and_capital_operators() {
        assert!(check_query(&format!("[{}", "1,".repeat(1000))).is_err());
        assert_eq!(check_query(&"x eq 1 AND ".repeat(1500)), Ok(()));
    }
}
