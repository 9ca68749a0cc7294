//! The workflow and the hook of `docs/tools.md`, run as GitHub and pre-commit run them.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::goff::{Goff, documentation};

/// Nothing to find, whatever the time is.
const FLAGS: &str = "\
new-checkout:
  variations:
    enabled: true
    disabled: false
  defaultRule:
    percentage:
      enabled: 20
      disabled: 80

banner:
  variations:
    summer: Sunny days!
  defaultRule:
    variation: summer
";

/// The first block of YAML below a heading.
fn yaml(heading: &str) -> Value {
    let text = std::fs::read_to_string(documentation()).unwrap();
    let (_, below) = text.split_once(&format!("\n### {heading}\n")).unwrap();
    let (_, block) = below.split_once("\n```yaml\n").unwrap();
    let (block, _) = block.split_once("\n```\n").unwrap();
    // As GitHub reads it: `on` is a text.
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(block, options).unwrap()
}

/// A repository whose branch `origin/main` has `FLAGS`.
fn repository(flags: &str) -> Goff {
    let tests = "tests: [{flag: banner, variant: summer}]\n";
    let goff = Goff::with(&[("flags.yaml", FLAGS), ("tests.yaml", tests)]);
    goff.run(
        "git init -q && git add . && git -c user.name=a -c user.email=a@example.org commit -qm flags \
         && git update-ref refs/remotes/origin/main HEAD",
    )
    .has(0, &[]);
    goff.write("flags.yaml", flags);
    goff
}

/// What GitHub calls a step of a job: the default shell of Linux stops at an error.
fn step(goff: &Goff, run: &str) -> Output {
    let mut step: Command = goff.command("exec bash -ec \"$STEP\"");
    step.envs([
        ("STEP", run),
        ("GITHUB_BASE_REF", "main"),
        ("GITHUB_STEP_SUMMARY", "summary.md"),
        ("RUNNER_TEMP", "."),
    ]);
    step.output().unwrap()
}

#[test]
fn the_workflow_reports_changes_and_fails_on_mistakes() {
    let workflow = yaml("In a GitHub workflow");
    assert_eq!(workflow["on"][0], "pull_request");
    let steps = workflow["jobs"]["flags"]["steps"].as_array().unwrap();
    let mut runs: Vec<&str> = steps
        .iter()
        .filter_map(|step| step["run"].as_str())
        .collect();
    let installs = runs.remove(0);
    assert!(
        installs.starts_with("cargo install --locked --git ") && installs.ends_with(" goff-cli")
    );
    // Findings of lint do not end the job before the other steps.
    let always = |step: &&Value| step["if"] == "always()";
    assert_eq!(steps.iter().filter(always).count(), 3);
    let uploaded = &steps.last().unwrap()["with"]["path"];
    assert!(runs[1].ends_with(&format!("--junit {}", uploaded.as_str().unwrap())));
    let other = FLAGS.replace("20", "30").replace("80", "70");
    for (flags, is_good, summary) in [
        (FLAGS.to_owned(), [true; 3], "0 changed"),
        (other, [true; 3], "~ new-checkout: defaultRule"),
        (
            FLAGS.replace("      enabled", "      enable"),
            [false, true, true],
            "- new-checkout",
        ),
        (
            FLAGS.replace("summer:", "winter:"),
            [false, false, true],
            "- banner",
        ),
        (format!("{FLAGS}\nf: ["), [false; 3], ""),
    ] {
        let goff = repository(&flags);
        let outputs: Vec<Output> = runs.iter().map(|run| step(&goff, run)).collect();
        let ended: Vec<bool> = outputs
            .iter()
            .map(|output| output.status.success())
            .collect();
        assert_eq!(ended, is_good, "{outputs:?}");
        let annotated = String::from_utf8(outputs[0].stdout.clone()).unwrap();
        let is_annotation =
            |line: &str| line.starts_with("::") && line.contains(" file=flags.yaml,line=");
        assert!(annotated.lines().all(is_annotation), "{annotated}");
        assert_eq!(annotated.is_empty(), is_good[0], "{annotated}");
        // The summary is Markdown, and the keys are those of the author of the pull request.
        let written = std::fs::read_to_string(goff.path("summary.md")).unwrap();
        assert!(
            written.starts_with("```text\n") && written.contains(summary),
            "{written}"
        );
        assert_eq!(
            written.ends_with("\n```\n"),
            !summary.is_empty(),
            "{written}"
        );
        let has_report = Path::exists(&goff.path("report.xml"));
        assert_eq!(has_report, !summary.is_empty());
    }
}

/// A new file has no earlier one to compare with.
#[test]
fn the_workflow_compares_a_new_file_with_none() {
    let workflow = yaml("In a GitHub workflow");
    let steps = workflow["jobs"]["flags"]["steps"].as_array().unwrap();
    let mut runs = steps.iter().filter_map(|step| step["run"].as_str());
    let compare = runs.next_back().unwrap();
    let goff = repository(FLAGS);
    goff.run("git rm -q --cached flags.yaml && git -c user.name=a -c user.email=a@example.org commit -qm x \
         && git update-ref refs/remotes/origin/main HEAD")
        .has(0, &[]);
    let output = step(&goff, compare);
    assert!(output.status.success(), "{output:?}");
    let written = std::fs::read_to_string(goff.path("summary.md")).unwrap();
    assert!(written.contains("+ new-checkout\n"), "{written}");
}

/// pre-commit runs `entry` with the staged files that `files` matches.
#[test]
fn the_hook_lints_the_flag_files_of_a_commit() {
    let config = yaml("Before a commit");
    let hook = &config["repos"][0]["hooks"][0];
    assert_eq!(
        (&config["repos"][0]["repo"], &hook["language"]),
        (&"local".into(), &"system".into())
    );
    let (entry, files) = (
        hook["entry"].as_str().unwrap(),
        hook["files"].as_str().unwrap(),
    );
    for (flags, is_good) in [
        (format!("{FLAGS}# changed\n"), true),
        ("f: {variations: {a: 1}}\n".to_owned(), false),
    ] {
        let goff = repository(&flags);
        for (name, content) in [
            ("flags.json", "{}"),
            ("flags.toml", ""),
            ("flags-of-team-a.yml", ""),
            ("README.md", "flags: ["),
        ] {
            goff.write(name, content);
        }
        let names = format!("git diff --cached --name-only | grep -E '{files}'");
        goff.run(&format!("git add . && test $({names} | wc -l) -eq 4"))
            .has(0, &[]);
        let ran = goff.run(&format!("{names} | xargs {entry}"));
        // xargs has its own code.
        assert_eq!(ran.code == 0, is_good, "{ran:?}");
        assert!(ran.stdout.contains("in 4 files"), "{ran:?}");
    }
}
