//! Fuzzing the engine with cargo-fuzz, target by target, on one core.

use crate::program::{Failure, Program, root};

const TARGETS: [&str; 5] = ["document", "flag", "query", "json_logic", "date"];

/// Fuzzes for that many minutes, a fifth of them each target.
pub(crate) fn for_minutes(minutes: u64, seed: u64) -> Result<(), Failure> {
    run(minutes * 60 / TARGETS.len() as u64, seed)
}

/// Fuzzes each target for that many seconds. What is found beyond the committed corpus goes to a folder that git ignores.
pub(crate) fn run(seconds: u64, seed: u64) -> Result<(), Failure> {
    let folder = root().join("crates/goff-engine/fuzz");
    for target in TARGETS {
        let grown = format!("corpus-grown/{target}");
        std::fs::create_dir_all(folder.join(&grown))?;
        // The folder's rust-toolchain.toml names a nightly compiler, which the variable would override. The crate has
        // no unsafe code for a sanitizer to watch.
        let program = Program::new("cargo")
            .env_remove("RUSTUP_TOOLCHAIN")
            .words(&format!(
                "fuzz run --sanitizer none {target} {grown} corpus/{target} --"
            ))
            .words(&format!(
                "-max_total_time={seconds} -seed={seed} -max_len=65535 -timeout=5"
            ))
            .words("-rss_limit_mb=4096 -print_final_stats=1 -print_funcs=0 -verbosity=0")
            .directory(&folder);
        program.run().map_err(|failure| {
            format!(
                "{failure}\nan input that fails is in crates/goff-engine/fuzz/artifacts/{target}; .ci/run installs \
                 cargo-fuzz and the compiler"
            )
        })?;
    }
    let count = TARGETS.len();
    println!("{count} targets fuzzed for {seconds} s each, nothing found");
    Ok(())
}
