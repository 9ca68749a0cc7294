//! This project, in its modes.

#[path = "../../../src/core_context.rs"]
mod core_context;
use std::sync::Arc;

use core_context::core_context;
use goff_client::{EvaluationType, GoFeatureFlag, GoFeatureFlagOptions, RemoteProtocol};
use goff_provider::GoFeatureFlagProvider;
use open_feature::OpenFeature;
use peer_questions::measured_context;
use peer_questions::{Failure, ask, load, open_feature_context, original, relay, remote_key};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let relay = relay()?;
    from_a_file().await?;
    for (data, with) in [(false, ""), (true, ", with usage data")] {
        let options = GoFeatureFlagOptions::new(&relay)
            .evaluation_type(EvaluationType::InProcess)
            .disable_data_collection(!data);
        let goff = GoFeatureFlag::connect(options).await?;
        in_process(&goff, with).await?;
    }
    let context = Arc::new(core_context());
    for (protocol, name) in [
        (RemoteProtocol::FeatureEval, "goff, eval endpoint"),
        (RemoteProtocol::Ofrep, "goff, OFREP"),
    ] {
        let options = GoFeatureFlagOptions::new(&relay)
            .remote_protocol(protocol)
            .disable_cache(true)
            .disable_data_collection(true);
        let goff = Arc::new(GoFeatureFlag::connect(options).await?);
        let (context, key) = (Arc::clone(&context), remote_key());
        load(name, move || {
            let (goff, context, key) = (Arc::clone(&goff), Arc::clone(&context), key.clone());
            async move {
                let details = goff.evaluate(&key, &*context, false).await;
                match details.error() {
                    None => Ok(details.value),
                    Some(error) => Err(error.to_string().into()),
                }
            }
        })
        .await?;
    }
    Ok(())
}

async fn from_a_file() -> Result<(), Failure> {
    let file = tempfile::Builder::new().suffix(".json").tempfile()?;
    std::fs::write(&file, Value::from(original()).to_string())?;
    let goff = GoFeatureFlag::connect(GoFeatureFlagOptions::from_file(file.path())).await?;
    let local = goff.local().ok_or("evaluation is not in process")?;
    let context = core_context();
    ask("goff, LocalFlags from a file", async |asked| {
        let details = local.evaluate(&asked.key, &context, !asked.answer);
        details.error().is_none().then_some(details.value)
    })
    .await
}

async fn in_process(goff: &GoFeatureFlag, with: &str) -> Result<(), Failure> {
    let native = core_context();
    ask(&format!("goff, in process{with}"), async |asked| {
        let details = goff.evaluate(&asked.key, &native, !asked.answer).await;
        details.error().is_none().then_some(details.value)
    })
    .await?;
    let mut api = OpenFeature::default();
    api.set_provider(GoFeatureFlagProvider::from(goff)).await;
    let client = api.create_client();
    let context = open_feature_context();
    ask(
        &format!("goff, in process, through OpenFeature{with}"),
        async |asked| {
            client
                .get_bool_value(&asked.key, Some(&context), None)
                .await
                .ok()
        },
    )
    .await
}
