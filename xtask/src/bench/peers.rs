//! `cargo xtask bench peers`: the measured flags, asked of the crates that a Rust user would take otherwise.
//!
//! `benches/peers` has one program for each peer, which is built alone. The programs run in turns, each for a short round;
//! the medians become BENCHMARKS.md. Builds are measured apart, because they take minutes.

mod builds;
mod chart;
mod figures;
mod known;
mod machine;
mod report;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::program::{Failure, Program, number, root, target};
use crate::wasm;
use figures::Figures;
use known::PROGRAMS;

/// Runs the programs, or the builds, and writes the page from the last figures of both.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let options = read(arguments)?;
    // The figures of the last run, for the page.
    let file = target().join("peers/figures.tsv");
    fs::create_dir_all(target().join("peers"))?;
    if options.builds {
        builds::measure()?;
    } else {
        let figures = measure(&options)?;
        fs::write(&file, figures.to_string())?;
    }
    let figures = fs::read_to_string(&file).map_err(|error| {
        format!("there are no figures, `cargo xtask bench peers` makes them: {error}")
    })?;
    report::write(&Figures::read(&figures)?, builds::last()?.as_deref())
}

#[derive(Debug)]
struct Options {
    builds: bool,
    /// Packages.
    left_out: Vec<String>,
    rounds: usize,
}

fn read(arguments: &[String]) -> Result<Options, Failure> {
    let mut options = Options {
        builds: false,
        left_out: Vec::new(),
        rounds: 7,
    };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--builds" => options.builds = true,
            "--leave-out" => {
                let package = arguments.next().map(|name| format!("peer-{name}"));
                let package = package.ok_or("`--leave-out` needs the name of a peer")?;
                if !PROGRAMS.iter().any(|program| program.package == package) {
                    return Err(format!("there is no `{package}` in benches/peers").into());
                }
                options.left_out.push(package);
            }
            "--rounds" => match number(argument, arguments.next())?.try_into() {
                Ok(rounds @ 1..) => options.rounds = rounds,
                _ => return Err("`--rounds` needs a number from 1".into()),
            },
            other => return Err(format!("unknown argument `{other}`").into()),
        }
    }
    Ok(options)
}

fn measure(options: &Options) -> Result<Figures, Failure> {
    let (wanted, left_out): (Vec<_>, Vec<_>) = PROGRAMS
        .iter()
        .partition(|program| !options.left_out.iter().any(|name| name == program.package));
    for program in left_out {
        println!("{}: left out", program.package);
    }
    let relay = Relay::start()?;
    let needs_official = wanted.iter().any(|program| program.needs_official_module);
    let official = needs_official.then(wasm::official_module).transpose()?;
    let mut programs = Vec::new();
    for program in wanted {
        programs.push((program.package, build(program.package)?));
    }
    let mut figures = Figures::new(options.rounds);
    for round in 0..options.rounds {
        println!("round {} of {}", round + 1, options.rounds);
        // Taking turns at who goes first.
        let mut order: Vec<_> = programs.iter().collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for (package, file) in order {
            let program = Program::new(file).args([&relay.endpoint]);
            let program = match &official {
                Some(module) => program.env("GOFF_OFFICIAL_MODULE", module),
                None => program,
            };
            let output = program.output()?;
            figures
                .add(&output)
                .map_err(|error| format!("{package}: {error}"))?;
        }
    }
    Ok(figures)
}

/// Builds a program alone, so that no other peer chooses features of its dependencies.
fn build(package: &str) -> Result<PathBuf, Failure> {
    let output = target().join("peers");
    Program::cargo("build --release --locked --package")
        .args([package])
        .env("CARGO_TARGET_DIR", &output)
        .directory(&root().join("benches/peers"))
        .run()?;
    Ok(output.join("release").join(package))
}

/// The relay proxy in a separate process.
struct Relay {
    process: Child,
    endpoint: String,
}

impl Relay {
    fn start() -> Result<Self, Failure> {
        let file = build("peer-relay")?;
        let mut process = Command::new(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut endpoint = String::new();
        if let Some(output) = process.stdout.take() {
            BufReader::new(output).read_line(&mut endpoint)?;
        }
        Ok(Self {
            process,
            endpoint: endpoint.trim().to_owned(),
        })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // It ends with its standard input; it may have ended already.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::words;

    #[test]
    fn arguments_are_read_and_wrong_ones_refused() {
        let options = read(&words("--rounds 3 --leave-out flagd")).unwrap();
        assert_eq!(options.left_out, ["peer-flagd"]);
        assert_eq!((options.rounds, options.builds), (3, false));
        assert!(read(&words("--builds")).unwrap().builds);
        for wrong in [
            "--leave-out",
            "--leave-out absent",
            "--rounds 0",
            "--rounds many",
            "seven",
        ] {
            assert!(read(&words(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn each_program_is_a_package_of_the_workspace() {
        for program in PROGRAMS {
            let directory = program.package.replacen("peer-", "benches/peers/", 1);
            let manifest = root().join(directory).join("Cargo.toml");
            let manifest = fs::read_to_string(&manifest).unwrap();
            assert!(manifest.contains(&format!("name = \"{}\"", program.package)));
            for name in program.crates {
                assert!(
                    manifest.contains(&format!("\n{name}")),
                    "{name}: {manifest}"
                );
            }
        }
    }
}
