//! Modules for a file with every type and every awkward name, compiled by cargo and run.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use goff_codegen::{Api, FlagDefinitions, FlagFileFormat, Module, ModuleOptions};

const FLAGS: &str = include_str!("program/flags.yaml");

fn module(flags: &str, api: Api) -> Module {
    let flags = FlagDefinitions::from_flag_file(flags, FlagFileFormat::Yaml).unwrap();
    flags.module(&ModuleOptions::new(api)).unwrap()
}

/// A package beside the workspace, which shares its target folder.
struct Program(PathBuf);

impl Program {
    fn new(manifest: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("typed-flags");
        fs::create_dir_all(folder.join("src")).unwrap();
        let program = Self(folder);
        program.write("Cargo.toml", manifest);
        fs::copy(root().join("Cargo.lock"), program.0.join("Cargo.lock")).unwrap();
        program
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    /// Runs cargo, and gives what it printed if it failed.
    fn cargo(&self, arguments: &str) -> Result<(), String> {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let output = Command::new(env!("CARGO"))
            .args(arguments.split(' '))
            .current_dir(&self.0)
            .env("CARGO_TARGET_DIR", target)
            .output()
            .unwrap();
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    #[track_caller]
    fn passes(&self, arguments: &str) {
        if let Err(printed) = self.cargo(arguments) {
            panic!("cargo {arguments}:\n{printed}");
        }
    }
}

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap()
}

fn manifest() -> String {
    let workspace = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let profiles: String = workspace
        .split_inclusive("\n\n")
        .filter(|part| {
            part.contains("[profile.dev]") || part.contains("[profile.dev.package.\"*\"]")
        })
        .collect();
    let crates = root().join("crates");
    let crates = crates.display();
    format!(
        r#"
[package]
name = "typed-flags-program"
version = "0.0.0"
edition = "2024"

[workspace]

[dependencies]
goff-client = {{ path = "{crates}/goff-client", default-features = false, features = ["blocking", "in-process"] }}
goff-provider = {{ path = "{crates}/goff-provider", default-features = false, features = ["in-process"] }}
open-feature = "0.3"
serde_json = {{ version = "1", default-features = false, features = ["std"] }}
stats_alloc = "0.1.10"
tokio = {{ version = "1", default-features = false, features = ["macros", "rt"] }}

{profiles}"#
    )
}

#[test]
fn generated_modules_compile_without_warnings_and_answer_as_untyped_calls() {
    let program = Program::new(&manifest());
    let mut main = include_str!("program/compared.rs").to_owned();
    let functions = module(FLAGS, Api::Native);
    let keys = ["new-checkout", "new_checkout", "newCheckout"];
    for (number, key) in keys.iter().enumerate() {
        let mut functions = functions.functions().iter();
        let name = &functions
            .find(|function| function.key == *key)
            .unwrap()
            .name;
        let hash = name.strip_prefix("new_checkout_").unwrap();
        main = main.replace(
            &format!("_checkout_HASH{}", number + 1),
            &format!("_checkout_{hash}"),
        );
        let upper = hash.to_ascii_uppercase();
        main = main.replace(
            &format!("_CHECKOUT_HASH{}", number + 1),
            &format!("_CHECKOUT_{upper}"),
        );
    }
    program.write("src/main.rs", &main);
    program.write("src/flags.json", &json(FLAGS));
    let apis = [
        ("native", Api::Native),
        ("local", Api::Local),
        ("blocking", Api::Blocking),
        ("sdk", Api::OpenFeature),
    ];
    for (name, api) in apis {
        let module = module(FLAGS, api);
        program.write(&format!("src/{name}.rs"), module.code());
        let left_out: Vec<&str> = module.left_out().iter().map(|flag| &*flag.key).collect();
        match api {
            Api::OpenFeature => assert_eq!(left_out, ["countries", "mixed-list"]),
            _ => assert!(left_out.is_empty()),
        }
    }
    let lints = "-D warnings -W clippy::pedantic -W missing_docs";
    // What this program itself does not use or does in its own way.
    let own = "-A clippy::too_many_lines -A clippy::unreadable_literal -A clippy::large_futures";
    program.passes(&format!("clippy --quiet --offline -- {lints} {own}"));
    program.passes("run --quiet --offline");

    // A flag that is removed from the file is an error where it is used.
    let (before, after) = FLAGS.split_once("banner:").unwrap();
    let (_, after) = after.split_once("plan:").unwrap();
    let removed = format!("{before}plan:{after}");
    program.write("src/local.rs", module(&removed, Api::Local).code());
    let printed = program.cargo("check --quiet --offline").unwrap_err();
    assert!(
        printed.contains("cannot find function `banner` in module `local`"),
        "{printed}"
    );
    // So is a use as another type.
    program.write("src/local.rs", module(FLAGS, Api::Local).code());
    let wrong = main.replace("let _ = local::pi(", "let _: bool = local::pi(");
    program.write("src/main.rs", &wrong);
    let printed = program.cargo("check --quiet --offline").unwrap_err();
    assert!(
        printed.contains("expected `bool`, found `f64`"),
        "{printed}"
    );
}

/// The flags as a relay proxy serves them.
fn json(yaml: &str) -> String {
    let file = goff_engine::FlagFile::parse(yaml, FlagFileFormat::Yaml).unwrap();
    let flags = file.flags.iter().map(|flag| {
        let value = serde_json::from_str(flag.raw_json()).unwrap();
        (flag.key().to_owned(), value)
    });
    serde_json::Value::Object(flags.collect()).to_string()
}
