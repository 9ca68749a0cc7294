//! A web service: one snapshot of the flags for each request, through an extractor, and a shutdown
//! that loses no usage data.
//!
//! ```sh
//! cargo run --example axum_service [-- [--in-process] [--endpoint http://localhost:1031]]
//! curl -H 'x-user: user-1' -H 'x-plan: pro' http://127.0.0.1:PORT/checkout
//! curl http://127.0.0.1:PORT/ready
//! ```
//!
//! Without an endpoint it starts an embedded relay proxy. Ctrl-C or SIGTERM ends it. Flags are evaluated
//! by the relay proxy, or with `--in-process` here; the handlers do not see the difference.
#![expect(clippy::print_stdout, reason = "an example prints what it shows")]

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::get;
use goff_provider::native::EvaluationContext;
use goff_provider::{EvaluationType, GoFeatureFlag, GoFeatureFlagOptions, Snapshot};
use goff_testkit::EmbeddedRelay;
use tokio::net::TcpListener;

const FLAGS: &str = r#"
new-checkout:
  variations: {on: true, off: false}
  targeting:
    - query: plan eq "pro"
      variation: on
  defaultRule: {variation: off}
"#;

/// The flags for the user of a request. They are the same for everything that handles the request,
/// even if they change in between.
#[derive(Clone)]
struct Flags {
    user: EvaluationContext,
    snapshot: Snapshot,
}

impl Flags {
    fn is_on(&self, flag_key: &str) -> bool {
        let details = self.snapshot.evaluate(flag_key, &self.user, false);
        // A disabled flag has no error; any error belongs in the log.
        if let Some(error) = details.error() {
            println!("{flag_key}: {error}");
        }
        details.value
    }
}

impl FromRequestParts<GoFeatureFlag> for Flags {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        goff: &GoFeatureFlag,
    ) -> Result<Self, Infallible> {
        // A middleware may have taken them.
        if let Some(flags) = parts.extensions.get::<Self>() {
            return Ok(flags.clone());
        }
        let header = |name: &str| parts.headers.get(name)?.to_str().ok();
        let mut user = EvaluationContext::builder();
        match header("x-user") {
            Some(key) => user = user.targeting_key(key),
            // Without a targeting key, flags with percentages give the default.
            None => user = user.attribute("anonymous", true),
        }
        if let Some(plan) = header("x-plan") {
            user = user.attribute("plan", plan);
        }
        let user = user.build();
        // One request to the relay proxy with remote evaluation, none with in-process evaluation.
        let snapshot = goff.prefetch(&user).await;
        let flags = Self { user, snapshot };
        parts.extensions.insert(flags.clone());
        Ok(flags)
    }
}

async fn checkout(flags: Flags) -> &'static str {
    if flags.is_on("new-checkout") {
        "the new checkout\n"
    } else {
        "the checkout\n"
    }
}

/// Readiness: whether the relay proxy answers and accepts the API key. Not for liveness: a restart
/// does not bring a relay proxy back.
async fn ready(State(goff): State<GoFeatureFlag>) -> (StatusCode, String) {
    match goff.check(Duration::from_secs(1)).await.error {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args();
    let mode = match arguments.any(|argument| argument == "--in-process") {
        true => EvaluationType::InProcess,
        false => EvaluationType::Remote,
    };
    let mut own = None;
    let endpoint = match std::env::args()
        .skip_while(|argument| argument != "--endpoint")
        .nth(1)
    {
        Some(endpoint) => endpoint,
        None => own
            .insert(EmbeddedRelay::builder().flags(FLAGS).start()?)
            .endpoint(),
    };

    let options = GoFeatureFlagOptions::new(endpoint).evaluation_type(mode);
    let goff = GoFeatureFlag::connect(options).await?;
    let application = Router::new()
        .route("/checkout", get(checkout))
        .route("/ready", get(ready))
        .with_state(goff.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}/checkout", listener.local_addr()?);
    axum::serve(listener, application)
        .with_graceful_shutdown(stop_signal())
        .await?;

    // After the last request, so that its usage data is delivered too.
    let report = goff.shutdown(Duration::from_secs(5)).await;
    println!(
        "usage data: {} recorded, {} delivered, {} dropped, {} still buffered",
        report.recorded, report.delivered, report.dropped, report.pending
    );
    Ok(())
}

/// Ctrl-C, or the signal that stops a container.
async fn stop_signal() {
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}
