//! Shutdown and drop of a listener in every state.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use goff_core::{ByteStream, Connect, StreamState};
use goff_ws::{ChangeListener, Stopped};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::fixture::{
    self, ALL, CLOSE, Calls, MemoryServer, OPEN, PONG, TcpServer, options, within,
};

/// Never connects, never fails.
#[derive(Debug)]
struct Hanging;

#[async_trait]
impl Connect for Hanging {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        pending().await
    }
}

fn listen(connect: Arc<dyn Connect>) -> (ChangeListener, Calls) {
    let options = options().reconnect_interval(Duration::from_secs(60 * 60));
    fixture::listen(&options, connect)
}

/// Checks that shutdown takes no time and leaves no task.
async fn stops_at_once(listener: ChangeListener) {
    let monitor = listener.monitor();
    let start = Instant::now();
    assert_eq!(
        listener.shutdown(Duration::from_secs(5)).await,
        Stopped::Finished
    );
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(monitor.stats().state, StreamState::Down);
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
}

async fn no_task_is_left() {
    within(async {
        while Handle::current().metrics().num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn stops_before_the_first_attempt() {
    let (listener, mut calls) = listen(Arc::new(Hanging));
    stops_at_once(listener).await;
    assert_eq!(calls.so_far(), []);
}

#[tokio::test(start_paused = true)]
async fn stops_while_connecting() {
    let (listener, _calls) = listen(Arc::new(Hanging));
    tokio::time::sleep(Duration::from_secs(1)).await;
    stops_at_once(listener).await;
}

#[tokio::test(start_paused = true)]
async fn stops_during_the_handshake() {
    let (mut server, connect) = MemoryServer::start();
    let (listener, _calls) = listen(connect);
    let mut peer = server.accept().await;
    peer.request().await;
    stops_at_once(listener).await;
}

/// docs/python-parity.md C13.
#[tokio::test(start_paused = true)]
async fn stops_during_the_pause_before_a_reconnect() {
    let (mut server, connect) = MemoryServer::start();
    let (listener, _calls) = listen(connect);
    for _ in 0..12 {
        drop(server.accept().await);
    }
    // Shorter than every pause.
    tokio::time::sleep(Duration::from_millis(1)).await;
    stops_at_once(listener).await;
}

#[tokio::test(start_paused = true)]
async fn stops_while_open_and_sends_a_close_frame() {
    let (mut server, connect) = MemoryServer::start();
    let (listener, mut calls) = listen(connect);
    let mut socket = server.accept().await.open().await;
    calls.expect(&[ALL, OPEN]).await;
    assert_eq!(socket.receive().await.0, PONG);
    stops_at_once(listener).await;
    assert_eq!(socket.receive().await.0, CLOSE);
    socket.closed_by_client().await;
    assert_eq!(calls.so_far(), [], "the sink is not called after shutdown");
}

/// The server neither reads nor writes.
#[tokio::test]
async fn stops_on_a_stuck_tcp_connection() {
    let server = TcpServer::start().await;
    let (listener, mut calls) = listen(server.connector());
    let _stuck = server.accept().await.open().await;
    calls.expect(&[ALL, OPEN]).await;
    let start = std::time::Instant::now();
    let stopped = listener.shutdown(Duration::from_secs(60)).await;
    assert_eq!(stopped, Stopped::Finished);
    assert!(start.elapsed() < Duration::from_secs(5));
    no_task_is_left().await;
}

/// GOFF-LIFE-005.
#[tokio::test]
async fn dropping_the_listener_leaves_no_task_in_any_phase() {
    let (listener, _calls) = listen(Arc::new(Hanging));
    drop(listener);
    no_task_is_left().await;

    let (listener, _calls) = listen(Arc::new(Hanging));
    tokio::task::yield_now().await;
    drop(listener);
    no_task_is_left().await;

    let (mut server, connect) = MemoryServer::start();
    let (listener, mut calls) = listen(connect);
    let mut socket = server.accept().await.open().await;
    calls.expect(&[ALL, OPEN]).await;
    let monitor = listener.monitor();
    drop(listener);
    no_task_is_left().await;
    assert_eq!(monitor.stats().state, StreamState::Down);
    socket.closed_by_client().await;
}

#[tokio::test]
async fn dropping_the_future_of_shutdown_leaves_no_task() {
    let (listener, _calls) = listen(Arc::new(Hanging));
    tokio::task::yield_now().await;
    drop(listener.shutdown(Duration::from_secs(60)));
    no_task_is_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn works_on_a_multi_thread_runtime() {
    let server = TcpServer::start().await;
    let (listener, mut calls) = listen(server.connector());
    let mut socket = server.accept().await.open().await;
    calls.expect(&[ALL, OPEN]).await;
    assert_eq!(
        listener.shutdown(Duration::from_secs(60)).await,
        Stopped::Finished
    );
    socket.closed_by_client().await;
    no_task_is_left().await;
}

#[test]
fn listener_outlives_its_runtime() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let first = runtime();
    let (listener, socket) = first.block_on(async {
        let server = TcpServer::start().await;
        let (listener, mut calls) = listen(server.connector());
        let socket = server.accept().await.open().await;
        calls.expect(&[ALL, OPEN]).await;
        (listener, socket)
    });
    drop(first);
    assert_eq!(listener.monitor().stats().state, StreamState::Down);
    let stopped = runtime().block_on(listener.shutdown(Duration::from_secs(5)));
    assert_eq!(stopped, Stopped::Aborted);
    drop(socket);
}
