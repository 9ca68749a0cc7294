//! Makes the module of the flags.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

use goff_codegen::{Api, FlagDefinitions, FlagFileFormat, ModuleOptions};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=flags.yaml");
    let flags = FlagDefinitions::from_flag_file(fs::read("flags.yaml")?, FlagFileFormat::Yaml)?;
    let module = flags.module(&ModuleOptions::new(Api::Local))?;
    let folder = env::var("OUT_DIR")?;
    fs::write(Path::new(&folder).join("flags.rs"), module.code())?;
    Ok(())
}
