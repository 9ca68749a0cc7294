//! The structs and enums.

use proc_macro2::TokenStream;
use quote::quote;

use crate::dialect::Dialect;
use crate::names;
use crate::naming::NamedFlag;
use crate::shape::Shape;
use crate::tokens::{code, doc, ident, text};

/// The types of a shape.
pub(crate) fn define(
    shape: &Shape,
    name: &str,
    flag: &NamedFlag<'_>,
    dialect: &dyn Dialect,
    types: &mut Vec<TokenStream>,
) {
    let key = code(&flag.definition.key);
    match shape {
        Shape::List(item) => define(item, name, flag, dialect, types),
        Shape::Choice(texts) => types.extend([choice(texts, name, &key), dialect.choice(name)]),
        Shape::Object(members) => {
            let documentation = doc(&match name == flag.type_name {
                true => format!("The value of the flag {key}."),
                false => format!("A part of the value of the flag {key}."),
            });
            let fields = members.iter().map(|member| {
                let documentation = doc(&format!("{}.", code(&member.name)));
                let (field, of) = (ident(&member.field), dialect.member_type(member, name));
                quote!(#documentation pub #field: #of)
            });
            let type_name = ident(name);
            types.push(quote! {
                #documentation
                #[allow(
                    dead_code, clippy::struct_excessive_bools, clippy::struct_field_names,
                    reason = "generated"
                )]
                #[derive(Clone, Debug, PartialEq)]
                pub struct #type_name { #(#fields,)* }
            });
            types.push(dialect.object(members, name));
            for member in members {
                let name = names::member_type(name, &member.name);
                define(&member.shape, &name, flag, dialect, types);
            }
        }
        _ => {}
    }
}

fn choice(texts: &[String], name: &str, key: &str) -> TokenStream {
    let words: Vec<&str> = texts.iter().map(|text| &**text).collect();
    let variants = names::variants(&words).unwrap_or_default();
    let variants: Vec<_> = variants.iter().map(|variant| ident(variant)).collect();
    let documentation = doc(&format!("What the flag {key} can be."));
    let documentations = texts.iter().map(|text| doc(&format!("{}.", code(text))));
    let literals: Vec<TokenStream> = texts.iter().map(|value| text(value)).collect();
    let name = ident(name);
    quote! {
        #documentation
        #[allow(dead_code, clippy::enum_variant_names, reason = "generated")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum #name { #(#documentations #variants,)* }

        #[allow(dead_code, reason = "generated")]
        impl #name {
            /// The string of the flag.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { #(Self::#variants => #literals,)* }
            }

            /// The value with this string.
            #[must_use]
            pub fn from_text(text: &str) -> Option<Self> {
                match text {
                    #(#literals => Some(Self::#variants),)*
                    _ => None,
                }
            }
        }
    }
}
