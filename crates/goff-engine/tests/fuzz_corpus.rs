//! The fuzz targets over their committed corpus, without a fuzzer.
#[path = "../fuzz/inputs.rs"]
mod inputs;

use std::time::Instant;

#[test]
fn the_corpus_neither_panics_nor_takes_long() {
    // Without optimization everything takes this many times as long.
    let limit = inputs::MAX_TIME * if cfg!(debug_assertions) { 40 } else { 1 };
    for (name, target) in inputs::TARGETS {
        let folder = format!("{}/fuzz/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
        let mut count = 0;
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let input = std::fs::read(&path).unwrap();
            assert!(input.len() <= inputs::MAX_LENGTH, "{}", path.display());
            let run = || {
                let start = Instant::now();
                target(&input);
                start.elapsed()
            };
            let time = run();
            if time > limit {
                // Another process may have interfered, so the second try decides.
                assert!(run() <= limit, "{}", path.display());
                eprintln!("{} took {time:?} at first", path.display());
            }
            count += 1;
        }
        assert!(count > 0, "{folder} is empty");
    }
}
