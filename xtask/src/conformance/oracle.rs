//! The official engine as a child process.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::program::{Failure, Program, root};

/// A running oracle: `tests-integration/relay/oracle`, built with Go.
pub(super) struct Oracle {
    child: Child,
    input: BufWriter<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Oracle {
    pub(super) fn start() -> Result<Self, Failure> {
        let binary = build()?;
        let mut child = Command::new(&binary)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", binary.display()))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the oracle has no standard streams".into());
        };
        Ok(Self {
            child,
            input: BufWriter::new(input),
            output: BufReader::with_capacity(1 << 20, output),
        })
    }

    /// The official answer for each line.
    pub(super) fn answers(&mut self, lines: &[&str]) -> Result<Vec<String>, Failure> {
        let (input, output) = (&mut self.input, &mut self.output);
        // Writing and reading at once: either pipe alone would fill up.
        std::thread::scope(|scope| {
            let writer = scope.spawn(move || {
                for line in lines {
                    input.write_all(line.as_bytes())?;
                    input.write_all(b"\n")?;
                }
                input.flush()
            });
            let mut answers = Vec::with_capacity(lines.len());
            for line in lines {
                let mut answer = String::new();
                if output.read_line(&mut answer)? == 0 {
                    return Err(format!("the oracle ended at or before this input:\n{line}").into());
                }
                answers.push(answer.trim_end().to_owned());
            }
            match writer.join() {
                Ok(Ok(())) => Ok(answers),
                Ok(Err(error)) => Err(error.into()),
                Err(_) => Err("writing to the oracle panicked".into()),
            }
        })
    }

    pub(super) fn answer(&mut self, line: &str) -> Result<String, Failure> {
        let answer = self.answers(&[line])?.pop();
        Ok(answer.ok_or("the oracle did not answer")?)
    }

    /// Whether repeating an input gives other answers: the order of Go's maps is random.
    pub(super) fn is_unstable(&mut self, line: &str, answer: &str) -> Result<bool, Failure> {
        let again = self.answers(&[line; 24])?;
        Ok(again.iter().any(|other| other != answer))
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // It ends with its input, too; a failure here leaves nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Builds the oracle, which Go skips if nothing changed.
fn build() -> Result<PathBuf, Failure> {
    let binary = root().join(".relay").join("oracle");
    Program::new("go")
        .words("build -trimpath -o")
        .args([&binary])
        .words("./oracle")
        .directory(&root().join("tests-integration/relay"))
        .output()
        .map_err(|error| {
            format!("building the official engine needs Go 1.26.6 or newer: {error}")
        })?;
    Ok(binary)
}
