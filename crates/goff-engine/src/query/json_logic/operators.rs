//! Operators on single values: logic, comparison, arithmetic and text.

use super::{
    comparison::{less, less_or_equal, loosely_equal, strictly_equal},
    described,
    interpreter::{Data, Interpreter, Outcome},
    number,
    value::{List, Text, Value},
};
use crate::{
    evaluate::observer::Observer,
    query::{stop::Stop, truncation::truncated},
};

impl<'v, O: Observer> Interpreter<'_, 'v, O> {
    /// Applies an operator to its raw argument.
    pub(super) fn operate(
        &self,
        operator: &str,
        argument: &Value<'v>,
        data: &Data<'v>,
    ) -> Outcome<'v> {
        let outcome = match operator {
            "var" => return self.variable(argument, data),
            // What decides is among their parts.
            "and" => return self.first(argument, data, false),
            "or" => return self.first(argument, data, true),
            "if" | "?:" => return self.conditional(argument, data),
            "map" => self.map(argument, data),
            "filter" => self.filter(argument, data),
            "reduce" => self.reduce(argument, data),
            "all" | "some" | "none" => self.quantifier(operator, argument, data),
            _ => {
                let arguments = self.evaluate(argument, data)?;
                let outcome = self.operate_evaluated(operator, &arguments, data);
                self.observer.operation(|| {
                    described::operation(operator, argument, Some(&arguments), &outcome)
                });
                return outcome;
            }
        };
        self.observer
            .operation(|| described::operation(operator, argument, None, &outcome));
        outcome
    }

    fn operate_evaluated(
        &self,
        operator: &str,
        arguments: &Value<'v>,
        data: &Data<'v>,
    ) -> Outcome<'v> {
        let list = match arguments {
            Value::List(list) => Some(list),
            _ => None,
        };
        let needed = || list.ok_or(Stop::Abort);
        match operator {
            "!" => Ok(Value::Bool(!subject(arguments).is_truthy())),
            "!!" => Ok(Value::Bool(subject(arguments).is_truthy())),
            "==" => self.equality(needed()?).map(Value::Bool),
            "!=" => self.equality(needed()?).map(|equal| Value::Bool(!equal)),
            "===" => self.strict_equality(list).map(Value::Bool),
            "!==" => self.strict_equality(list).map(|equal| Value::Bool(!equal)),
            "<" | "<=" | ">" | ">=" => self.order(operator, needed()?).map(Value::Bool),
            "+" | "-" | "*" | "/" | "%" | "max" | "min" | "abs" => {
                self.arithmetic(operator, arguments, list)
            }
            "in" => self.contained(needed()?).map(Value::Bool),
            "missing" => self.missing(arguments, data),
            "missing_some" => self.missing_some(needed()?, data),
            "merge" => self.merge(arguments),
            "set" => self.set(list, data),
            "contains_all" | "contains_any" | "contains_none" => self.contains(operator, list),
            "cat" => self.concatenation(arguments),
            "substr" => self.substring(needed()?),
            _ => Err(Stop::Abort),
        }
    }

    /// `and` and `or`: the first element whose truth decides, or the last one.
    fn first(&self, argument: &Value<'v>, data: &Data<'v>, deciding: bool) -> Outcome<'v> {
        let list = argument.as_list()?;
        let mut last = Value::Null;
        for element in list.iter() {
            last = self.evaluate(&element, data)?;
            if last.is_truthy() == deciding {
                break;
            }
        }
        Ok(last)
    }

    fn conditional(&self, argument: &Value<'v>, data: &Data<'v>) -> Outcome<'v> {
        let list = argument.as_list()?;
        let mut at = 0;
        let chosen = loop {
            match (list.get(at), list.get(at + 1)) {
                (None, _) => return Ok(Value::Null),
                (Some(otherwise), None) => break otherwise,
                (Some(condition), Some(result)) => {
                    if self.evaluate(&condition, data)?.is_truthy() {
                        break result;
                    }
                }
            }
            at += 2;
        };
        match self.evaluate(&chosen, data)? {
            Value::Object(object) => self.apply(&object, data),
            value => Ok(value),
        }
    }

    fn equality(&self, list: &List<'v>) -> Result<bool, Stop> {
        match (list.get(0), list.get(1)) {
            (Some(left), Some(right)) => {
                self.spend_operands(&left, &right)?;
                Ok(loosely_equal((&left).into(), (&right).into()))
            }
            _ => Ok(false),
        }
    }

    fn strict_equality(&self, list: Option<&List<'v>>) -> Result<bool, Stop> {
        match list.map(|list| (list.get(0), list.get(1))) {
            Some((Some(left), Some(right))) => {
                self.spend_operands(&left, &right)?;
                Ok(strictly_equal((&left).into(), (&right).into()))
            }
            _ => Ok(false),
        }
    }

    fn order(&self, operator: &str, list: &List<'v>) -> Result<bool, Stop> {
        let (Some(a), Some(b)) = (list.get(0), list.get(1)) else {
            return Ok(false);
        };
        let holds = |left: &Value<'v>, right: &Value<'v>| {
            self.spend_operands(left, right)?;
            let (left, right) = (left.into(), right.into());
            Ok(match operator {
                "<" => less(left, right),
                ">" => less(right, left),
                "<=" => less_or_equal(left, right),
                _ => less_or_equal(right, left),
            })
        };
        match list.get(2) {
            Some(c) if list.len() == 3 => Ok(holds(&a, &b)? && holds(&b, &c)?),
            _ => holds(&a, &b),
        }
    }

    fn spend_operands(&self, left: &Value<'v>, right: &Value<'v>) -> Result<(), Stop> {
        for value in [left, right] {
            if let Value::Text(text) = value {
                self.spend_text(text.as_str().len())?;
            }
        }
        Ok(())
    }

    /// A number, or a text read as one; 0 for any other text.
    pub(super) fn number(&self, value: &Value<'v>) -> Result<f64, Stop> {
        match value {
            Value::Number(value) => Ok(*value),
            Value::Text(text) => {
                self.spend_text(text.as_str().len())?;
                Ok(number::parse(text.as_str()).map_or(0.0, |parsed| parsed.value))
            }
            _ => Err(Stop::Abort),
        }
    }

    /// A text, a number in plain notation, or nothing for null.
    pub(super) fn text(&self, value: &Value<'v>) -> Result<Text<'v>, Stop> {
        let text = match value {
            Value::Text(text) => text.clone(),
            Value::Number(value) => Text::Made(number::plain(*value).into()),
            Value::Null => Text::Lent(""),
            _ => return Err(Stop::Abort),
        };
        self.spend_text(text.as_str().len())?;
        Ok(text)
    }

    fn arithmetic(
        &self,
        operator: &str,
        arguments: &Value<'v>,
        list: Option<&List<'v>>,
    ) -> Outcome<'v> {
        let Some(list) = list else {
            return match operator {
                "+" => self.number(arguments).map(Value::Number),
                "abs" => Ok(Value::Number(self.number(arguments)?.abs())),
                _ => without_operands(operator),
            };
        };
        let Some(first) = list.get(0) else {
            return without_operands(operator);
        };
        let number = |value: &Value<'v>| {
            self.spend(1)?;
            self.number(value)
        };
        let fold = |start: f64, skip: usize, step: fn(f64, f64) -> f64| {
            list.iter()
                .skip(skip)
                .try_fold(start, |total, value| Ok(step(total, number(&value)?)))
                .map(Value::Number)
        };
        match operator {
            "+" => fold(0.0, 0, |total, value| total + value),
            "*" => fold(1.0, 0, |total, value| total * value),
            "-" if list.len() == 1 => Ok(Value::Number(-number(&first)?)),
            "-" => fold(number(&first)?, 1, |total, value| total - value),
            "/" => fold(number(&first)?, 1, |total, value| total / value),
            "max" => fold(
                number(&first)?,
                1,
                |most, value| if value > most { value } else { most },
            ),
            "min" => fold(number(&first)?, 1, |least, value| {
                if value < least { value } else { least }
            }),
            "abs" => Ok(Value::Number(number(&first)?.abs())),
            _ => {
                let second = list.get(1).ok_or(Stop::Abort)?;
                Ok(Value::Number(number(&first)? % number(&second)?))
            }
        }
    }

    fn concatenation(&self, arguments: &Value<'v>) -> Outcome<'v> {
        let list = match arguments {
            Value::Text(_) => return Ok(arguments.clone()),
            Value::List(list) => list,
            _ => return Err(Stop::Abort),
        };
        if let (Some(only), 1) = (list.get(0), list.len()) {
            return self.text(&only).map(Value::Text);
        }
        let mut joined = String::new();
        for part in list.iter() {
            joined.push_str(self.text(&part)?.as_str());
        }
        Ok(Value::text(joined.trim()))
    }

    fn substring(&self, list: &List<'v>) -> Outcome<'v> {
        let (Some(text), Some(from)) = (list.get(0), list.get(1)) else {
            return Err(Stop::Abort);
        };
        let text = self.text(&text)?;
        // Finding the code points takes longer than copying them.
        self.spend_text(text.as_str().len().saturating_mul(4))?;
        let whole = text.as_str();
        let count = i64::try_from(whole.chars().count()).map_err(|_| Stop::Abort)?;
        let mut from = truncated(self.number(&from)?);
        if from < 0 {
            from = from.saturating_add(count);
        }
        if !(0..=count).contains(&from) {
            return Ok(Value::Text(text));
        }
        let mut length = count;
        if let (Some(third), 3) = (list.get(2), list.len()) {
            length = truncated(self.number(&third)?);
        }
        let to = if length < 0 {
            length.saturating_add(count)
        } else {
            // The official engine adds unchecked; the overflow makes it abort.
            from.wrapping_add(length)
        };
        let to = to.min(count);
        if to < from {
            return Err(Stop::Abort);
        }
        let (Ok(from), Ok(to)) = (usize::try_from(from), usize::try_from(to)) else {
            return Err(Stop::Abort);
        };
        Ok(Value::text(
            whole.chars().skip(from).take(to - from).collect::<String>(),
        ))
    }
}

fn without_operands<'v>(operator: &str) -> Outcome<'v> {
    match operator {
        "+" | "abs" => Ok(Value::Number(0.0)),
        "*" => Ok(Value::Number(1.0)),
        "-" | "/" => Ok(Value::ZeroMarker),
        "max" | "min" => Ok(Value::Null),
        _ => Err(Stop::Abort),
    }
}

/// What `!` and `!!` look at: the first element of a non-empty list, else the value.
fn subject<'v>(arguments: &Value<'v>) -> Value<'v> {
    match arguments {
        Value::List(list) => list.get(0).unwrap_or_else(|| arguments.clone()),
        _ => arguments.clone(),
    }
}
