//! Fuzzing the engine with cargo-fuzz, target by target, on one core. Needs a nightly compiler.

use crate::program::{self, Failure, Program};

const TARGETS: [&str; 5] = ["document", "flag", "query", "json_logic", "date"];

/// Fuzzes for that many minutes, a fifth of them each target.
pub(crate) fn for_minutes(minutes: u64, seed: u64) -> Result<(), Failure> {
    run(minutes * 60 / TARGETS.len() as u64, seed)
}

/// Fuzzes each target for that many seconds. What is found beyond the committed corpus is kept in
/// a folder that git ignores.
pub(crate) fn run(seconds: u64, seed: u64) -> Result<(), Failure> {
    let engine = program::root().join("crates/goff-engine");
    for target in TARGETS {
        let grown = format!("fuzz/corpus-grown/{target}");
        std::fs::create_dir_all(engine.join(&grown))?;
        // The crate has no unsafe code for a sanitizer to watch.
        let program = Program::new("cargo")
            .args(["+nightly", "fuzz", "run", "--sanitizer", "none", target])
            .args([grown, format!("fuzz/corpus/{target}"), "--".to_owned()])
            .args([
                format!("-max_total_time={seconds}"),
                format!("-seed={seed}"),
            ])
            .args(["-max_len=65535", "-timeout=5", "-rss_limit_mb=4096"])
            .args(["-print_final_stats=1", "-print_funcs=0", "-verbosity=0"])
            .directory(&engine);
        program.run().map_err(|failure| {
            Failure::new(format!(
                "{failure}\nan input that was found is in crates/goff-engine/fuzz/artifacts/{target}; \
                 cargo-fuzz comes with `cargo install cargo-fuzz`"
            ))
        })?;
    }
    println!(
        "{} targets fuzzed for {seconds} s each, nothing found",
        TARGETS.len()
    );
    Ok(())
}
