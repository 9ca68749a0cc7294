//! Functions for the native client, and for flags without `async`.

use proc_macro2::TokenStream;
use quote::quote;
use serde_json::Value;

use crate::dialect::{Dialect, has};
use crate::naming::NamedFlag;
use crate::options::Api;
use crate::shape::{Member, Shape};
use crate::tokens::{doc, float, ident, text, typed_integer, unsigned};

pub(crate) struct Native(pub(crate) Api);

impl Native {
    fn client(&self) -> TokenStream {
        match self.0 {
            Api::Local => quote!(LocalFlags),
            _ => quote!(GoFeatureFlag),
        }
    }

    fn is_async(&self) -> bool {
        self.0 == Api::Native
    }

    /// What a function begins with, and how its calls are awaited.
    fn asyncness(&self) -> (TokenStream, TokenStream) {
        match self.is_async() {
            true => (quote!(pub async fn), quote!(.await)),
            false => (quote!(#[must_use] pub fn), quote!()),
        }
    }
}

impl Dialect for Native {
    fn evaluates(&self, _shape: &Shape) -> bool {
        true
    }

    fn imports(&self) -> &'static [(&'static str, &'static str)] {
        match self.0 {
            Api::Blocking => &[
                ("std::borrow", "Cow"),
                ("goff_client::blocking", "GoFeatureFlag"),
                ("goff_client", "ContextView"),
                ("goff_client", "EvaluationDetails"),
                ("goff_client", "FlagType"),
                ("serde_json", "Map"),
                ("serde_json", "Value"),
            ],
            _ => &[
                ("std::borrow", "Cow"),
                ("goff_client", "ContextView"),
                ("goff_client", "EvaluationDetails"),
                ("goff_client", "FlagType"),
                ("goff_client", "GoFeatureFlag"),
                ("goff_client", "LocalFlags"),
                ("serde_json", "Map"),
                ("serde_json", "Value"),
            ],
        }
    }

    fn function(&self, flag: &NamedFlag<'_>) -> TokenStream {
        let (name, client) = (ident(&flag.name), self.client());
        let value = self.type_of(&flag.shape, &flag.type_name);
        let (function, wait) = self.asyncness();
        quote! {
            #function #name(client: &#client, context: &dyn ContextView) -> #value {
                details::#name(client, context) #wait.value
            }
        }
    }

    fn details(&self, flag: &NamedFlag<'_>) -> TokenStream {
        let (name, client) = (ident(&flag.name), self.client());
        let value = self.type_of(&flag.shape, &flag.type_name);
        let default = self.expression(&flag.shape, &flag.type_name, &flag.definition.default);
        let constant = ident(&flag.name.to_ascii_uppercase());
        let (function, wait) = self.asyncness();
        let documentation = doc(&format!("[`{name}`](super::{name}())."));
        quote! {
            #documentation
            #function #name(client: &#client, context: &dyn ContextView) -> EvaluationDetails<#value> {
                client.evaluate(super::keys::#constant, context, #default) #wait
            }
        }
    }

    fn details_documentation(&self) -> &'static str {
        "The same functions with variant, reason, metadata and error beside the value."
    }

    fn any_object(&self) -> TokenStream {
        quote!(Map<String, Value>)
    }

    fn any(&self, shape: &Shape, value: &Value) -> TokenStream {
        match (shape, value) {
            (Shape::AnyObject, Value::Object(members)) => {
                let members = members.iter().map(|(name, value)| {
                    let (name, value) = (text(name), self.any(&Shape::Any, value));
                    quote!(object.insert(#name.to_owned(), #value);)
                });
                let members: Vec<TokenStream> = members.collect();
                match members.is_empty() {
                    true => quote!(Map::new()),
                    false => quote!({
                        let mut object = Map::new();
                        #(#members)*
                        object
                    }),
                }
            }
            (_, Value::Object(_)) => {
                let object = self.any(&Shape::AnyObject, value);
                quote!(Value::Object(#object))
            }
            (_, Value::Array(items)) => {
                let items = items.iter().map(|item| self.any(&Shape::Any, item));
                let items: Vec<TokenStream> = items.collect();
                match items.is_empty() {
                    true => quote!(Value::Array(Vec::new())),
                    false => quote!(Value::Array(vec![#(#items),*])),
                }
            }
            (_, Value::Bool(value)) => quote!(Value::Bool(#value)),
            (_, Value::Number(number)) => {
                let number = match (number.as_i64(), number.as_u64()) {
                    (Some(int), _) => typed_integer(int),
                    (None, Some(large)) => unsigned(large),
                    _ => float(number.as_f64().unwrap_or_default()),
                };
                quote!(Value::from(#number))
            }
            (_, Value::String(value)) => {
                let value = text(value);
                quote!(Value::from(#value))
            }
            (_, Value::Null) => quote!(Value::Null),
        }
    }

    fn choice(&self, name: &str) -> TokenStream {
        let wanted = text(&format!("one of the strings of `{name}`"));
        let name = ident(name);
        quote! {
            impl FlagType for #name {
                const NAME: &'static str = #wanted;

                fn from_json(value: &Value) -> Result<Self, Cow<'static, str>> {
                    match value.as_str() {
                        Some(text) => Self::from_text(text).ok_or(Cow::Borrowed("another string")),
                        None => Err(String::from_json(value).err().unwrap_or_default()),
                    }
                }

                fn to_json(&self) -> Value {
                    Value::from(self.as_str())
                }
            }
        }
    }

    fn object(&self, members: &[Member], name: &str) -> TokenStream {
        let wanted = text(&format!("an object like `{name}`"));
        let name = ident(name);
        let read = members.iter().map(|member| {
            let (field, key) = (ident(&member.field), text(&member.name));
            match member.is_optional {
                true => quote!(#field: read::optional(value, #key)?),
                false => quote!(#field: read::member(value, #key)?),
            }
        });
        let write = members.iter().map(|member| {
            let (field, key) = (ident(&member.field), text(&member.name));
            match member.is_optional {
                true => quote! {
                    if let Some(value) = &self.#field {
                        object.insert(#key.to_owned(), value.to_json());
                    }
                },
                false => quote!(object.insert(#key.to_owned(), self.#field.to_json());),
            }
        });
        quote! {
            impl FlagType for #name {
                const NAME: &'static str = #wanted;

                fn from_json(value: &Value) -> Result<Self, Cow<'static, str>> {
                    Ok(Self { #(#read,)* })
                }

                fn to_json(&self) -> Value {
                    let mut object = Map::new();
                    #(#write)*
                    Value::Object(object)
                }
            }
        }
    }

    fn readers(&self, shapes: &[&Shape]) -> TokenStream {
        let is_object = |shape: &Shape| matches!(shape, Shape::Object(_));
        if !shapes.iter().any(|shape| has(shape, &is_object)) {
            return TokenStream::new();
        }
        quote! {
            pub(super) fn member<T: FlagType>(
                value: &Value,
                name: &str,
            ) -> Result<T, Cow<'static, str>> {
                optional(value, name)?
                    .ok_or_else(|| Cow::Owned(format!("an object without `{name}`")))
            }

            pub(super) fn optional<T: FlagType>(
                value: &Value,
                name: &str,
            ) -> Result<Option<T>, Cow<'static, str>> {
                let Some(object) = value.as_object() else {
                    let found = Map::<String, Value>::from_json(value).err();
                    return Err(found.unwrap_or_default());
                };
                match object.get(name) {
                    None | Some(Value::Null) => Ok(None),
                    Some(value) => T::from_json(value).map(Some).map_err(|found| {
                        Cow::Owned(format!("an object whose `{name}` is {found}"))
                    }),
                }
            }
        }
    }
}
