//! BENCHMARKS.md and its chart.

use std::fmt::Write as _;
use std::fs;

use super::builds::Build;
use super::chart::{self, Bar};
use super::figures::{Figures, Place};
use super::known::{OURS, PROGRAMS, Peer, is_baseline, is_through_open_feature, peer_of};
use super::machine;
use crate::program::{Failure, root};

const PAGE: &str = "BENCHMARKS.md";
const CHART: &str = "docs/benchmarks.svg";

/// Writes both files.
pub(super) fn write(figures: &Figures, builds: Option<&[Build]>) -> Result<(), Failure> {
    let mut page = format!(
        "# Beside peers\n\n\
         The same six questions, asked of this project and of the crates that a Rust user would take otherwise. Written by \
         `cargo xtask bench peers`; \
         `cargo xtask bench peers --builds` measures the builds.\n\n\
         * Machine: {}. It is shared and noisy: ratios carry over to other machines, times do not.\n\
         * Each peer is a program that is built alone, in cargo's default release profile. The programs run in turns, {} \
         rounds; a figure is the median of the rounds.\n\
         * The flag file has 96 flags, sixteen of each question; the context has ten attributes beside the targeting key. \
         Each answer is checked, also while it is timed.\n\n",
        machine::description()?,
        figures.rounds,
    );
    page.push_str(&local(figures));
    page.push_str(&remote(figures));
    page.push_str("## Where this project is not first\n\n");
    page.push_str(&not_first(figures));
    page.push_str(&asked(figures)?);
    if let Some(builds) = builds {
        page.push_str(&builds_table(builds));
    }
    fs::write(root().join(PAGE), page)?;
    fs::write(root().join(CHART), chart(figures))?;
    println!("wrote {PAGE} and {CHART}");
    Ok(())
}

fn local(figures: &Figures) -> String {
    format!(
        "## In the process\n\n![Time of an evaluation, the mean of six questions]({CHART})\n\n\
         Nanoseconds an evaluation takes, and in parentheses the multiple of row 1, the OpenFeature SDK over a provider that \
         answers a constant. The fastest of a column is bold.\n\n{}\n\
         Static: off. One rule: on where the country is France. Split: on for 30 %. Ten rules: \
         `(country in [DE, IT, ES] and age > 50…59) or plan = none`, of which none holds. JSONLogic: country, age and plan, all \
         three. Usage data and events are off unless a row says otherwise.\n\n",
        table(figures, Place::Local)
    )
}

fn remote(figures: &Figures) -> String {
    format!(
        "## On a server, without a cache\n\n\
         Nanoseconds of CPU time that an answer takes the client's process, over loopback, from the embedded relay proxy in \
         another process, to the flag with one rule; in parentheses the multiple of row 1, a bare client. The peers that are \
         absent here evaluate in the process alone, or on their vendor's servers.\n\n{}\n",
        table(figures, Place::Remote)
    )
}

fn table(figures: &Figures, place: Place) -> String {
    let questions = figures.questions(place);
    let mut table = format!(
        "| | {} |\n|---|{}\n",
        questions.join(" | "),
        "---:|".repeat(questions.len())
    );
    for subject in figures.subjects(place) {
        let cells = questions.iter().map(|question| {
            let Some(value) = figures.median(place, subject, question) else {
                return "cannot express it".to_owned();
            };
            let cell = match figures.ratio(place, subject, question) {
                Some(ratio) => format!("{} ({})", thousands(value), chart::short(ratio)),
                None => thousands(value),
            };
            match best(figures, place, question, |other| !is_baseline(other)) {
                Some((fastest, _)) if fastest == subject => format!("**{cell}**"),
                _ => cell,
            }
        });
        let cells: Vec<String> = cells.collect();
        let _ = writeln!(table, "| {subject} | {} |", cells.join(" | "));
    }
    table
}

/// The best of some subjects, and its figure.
fn best<'f>(
    figures: &'f Figures,
    place: Place,
    question: &str,
    is_wanted: impl Fn(&str) -> bool,
) -> Option<(&'f str, f64)> {
    let subjects = figures.subjects(place).into_iter();
    let values = subjects
        .filter(|subject| is_wanted(subject))
        .filter_map(|subject| {
            let value = figures.median(place, subject, question)?;
            Some((subject, value))
        });
    values.reduce(|one, other| if other.1 < one.1 { other } else { one })
}

/// A sentence for each question in which a peer is better than our best row of its kind.
fn not_first(figures: &Figures) -> String {
    let mut sentences = String::new();
    for place in [Place::Local, Place::Remote] {
        for question in figures.questions(place) {
            // A row on a server pays the request, not the SDK.
            let kinds: &[bool] = match place {
                Place::Local => &[false, true],
                Place::Remote => &[true],
            };
            for through_open_feature in kinds {
                let is_of_kind = |subject: &str| {
                    place == Place::Remote
                        || is_through_open_feature(subject) == *through_open_feature
                };
                let ours = best(figures, place, question, |subject| {
                    subject.starts_with(OURS) && is_of_kind(subject)
                });
                let Some((our_subject, ours)) = ours else {
                    continue;
                };
                for peer in figures.subjects(place) {
                    if peer.starts_with(OURS) || is_baseline(peer) || !is_of_kind(peer) {
                        continue;
                    }
                    let Some(theirs) = figures.median(place, peer, question) else {
                        continue;
                    };
                    if theirs < ours {
                        let times = ours / theirs;
                        let why = peer_of(peer)
                            .map(|peer| peer.why_faster)
                            .filter(|why| !why.is_empty());
                        let _ = writeln!(
                            sentences,
                            "* {question}: {peer} is {} times as fast as {our_subject}. {}",
                            chart::short(times),
                            why.unwrap_or("The reason is not known yet."),
                        );
                    }
                }
            }
        }
    }
    if sentences.is_empty() {
        sentences.push_str(
            "Nowhere: in each column a row of this project is faster than every peer of its kind, native or through OpenFeature.\n",
        );
    }
    sentences.push_str(&beside_itself(figures));
    sentences.push('\n');
    sentences
}

/// What the slower of our rows are slower than.
fn beside_itself(figures: &Figures) -> String {
    let mut rows = Vec::new();
    for subject in figures
        .subjects(Place::Local)
        .into_iter()
        .filter(|subject| subject.starts_with(OURS))
    {
        let faster: Vec<String> = figures
            .subjects(Place::Local)
            .into_iter()
            .filter(|peer| !peer.starts_with(OURS) && !is_baseline(peer))
            .filter_map(|peer| {
                let questions = figures.questions(Place::Local).into_iter();
                let count = questions
                    .filter(|question| {
                        let [theirs, ours] = [peer, subject]
                            .map(|subject| figures.median(Place::Local, subject, question));
                        matches!((theirs, ours), (Some(theirs), Some(ours)) if theirs < ours)
                    })
                    .count();
                (count > 0).then(|| format!("{peer} in {count}"))
            })
            .collect();
        if !faster.is_empty() {
            rows.push(format!("{subject}: {}", faster.join(", ")));
        }
    }
    match rows.is_empty() {
        true => String::new(),
        false => format!(
            "\nPeers that are faster than one of our rows, and in how many of the six questions, whatever the row includes \
             (the SDK, usage data):\n\n* {}\n",
            rows.join("\n* ")
        ),
    }
}

fn asked(figures: &Figures) -> Result<String, Failure> {
    let mut table = String::from(
        "## What is asked, and what is not comparable\n\n| | version | call | not comparable |\n|---|---|---|---|\n",
    );
    for peer in PROGRAMS {
        let is_measured = |place| {
            figures
                .subjects(place)
                .iter()
                .any(|subject| subject.starts_with(peer.subjects))
        };
        if !is_measured(Place::Local) && !is_measured(Place::Remote) {
            let _ = writeln!(table, "| {} | | | Left out of this run. |", peer.subjects);
            continue;
        }
        let Peer {
            subjects,
            call,
            differs,
            ..
        } = peer;
        let _ = writeln!(
            table,
            "| {subjects} | {} | {call} | {differs} |",
            versions(peer)?
        );
    }
    table.push_str(
        "\nA service that builds one context for each request pays for that as well; here contexts are ready. Bucketing differs \
         from peer to peer, so of each split the first flag is asked that gives the answer. Every peer answers for one user at a \
         time, on one thread.\n\n",
    );
    Ok(table)
}

fn versions(peer: &Peer) -> Result<String, Failure> {
    if peer.crates.is_empty() {
        return Ok("this repository".to_owned());
    }
    let versions = peer.crates.iter().map(|name| {
        let version = match *name {
            // The host of the module; its own version is not in the file.
            "goff-tests-wasm" => format!("wasmtime {}", machine::version("wasmtime")?),
            name => format!("{name} {}", machine::version(name)?),
        };
        Ok(version)
    });
    let versions: Result<Vec<String>, Failure> = versions.collect();
    Ok(versions?.join(", "))
}

fn builds_table(builds: &[Build]) -> String {
    let mut table = String::from(
        "## Builds\n\n`cargo build` from an empty directory, in the development profile: user and system time of all processes, \
         and the crates beside the program.\n\n| | crates | CPU seconds |\n|---|---:|---:|\n",
    );
    for Build {
        name,
        crates,
        cpu_seconds,
    } in builds
    {
        let _ = writeln!(table, "| {name} | {crates} | {cpu_seconds:.0} |");
    }
    table
}

fn chart(figures: &Figures) -> String {
    let bars: Vec<Bar<'_>> = figures
        .subjects(Place::Local)
        .into_iter()
        .filter_map(|name| {
            let value = figures.mean_ratio(Place::Local, name)?;
            Some(Bar {
                name,
                value,
                is_ours: name.starts_with(OURS),
            })
        })
        .collect();
    chart::draw(
        "Time of an evaluation, constant provider = 1, mean of six questions",
        &bars,
    )
}

/// An integer with a comma between thousands.
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(lines: &[&str]) -> Figures {
        let mut figures = Figures::new(1);
        figures.add(&lines.join("\n")).unwrap();
        figures
    }

    const LINES: [&str; 9] = [
        "local\tconstant provider\tstatic\t1000",
        "local\tgoff, in process\tstatic\t50",
        "local\tgoff, in process, through OpenFeature\tstatic\t1500",
        "local\topen-feature-flagd from a file\tstatic\t1200",
        "local\tUnleash\tstatic\t40",
        "local\tUnleash\tsplit\t40000",
        "remote\tbare hyper client\t1 in flight\t4000",
        "remote\tgoff, OFREP\t1 in flight\t5000",
        "remote\topen-feature-ofrep\t1 in flight\t9000",
    ];

    #[test]
    fn tables_have_a_cell_for_each_question_and_the_fastest_in_bold() {
        let figures = figures(&LINES);
        let table = table(&figures, Place::Local);
        assert!(
            table.contains("| constant provider | 1,000 (1.00) | cannot express it |"),
            "{table}"
        );
        assert!(
            table.contains("| Unleash | **40 (0.04)** | **40,000** |"),
            "{table}"
        );
        let remote = super::table(&figures, Place::Remote);
        assert!(
            remote.contains("| goff, OFREP | **5,000 (1.25)** |"),
            "{remote}"
        );
    }

    #[test]
    fn each_question_in_which_a_peer_of_the_same_kind_is_faster_is_said() {
        let text = not_first(&figures(&LINES));
        let fair = text.split("\n\n").next().unwrap_or_default();
        assert!(
            fair.contains("static: Unleash is 1.25 times as fast as goff, in process."),
            "{text}"
        );
        assert!(fair.contains("static: open-feature-flagd from a file is 1.25 times as fast as goff, in process, through"), "{text}");
        assert!(!fair.contains("ofrep") && !fair.contains("hyper"), "{text}");
        let ahead = figures(&[
            "local\tgoff, in process\tstatic\t5",
            "local\tUnleash\tstatic\t40",
        ]);
        assert!(not_first(&ahead).starts_with("Nowhere"));
        let behind = figures(&[
            "remote\tgoff, OFREP\t64\t15",
            "remote\topen-feature-ofrep\t64\t5",
        ]);
        assert!(
            not_first(&behind)
                .contains("64: open-feature-ofrep is 3.00 times as fast as goff, OFREP.")
        );
    }

    #[test]
    fn builds_and_thousands_are_written_for_reading() {
        for (value, text) in [
            (1.4, "1"),
            (999.0, "999"),
            (1_000.0, "1,000"),
            (1_234_567.0, "1,234,567"),
        ] {
            assert_eq!(thousands(value), text);
        }
        let builds = [Build {
            name: "a build".to_owned(),
            crates: 7,
            cpu_seconds: 61.5,
        }];
        assert!(builds_table(&builds).ends_with("| a build | 7 | 62 |\n"));
    }
}
