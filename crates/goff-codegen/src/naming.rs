//! The names of functions and types, no two equal.

use std::collections::{HashMap, HashSet};

use crate::error::CodegenError;
use crate::flag::FlagDefinition;
use crate::names;
use crate::options::ModuleOptions;
use crate::shape::Shape;
use crate::tokens::code;

/// A flag, and the names of what is made for it.
pub(crate) struct NamedFlag<'d> {
    pub(crate) definition: &'d FlagDefinition,
    pub(crate) shape: Shape,
    pub(crate) name: String,
    /// The name of its type, and the beginning of those of its members.
    pub(crate) type_name: String,
}

impl NamedFlag<'_> {
    /// The names of its types.
    pub(crate) fn types(&self) -> Vec<String> {
        let mut types = Vec::new();
        claim(&self.shape, &self.type_name, &mut types);
        types
    }
}

/// Names everything.
pub(crate) fn named<'d>(
    definitions: &[&'d FlagDefinition],
    options: &ModuleOptions,
) -> Result<Vec<NamedFlag<'d>>, CodegenError> {
    let keys: Vec<&str> = definitions.iter().map(|flag| &*flag.key).collect();
    let names = names::functions(&keys)?;
    let mut flags: Vec<NamedFlag<'_>> = definitions
        .iter()
        .zip(names)
        .map(|(&definition, name)| {
            let type_name = names::type_name(&name);
            NamedFlag {
                shape: shape(definition, &type_name, options),
                definition,
                name,
                type_name,
            }
        })
        .collect();
    let mut counts: HashMap<String, usize> = HashMap::new();
    for name in flags.iter().flat_map(NamedFlag::types) {
        *counts.entry(name).or_default() += 1;
    }
    let is_taken = |name: &String| {
        names::is_reserved_type(name) || counts.get(name).is_some_and(|count| *count > 1)
    };
    let mut taken: HashMap<String, &str> = HashMap::new();
    for flag in &mut flags {
        if flag.types().iter().any(is_taken) {
            flag.type_name += &names::hash(&flag.definition.key);
        }
        for name in flag.types() {
            let key = &flag.definition.key;
            if names::is_reserved_type(&name) {
                let message = format!("its type would be `{name}`, which is the name of another");
                return Err(CodegenError::flag(key, message));
            }
            if let Some(other) = taken.insert(name.clone(), key) {
                let other = code(other);
                let message = format!("its type and that of flag {other} would both be `{name}`");
                return Err(CodegenError::flag(key, message));
            }
        }
    }
    Ok(flags)
}

/// The shape for which there are types with different names.
fn shape(definition: &FlagDefinition, type_name: &str, options: &ModuleOptions) -> Shape {
    let shape = match &definition.shape {
        Shape::Choice(_) if !options.enums => &Shape::Text,
        shape => shape,
    };
    let mut types = Vec::new();
    claim(shape, type_name, &mut types);
    let different: HashSet<&String> = types.iter().collect();
    match different.len() == types.len() {
        true => shape.clone(),
        false if matches!(shape, Shape::List(_)) => Shape::List(Box::new(Shape::Any)),
        false => Shape::AnyObject,
    }
}

/// The types that a shape needs.
fn claim(shape: &Shape, name: &str, types: &mut Vec<String>) {
    match shape {
        Shape::Choice(_) => types.push(name.to_owned()),
        Shape::List(item) => claim(item, name, types),
        Shape::Object(members) => {
            types.push(name.to_owned());
            for member in members {
                claim(
                    &member.shape,
                    &names::member_type(name, &member.name),
                    types,
                );
            }
        }
        _ => {}
    }
}
