//! docs/typed-flags.md shows the files of `examples/typed-flags`, and what is generated from them. To
//! write it anew: `GOFF_WRITE_DOCS=1 cargo test -p goff-codegen --test documented`.

use std::fs;
use std::path::Path;

use goff_codegen::{Api, FlagDefinitions, FlagFileFormat, ModuleOptions};

#[test]
fn the_example_is_what_is_generated() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    let flags = read("examples/typed-flags/flags.yaml");
    let definitions = FlagDefinitions::from_flag_file(&flags, FlagFileFormat::Yaml).unwrap();
    let module = definitions.module(&ModuleOptions::new(Api::Local)).unwrap();
    let mut page = read("docs/typed-flags.md");
    let committed = page.clone();
    for (section, language, text) in [
        (
            "build.rs",
            "rust,ignore",
            &*read("examples/typed-flags/build.rs"),
        ),
        ("flags.yaml", "yaml", &*flags),
        ("flags.rs", "rust,ignore", module.code()),
    ] {
        let begin = format!("<!-- {section} -->\n");
        let (before, rest) = page.split_once(&begin).unwrap();
        let (_, after) = rest.split_once("<!-- end -->").unwrap();
        let text = text.trim_end();
        page = format!("{before}{begin}\n```{language}\n{text}\n```\n\n<!-- end -->{after}");
    }
    if std::env::var_os("GOFF_WRITE_DOCS").is_some() {
        fs::write(root.join("docs/typed-flags.md"), page).unwrap();
    } else {
        assert_eq!(
            committed, page,
            "docs/typed-flags.md is out of date; set GOFF_WRITE_DOCS=1"
        );
    }
}
