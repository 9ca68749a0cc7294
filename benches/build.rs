//! Makes the typed function of the flag that in-process evaluation is measured with.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

use goff_codegen::{Api, FlagDefinitions, FlagFileFormat, ModuleOptions};

const FLAG: &str = r#"{"bool_targeting_match": {
    "variations": {"True": true, "False": false},
    "defaultRule": {"variation": "False"}
}}"#;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let flags = FlagDefinitions::from_flag_file(FLAG, FlagFileFormat::Json)?;
    let module = flags.module(&ModuleOptions::new(Api::Local))?;
    let folder = env::var("OUT_DIR")?;
    fs::write(Path::new(&folder).join("flags.rs"), module.code())?;
    Ok(())
}
