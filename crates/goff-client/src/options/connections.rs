//! [`Connections`]: what the HTTP clients of a client keep open.

#[cfg(feature = "http")]
use goff_http::HttpRelayClient;

/// The HTTP clients, each with separate connections; none with a custom relay client.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    #[cfg(feature = "http")]
    pub(crate) clients: Vec<HttpRelayClient>,
}

#[cfg(feature = "http")]
impl Connections {
    pub(crate) fn open(&self) -> usize {
        let open = |client: &HttpRelayClient| client.transport_stats().open_connections;
        self.clients.iter().map(open).sum()
    }

    pub(crate) fn in_flight(&self) -> usize {
        let in_flight = |client: &HttpRelayClient| client.transport_stats().requests_in_flight;
        self.clients.iter().map(in_flight).sum()
    }

    pub(crate) fn waiting(&self) -> usize {
        let waiting = |client: &HttpRelayClient| client.transport_stats().requests_waiting;
        self.clients.iter().map(waiting).sum()
    }

    /// Closes idle connections, and ends attempts to connect.
    pub(crate) fn close_idle(&self) {
        for client in &self.clients {
            client.close_idle_connections();
        }
    }
}

#[cfg(not(feature = "http"))]
#[expect(clippy::unused_self, reason = "as with the feature `http`")]
impl Connections {
    pub(crate) fn open(&self) -> usize {
        0
    }

    pub(crate) fn in_flight(&self) -> usize {
        0
    }

    pub(crate) fn waiting(&self) -> usize {
        0
    }

    pub(crate) fn close_idle(&self) {}
}
