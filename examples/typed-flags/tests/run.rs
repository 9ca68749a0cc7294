//! The example says what it is to say.

use std::process::Command;

#[test]
fn each_plan_gets_its_flags() {
    let output = Command::new(env!("CARGO_BIN_EXE_typed-flags")).output();
    let output = output.expect("the example runs");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "free: the old checkout, the forum, 100 requests because DEFAULT\n\
         pro: the new checkout, a phone number, 2000 requests because TARGETING_MATCH\n"
    );
}
