//! [`PlainStream`]: a stream that notices a server that speaks TLS.

use std::io;
use std::sync::Arc;

use goff_core::__internal::{Watch, WatchedStream};
use goff_core::{ByteStream, ConnectionError, ConnectionProblem};

/// A stream without TLS. A server that expects TLS answers plain HTTP with a TLS alert, which reads
/// as an error that says so.
pub(crate) type PlainStream = WatchedStream<FirstByte>;

pub(crate) fn plain(stream: Box<dyn ByteStream>, address: &Arc<str>) -> PlainStream {
    WatchedStream::new(stream, FirstByte(Some(Arc::clone(address))))
}

/// The server, until it has sent something.
pub(crate) struct FirstByte(Option<Arc<str>>);

impl Watch for FirstByte {
    fn received(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.0.take() {
            Some(address) if bytes.first() == Some(&TLS_ALERT) => {
                let error = ConnectionError::found(&address, ConnectionProblem::NeedsTls);
                Err(io::Error::new(io::ErrorKind::InvalidData, error))
            }
            _ => Ok(()),
        }
    }
}

/// The content type of a TLS record that holds an alert (RFC 8446, section 5.1). No HTTP answer
/// begins with it.
const TLS_ALERT: u8 = 21;
