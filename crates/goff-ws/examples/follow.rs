//! Prints flag changes as they arrive, until it is interrupted.
//!
//! `cargo run -p goff-ws --example follow -- http://localhost:1031 [API key]`
#![expect(clippy::print_stdout, reason = "an example prints its results")]

use std::env;
use std::error::Error;
use std::future;
use std::sync::Arc;

use goff_core::{ApiKey, Endpoint, Invalidation, InvalidationSink, StreamState};
use goff_http::{Connector, TlsOptions};
use goff_ws::{ChangeListener, ListenerOptions};

#[derive(Debug)]
struct Printer;

impl InvalidationSink for Printer {
    fn invalidate(&self, invalidation: Invalidation) {
        println!("{invalidation:?}");
    }

    fn stream_state(&self, state: StreamState) {
        println!("stream: {state:?}");
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let endpoint = arguments.next();
    let endpoint: Endpoint = endpoint
        .as_deref()
        .unwrap_or("http://localhost:1031")
        .parse()?;
    let api_key = arguments.next().map(ApiKey::new).transpose()?;

    let connector = Arc::new(Connector::new(&endpoint, &TlsOptions::new())?);
    let options = ListenerOptions::new(endpoint).api_key(api_key);
    let _listener = ChangeListener::start(&options, connector, Arc::new(Printer))?;
    future::pending().await
}
