//! `goff generate`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use goff_codegen::{
    Api, CodegenError, FlagDefinitions, FlagFileFormat, FlagFunction, Module, ModuleOptions,
    UnusedSearch,
};
use goff_core::{ConfigurationUpdate, Endpoint, RelayClient as _, RelayError};
use serde::Serialize;

use crate::arguments::SourceArguments;
use crate::failure::{Failure, Verdict};
use crate::file;
use crate::flags;
use crate::output::{DIM, Output, YELLOW, complain, counted, grouped, shown, styled, warn};
use crate::relay;

/// Generate typed functions for flags, or find flags that no code uses.
#[derive(Args)]
#[command(after_help = "\
Examples:
  goff generate rust -f flags.yaml --output src/flags.rs
  goff generate rust -f flags.yaml --output src/flags.rs --check
  GOFF_API_KEY=… goff generate rust --endpoint https://flags.example.org --api open-feature
  goff generate -f flags.yaml --unused src")]
pub(crate) struct Arguments {
    /// The language of the functions.
    #[arg(value_enum, default_value_t = Language::Rust)]
    language: Language,
    #[command(flatten)]
    source: SourceArguments,
    /// A flag manifest of the OpenFeature CLI.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "endpoint"])]
    manifest: Option<PathBuf>,
    /// What the relay proxy is asked for.
    #[arg(long, value_enum, default_value_t = Answer::Manifest, requires = "endpoint", conflicts_with_all = ["file", "manifest"])]
    from: Answer,
    /// What the functions call.
    #[arg(long, value_enum, default_value_t = Called::Native)]
    api: Called,
    /// Leave strings that are words as strings.
    #[arg(long)]
    no_enums: bool,
    /// The file for the module.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write nothing; the exit code is 1 if the file would change.
    #[arg(long, requires = "output")]
    check: bool,
    /// Instead of generating, search this file or folder of Rust code for calls of the functions.
    #[arg(long, value_name = "SRC", conflicts_with = "output")]
    unused: Vec<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Language {
    Rust,
}

/// What a relay proxy is asked for.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Answer {
    /// Flags with a `defaultValue` in their metadata, without variations
    Manifest,
    /// All flags
    Configuration,
}

#[derive(Clone, Copy, ValueEnum)]
enum Called {
    /// `goff_client::GoFeatureFlag`
    Native,
    /// `goff_client::LocalFlags`, without `async`
    Local,
    /// `goff_client::blocking::GoFeatureFlag`, without `async`
    Blocking,
    /// `open_feature::Client`
    OpenFeature,
}

#[derive(Serialize)]
struct NamedFlag<'m> {
    flag: &'m str,
    function: &'m str,
    constant: &'m str,
}

impl<'m> NamedFlag<'m> {
    fn all(functions: impl IntoIterator<Item = &'m FlagFunction>) -> Vec<Self> {
        let named = functions.into_iter().map(|function| Self {
            flag: &function.key,
            function: &function.name,
            constant: &function.constant,
        });
        named.collect()
    }
}

impl Arguments {
    pub(crate) fn run(&self, output: &Output) -> Result<Verdict, Failure> {
        let Language::Rust = self.language;
        let (place, definitions) = self.definitions()?;
        let options = ModuleOptions::new(match self.api {
            Called::Native => Api::Native,
            Called::Local => Api::Local,
            Called::Blocking => Api::Blocking,
            Called::OpenFeature => Api::OpenFeature,
        });
        let module = definitions.module(&options.enums(!self.no_enums));
        let module = module.map_err(|error| match error {
            CodegenError::Flag { .. } => {
                Failure::at(&place, format!("{error}; give one of them another key"))
            }
            error => Failure::at(&place, error),
        })?;
        let is_of_relay = self.manifest.is_none() && self.source.file.is_none();
        let is_empty = module.functions().is_empty() && module.left_out().is_empty();
        if is_of_relay && is_empty && self.from == Answer::Manifest {
            let message = "its manifest has no flag, because none has a `defaultValue` in its metadata; try `--from configuration`";
            return Err(Failure::at(&place, message));
        }
        for flag in module.left_out() {
            let (key, reason) = (shown(&flag.key), flag.reason);
            warn(&format!("flag `{key}` has no function: {reason}"));
        }
        if !self.unused.is_empty() {
            return self.search(&module, output);
        }
        match &self.output {
            None if output.is_json => output.json(&serde_json::json!({
                "functions": NamedFlag::all(module.functions()),
                "code": module.code(),
            })),
            None => output.text(module.code()),
            Some(path) => return self.write(path, &module, output),
        }?;
        Ok(Verdict::Good)
    }

    /// Where the flags come from, and what they are.
    fn definitions(&self) -> Result<(String, FlagDefinitions), Failure> {
        let (place, definitions) = if let Some(path) = &self.manifest {
            let place = path.display().to_string();
            (place, FlagDefinitions::from_manifest(file::read(path)?))
        } else if let Some(path) = &self.source.file {
            let text = file::read(path)?;
            let definitions = FlagDefinitions::from_flag_file(text, flags::format(path));
            (path.display().to_string(), definitions)
        } else if let Some(endpoint) = self.source.relay.endpoint()? {
            ("the relay proxy".to_owned(), self.fetch(endpoint)?)
        } else {
            return Err(Failure::new(
                "no flags: give `--file FILE`, `--manifest FILE` or `--endpoint URL`",
            ));
        };
        let definitions = definitions.map_err(|error| {
            let is_linted = matches!(error, CodegenError::File(_) | CodegenError::Problems(_));
            let remedy = match (&self.source.relay.endpoint, is_linted) {
                (Some(_), _) => "correct what it serves",
                (None, true) => "correct it; `goff lint` finds errors in flag files",
                (None, false) => "correct it",
            };
            Failure::at(&place, format!("{error}; {remedy}"))
        })?;
        Ok((place, definitions))
    }

    fn fetch(&self, endpoint: Endpoint) -> Result<Result<FlagDefinitions, CodegenError>, Failure> {
        let client = relay::client(&self.source.relay, endpoint)?;
        relay::block_on(async {
            if self.from == Answer::Manifest {
                let manifest = client.flag_manifest().await;
                let manifest = manifest.map_err(|error| no_manifest(&error))?;
                return Ok(FlagDefinitions::from_manifest(manifest));
            }
            let update = client.flag_configuration(&[], None).await;
            match update.map_err(|error| relay::failure(&error))? {
                ConfigurationUpdate::Loaded(configuration) => {
                    let flags = configuration.flags.as_deref().unwrap_or("{}");
                    Ok(FlagDefinitions::from_flag_file(flags, FlagFileFormat::Json))
                }
                _ => Err(Failure::new(
                    "the relay proxy gave no configuration; try again",
                )),
            }
        })
    }

    /// Writes the file, unless it is as it should be.
    fn write(&self, path: &Path, module: &Module, output: &Output) -> Result<Verdict, Failure> {
        let is_same = file::has(path, module.code());
        if !is_same && !self.check {
            file::replace(path, module.code().as_bytes())?;
        }
        let (place, count) = (path.display().to_string(), module.functions().len());
        let verdict = Verdict::of(is_same || !self.check);
        if output.is_json {
            let is_written = !is_same && !self.check;
            return verdict.after(output.json(&serde_json::json!({
                "file": place,
                "changed": !is_same,
                "written": is_written,
                "functions": NamedFlag::all(module.functions()),
            })));
        }
        if verdict == Verdict::Findings {
            let message = format!("{place} is out of date; run the command without `--check`");
            complain("error", crate::output::RED, &message);
            return Ok(verdict);
        }
        let state = if is_same { "is up to date" } else { "written" };
        let functions = counted(count as u64, "function");
        verdict.after(output.text(&format!("{} {state}: {functions}\n", shown(&place))))
    }

    /// Lists the functions that the sources do not call.
    fn search(&self, module: &Module, output: &Output) -> Result<Verdict, Failure> {
        let mut search = UnusedSearch::default();
        let mut count = 0;
        for path in rust_files(&self.unused)? {
            search.add(&String::from_utf8_lossy(&file::read(&path)?));
            count += 1;
        }
        if count == 0 {
            return Err(Failure::new(
                "no Rust files to search: give the folder of the sources to `--unused`",
            ));
        }
        let unused = search.unused(module);
        let verdict = Verdict::of(unused.is_empty());
        if output.is_json {
            return verdict.after(output.json(&serde_json::json!({
                "files": count,
                "functions": module.functions().len(),
                "unused": NamedFlag::all(unused),
            })));
        }
        let mut text = String::new();
        for function in &unused {
            let key = styled(YELLOW, shown(&function.key));
            text += &format!("{key}: no code calls {}\n", function.name);
        }
        let summary = format!(
            "{} of {} unused, by a search for their names in {}",
            grouped(unused.len() as u64),
            counted(module.functions().len() as u64, "function"),
            counted(count, "file"),
        );
        text += &format!("{}\n", styled(DIM, summary));
        verdict.after(output.text(&text))
    }
}

/// The Rust files among these and below them. Hidden folders, `target` and links are left out.
fn rust_files(roots: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |path: &Path, error: &std::io::Error| {
        let message = format!("cannot be read: {error}; check the path and its permissions");
        Failure::at(path.display(), message)
    };
    let mut files = Vec::new();
    let mut folders = Vec::new();
    for root in roots {
        let metadata = fs::metadata(root).map_err(|error| unreadable(root, &error))?;
        match metadata.is_dir() {
            true => folders.push(root.clone()),
            false => files.push(root.clone()),
        }
    }
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|error| unreadable(&folder, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(&folder, &error))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let kind = entry
                .file_type()
                .map_err(|error| unreadable(&folder, &error))?;
            if kind.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(entry.path());
            } else if kind.is_file() && name.ends_with(".rs") {
                files.push(entry.path());
            }
        }
    }
    Ok(files)
}

fn no_manifest(error: &RelayError) -> Failure {
    match error.status() {
        Some(404 | 500) => Failure::new(format!(
            "{error}; the relay proxy has no manifest if it is older than 1.52 or a flag's value is an array: try `--from configuration`"
        )),
        _ => relay::failure(error),
    }
}
