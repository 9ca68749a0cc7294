//! Evaluates a flag of each type through OpenFeature and prints what came back, a cached answer
//! and the usage data delivered at shutdown included.
//!
//! ```sh
//! cargo run --example quickstart -- --endpoint http://localhost:1031 [--api-key KEY]
//! ```
#![expect(clippy::print_stdout, reason = "an example prints what it shows")]

use std::fmt::Debug;
use std::process::ExitCode;
use std::time::Duration;

use goff_provider::{GoFeatureFlag, GoFeatureFlagOptions, GoFeatureFlagProvider, is_disabled};
use open_feature::{
    Client, EvaluationContext, EvaluationContextFieldValue, EvaluationDetails, EvaluationResult,
    OpenFeature, StructValue,
};

const USAGE: &str = "\
usage: quickstart --endpoint URL [--api-key KEY]

It evaluates the flags of a relay proxy that serves `tests-integration/relay/flags.yaml`;
flags that yours does not have are shown as what they are: not found.
";

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let Some(options) = options_from(std::env::args().skip(1)) else {
        print!("{USAGE}");
        return Ok(ExitCode::FAILURE);
    };
    let goff = GoFeatureFlag::connect(options).await?;

    let mut api = OpenFeature::singleton_mut().await;
    api.set_provider(GoFeatureFlagProvider::from(&goff)).await;
    let client = api.create_client();
    drop(api);

    let context = EvaluationContext::default()
        .with_targeting_key("d45e303a-38c2-11ed-a261-0242ac120002")
        .with_custom_field("email", "john.doe@gofeatureflag.org")
        .with_custom_field("age", 30)
        .with_custom_field(
            "labels",
            EvaluationContextFieldValue::new_struct(vec!["pro".to_owned(), "beta".to_owned()]),
        );
    evaluate_each_type(&client, &context).await;

    println!("\nOnce more, from the cache:");
    let again = client
        .get_bool_details("bool_targeting_match", Some(&context), None)
        .await;
    show("bool_targeting_match", again);

    // Evaluations from the cache are recorded by the client, and delivered now.
    let report = goff.shutdown(Duration::from_secs(5)).await;
    println!(
        "\nusage data: {} recorded, {} delivered, {} dropped, {} still buffered",
        report.recorded, report.delivered, report.dropped, report.buffered
    );
    Ok(ExitCode::SUCCESS)
}

async fn evaluate_each_type(client: &Client, context: &EvaluationContext) {
    let context = Some(context);
    let boolean = client
        .get_bool_details("bool_targeting_match", context, None)
        .await;
    show("bool_targeting_match", boolean);
    let integer = client.get_int_details("integer_key", context, None).await;
    show("integer_key", integer);
    let float = client.get_float_details("double_key", context, None).await;
    show("double_key", float);
    let string = client.get_string_details("string_key", context, None).await;
    show("string_key", string);
    let object = client
        .get_struct_details::<StructValue>("object_key", context, None)
        .await;
    show("object_key", object);
    let disabled = client
        .get_bool_details("disabled_bool", context, None)
        .await;
    show("disabled_bool", disabled);
}

fn show<T: Debug>(flag_key: &str, result: EvaluationResult<EvaluationDetails<T>>) {
    match result {
        Ok(details) => {
            println!("{flag_key} = {:?}", details.value);
            println!("  variant  {}", details.variant.as_deref().unwrap_or("-"));
            let reason = details.reason.map(|reason| reason.to_string());
            println!("  reason   {}", reason.as_deref().unwrap_or("-"));
            println!("  metadata {:?}", details.flag_metadata.values);
        }
        Err(error) if is_disabled(&error) => {
            println!("{flag_key}: disabled, your default applies");
        }
        Err(error) => {
            let message = error.message.unwrap_or_default();
            println!(
                "{flag_key}: {} ({message}), your default applies",
                error.code
            );
        }
    }
}

fn options_from(mut arguments: impl Iterator<Item = String>) -> Option<GoFeatureFlagOptions> {
    let (mut endpoint, mut api_key) = (None, None);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--endpoint" => endpoint = Some(arguments.next()?),
            "--api-key" => api_key = Some(arguments.next()?),
            _ => return None,
        }
    }
    let options = GoFeatureFlagOptions::new(endpoint?);
    Some(match api_key {
        Some(key) => options.api_key(key),
        None => options,
    })
}
