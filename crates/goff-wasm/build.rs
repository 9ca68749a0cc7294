//! How the module is linked.

fn main() {
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "wasi") {
        // The module's own `malloc` and `free` are linked before those of WASI's libc, of which nothing stays then.
        println!("cargo::rustc-link-arg-cdylib=--allow-multiple-definition");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
