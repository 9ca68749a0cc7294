//! `goff completions` and `goff man`.

use crate::goff::Goff;

#[test]
fn completions_and_manual_pages_name_the_commands() {
    let goff = Goff::with(&[]);
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        goff.run(&format!("goff completions {shell}"))
            .has(0, &["evaluate", "endpoint"]);
    }
    goff.run("goff man").has(0, &[".TH goff", "Exit codes"]);
    goff.run("mkdir pages && goff man --output pages")
        .has(0, &[]);
    let page = std::fs::read_to_string(goff.path("pages/goff-evaluate.1")).unwrap();
    assert!(page.contains(".TH goff-evaluate"), "{page}");
    goff.run("goff man --output no/such/folder")
        .has(2, &["create it first"]);
}

/// What `docs/tools.md` says of the exit codes is what the command says.
#[test]
fn help_documents_commands_and_exit_codes() {
    let mut goff = Goff::with(&[]);
    goff.show("goff --help").has(0, &["Exit codes:"]);
    goff.document("help");
    goff.run("goff --version")
        .has(0, &[env!("CARGO_PKG_VERSION")]);
}
