//! [`Opener`]: one attempt to open a stream.

use std::sync::Arc;
use std::time::Duration;

use goff_core::Connect;

use crate::address::Address;
use crate::connection::{Connection, Frame};
use crate::error::StreamError;
use crate::handshake::Handshake;
use crate::report::diagnose;

/// Opens streams to the relay proxy.
#[derive(Debug)]
pub(crate) struct Opener {
    pub(crate) handshake: Handshake,
    pub(crate) connect: Arc<dyn Connect>,
    /// The first address of the next attempt.
    pub(crate) address: Address,
    pub(crate) timeout: Duration,
    pub(crate) liveness: Duration,
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

    /// Connects. If the relay proxy has no endpoint at the first address, tries the other one.
    async fn connect(&mut self) -> Result<Connection, StreamError> {
        let first = self.address;
        // If this attempt fails, the next one may reach a newer server, so it begins at the current
        // address again.
        self.address = Address::Current;
        let both = async {
            match self.perform(first).await {
                Err(error) if error.is_not_found() => {
                    let second = first.other();
                    Ok((self.perform(second).await?, second))
                }
                opened => Ok((opened?, first)),
            }
        };
        let (connection, address) = tokio::time::timeout(self.timeout, both)
            .await
            .unwrap_or_else(|_| Err(self.handshake.timed_out(self.timeout)))?;
        self.address = address;
        Ok(connection)
    }

    async fn perform(&self, address: Address) -> Result<Connection, StreamError> {
        let stream = self.connect.connect().await;
        let stream = stream.map_err(|error| self.handshake.not_connected(error))?;
        let upgraded = self.handshake.perform(address, stream).await?;
        diagnose!(self.debug, path = address.path(), "change stream connected");
        Ok(Connection::new(upgraded, self.liveness).await)
    }
}

/// The wait for the first frame, as a fraction of the liveness time. A connection without a frame
/// counts as subscribed after it.
const FIRST_FRAME_FRACTION: u32 = 5;
