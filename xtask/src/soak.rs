//! `cargo xtask soak`: the long form of tests that CI runs short.

use std::{path::Path, process::Command};

/// What the command does, for the usage text.
pub(crate) const USAGE: &str =
    "soak fuzz [--minutes N] [--seed S]   fuzz the engine, a fifth of the time each target";

const TARGETS: [&str; 5] = ["document", "flag", "query", "json_logic", "date"];

pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    match arguments {
        [name, options @ ..] if name == "fuzz" => fuzz(options),
        _ => Err(format!("usage: cargo xtask {USAGE}")),
    }
}

/// Runs cargo-fuzz, target by target, on one core. Needs a nightly toolchain and cargo-fuzz.
fn fuzz(options: &[String]) -> Result<(), String> {
    let (mut minutes, mut seed) = (1.0_f64, 0_u32);
    let mut options = options.iter();
    while let Some(option) = options.next() {
        let value = options.next().map(String::as_str).unwrap_or_default();
        let parsed = match option.as_str() {
            "--minutes" => value.parse().map(|value| minutes = value).is_ok(),
            "--seed" => value.parse().map(|value| seed = value).is_ok(),
            _ => false,
        };
        if !parsed {
            return Err(format!(
                "`{option} {value}` is not understood\nusage: cargo xtask {USAGE}"
            ));
        }
    }
    let seconds = ((minutes * 60.0 / TARGETS.len() as f64) as u64).max(1);
    let engine = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/goff-engine");
    for target in TARGETS {
        println!("fuzz {target}: {seconds} s");
        // What is found beyond the committed corpus goes to the first folder.
        let grown = format!("fuzz/corpus-grown/{target}");
        std::fs::create_dir_all(engine.join(&grown)).map_err(|error| error.to_string())?;
        // The crate has no unsafe code for a sanitizer to watch.
        let status = Command::new("cargo")
            .args([
                "+nightly",
                "fuzz",
                "run",
                "--sanitizer",
                "none",
                target,
                &grown,
            ])
            .arg(format!("fuzz/corpus/{target}"))
            .arg("--")
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-seed={seed}"))
            .args([
                "-max_len=65535",
                "-timeout=5",
                "-rss_limit_mb=4096",
                "-print_final_stats=1",
                "-verbosity=0",
            ])
            .current_dir(&engine)
            .status()
            .map_err(|error| {
                format!("cargo fuzz: {error}; `cargo install cargo-fuzz` brings it")
            })?;
        if !status.success() {
            return Err(format!(
                "fuzz {target}: {status}; the input is in crates/goff-engine/fuzz/artifacts/{target}"
            ));
        }
    }
    println!(
        "{} targets fuzzed for {seconds} s each, nothing found",
        TARGETS.len()
    );
    Ok(())
}
