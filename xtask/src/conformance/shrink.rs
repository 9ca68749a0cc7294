//! From a random document on which two engines differ to a small one.

use goff_engine::Timestamp;

use super::{compare, oracle::Oracle, tree::Tree};

/// Shrinks a difference and prints it as a test.
pub(super) fn report(
    oracle: &mut Oracle,
    seed: u64,
    case: usize,
    tree: &Tree,
    now: Timestamp,
) -> Result<(), String> {
    let mut smallest = tree.clone();
    let mut tries = 4000_usize;
    loop {
        let mut candidates = reductions(&smallest);
        candidates.retain(|candidate| candidate.to_text().len() < smallest.to_text().len());
        let mut found = None;
        for candidate in candidates {
            let Some(left) = tries.checked_sub(1) else {
                break;
            };
            tries = left;
            if differs(oracle, &candidate, now)? {
                found = Some(candidate);
                break;
            }
        }
        match found {
            Some(candidate) => smallest = candidate,
            None => break,
        }
    }
    let text = smallest.to_text();
    let answer = goff_engine::evaluate_document(text.as_bytes(), now);
    let expected = oracle.answer(&text)?;
    println!("seed {seed} case {case} differs; for crates/goff-engine/tests/regressions.rs:\n");
    println!("#[test]\nfn seed_{seed}_case_{case}() {{");
    println!("    check(\n        r##\"{text}\"##,\n        r##\"{expected}\"##,\n    );\n}}");
    println!("\n// answered {answer}\n");
    Ok(())
}

fn differs(oracle: &mut Oracle, tree: &Tree, now: Timestamp) -> Result<bool, String> {
    let text = tree.to_text();
    let answer = goff_engine::evaluate_document(text.as_bytes(), now);
    if compare::is_size_limit(&answer) {
        return Ok(false);
    }
    // Without the date that the generator sets, the clock decides.
    if !text.contains("currentDateTime") {
        return Ok(false);
    }
    let expected = oracle.answer(&text)?;
    Ok(!compare::agree(&answer, &expected) && !oracle.is_unstable(&text, &expected)?)
}

/// Smaller trees, the largest steps first.
fn reductions(tree: &Tree) -> Vec<Tree> {
    let mut smaller = Vec::new();
    match tree {
        Tree::Plain(_) => {}
        Tree::Text(text) => {
            let characters: Vec<char> = text.chars().collect();
            let mut length = characters.len() / 2;
            while length > 0 {
                for start in (0..characters.len()).step_by(length) {
                    let kept = characters
                        .iter()
                        .enumerate()
                        .filter(|(index, _)| !(start..start + length).contains(index))
                        .map(|(_, char)| char)
                        .collect();
                    smaller.push(Tree::Text(kept));
                }
                length /= 2;
            }
            // A query in JSONLogic shrinks as the tree that it is.
            if let Some(Tree::Object(members)) = parse(text) {
                for reduced in reductions(&Tree::Object(members)) {
                    smaller.push(Tree::Text(reduced.to_text()));
                }
            }
        }
        Tree::List(elements) => {
            for (index, element) in elements.iter().enumerate() {
                let mut without = elements.clone();
                without.remove(index);
                smaller.push(Tree::List(without));
                for reduced in reductions(element) {
                    let mut with = elements.clone();
                    if let Some(place) = with.get_mut(index) {
                        *place = reduced;
                    }
                    smaller.push(Tree::List(with));
                }
            }
        }
        Tree::Object(members) => {
            for index in 0..members.len() {
                let mut without = members.clone();
                without.remove(index);
                smaller.push(Tree::Object(without));
            }
            for (index, (name, value)) in members.iter().enumerate() {
                for reduced in reductions(value) {
                    let mut with = members.clone();
                    if let Some(place) = with.get_mut(index) {
                        *place = (name.clone(), reduced);
                    }
                    smaller.push(Tree::Object(with));
                }
            }
        }
    }
    smaller
}

fn parse(text: &str) -> Option<Tree> {
    fn from(value: &serde_json::Value) -> Tree {
        match value {
            serde_json::Value::String(text) => Tree::text(text.clone()),
            serde_json::Value::Array(elements) => Tree::List(elements.iter().map(from).collect()),
            serde_json::Value::Object(members) => Tree::object(
                members
                    .iter()
                    .map(|(name, value)| (name.clone(), from(value))),
            ),
            other => Tree::plain(other),
        }
    }
    serde_json::from_str(text).ok().map(|value| from(&value))
}
