//! The README's program with `open-feature-ofrep`.

use open_feature::{EvaluationContext, OpenFeature};
use open_feature_ofrep::{OfrepOptions, OfrepProvider};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = OfrepOptions {
        base_url: "http://localhost:1031".to_owned(),
        ..OfrepOptions::default()
    };
    let provider = OfrepProvider::new(options)
        .await
        .map_err(|error| error.to_string())?;

    let mut api = OpenFeature::singleton_mut().await;
    api.set_provider(provider).await;
    let client = api.create_client();
    drop(api);

    let context = EvaluationContext::default()
        .with_targeting_key("user-1")
        .with_custom_field("email", "john.doe@example.org");
    let new_checkout = client
        .get_bool_value("new-checkout", Some(&context), None)
        .await
        .unwrap_or_else(|error| {
            println!(
                "new-checkout: {:?} {}",
                error.code,
                error.message.unwrap_or_default()
            );
            false
        });
    println!("new checkout: {new_checkout}");
    Ok(())
}
