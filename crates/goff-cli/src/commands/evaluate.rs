//! `goff evaluate`.

use clap::Args;
use goff_core::RelayClient as _;
use goff_http::HttpRelayClient;
use serde_json::{Map, Value};

use crate::answer::{Answer, table};
use crate::arguments::now;
use crate::commands::question::{Asked, Flags, Question, Reply};
use crate::failure::{Failure, Verdict};
use crate::output::Output;
use crate::relay;

/// Evaluate a flag, or all of them, for a context.
///
/// With a file, the answers are those of a relay proxy that serves it. With an endpoint, the relay proxy
/// evaluates, and records the evaluation of a single flag as usage data.
#[derive(Args)]
#[command(after_help = "\
Examples:
  goff evaluate -f flags.yaml new-checkout -u user-1 -c plan=pro
  goff evaluate -f flags.yaml --all -c '{\"targetingKey\": \"user-1\"}' --at 2026-12-24
  goff evaluate --endpoint http://localhost:1031 new-checkout -c @context.json --watch")]
pub(crate) struct Arguments {
    #[command(flatten)]
    question: Question,
}

impl Arguments {
    pub(crate) fn run(&self, output: &Output) -> Result<Verdict, Failure> {
        self.question.run::<Answer>(output)
    }
}

impl Reply for Answer {
    fn of_engine(flags: &Flags<'_>, key: &str, context: &Map<String, Value>) -> Self {
        let evaluation = flags.set.evaluate(key, context, &flags.context, now());
        Self::of_evaluation(key, &evaluation)
    }

    async fn of_relay(client: &HttpRelayClient, asked: Asked<'_>) -> Result<Vec<Self>, Failure> {
        let context = relay::context(asked.context);
        let Some(key) = asked.key else {
            let all = client.evaluate_all(&context).await;
            let all = all.map_err(|error| relay::failure(&error))?;
            let answers = all.into_iter().map(|(key, result)| match result {
                Ok(resolution) => Self::of_relay_proxy(&key, resolution),
                Err(error) => Self::of_error(&key, &error.code, error.to_string()),
            });
            return Ok(answers.collect());
        };
        match client.evaluate(key, &context).await {
            Ok(resolution) => Ok(vec![Self::of_relay_proxy(key, resolution)]),
            Err(error) if Self::is_about_flag(&error) => {
                Ok(vec![Self::of_error(key, &error.code(), error.to_string())])
            }
            Err(error) => Err(relay::failure(&error)),
        }
    }

    fn has_value(&self) -> bool {
        self.error_code.is_none()
    }

    fn is_same(&self, other: &Self) -> bool {
        self == other
    }

    fn text(&self) -> String {
        self.lines()
    }

    fn texts(all: &[Self]) -> String {
        table(all)
    }
}
