//! `goff explain`.

use std::time::SystemTime;

use clap::Args;
use goff_core::{ConfigurationUpdate, RelayClient as _};
use goff_engine::{ExplainedServing, Explanation, FlagContext, FlagSet, Timestamp};
use goff_http::HttpRelayClient;
use serde_json::{Map, Value};

use crate::arguments::now;
use crate::commands::question::{Asked, Flags, Question, Reply};
use crate::failure::{Failure, Verdict};
use crate::output::{Output, presentable};
use crate::relay;

/// Explain why a context gets what it gets: steps, rules, comparisons, buckets.
///
/// With an endpoint, the configuration of the relay proxy is evaluated here; nothing is recorded.
#[derive(Args)]
#[command(after_help = "\
Examples:
  goff explain -f flags.yaml new-checkout -u user-1 -c plan=pro -c age=42
  goff explain --endpoint http://localhost:1031 new-checkout -c @context.json --json")]
pub(crate) struct Arguments {
    #[command(flatten)]
    question: Question,
}

impl Arguments {
    pub(crate) fn run(&self, output: &Output) -> Result<Verdict, Failure> {
        self.question.run::<Explanation>(output)
    }
}

impl Reply for Explanation {
    fn of_engine(flags: &Flags<'_>, key: &str, context: &Map<String, Value>) -> Self {
        flags.set.explain(key, context, &flags.context, now())
    }

    async fn of_relay(client: &HttpRelayClient, asked: Asked<'_>) -> Result<Vec<Self>, Failure> {
        let update = client.flag_configuration(&[], None).await;
        let configuration = match update.map_err(|error| relay::failure(&error))? {
            ConfigurationUpdate::Loaded(configuration) => configuration,
            _ => {
                return Err(Failure::new(
                    "the relay proxy gave no configuration; try again",
                ));
            }
        };
        let flags = configuration.flags.as_deref().unwrap_or("{}");
        let flags = FlagSet::from_json(flags.as_bytes()).map_err(|error| {
            let remedy = "`goff doctor` examines the relay proxy";
            Failure::new(format!(
                "the configuration cannot be read: {error}; {remedy}"
            ))
        })?;
        let context = FlagContext::default().with_enrichment(configuration.enrichment);
        let set = &flags;
        Ok(asked.of(&Flags { set, context }))
    }

    fn has_value(&self) -> bool {
        self.error.is_none()
    }

    fn is_same(&self, other: &Self) -> bool {
        timeless(self) == timeless(other)
    }

    fn text(&self) -> String {
        presentable(&format!("{self}\n"))
    }

    fn texts(all: &[Self]) -> String {
        let texts: Vec<String> = all.iter().map(Self::text).collect();
        texts.join("\n")
    }
}

/// The explanation without what passes with the time alone.
fn timeless(explanation: &Explanation) -> Explanation {
    let beginning = Timestamp::from(SystemTime::UNIX_EPOCH);
    let mut timeless = explanation.clone();
    timeless.time = beginning;
    for rule in &mut timeless.rules {
        if let ExplainedServing::ProgressiveRollout(rollout) = &mut rule.serves {
            rollout.time = beginning;
            rollout.share = 0.0;
        }
    }
    timeless
}
