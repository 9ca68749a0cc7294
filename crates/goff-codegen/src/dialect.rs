//! What modules for different APIs have in common, and where they differ.

use proc_macro2::TokenStream;
use quote::quote;
use serde_json::Value;

use crate::names;
use crate::naming::NamedFlag;
use crate::shape::{Member, Shape};
use crate::tokens::{float, ident, integer, text};

/// The code for an API.
pub(crate) trait Dialect {
    /// Whether it evaluates flags of this shape.
    fn evaluates(&self, shape: &Shape) -> bool;

    /// Paths and names that modules import where they use them, sorted.
    fn imports(&self) -> &'static [(&'static str, &'static str)];

    /// The function that gives the value.
    fn function(&self, flag: &NamedFlag<'_>) -> TokenStream;

    /// The function in the module `details`.
    fn details(&self, flag: &NamedFlag<'_>) -> TokenStream;

    fn details_documentation(&self) -> &'static str;

    /// The type of an object without a struct.
    fn any_object(&self) -> TokenStream;

    /// The value of an object without a struct, or of any value.
    fn any(&self, shape: &Shape, value: &Value) -> TokenStream;

    /// What an enum needs to be read.
    fn choice(&self, name: &str) -> TokenStream;

    /// What a struct needs to be read.
    fn object(&self, members: &[Member], name: &str) -> TokenStream;

    /// What reads the values of these shapes.
    fn readers(&self, shapes: &[&Shape]) -> TokenStream;

    /// The Rust type of a shape.
    fn type_of(&self, shape: &Shape, name: &str) -> TokenStream {
        match shape {
            Shape::Boolean => quote!(bool),
            Shape::Integer => quote!(i64),
            Shape::Float => quote!(f64),
            Shape::Text => quote!(Cow<'static, str>),
            Shape::Choice(_) | Shape::Object(_) => {
                let name = ident(name);
                quote!(#name)
            }
            Shape::List(item) => {
                let item = self.type_of(item, name);
                quote!(Vec<#item>)
            }
            Shape::AnyObject => self.any_object(),
            Shape::Any => quote!(Value),
        }
    }

    /// The Rust type of a member of the struct `owner`.
    fn member_type(&self, member: &Member, owner: &str) -> TokenStream {
        let of = self.type_of(&member.shape, &names::member_type(owner, &member.name));
        match member.is_optional {
            true => quote!(Option<#of>),
            false => of,
        }
    }

    /// An expression for a value of a shape, which accepts it.
    fn expression(&self, shape: &Shape, name: &str, value: &Value) -> TokenStream {
        match shape {
            Shape::Boolean => {
                let value = value.as_bool().unwrap_or_default();
                quote!(#value)
            }
            Shape::Integer => integer(value.as_i64().unwrap_or_default()),
            Shape::Float => float(value.as_f64().unwrap_or_default()),
            Shape::Text => {
                let value = text(value.as_str().unwrap_or_default());
                quote!(Cow::Borrowed(#value))
            }
            Shape::Choice(texts) => {
                let words: Vec<&str> = texts.iter().map(|text| &**text).collect();
                let variants = names::variants(&words).unwrap_or_default();
                let mut variants = texts.iter().zip(variants);
                let variant = variants.find(|(text, _)| value == *text);
                let variant = variant.map(|(_, variant)| ident(&variant));
                let name = ident(name);
                quote!(#name::#variant)
            }
            Shape::List(item) => {
                let items = value.as_array().into_iter().flatten();
                let items: Vec<TokenStream> = items
                    .map(|value| self.expression(item, name, value))
                    .collect();
                match items.is_empty() {
                    true => quote!(Vec::new()),
                    false => quote!(vec![#(#items),*]),
                }
            }
            Shape::Object(members) => {
                let fields = members.iter().map(|member| {
                    let field = ident(&member.field);
                    let value = value.get(&member.name).filter(|value| !value.is_null());
                    let name = names::member_type(name, &member.name);
                    let value = value.map(|value| self.expression(&member.shape, &name, value));
                    match (value, member.is_optional) {
                        (Some(value), true) => quote!(#field: Some(#value)),
                        (value, false) => quote!(#field: #value),
                        (None, true) => quote!(#field: None),
                    }
                });
                let name = ident(name);
                quote!(#name { #(#fields),* })
            }
            Shape::AnyObject | Shape::Any => self.any(shape, value),
        }
    }
}

/// Whether any of these shapes, or what is in them, is one that `is_wanted`.
pub(crate) fn has(shape: &Shape, is_wanted: &dyn Fn(&Shape) -> bool) -> bool {
    is_wanted(shape)
        || match shape {
            Shape::List(item) => has(item, is_wanted),
            Shape::Object(members) => members.iter().any(|member| has(&member.shape, is_wanted)),
            _ => false,
        }
}
