//! The module: functions, key constants and types, assembled and formatted.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use quote::quote;

use crate::dialect::{Dialect, has};
use crate::error::CodegenError;
use crate::flag::FlagDefinition;
use crate::naming::{NamedFlag, named};
use crate::native::Native;
use crate::open_feature::OpenFeature;
use crate::options::{Api, ModuleOptions};
use crate::shape::Shape;
use crate::tokens::{code, doc, ident, prose, text};
use crate::types::define;

/// A generated module.
#[derive(Clone, Debug)]
pub struct Module {
    code: String,
    functions: Vec<FlagFunction>,
    left_out: Vec<LeftOut>,
}

/// The function of a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlagFunction {
    /// The key of the flag.
    pub key: String,
    /// The name of the function, also of the one in the module `details`.
    pub name: String,
    /// The name of the constant in the module `keys`.
    pub constant: String,
}

/// A flag without a function.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftOut {
    /// The key of the flag.
    pub key: String,
    /// Why it has none.
    pub reason: &'static str,
}

impl Module {
    pub(crate) fn of(
        definitions: &[FlagDefinition],
        options: &ModuleOptions,
    ) -> Result<Self, CodegenError> {
        let dialect: &dyn Dialect = match options.api {
            Api::OpenFeature => &OpenFeature,
            api => &Native(api),
        };
        let (served, left_out): (Vec<_>, Vec<_>) = definitions
            .iter()
            .partition(|flag| dialect.evaluates(&flag.shape));
        let flags = named(&served, options)?;
        let left_out = left_out.into_iter().map(|flag| LeftOut {
            key: flag.key.clone(),
            reason: match flag.shape {
                Shape::List(_) => "the OpenFeature SDK evaluates no arrays",
                _ => "its variations have different types",
            },
        });
        Ok(Self {
            code: written(&flags, dialect)?,
            left_out: left_out.collect(),
            functions: flags
                .into_iter()
                .map(|flag| FlagFunction {
                    key: flag.definition.key.clone(),
                    constant: flag.name.to_ascii_uppercase(),
                    name: flag.name,
                })
                .collect(),
        })
    }

    /// The text of the module, formatted, without inner attributes: as a separate file, or for
    /// `include!` within a `mod`. It has the flags in the order of their keys and depends on nothing
    /// else, such as the time.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The functions, sorted by key.
    #[must_use]
    pub fn functions(&self) -> &[FlagFunction] {
        &self.functions
    }

    /// The flags for which the API has no function.
    #[must_use]
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }
}

/// The text of the module.
fn written(flags: &[NamedFlag<'_>], dialect: &dyn Dialect) -> Result<String, CodegenError> {
    let mut keys = TokenStream::new();
    let mut functions = Vec::new();
    let mut details = TokenStream::new();
    let mut types = Vec::new();
    for flag in flags {
        let key = text(&flag.definition.key);
        let constant = ident(&flag.name.to_ascii_uppercase());
        let documentation = doc(&format!("{}.", code(&flag.definition.key)));
        keys.extend(quote!(#documentation pub const #constant: &str = #key;));
        let documentation = documentation_of(flag);
        let function = dialect.function(flag);
        let is_number =
            |shape: &Shape| matches!(shape, Shape::Float | Shape::AnyObject | Shape::Any);
        let constants = match has(&flag.shape, &is_number) {
            true => quote!(clippy::approx_constant,),
            false => quote!(),
        };
        functions.push(quote! {
            #documentation
            #[allow(dead_code, #constants reason = "generated")]
            #function
        });
        details.extend(dialect.details(flag));
        define(&flag.shape, &flag.type_name, flag, dialect, &mut types);
    }
    let generated: BTreeSet<String> = flags.iter().flat_map(NamedFlag::types).collect();
    let shapes: Vec<_> = flags.iter().map(|flag| &flag.shape).collect();
    let read = dialect.readers(&shapes);
    let with_imports = |tokens: TokenStream| {
        let imports = imports(&tokens, dialect, &generated);
        quote!(#imports #tokens)
    };
    let mut parts = vec![imports(
        &functions.iter().chain(&types).cloned().collect(),
        dialect,
        &BTreeSet::new(),
    )];
    parts.push(module(
        "The keys of the flags.",
        quote!(#[allow(dead_code, reason = "generated")] pub),
        "keys",
        keys,
    ));
    parts.extend(functions);
    parts.push(module(
        dialect.details_documentation(),
        quote!(#[allow(dead_code, clippy::approx_constant, reason = "generated")] pub),
        "details",
        with_imports(details),
    ));
    parts.extend(types);
    if !read.is_empty() {
        let visibility = quote!(#[allow(dead_code, reason = "generated")]);
        let documentation = "How values are read.";
        parts.push(module(
            documentation,
            visibility,
            "read",
            with_imports(read),
        ));
    }
    let mut text = format!("{HEADER}\n");
    for part in parts {
        let file = syn::parse2::<syn::File>(part).map_err(|error| CodegenError::Code {
            message: error.to_string(),
        })?;
        if !file.items.is_empty() {
            text.push('\n');
            text += &prettyplease::unparse(&file);
        }
    }
    Ok(text)
}

fn module(
    documentation: &str,
    visibility: TokenStream,
    name: &str,
    items: TokenStream,
) -> TokenStream {
    let (documentation, name) = (doc(documentation), ident(name));
    quote!(#documentation #visibility mod #name { #items })
}

fn documentation_of(flag: &NamedFlag<'_>) -> TokenStream {
    let definition = flag.definition;
    let summary = format!(
        "The flag {}, {}: {} where it gives no value.",
        code(&definition.key),
        flag.shape.name(),
        code(&definition.default.to_string()),
    );
    let mut documentation = TokenStream::new();
    if let Some(description) = &definition.description {
        documentation.extend(quote!(#[allow(clippy::doc_markdown, rustdoc::bare_urls, reason = "the author's words")]));
        documentation.extend(doc(&prose(description)));
        documentation.extend(doc(""));
    }
    documentation.extend(doc(&summary));
    documentation
}

/// The imports of the names that `tokens` have.
fn imports(
    tokens: &TokenStream,
    dialect: &dyn Dialect,
    generated: &BTreeSet<String>,
) -> TokenStream {
    let mut found = BTreeSet::new();
    identifiers(tokens.clone(), &mut found);
    let mut by_path: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for (path, name) in dialect.imports() {
        if found.contains(*name) {
            by_path.entry(path).or_default().push(ident(name));
        }
    }
    for name in found.intersection(generated) {
        by_path.entry("super").or_default().push(ident(name));
    }
    by_path
        .into_iter()
        .map(|(path, names)| {
            let path = path.split("::").map(ident);
            let names = match &*names {
                [name] => quote!(#name),
                names => quote!({ #(#names),* }),
            };
            quote!(use #(#path)::*::#names;)
        })
        .collect()
}

fn identifiers(tokens: TokenStream, found: &mut BTreeSet<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                found.insert(ident.to_string());
            }
            TokenTree::Group(group) => identifiers(group.stream(), found),
            _ => {}
        }
    }
}

/// How every module begins.
pub(crate) const HEADER: &str =
    "// Generated by goff-codegen from the definitions of flags; do not edit.";
