//! A transport of the application's own under the client: here one that signs each request and
//! counts what it sends. Bytes out, bytes back; what they mean stays the client's business.
//!
//! ```sh
//! cargo run --example own_transport
//! ```
#![expect(clippy::print_stdout, reason = "an example prints what it shows")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use goff_http::{Connector, HttpRequest, HttpResponse, HyperTransport, TlsOptions, TransportError};
use goff_provider::{EvaluationContext, GoFeatureFlag, GoFeatureFlagOptions, HttpTransport};
use goff_testkit::EmbeddedRelay;
use http::{HeaderName, HeaderValue};

const FLAGS: &str = "
new-checkout:
  variations: {on: true, off: false}
  defaultRule: {variation: on}
";

/// Signs requests, as an internal gateway may want it, and hands them to hyper.
#[derive(Debug)]
struct Signing {
    inner: HyperTransport,
    sent: Arc<AtomicU64>,
}

#[async_trait]
impl HttpTransport for Signing {
    async fn send(&self, mut request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        let signature = format!("{number}-{}", request.body.len());
        if let Ok(mut signature) = HeaderValue::try_from(signature) {
            // Whoever prints headers shows no secret.
            signature.set_sensitive(true);
            // All requests of a client share one set of headers; this one gets its own.
            Arc::make_mut(&mut request.headers)
                .insert(HeaderName::from_static("x-signature"), signature);
        }
        self.inner.send(request).await
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // In production this is a relay proxy of yours.
    let relay = EmbeddedRelay::builder().flags(FLAGS).start()?;
    let endpoint = relay.endpoint();

    let sent = Arc::new(AtomicU64::new(0));
    let connector = Connector::new(&endpoint.parse()?, &TlsOptions::new())?;
    let transport = Signing {
        inner: HyperTransport::new(Arc::new(connector)),
        sent: Arc::clone(&sent),
    };
    let options = GoFeatureFlagOptions::new(endpoint).http_transport(transport);
    let goff = GoFeatureFlag::connect(options).await?;

    let context = EvaluationContext::builder().targeting_key("user-1").build();
    for _ in 0..3 {
        let details = goff.evaluate("new-checkout", &context, false).await;
        println!("{} because {}", details.value, details.reason());
    }
    // Two of the three were answered from the cache, and are delivered as usage data.
    let report = goff.shutdown(Duration::from_secs(5)).await;
    println!(
        "{} requests sent, {} events delivered",
        sent.load(Ordering::Relaxed),
        report.delivered
    );
    Ok(())
}
