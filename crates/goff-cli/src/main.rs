//! The command `goff`: the toolbox for GO Feature Flag's flags.
//!
//! It evaluates, checks, compares and tests flag files, and examines relay proxies. `goff --help`
//! lists the commands; `docs/tools.md` shows a session of each.

mod answer;
mod arguments;
mod commands;
mod failure;
mod file;
mod flags;
mod output;
mod relay;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::{Failure, Verdict};
use crate::output::{Color, Output};

/// Evaluate, check, compare, test and serve the flags of GO Feature Flag.
#[derive(Parser)]
#[command(name = "goff", version, after_help = EXIT_CODES, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    json: bool,
    /// When to use colors.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    color: Color,
}

#[derive(Subcommand)]
enum Command {
    Evaluate(commands::evaluate::Arguments),
    Lint(commands::lint::Arguments),
    Explain(commands::explain::Arguments),
    Diff(commands::diff::Arguments),
    Test(commands::test::Arguments),
    Doctor(commands::doctor::Arguments),
    Serve(commands::serve::Arguments),
    Generate(commands::generate::Arguments),
    Completions(commands::shell::Completions),
    Man(commands::shell::Man),
}

const EXIT_CODES: &str = "\
Exit codes:
  0  all is well
  1  there are findings: of `lint` or `doctor`, a flag without an answer, differences, failed tests,
     generated code that is out of date, unused flags
  2  the command could not do its work: bad arguments or files, no relay proxy (`doctor`: 1)";

fn main() -> ExitCode {
    let cli = Cli::parse();
    cli.color.apply();
    let output = Output::new(cli.json);
    let result = match cli.command {
        Command::Evaluate(arguments) => arguments.run(&output),
        Command::Lint(arguments) => arguments.run(&output),
        Command::Explain(arguments) => arguments.run(&output),
        Command::Diff(arguments) => arguments.run(&output),
        Command::Test(arguments) => arguments.run(&output),
        Command::Doctor(arguments) => arguments.run(&output),
        Command::Serve(arguments) => arguments.run(&output),
        Command::Generate(arguments) => arguments.run(&output),
        Command::Completions(arguments) => arguments.run(),
        Command::Man(arguments) => arguments.run(),
    };
    match result {
        Ok(Verdict::Good) | Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Ok(Verdict::Findings) => ExitCode::from(1),
        Err(Failure::Message(message)) => {
            output::complain("error", output::RED, &message);
            ExitCode::from(2)
        }
    }
}
