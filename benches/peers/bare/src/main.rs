//! A bare hyper client that posts an OFREP request, prepared once, and parses the answer as JSON.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use peer_questions::measured_context::{USER, attributes};
use peer_questions::{Failure, load, relay, remote_key};
use serde_json::{Map, Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let url = format!("{}/ofrep/v1/evaluate/flags/{}", relay()?, remote_key());
    let attributes = attributes().into_iter();
    let mut context: Map<String, Value> = attributes
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    context.insert("targetingKey".to_owned(), USER.into());
    let body = Bytes::from(json!({"context": context}).to_string());
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    load("bare hyper client", move || {
        let (client, url, body) = (client.clone(), url.clone(), body.clone());
        async move {
            let request = Request::post(url.as_str())
                .header("content-type", "application/json")
                .body(Full::from(body))?;
            let response = client.request(request).await?;
            let body = response.into_body().collect().await?.to_bytes();
            let answer: Value = serde_json::from_slice(&body)?;
            answer["value"]
                .as_bool()
                .ok_or_else(|| answer.to_string().into())
        }
    })
    .await
}
