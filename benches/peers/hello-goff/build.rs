//! Takes the program out of the README.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    const README: &str = "../../../README.md";
    println!("cargo::rerun-if-changed={README}");
    let readme = fs::read_to_string(README)?;
    let blocks = readme.split("```rust").skip(1);
    let programs = blocks.filter_map(|block| block.split_once('\n')?.1.split("```").next());
    let program = programs.into_iter().find(|block| block.contains("fn main"));
    let file = PathBuf::from(env::var("OUT_DIR")?).join("readme.rs");
    fs::write(file, program.ok_or("the README has no program")?)?;
    Ok(())
}
