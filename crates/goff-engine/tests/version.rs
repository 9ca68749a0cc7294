//! The engine follows the version that it is compared with.

/// GOFF-ENG-001, GOFF-ENG-002, GOFF-WASM-010.
#[test]
fn engine_version_is_that_of_the_compared_core() {
    let go_mod = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests-integration/relay/go.mod"
    );
    let go_mod = std::fs::read_to_string(go_mod).expect("the relay proxy's go.mod");
    // Both spellings of a requirement, in a block and alone, end in the same words.
    let module = "github.com/thomaspoignant/go-feature-flag/modules/core v";
    let version = go_mod
        .lines()
        .find_map(|line| line.trim().split_once(module))
        .and_then(|(_, rest)| rest.split(' ').next())
        .expect("the core module in go.mod");
    assert_eq!(goff_engine::ENGINE_VERSION, version);
}
