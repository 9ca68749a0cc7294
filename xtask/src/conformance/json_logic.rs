//! Random JSONLogic rules.

use super::{
    context::{self, MEMBERS, NAMES, TEXTS},
    random::Random,
    tree::Tree,
};

/// A rule, as an object.
pub(super) fn rule(random: &mut Random) -> Tree {
    if random.percent(35) {
        return conditions(random, 2);
    }
    let depth = random.between(1, 4);
    operation(random, depth)
}

/// What people write: comparisons of attributes with literals, joined.
fn conditions(random: &mut Random, depth: usize) -> Tree {
    if depth == 0 || random.percent(45) {
        let operator = random.pick(&["==", "!=", "===", "!==", "<", "<=", ">", ">=", "in", "in"]);
        let variable = variable(random);
        let literal = if operator == "in" && random.percent(80) {
            let length = random.below(5);
            Tree::List((0..length).map(|_| context::scalar(random)).collect())
        } else {
            context::scalar(random)
        };
        let pair = if random.percent(80) {
            vec![variable, literal]
        } else {
            vec![literal, variable]
        };
        return one(operator, Tree::List(pair));
    }
    match random.below(5) {
        0 => {
            let inner = conditions(random, depth - 1);
            one(
                random.pick(&["!", "!!"]),
                if random.percent(50) {
                    Tree::List(vec![inner])
                } else {
                    inner
                },
            )
        }
        index => {
            let length = random.between(0, 3);
            let list = (0..length).map(|_| conditions(random, depth - 1)).collect();
            one(if index < 3 { "and" } else { "or" }, Tree::List(list))
        }
    }
}

fn one(operator: &str, argument: Tree) -> Tree {
    Tree::object([(operator, argument)])
}

fn variable(random: &mut Random) -> Tree {
    let path = Tree::text(path(random));
    let argument = match random.below(12) {
        0 => Tree::List(vec![path]),
        1 | 2 => Tree::List(vec![path, context::scalar(random)]),
        3 => Tree::List(vec![path, context::scalar(random), context::scalar(random)]),
        _ => path,
    };
    one("var", argument)
}

fn path(random: &mut Random) -> String {
    let mut path = random.pick(NAMES).to_owned();
    let deeper = if matches!(path.as_str(), "o" | "company" | "tags" | "list") {
        60
    } else {
        10
    };
    while random.percent(deeper) && path.len() < 40 {
        path.push('.');
        path.push_str(if random.percent(40) {
            random.pick(&[
                "0", "1", "-1", "1.5", "2", "01", "1e0", "", "-0.5", "inf", "0x1p0",
            ])
        } else {
            random.pick_hot(MEMBERS)
        });
    }
    if random.percent(4) {
        path.insert(0, '.');
    }
    path
}

fn operand(random: &mut Random, depth: usize) -> Tree {
    if depth == 0 || random.percent(40) {
        return if random.percent(45) {
            variable(random)
        } else {
            context::value(random, 2)
        };
    }
    operation(random, depth - 1)
}

fn operands(random: &mut Random, depth: usize, fewest: usize, most: usize) -> Tree {
    let length = random.between(fewest, most);
    Tree::List((0..length).map(|_| operand(random, depth)).collect())
}

/// Numbers, and things that can be read as numbers.
fn numeric(random: &mut Random, depth: usize) -> Tree {
    match random.below(5) {
        0 => Tree::text(random.pick_hot(TEXTS)),
        1 if depth > 0 => operation(random, depth - 1),
        2 => variable(random),
        _ => context::number(random),
    }
}

fn operation(random: &mut Random, depth: usize) -> Tree {
    // Anything for anything, to meet every mistake.
    if random.percent(12) {
        let operator = random.pick(OPERATORS);
        let argument = match random.below(4) {
            0 => context::value(random, 2),
            1 => operand(random, depth.saturating_sub(1)),
            _ => operands(random, depth.saturating_sub(1), 0, 4),
        };
        return one(operator, argument);
    }
    let inner = depth.saturating_sub(1);
    match random.below(13) {
        0 | 1 => one(
            random.pick(&["==", "!=", "===", "!=="]),
            operands(random, inner, 2, 2),
        ),
        2 => one(
            random.pick(&["<", "<=", ">", ">="]),
            operands(random, inner, 2, 4),
        ),
        3 => one(
            random.pick(&["and", "or", "if", "?:", "if"]),
            operands(random, inner, 0, 5),
        ),
        4 => one(random.pick(&["!", "!!"]), operands(random, inner, 1, 1)),
        5 => {
            let length = random.below(4);
            let list = Tree::List((0..length).map(|_| numeric(random, inner)).collect());
            one(
                random.pick(&["+", "-", "*", "/", "%", "max", "min", "abs"]),
                list,
            )
        }
        6 => {
            let needle = operand(random, inner);
            let hay = if random.percent(50) {
                context::value(random, 3)
            } else {
                operand(random, inner)
            };
            one("in", Tree::List(vec![needle, hay]))
        }
        7 => variable_of(random, inner),
        8 => {
            let length = random.below(4);
            let names: Vec<Tree> = (0..length).map(|_| Tree::text(path(random))).collect();
            if random.percent(60) {
                one("missing", Tree::List(names))
            } else {
                one(
                    "missing_some",
                    Tree::List(vec![numeric(random, 0), Tree::List(names)]),
                )
            }
        }
        9 | 10 => list_operation(random, inner),
        11 => text_operation(random, inner),
        _ => {
            let operator = random.pick(&[
                "merge",
                "set",
                "contains_all",
                "contains_any",
                "contains_none",
            ]);
            match operator {
                "merge" => one(operator, operands(random, inner, 0, 3)),
                "set" => one(
                    operator,
                    Tree::List(vec![
                        operand(random, inner),
                        Tree::text(random.pick_hot(MEMBERS)),
                        operand(random, inner),
                    ]),
                ),
                _ => one(
                    operator,
                    Tree::List(vec![subject(random, inner), subject(random, inner)]),
                ),
            }
        }
    }
}

fn variable_of(random: &mut Random, depth: usize) -> Tree {
    match random.below(5) {
        0 => one("var", operand(random, depth)),
        1 => one("var", Tree::text("")),
        2 => one("var", Tree::plain(random.below(3))),
        _ => variable(random),
    }
}

/// What list operators work on.
fn subject(random: &mut Random, depth: usize) -> Tree {
    match random.below(4) {
        0 => one(
            "var",
            Tree::text(random.pick(&["tags", "list", "o.list", "company.list", "ghost"])),
        ),
        1 => operand(random, depth),
        _ => {
            let length = random.below(5);
            Tree::List((0..length).map(|_| context::value(random, 2)).collect())
        }
    }
}

/// What a list operator evaluates for each element.
fn predicate(random: &mut Random, depth: usize) -> Tree {
    if random.percent(50) {
        let operator = random.pick(&["==", ">", "<=", "in", "!=", "+"]);
        let element = one(
            "var",
            Tree::text(random.pick(&["", "", ".x", "x", "id", "name", "current", "accumulator"])),
        );
        return one(operator, Tree::List(vec![element, operand(random, 0)]));
    }
    operand(random, depth)
}

fn list_operation(random: &mut Random, depth: usize) -> Tree {
    let operator = random.pick(&["map", "filter", "all", "some", "none", "reduce"]);
    let mut arguments = vec![subject(random, depth), predicate(random, depth)];
    if operator == "reduce" {
        if random.percent(60) {
            let step = random.pick(&["+", "*", "cat", "max", "and"]);
            let list = [
                one("var", Tree::text("current")),
                one("var", Tree::text("accumulator")),
            ];
            arguments = vec![arguments.swap_remove(0), one(step, Tree::List(list.into()))];
        }
        arguments.push(operand(random, 0));
    }
    if random.percent(4) {
        arguments.pop();
    }
    one(operator, Tree::List(arguments))
}

fn text_operation(random: &mut Random, depth: usize) -> Tree {
    if random.percent(50) {
        return one("cat", operands(random, depth, 0, 3));
    }
    let text = if random.percent(60) {
        Tree::text(random.pick_hot(TEXTS))
    } else {
        operand(random, depth)
    };
    let mut arguments = vec![text, numeric(random, 0)];
    if random.percent(60) {
        arguments.push(Tree::plain(
            random.pick(&["0", "1", "2", "-1", "-2", "100", "1.9"]),
        ));
    }
    one("substr", Tree::List(arguments))
}

const OPERATORS: &[&str] = &[
    "==",
    "!=",
    "===",
    "!==",
    "<",
    "<=",
    ">",
    ">=",
    "and",
    "or",
    "!",
    "!!",
    "if",
    "?:",
    "+",
    "-",
    "*",
    "/",
    "%",
    "max",
    "min",
    "abs",
    "var",
    "missing",
    "missing_some",
    "in",
    "set",
    "contains_all",
    "contains_any",
    "contains_none",
    "map",
    "filter",
    "reduce",
    "all",
    "some",
    "none",
    "merge",
    "cat",
    "substr",
    "log",
    "method",
    "",
    "VAR",
    "unknown",
];
