//! The generic OFREP provider, against the relay proxy.

use open_feature::OpenFeature;
use open_feature_ofrep::{OfrepOptions, OfrepProvider};
use peer_questions::{Failure, load, open_feature_context, relay, remote_key};
use std::sync::Arc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let options = OfrepOptions {
        base_url: relay()?,
        ..OfrepOptions::default()
    };
    let provider = OfrepProvider::new(options)
        .await
        .map_err(|error| error.to_string())?;
    let mut api = OpenFeature::default();
    api.set_provider(provider).await;
    let client = Arc::new((api.create_client(), open_feature_context(), remote_key()));
    load("open-feature-ofrep", move || {
        let client = Arc::clone(&client);
        async move {
            let (client, context, key) = &*client;
            let value = client.get_bool_value(key, Some(context), None).await;
            value.map_err(|error| format!("{error:?}").into())
        }
    })
    .await
}
