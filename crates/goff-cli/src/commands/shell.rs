//! `goff completions` and `goff man`: for shells and packages.

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::Cli;
use crate::failure::{Failure, Verdict};
use crate::file;
use crate::output::Output;

/// Print completions for a shell.
#[derive(Args)]
#[command(
    after_help = "Example:\n  goff completions bash > ~/.local/share/bash-completion/completions/goff"
)]
pub(crate) struct Completions {
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(&self) -> Result<Verdict, Failure> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "goff", &mut text);
        Output::new(false).text(&String::from_utf8_lossy(&text))?;
        Ok(Verdict::Good)
    }
}

/// Print the manual page, or write one for each command.
#[derive(Args)]
pub(crate) struct Man {
    /// The folder for the pages `goff.1`, `goff-evaluate.1` and so on.
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(&self) -> Result<Verdict, Failure> {
        let mut command = Cli::command();
        command.build();
        let Some(folder) = &self.output else {
            let page = page(&command, "goff")?;
            Output::new(false).text(&String::from_utf8_lossy(&page))?;
            return Ok(Verdict::Good);
        };
        if !folder.is_dir() {
            return Err(Failure::at(
                folder.display(),
                "is not a folder; create it first",
            ));
        }
        write(folder, "goff", &command)?;
        for command in command.get_subcommands() {
            write(folder, &format!("goff-{}", command.get_name()), command)?;
        }
        Ok(Verdict::Good)
    }
}

fn write(folder: &Path, name: &str, command: &clap::Command) -> Result<(), Failure> {
    file::replace(&folder.join(format!("{name}.1")), &page(command, name)?)
}

fn page(command: &clap::Command, name: &str) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone())
        .title(name)
        .render(&mut page)
        .map_err(|error| Failure::of_output(&error))?;
    Ok(page)
}
