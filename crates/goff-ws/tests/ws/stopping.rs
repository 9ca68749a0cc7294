//! Shutdown and drop of a listener in every state.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use goff_core::{ByteStream, Connect, StreamState};
use goff_ws::{ChangeListener, ListenerOptions, Stopped};
use tokio::runtime::{Builder, Handle};
use tokio::time::Instant;

use crate::fixture::{self, CLOSE, PONG, TcpServer, listen, listening, within};

/// Never connects, never fails.
#[derive(Debug)]
struct Hanging;

#[async_trait]
impl Connect for Hanging {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        pending().await
    }
}

fn options() -> ListenerOptions {
    fixture::options().reconnect_interval(Duration::from_secs(60 * 60))
}

/// Checks that shutdown takes no time and leaves no task.
async fn stops_at_once(listener: ChangeListener) {
    let monitor = listener.monitor();
    let start = Instant::now();
    let stopped = listener.shutdown(Duration::from_secs(5)).await;
    assert_eq!(stopped, Stopped::Finished);
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
    let (listener, mut calls) = listen(&options(), Arc::new(Hanging));
    stops_at_once(listener).await;
    assert_eq!(calls.so_far(), []);
}

#[tokio::test(start_paused = true)]
async fn stops_while_connecting() {
    let (listener, _calls) = listen(&options(), Arc::new(Hanging));
    tokio::time::sleep(Duration::from_secs(1)).await;
    stops_at_once(listener).await;
}

#[tokio::test(start_paused = true)]
async fn stops_during_the_handshake() {
    let (mut server, listener, _calls) = listening(&options());
    let mut peer = server.accept().await;
    peer.request().await;
    stops_at_once(listener).await;
}

/// docs/python-parity.md C13.
#[tokio::test(start_paused = true)]
async fn stops_during_the_pause_before_a_reconnect() {
    let (mut server, listener, _calls) = listening(&options());
    for _ in 0..12 {
        drop(server.accept().await);
    }
    // Shorter than every pause.
    tokio::time::sleep(Duration::from_millis(1)).await;
    stops_at_once(listener).await;
}

#[tokio::test(start_paused = true)]
async fn stops_while_open_and_sends_a_close_frame() {
    let (mut server, listener, mut calls) = listening(&options());
    let mut socket = calls.open(server.accept().await).await;
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
    let (listener, mut calls) = listen(&options(), server.connector());
    let _stuck = calls.open(server.accept().await).await;
    let start = std::time::Instant::now();
    let stopped = listener.shutdown(Duration::from_secs(60)).await;
    assert_eq!(stopped, Stopped::Finished);
    assert!(start.elapsed() < Duration::from_secs(5));
    no_task_is_left().await;
}

/// GOFF-LIFE-005.
#[tokio::test]
async fn dropping_the_listener_leaves_no_task_in_any_phase() {
    let (listener, _calls) = listen(&options(), Arc::new(Hanging));
    drop(listener);
    no_task_is_left().await;

    let (listener, _calls) = listen(&options(), Arc::new(Hanging));
    tokio::task::yield_now().await;
    drop(listener);
    no_task_is_left().await;

    let (mut server, listener, mut calls) = listening(&options());
    let mut socket = calls.open(server.accept().await).await;
    let monitor = listener.monitor();
    drop(listener);
    no_task_is_left().await;
    assert_eq!(monitor.stats().state, StreamState::Down);
    socket.closed_by_client().await;
}

#[tokio::test]
async fn dropping_the_future_of_shutdown_leaves_no_task() {
    let (listener, _calls) = listen(&options(), Arc::new(Hanging));
    tokio::task::yield_now().await;
    drop(listener.shutdown(Duration::from_secs(60)));
    no_task_is_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn works_on_a_multi_thread_runtime() {
    let server = TcpServer::start().await;
    let (listener, mut calls) = listen(&options(), server.connector());
    let mut socket = calls.open(server.accept().await).await;
    let stopped = listener.shutdown(Duration::from_secs(60)).await;
    assert_eq!(stopped, Stopped::Finished);
    socket.closed_by_client().await;
    no_task_is_left().await;
}

#[test]
fn listener_outlives_its_runtime() {
    let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let (listener, socket) = first.block_on(async {
        let server = TcpServer::start().await;
        let (listener, mut calls) = listen(&options(), server.connector());
        let socket = calls.open(server.accept().await).await;
        (listener, socket)
    });
    drop(first);
    assert_eq!(listener.monitor().stats().state, StreamState::Down);
    let stopped = runtime().block_on(listener.shutdown(Duration::from_secs(5)));
    assert_eq!(stopped, Stopped::Aborted);
    drop(socket);
}

/// The listener runs on its runtime, and the caller on another executor.
#[test]
fn listener_can_be_shut_down_outside_tokio() {
    let mut home = Builder::new_multi_thread();
    let home = home.worker_threads(1).enable_all().build().unwrap();
    let (listener, socket) = home.block_on(async {
        let server = TcpServer::start().await;
        let (listener, mut calls) = listen(&options(), server.connector());
        let socket = calls.open(server.accept().await).await;
        (listener, socket)
    });
    let stopped = pollster::block_on(listener.shutdown(Duration::from_secs(5)));
    assert_eq!(stopped, Stopped::Finished);
    drop(socket);
}
