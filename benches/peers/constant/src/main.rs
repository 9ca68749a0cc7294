//! The OpenFeature client over a provider that answers a constant.

#[path = "../../../src/constant_provider.rs"]
#[expect(dead_code, reason = "the budgets of `benches` need more of it")]
mod constant_provider;

use constant_provider::{Answer, ConstantProvider};
use open_feature::provider::FeatureProvider;
use open_feature::{Client, EvaluationReason, OpenFeature};
use peer_questions::{Failure, ask, open_feature_context};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let on = client(constant("on").answering(true)).await;
    let off = client(constant("off").answering(false)).await;
    let context = open_feature_context();
    ask("constant provider, through OpenFeature", async |asked| {
        let client = if asked.answer { &on } else { &off };
        client
            .get_bool_value(&asked.key, Some(&context), None)
            .await
            .ok()
    })
    .await
}

fn constant(variant: &'static str) -> ConstantProvider {
    ConstantProvider::new(Answer {
        variant,
        reason: EvaluationReason::TargetingMatch,
        metadata: ("description", "a constant"),
    })
}

async fn client(provider: impl FeatureProvider) -> Client {
    let mut api = OpenFeature::default();
    api.set_provider(provider).await;
    api.create_client()
}
