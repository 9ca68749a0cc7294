//! A web service: flags for the user of each request, and a shutdown that loses no usage data.
//!
//! ```sh
//! cargo run --example axum_service [-- --endpoint http://localhost:1031]
//! curl -H 'x-user: user-1' -H 'x-plan: pro' http://127.0.0.1:PORT/checkout
//! ```
//!
//! Without an endpoint it starts an embedded relay proxy. Ctrl-C or SIGTERM ends it.
#![expect(clippy::print_stdout, reason = "an example prints what it shows")]

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::routing::get;
use goff_provider::{GoFeatureFlag, GoFeatureFlagOptions, GoFeatureFlagProvider, is_disabled};
use goff_testkit::EmbeddedRelay;
use open_feature::{Client, EvaluationContext, OpenFeature};
use tokio::net::TcpListener;

const FLAGS: &str = r#"
new-checkout:
  variations: {on: true, off: false}
  targeting:
    - query: plan eq "pro"
      variation: on
  defaultRule: {variation: off}
"#;

/// The state of the handlers.
#[derive(Clone)]
struct Application {
    flags: std::sync::Arc<Client>,
}

/// The evaluation context of a request.
struct User(EvaluationContext);

impl<S: Send + Sync> FromRequestParts<S> for User {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let header = |name: &str| {
            parts
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let mut context = EvaluationContext::default();
        match header("x-user") {
            Some(user) => context = context.with_targeting_key(user),
            // Without a targeting key, flags with percentages give the default.
            None => context.add_custom_field("anonymous", true),
        }
        if let Some(plan) = header("x-plan") {
            context.add_custom_field("plan", plan);
        }
        Ok(Self(context))
    }
}

async fn checkout(State(application): State<Application>, User(context): User) -> &'static str {
    let new_checkout = application
        .flags
        .get_bool_value("new-checkout", Some(&context), None)
        .await
        .unwrap_or_else(|error| {
            // A disabled flag is normal; any other error belongs in the log.
            if !is_disabled(&error) {
                println!("new-checkout: {} {:?}", error.code, error.message);
            }
            false
        });
    if new_checkout {
        "the new checkout\n"
    } else {
        "the checkout\n"
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
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

    // Connect before registering: the SDK holds a lock while a provider initializes.
    let goff = GoFeatureFlag::connect(GoFeatureFlagOptions::new(endpoint)).await?;
    let mut api = OpenFeature::singleton_mut().await;
    api.set_provider(GoFeatureFlagProvider::from(&goff)).await;
    let flags = std::sync::Arc::new(api.create_client());
    drop(api);

    let application = Router::new()
        .route("/checkout", get(checkout))
        .with_state(Application { flags });
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
