//! Flag changes as a GO Feature Flag relay proxy announces them, over its WebSocket.
//!
//! A [`ChangeListener`] connects, reconnects and tells an `InvalidationSink` (goff-core) which
//! flags changed; what to do about it is the sink's affair. It holds no cache, asks for no
//! configuration and needs no HTTP client. Streams are opened by any `Connect` (goff-core): the
//! [`TcpConnector`] here, goff-http's `Connector` with TLS and Unix sockets, or one of your own.
//!
//! The API key travels in the stream's URL, the only place where the relay proxy looks for it. This
//! crate never shows it, nor do the crates below it, whatever their log level. The access logs of
//! the relay proxy and of gateways do hold it.
//!
//! In flag set mode the relay proxy tells every client of the changes of every set. With several
//! relay proxies behind one address a message says that one of them changed, so a cache needs a
//! time limit as well.
//!
//! # Example
//!
//! A cache of one's own, kept fresh:
//!
//! ```
//! use std::collections::HashMap;
//! use std::sync::{Arc, Mutex};
//! use std::time::Duration;
//!
//! use goff_core::{ApiKey, Endpoint, Invalidation, InvalidationSink, StreamState};
//! use goff_ws::{ChangeListener, ListenerOptions, TcpConnector};
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
//! let connector = Arc::new(TcpConnector::new(&endpoint)?);
//! let options = ListenerOptions::new(endpoint).api_key(ApiKey::new("team-a")?);
//! let listener = ChangeListener::start(&options, connector, Arc::new(Answers::default()))?;
//!
//! println!("{:?}", listener.stats().state);
//! listener.shutdown(Duration::from_secs(1)).await;
//! # Ok(())
//! # }
//! ```

mod address;
mod connection;
mod error;
mod flag_change;
mod handshake;
mod listener;
mod monitor;
mod options;
mod tcp;

pub use listener::{ChangeListener, StartError};
pub use monitor::{StreamMonitor, StreamStats};
pub use options::ListenerOptions;
pub use tcp::{NotPlainTcp, TcpConnector};
