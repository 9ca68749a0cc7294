//! The change stream of a GO Feature Flag relay proxy, over its WebSocket.
//!
//! A [`ChangeListener`] connects, reconnects and calls an `InvalidationSink` (goff-core) with the
//! flags that changed. It has no cache, fetches no configuration and needs no HTTP client. Any
//! `Connect` (goff-core) opens its streams: goff-http's `Connector`, which supports TLS and Unix
//! sockets, or your own.
//!
//! The API key is part of the stream's URL, the only place where the relay proxy reads it. Neither
//! this crate nor its dependencies log it, at any level. The access logs of the relay proxy and of
//! gateways do contain it.
//!
//! In flag set mode the relay proxy announces the changes of every set to every client. With several
//! relay proxies behind one address, a message means that one of them changed, so a cache also needs
//! a time limit.
//!
//! # Example
//!
//! Your own cache, kept up to date:
//!
//! ```
//! use std::collections::HashMap;
//! use std::sync::{Arc, Mutex};
//! use std::time::Duration;
//!
//! use goff_core::{ApiKey, Endpoint, Invalidation, InvalidationSink, StreamState};
//! use goff_http::{Connector, TlsOptions};
//! use goff_ws::{ChangeListener, ListenerOptions};
//!
//! #[derive(Debug, Default)]
//! struct Answers(Mutex<HashMap<String, bool>>);
//!
//! impl InvalidationSink for Answers {
//!     fn invalidate(&self, invalidation: Invalidation) {
//!         let mut answers = self.0.lock().unwrap();
//!         match invalidation {
//!             Invalidation::Flags(names) => answers.retain(|flag, _| !names.contains(flag)),
//!             _ => answers.clear(),
//!         }
//!     }
//!
//!     fn stream_state(&self, state: StreamState) {
//!         println!("the stream is {state:?}");
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let endpoint: Endpoint = "http://localhost:1031".parse()?;
//! let connector = Arc::new(Connector::new(&endpoint, &TlsOptions::new())?);
//! let options = ListenerOptions::new(endpoint).api_key(ApiKey::new("team-a")?);
//! let listener = ChangeListener::start(&options, connector, Arc::new(Answers::default()))?;
//!
//! println!("{:?}", listener.monitor().stats().state);
//! listener.shutdown(Duration::from_secs(1)).await;
//! # Ok(())
//! # }
//! ```

mod address;
mod connection;
mod cut_ages;
mod error;
mod flag_change;
mod handshake;
mod listener;
mod monitor;
mod opener;
mod options;
mod report;
mod stream_task;

pub use error::ListenerError;
pub use goff_core::__internal::Stopped;
pub use listener::ChangeListener;
pub use monitor::{StreamMonitor, StreamStats};
pub use options::ListenerOptions;
