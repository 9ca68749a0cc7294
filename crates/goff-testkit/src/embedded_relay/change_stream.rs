//! The change streams (docs/relay-protocol.md 15).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::answer::Answer;

/// The open streams. Each gets every change, whatever its key.
#[derive(Debug)]
pub(super) struct ChangeStreams {
    open: Mutex<Vec<mpsc::UnboundedSender<Arc<str>>>>,
    /// Whether the streams neither read nor write.
    silent: watch::Sender<bool>,
    ping_interval: Duration,
}

impl ChangeStreams {
    pub(super) fn new(ping_interval: Duration) -> Self {
        Self {
            open: Mutex::default(),
            silent: watch::Sender::new(false),
            ping_interval,
        }
    }

    /// Sends a message on every open stream.
    pub(super) fn send(&self, message: &Arc<str>) {
        self.lock()
            .retain(|stream| stream.send(Arc::clone(message)).is_ok());
    }

    pub(super) fn set_silent(&self, silent: bool) {
        self.silent.send_replace(silent);
    }

    /// The number of open streams.
    pub(super) fn count(&self) -> usize {
        let mut open = self.lock();
        open.retain(|stream| !stream.is_closed());
        open.len()
    }

    fn register(&self) -> mpsc::UnboundedReceiver<Arc<str>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.lock().push(sender);
        receiver
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<mpsc::UnboundedSender<Arc<str>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Grants the upgrade or refuses it. Only a refusal shows that the address is deprecated.
pub(super) fn handshake(
    request: &mut Request<Incoming>,
    is_deprecated: bool,
) -> Result<(Response<Full<Bytes>>, OnUpgrade), Answer> {
    let Some(key) = websocket_key(request.headers()) else {
        let mut refusal = Answer::text(400, "Bad Request\n").with(SEC_WEBSOCKET_VERSION, "13");
        if is_deprecated {
            let successor = "</stream/v1/ws/flag/change>; rel=\"successor-version\"";
            refusal = refusal.with(HeaderName::from_static("deprecation"), "true");
            refusal = refusal.with(HeaderName::from_static("link"), successor);
        }
        return Err(refusal);
    };
    let accepted = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(UPGRADE, "websocket")
        .header(CONNECTION, "Upgrade")
        .header(SEC_WEBSOCKET_ACCEPT, derive_accept_key(key.as_bytes()))
        .body(Full::default())
        .map_err(|error| Answer::internal(&error.to_string()))?;
    Ok((accepted, hyper::upgrade::on(request)))
}

/// The key of a valid handshake.
fn websocket_key(headers: &HeaderMap) -> Option<&str> {
    let has = |name: HeaderName, token: &str| {
        let values = headers.get_all(name).into_iter();
        let values = values.filter_map(|value| value.to_str().ok());
        let mut tokens = values.flat_map(|value| value.split(','));
        tokens.any(|found| found.trim().eq_ignore_ascii_case(token))
    };
    let is_valid =
        has(CONNECTION, "upgrade") && has(UPGRADE, "websocket") && has(SEC_WEBSOCKET_VERSION, "13");
    let key = headers.get(SEC_WEBSOCKET_KEY)?.to_str().ok()?;
    // 16 bytes in base64.
    (is_valid && key.len() == 24 && key.ends_with("==")).then_some(key)
}

/// The time without a pong after which a connection is closed.
const PONG_TIMEOUT: Duration = Duration::from_secs(60);

/// Serves one stream until either side ends it.
pub(super) async fn serve(upgrade: OnUpgrade, streams: Arc<ChangeStreams>) {
    let Ok(upgraded) = upgrade.await else { return };
    // Registered first: earlier changes are not announced.
    let messages = streams.register();
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
    // As with the real relay proxy, a connection ends without a close frame.
    let _ = serve_open(socket, messages, &streams).await;
}

async fn serve_open(
    mut socket: WebSocketStream<TokioIo<Upgraded>>,
    mut messages: mpsc::UnboundedReceiver<Arc<str>>,
    streams: &ChangeStreams,
) -> Result<(), Error> {
    let mut silent = streams.silent.subscribe();
    let first_ping = Instant::now() + streams.ping_interval;
    let mut pings = interval_at(first_ping, streams.ping_interval);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut deadline = Instant::now() + PONG_TIMEOUT;
    loop {
        if *silent.borrow_and_update() {
            // `streams` holds the sender.
            let _ = silent.changed().await;
            continue;
        }
        tokio::select! {
            // Silence comes first, so that no later change is sent.
            biased;
            _ = silent.changed() => {}
            _ = pings.tick() => socket.send(Message::Ping(Bytes::new())).await?,
            message = messages.recv() => {
                let Some(message) = message else { return Ok(()) };
                send(&mut socket, &message).await?;
            }
            received = socket.next() => match received.transpose()? {
                None => return Ok(()),
                Some(Message::Pong(_)) => deadline = Instant::now() + PONG_TIMEOUT,
                // Messages of clients are ignored.
                Some(_) => {}
            },
            () = sleep_until(deadline) => return Ok(()),
        }
    }
}

/// Sends a message. As from the real relay proxy, one beyond the write buffer comes in two
/// fragments, the last of which may be empty.
async fn send(socket: &mut WebSocketStream<TokioIo<Upgraded>>, message: &str) -> Result<(), Error> {
    const BUFFER: usize = 4096;
    if message.len() <= BUFFER {
        return socket.send(Message::text(message)).await;
    }
    let message = message.as_bytes();
    let (first, last) = match message.len() > 2 * BUFFER {
        true => (message, &[][..]),
        false => message.split_at_checked(BUFFER).unwrap_or_default(),
    };
    let frame = |bytes: &[u8], kind, is_last| {
        let bytes = Bytes::copy_from_slice(bytes);
        Message::Frame(Frame::message(bytes, OpCode::Data(kind), is_last))
    };
    socket.send(frame(first, Data::Text, false)).await?;
    socket.send(frame(last, Data::Continue, true)).await
}
