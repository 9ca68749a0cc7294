//! The official engine as WebAssembly in wasmtime; the file stands in `GOFF_OFFICIAL_MODULE`.

use std::cell::RefCell;
use std::collections::BTreeMap;

use goff_tests_wasm::native_context::USER;
use goff_tests_wasm::{Compiled, STACK, UNLIMITED, document, module_file};
use peer_questions::{Failure, ask, original};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let module = Compiled::new(&module_file("GOFF_OFFICIAL_MODULE"), STACK)?;
    let guest = RefCell::new(module.instance(UNLIMITED)?);
    // Prepared once; a provider writes it for each evaluation.
    let inputs = original().into_iter().map(|(key, flag)| {
        let input = document(&key, &flag, USER);
        (key, input)
    });
    let inputs: BTreeMap<String, String> = inputs.collect();
    ask("official engine as WebAssembly", async |asked| {
        let output = guest
            .borrow_mut()
            .evaluate(inputs.get(&asked.key)?.as_bytes())
            .ok()?;
        [true, false]
            .into_iter()
            .find(|value| output.contains(&format!("\"value\":{value}")))
    })
    .await
}
