//! [`Opener`]: one attempt to open a stream.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use goff_core::__internal::with_provided;
use goff_core::{ApiKey, Connect, Endpoint, HeaderProvider, RelayError};
use tokio::sync::watch;

use crate::address::Address;
use crate::connection::{Connection, Frame};
use crate::error::{ListenerError, StreamError};
use crate::handshake::Handshake;
use crate::report::diagnose;

/// Opens streams to the relay proxy.
pub(crate) struct Opener {
    pub(crate) endpoint: Endpoint,
    pub(crate) api_key: watch::Receiver<Option<ApiKey>>,
    pub(crate) custom_headers: Vec<(String, String)>,
    pub(crate) header_provider: Option<Arc<dyn HeaderProvider>>,
    pub(crate) connect: Arc<dyn Connect>,
    /// The first address of the next attempt.
    pub(crate) address: Address,
    pub(crate) timeout: Duration,
    pub(crate) liveness: Duration,
    pub(crate) disable_deprecated_stream: bool,
    pub(crate) debug: bool,
}

/// A stream that the relay proxy has subscribed.
pub(crate) struct OpenStream {
    pub(crate) connection: Connection,
    /// The frame that showed it.
    pub(crate) first: Option<Frame>,
}

impl Opener {
    /// Opens a stream and waits until it is subscribed. Of an attempt that is dropped nothing is left.
    pub(crate) async fn open(&mut self) -> Result<OpenStream, StreamError> {
        let mut connection = self.connect().await?;
        // The relay proxy answers the handshake before it subscribes the connection, and sends a
        // ping within a second afterwards.
        let subscribed_after = self.liveness / FIRST_FRAME_FRACTION;
        let first = match tokio::time::timeout(subscribed_after, connection.next()).await {
            Ok(first) => Some(first?),
            Err(_) => None,
        };
        Ok(OpenStream { connection, first })
    }

    /// Waits until there is another key than that of the last attempt.
    pub(crate) async fn rekeyed(&mut self) {
        if self.api_key.changed().await.is_err() {
            pending::<()>().await;
        }
    }

    /// Connects. If the relay proxy has no endpoint at the first address, tries the other one, unless
    /// the option rules out the deprecated one.
    async fn connect(&mut self) -> Result<Connection, StreamError> {
        let first = self.address;
        let key = self.api_key.borrow_and_update().clone();
        let key = key.as_ref();
        // If this attempt fails, the next one may reach a newer server, so it begins at the current
        // address again.
        self.address = Address::Current;
        let both = async {
            match self.perform(first, key).await {
                Err(error) if error.is_not_found() && !self.disable_deprecated_stream => {
                    let second = first.other();
                    let opened = self.perform(second, key).await;
                    Ok((opened.map_err(StreamError::after_the_other)?, second))
                }
                opened => Ok((opened?, first)),
            }
        };
        let (connection, address) = tokio::time::timeout(self.timeout, both)
            .await
            .unwrap_or_else(|_| Err(self.timed_out()))?;
        self.address = address;
        Ok(connection)
    }

    fn timed_out(&self) -> StreamError {
        RelayError::Timeout {
            timeout: self.timeout,
            sent: true,
            server: Some(self.endpoint.address()),
        }
        .into()
    }

    async fn perform(
        &self,
        address: Address,
        key: Option<&ApiKey>,
    ) -> Result<Connection, StreamError> {
        let handshake = self.handshake(key)?;
        let stream = self.connect.connect().await;
        let stream = stream.map_err(|error| handshake.not_connected(error))?;
        let upgraded = handshake.perform(address, stream).await?;
        diagnose!(self.debug, path = address.path(), "change stream connected");
        Ok(Connection::new(upgraded, self.liveness).await)
    }

    fn handshake(&self, key: Option<&ApiKey>) -> Result<Handshake, StreamError> {
        let provided = match &self.header_provider {
            None => None,
            Some(provider) => {
                let headers = with_provided(&self.custom_headers, &**provider);
                Some(headers?)
            }
        };
        let headers = provided.as_ref().unwrap_or(&self.custom_headers);
        Handshake::new(&self.endpoint, key, headers).map_err(|error| {
            let reason = match error {
                ListenerError::CustomHeader(reason) => reason,
                error => error.to_string(),
            };
            RelayError::Headers { reason }.into()
        })
    }
}

/// The wait for the first frame, as a fraction of the liveness time. A connection without a frame
/// counts as subscribed after it.
const FIRST_FRAME_FRACTION: u32 = 5;
