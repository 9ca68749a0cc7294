//! A custom transport under the client, which signs each request and counts the bytes it sends. A
//! transport moves bytes; the client makes and reads them.
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
use goff_provider::native::EvaluationContext;
use goff_provider::{GoFeatureFlag, GoFeatureFlagOptions, HttpTransport};
use goff_testkit::EmbeddedRelay;
use http::{HeaderName, HeaderValue};

const FLAGS: &str = "
new-checkout:
  variations: {on: true, off: false}
  defaultRule: {variation: on}
";

/// Signs requests for an internal gateway and sends them with hyper.
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
            // `Debug` of the headers then hides the value.
            signature.set_sensitive(true);
            // The requests of a client share their headers; this request needs a copy.
            Arc::make_mut(&mut request.headers)
                .insert(HeaderName::from_static("x-signature"), signature);
        }
        self.inner.send(request).await
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Your relay proxy in production.
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
    // Two of the three came from the cache and are delivered as usage data.
    let report = goff.shutdown(Duration::from_secs(5)).await;
    println!(
        "{} requests sent, {} events delivered",
        sent.load(Ordering::Relaxed),
        report.delivered
    );
    Ok(())
}
