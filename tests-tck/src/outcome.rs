//! The results of a run, and whether they are what is declared.

use std::fs;
use std::path::Path;

use cucumber::gherkin::{Feature, Scenario};
use serde_json::Value;

use crate::Failure;
use crate::capabilities::{Deviation, deviations};
use crate::configuration::Configuration;
use crate::suite::{GATE, Suite, applies};

pub(crate) struct Run {
    pub(crate) configuration: Configuration,
    pub(crate) suite: Suite,
    pub(crate) results: Vec<(Scenario, Outcome)>,
    pub(crate) deviations: Vec<Deviation>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    /// With the step and its message.
    Failed(String),
    /// Not put to the provider, and why.
    NotAsked(String),
    /// A step has no definition, or the scenario did not run.
    NotRun(String),
}

impl Run {
    /// From the scenarios that were to run, and what cucumber wrote.
    pub(crate) fn read(
        configuration: &Configuration,
        suite: &Suite,
        features: &[Feature],
        results: &Path,
    ) -> Result<Self, Failure> {
        let ran: Value = serde_json::from_slice(&fs::read(results)?)?;
        let mut read = Vec::new();
        for feature in features {
            let path = feature.path.as_deref().unwrap_or(Path::new(""));
            let uri = path.to_string_lossy();
            let of_feature = list(&ran)
                .iter()
                .find(|ran| ran["uri"].as_str().is_some_and(|of| of.ends_with(&*uri)));
            let elements = of_feature.map_or(&[][..], |ran| list(&ran["elements"]));
            for scenario in &feature.scenarios {
                let is_it = |element: &&Value| {
                    element["line"] == scenario.position.line && element["name"] == *scenario.name
                };
                let element = elements.iter().find(is_it);
                read.push((scenario.clone(), outcome(element, scenario)));
            }
        }
        Ok(Self {
            configuration: configuration.clone(),
            suite: suite.clone(),
            results: read,
            deviations: deviations(suite.kind, configuration),
        })
    }

    pub(crate) fn count(&self, is_counted: impl Fn(&Outcome) -> bool) -> usize {
        let outcomes = self.results.iter().map(|(_, outcome)| outcome);
        outcomes.filter(|outcome| is_counted(outcome)).count()
    }

    pub(crate) fn tally(&self) -> String {
        let passed = self.count(|outcome| *outcome == Outcome::Passed);
        let failed = self.count(|outcome| matches!(outcome, Outcome::Failed(_)));
        let not_asked = self.count(|outcome| matches!(outcome, Outcome::NotAsked(_)));
        let all = self.results.len();
        format!("{all} scenarios: {passed} passed, {failed} failed, {not_asked} not asked")
    }

    /// Every failure must be declared, every scenario must have run or be gated, and every declared deviation must
    /// still be one.
    pub(crate) fn surprises(&self) -> Vec<String> {
        let mut surprises = Vec::new();
        let mut add = |what: &str, why: &str| {
            surprises.push(format!("{}: {what}: {why}", self.configuration));
        };
        for (scenario, outcome) in &self.results {
            match outcome {
                Outcome::Failed(why) if self.deviation(scenario).is_none() => {
                    add(&scenario.name, why);
                }
                Outcome::NotRun(why) => add(&scenario.name, why),
                _ => {}
            }
        }
        for (what, _) in &self.deviations {
            let failed = |(scenario, outcome): &(Scenario, Outcome)| {
                matches!(outcome, Outcome::Failed(_)) && applies(what, scenario)
            };
            if !self.results.iter().any(failed) {
                add(what, "is declared to deviate, and does not");
            }
        }
        surprises
    }

    pub(crate) fn deviation(&self, scenario: &Scenario) -> Option<&Deviation> {
        let mut known = self.deviations.iter();
        known.find(|(what, _)| applies(what, scenario))
    }
}

fn outcome(element: Option<&Value>, scenario: &Scenario) -> Outcome {
    if let Some(because) = scenario
        .steps
        .first()
        .and_then(|step| step.value.strip_prefix(GATE))
    {
        return match element.is_some_and(|element| status(element) == Some("skipped")) {
            true => Outcome::NotAsked(because.to_owned()),
            false => Outcome::NotRun("it should have been left out".to_owned()),
        };
    }
    let Some(element) = element else {
        return Outcome::NotRun("it is not among the results".to_owned());
    };
    let steps = list(&element["steps"]);
    let bad = steps
        .iter()
        .find(|step| step["result"]["status"] != "passed");
    match bad {
        None if steps.len() == scenario.steps.len() => Outcome::Passed,
        None => Outcome::NotRun("not every step ran".to_owned()),
        Some(step) if step["result"]["status"] == "failed" => {
            let message = step["result"]["error_message"].as_str().unwrap_or_default();
            Outcome::Failed(format!("{}: {message}", step["name"]))
        }
        Some(step) => Outcome::NotRun(format!("no step is defined for {}", step["name"])),
    }
}

/// Of the first step.
fn status(element: &Value) -> Option<&str> {
    element["steps"][0]["result"]["status"].as_str()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
