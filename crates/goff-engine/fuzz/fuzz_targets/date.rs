#![no_main]

#[path = "../inputs.rs"]
#[allow(dead_code, reason = "each target uses its own part")]
mod inputs;
#[path = "../timed.rs"]
mod timed;

libfuzzer_sys::fuzz_target!(|input: &[u8]| timed::run(inputs::date, input));
