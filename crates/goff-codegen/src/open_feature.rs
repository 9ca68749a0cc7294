//! Functions for the client of the OpenFeature SDK.

use proc_macro2::TokenStream;
use quote::quote;
use serde_json::Value;

use crate::dialect::{Dialect, has};
use crate::naming::NamedFlag;
use crate::shape::{Member, Shape};
use crate::tokens::{doc, float, ident, integer, text};

pub(crate) struct OpenFeature;

impl Dialect for OpenFeature {
    fn evaluates(&self, shape: &Shape) -> bool {
        !matches!(shape, Shape::List(_) | Shape::Any)
    }

    fn imports(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("std::borrow", "Cow"),
            ("std::collections", "HashMap"),
            ("open_feature", "Client"),
            ("open_feature", "EvaluationContext"),
            ("open_feature", "EvaluationDetails"),
            ("open_feature", "EvaluationError"),
            ("open_feature", "EvaluationErrorCode"),
            ("open_feature", "EvaluationResult"),
            ("open_feature", "StructValue"),
            ("open_feature", "Value"),
        ]
    }

    fn function(&self, flag: &NamedFlag<'_>) -> TokenStream {
        let name = ident(&flag.name);
        let value = self.type_of(&flag.shape, &flag.type_name);
        let default = self.expression(&flag.shape, &flag.type_name, &flag.definition.default);
        let read = match flag.shape {
            Shape::Text => quote!(Cow::Owned(details.value)),
            _ => quote!(details.value),
        };
        quote! {
            pub async fn #name(client: &Client, context: Option<&EvaluationContext>) -> #value {
                match details::#name(client, context).await {
                    Ok(details) => #read,
                    Err(_) => #default,
                }
            }
        }
    }

    fn details(&self, flag: &NamedFlag<'_>) -> TokenStream {
        let name = ident(&flag.name);
        let key = ident(&flag.name.to_ascii_uppercase());
        let arguments = quote!((super::keys::#key, context, None).await);
        let value = match flag.shape {
            Shape::Text => quote!(String),
            _ => self.type_of(&flag.shape, &flag.type_name),
        };
        let body = match flag.shape {
            Shape::Boolean => quote!(client.get_bool_details #arguments),
            Shape::Integer => quote!(client.get_int_details #arguments),
            Shape::Float => quote!(client.get_float_details #arguments),
            Shape::Text => quote!(client.get_string_details #arguments),
            Shape::Choice(_) => quote! {
                let details = client.get_string_details #arguments?;
                super::read::chosen(details, #value::from_text)
            },
            _ => quote!(client.get_struct_details #arguments),
        };
        let documentation = doc(&format!("[`{name}`](super::{name}())."));
        quote! {
            #documentation
            ///
            /// # Errors
            /// The flag gives no value.
            pub async fn #name(
                client: &Client,
                context: Option<&EvaluationContext>,
            ) -> EvaluationResult<EvaluationDetails<#value>> {
                #body
            }
        }
    }

    fn details_documentation(&self) -> &'static str {
        "The same functions with variant, reason and metadata beside the value, or the error."
    }

    fn any_object(&self) -> TokenStream {
        quote!(StructValue)
    }

    fn any(&self, shape: &Shape, value: &Value) -> TokenStream {
        match (shape, value) {
            (Shape::AnyObject, Value::Object(members)) => {
                // Not a chain of calls, which would nest as deep as the object is wide.
                let fields = members.iter().filter(|(_, value)| !value.is_null());
                let fields: Vec<TokenStream> = fields
                    .map(|(name, value)| {
                        let (name, value) = (text(name), self.any(&Shape::Any, value));
                        quote!((#name.to_owned(), #value))
                    })
                    .collect();
                match fields.is_empty() {
                    true => quote!(StructValue::default()),
                    false => quote!(StructValue { fields: HashMap::from([#(#fields),*]) }),
                }
            }
            (_, Value::Object(_)) => {
                let object = self.any(&Shape::AnyObject, value);
                quote!(Value::Struct(#object))
            }
            (_, Value::Array(items)) => {
                let items = items.iter().filter(|item| !item.is_null());
                let items: Vec<TokenStream> =
                    items.map(|item| self.any(&Shape::Any, item)).collect();
                match items.is_empty() {
                    true => quote!(Value::Array(Vec::new())),
                    false => quote!(Value::Array(vec![#(#items),*])),
                }
            }
            (_, Value::Bool(value)) => quote!(Value::Bool(#value)),
            (_, Value::Number(number)) => match number.as_i64() {
                Some(number) => {
                    let number = integer(number);
                    quote!(Value::Int(#number))
                }
                None => {
                    let number = float(number.as_f64().unwrap_or_default());
                    quote!(Value::Float(#number))
                }
            },
            (_, Value::String(value)) => {
                let value = text(value);
                quote!(Value::String(#value.to_owned()))
            }
            // Left out above.
            (_, Value::Null) => quote!(Value::Struct(StructValue::default())),
        }
    }

    fn choice(&self, _name: &str) -> TokenStream {
        TokenStream::new()
    }

    fn object(&self, members: &[Member], name: &str) -> TokenStream {
        let name = ident(name);
        let read = members.iter().map(|member| {
            let (field, key) = (ident(&member.field), text(&member.name));
            match member.is_optional {
                true => quote!(#field: read::optional(&mut object, #key)?),
                false => quote!(#field: read::member(&mut object, #key)?),
            }
        });
        quote! {
            impl TryFrom<StructValue> for #name {
                type Error = EvaluationError;

                fn try_from(mut object: StructValue) -> EvaluationResult<Self> {
                    Ok(Self { #(#read,)* })
                }
            }

            impl read::Read for #name {
                fn read(value: Value) -> Option<Self> {
                    match value {
                        Value::Struct(object) => Self::try_from(object).ok(),
                        _ => None,
                    }
                }
            }
        }
    }

    fn readers(&self, shapes: &[&Shape]) -> TokenStream {
        let (mut has_choices, mut has_objects) = (false, false);
        for shape in shapes {
            has_choices |= matches!(shape, Shape::Choice(_));
            has_objects |= has(shape, &|shape| matches!(shape, Shape::Object(_)));
        }
        let mut readers = TokenStream::new();
        if has_choices {
            readers.extend(quote! {
                pub(super) fn chosen<T>(
                    details: EvaluationDetails<String>,
                    from_text: fn(&str) -> Option<T>,
                ) -> EvaluationResult<EvaluationDetails<T>> {
                    let Some(value) = from_text(&details.value) else {
                        return Err(EvaluationError {
                            code: EvaluationErrorCode::TypeMismatch,
                            message: Some(format!("flag `{}` holds another string", details.flag_key)),
                        });
                    };
                    Ok(EvaluationDetails {
                        flag_key: details.flag_key,
                        value,
                        reason: details.reason,
                        variant: details.variant,
                        flag_metadata: details.flag_metadata,
                    })
                }
            });
        }
        if has_objects {
            readers.extend(quote! {
                pub(super) fn member<T: Read>(
                    object: &mut StructValue,
                    name: &str,
                ) -> EvaluationResult<T> {
                    optional(object, name)?.ok_or_else(|| mismatch(name))
                }

                pub(super) fn optional<T: Read>(
                    object: &mut StructValue,
                    name: &str,
                ) -> EvaluationResult<Option<T>> {
                    let value = object.fields.remove(name);
                    value.map(|value| T::read(value).ok_or_else(|| mismatch(name))).transpose()
                }

                fn mismatch(name: &str) -> EvaluationError {
                    EvaluationError {
                        code: EvaluationErrorCode::TypeMismatch,
                        message: Some(format!("an object without a valid `{name}`")),
                    }
                }

                pub(super) trait Read: Sized {
                    fn read(value: Value) -> Option<Self>;
                }

                impl Read for Value {
                    fn read(value: Value) -> Option<Self> {
                        Some(value)
                    }
                }

                impl Read for bool {
                    fn read(value: Value) -> Option<Self> {
                        value.as_bool()
                    }
                }

                impl Read for i64 {
                    fn read(value: Value) -> Option<Self> {
                        value.as_i64()
                    }
                }

                impl Read for f64 {
                    #[allow(clippy::cast_precision_loss, reason = "an integer of JSON is a number")]
                    fn read(value: Value) -> Option<Self> {
                        match value {
                            Value::Int(value) => Some(value as f64),
                            value => value.as_f64(),
                        }
                    }
                }

                impl Read for Cow<'static, str> {
                    fn read(value: Value) -> Option<Self> {
                        match value {
                            Value::String(text) => Some(Cow::Owned(text)),
                            _ => None,
                        }
                    }
                }

                impl Read for StructValue {
                    fn read(value: Value) -> Option<Self> {
                        match value {
                            Value::Struct(object) => Some(object),
                            _ => None,
                        }
                    }
                }

                impl<T: Read> Read for Vec<T> {
                    fn read(value: Value) -> Option<Self> {
                        match value {
                            Value::Array(items) => items.into_iter().map(T::read).collect(),
                            _ => None,
                        }
                    }
                }
            });
        }
        readers
    }
}
