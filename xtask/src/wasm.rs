//! `cargo xtask wasm`: builds goff-wasm, and compares it with the official module in the hosts that providers use.

use std::fs;
use std::path::{Path, PathBuf};

use crate::program::{Failure, Program, number, root, target};

/// The provider whose host and official module are used; 1.3.0 bundles module 0.2.4.
const PYTHON_PROVIDER: &str = "gofeatureflag-python-provider==1.3.0";

/// Builds the module, states its size, and tests it in wasmtime; `--beside` adds the official module, the Python provider,
/// which pip fetches, and the hosts of the providers for JavaScript and Java where there are node and Maven.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let options = read(arguments)?;
    let module = build("wasm32-wasip1")?;
    let host = |arguments: &str| {
        Program::cargo(arguments)
            .directory(&root().join("tests-wasm"))
            .env("CARGO_TARGET_DIR", target().join("tests-wasm"))
            .env("GOFF_WASM_MODULE", &module)
    };
    let mut tests = host("test --release --locked -- --nocapture --test-threads=1");
    for (variable, count) in &options.counts {
        tests = tests.env(variable, count.to_string());
    }
    tests.run()?;
    if !options.beside {
        return Ok(());
    }
    let python = python()?;
    let official = module_of(&python)?;
    host("run --release --locked --bin beside")
        .env("GOFF_OFFICIAL_MODULE", &official)
        .run()?;
    Program::new(&python)
        .args([Path::new("tests-wasm/python/provider.py"), &module])
        .run()?;
    let documents = target().join("wasm-documents.tsv");
    let printed = host("run --release --locked --quiet --bin documents").output()?;
    fs::write(&documents, printed)?;
    javascript(&documents, &official)?;
    java(&documents, &module, &official)
}

/// With the features of WebAssembly that Rust uses, and no newer one, which hosts may lack.
const WASM_OPT: &str = "-O3 --enable-bulk-memory --enable-sign-ext --enable-nontrapping-float-to-int \
                        --enable-mutable-globals --enable-multivalue --enable-reference-types -o";

struct Options {
    beside: bool,
    /// Environment variable and value.
    counts: Vec<(&'static str, u64)>,
}

fn read(arguments: &[String]) -> Result<Options, Failure> {
    let mut options = Options {
        beside: false,
        counts: Vec::new(),
    };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let variable = match argument.as_str() {
            "--beside" => {
                options.beside = true;
                continue;
            }
            "--documents" => "GOFF_WASM_DOCUMENTS",
            "--evaluations" => "GOFF_WASM_EVALUATIONS",
            other => return Err(format!("unknown argument `{other}`").into()),
        };
        let count = number(argument, arguments.next())?;
        options.counts.push((variable, count));
    }
    Ok(options)
}

/// Builds the module, and lets wasm-opt make it smaller where there is one.
fn build(system: &str) -> Result<PathBuf, Failure> {
    Program::cargo("build --package goff-wasm --profile wasm --target")
        .args([system])
        .run()?;
    let built = target().join(system).join("wasm/goff_wasm.wasm");
    println!("{}: {} bytes", built.display(), fs::metadata(&built)?.len());
    if !Program::new("wasm-opt").args(["--version"]).succeeds() {
        println!(
            "wasm-opt is not installed (https://github.com/WebAssembly/binaryen): the module stays as it is"
        );
        return Ok(built);
    }
    let optimized = built.with_extension("opt.wasm");
    Program::new("wasm-opt")
        .words(WASM_OPT)
        .args([&optimized, &built])
        .run()?;
    let size = fs::metadata(&optimized)?.len();
    println!("{}: {size} bytes", optimized.display());
    Ok(optimized)
}

/// A Python with the provider, installed beside the build.
fn python() -> Result<PathBuf, Failure> {
    let environment = target().join("wasm-python");
    let python = environment.join("bin/python");
    if !python.exists() {
        let made = Program::new("python3").args(["-m", "venv"]);
        made.args([&environment]).run()?;
    }
    Program::new(&python)
        .words("-m pip install --quiet --disable-pip-version-check")
        .args([PYTHON_PROVIDER])
        .run()?;
    Ok(python)
}

/// The official module, installed with the provider for Python.
pub(crate) fn official_module() -> Result<PathBuf, Failure> {
    module_of(&python()?)
}

/// The module that the provider loads if it is not told another.
fn module_of(python: &Path) -> Result<PathBuf, Failure> {
    const FIND: &str = "import gofeatureflag_python_provider.wasm as it, pathlib
print(next(pathlib.Path(it.__file__).parent.glob('*.wasi')))";
    let found = Program::new(python).args(["-c", FIND]).output()?;
    Ok(found.trim().into())
}

/// The build for JavaScript in node, as the JavaScript provider loads one.
fn javascript(documents: &Path, official: &Path) -> Result<(), Failure> {
    if !Program::new("node").args(["--version"]).succeeds() {
        println!("node is not installed: the build for JavaScript is not tested");
        return Ok(());
    }
    let module = build("wasm32-unknown-unknown")?;
    Program::new("node")
        .args(["tests-wasm/javascript/host.mjs"])
        .args([documents, &module, official])
        .run()
}

/// The module in Chicory, the host of the Java provider, which Maven fetches.
fn java(documents: &Path, module: &Path, official: &Path) -> Result<(), Failure> {
    let has = |name| Program::new(name).args(["-version"]).succeeds();
    if !has("mvn") || !has("java") {
        println!("Maven and Java are not installed: the module is not tested in Chicory");
        return Ok(());
    }
    let path = target().join("wasm-class-path.txt");
    Program::new("mvn")
        .words("--quiet --batch-mode --file tests-wasm/java/pom.xml dependency:build-classpath")
        .args([format!("-Dmdep.outputFile={}", path.display())])
        .run()?;
    Program::new("java")
        .args(["-cp", fs::read_to_string(path)?.trim()])
        .args(["tests-wasm/java/Host.java"])
        .args([documents, module, official])
        .run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_need_a_number_and_other_arguments_are_refused() {
        let read = |arguments: &str| read(&crate::program::words(arguments));
        let options = read("--beside --documents 2_000_000 --evaluations 7").unwrap();
        assert!(options.beside);
        let counts = [
            ("GOFF_WASM_DOCUMENTS", 2_000_000),
            ("GOFF_WASM_EVALUATIONS", 7),
        ];
        assert_eq!(options.counts, counts);
        for wrong in ["--documents", "--documents many", "--other"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
