//! The way to the relay proxy.

use std::future::pending;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// What happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    Open,
    /// At the other loopback address, of version 6.
    Moved,
    Refusing,
    /// Accepted, and then nothing.
    Hanging,
    /// Forwarded after this time.
    Slow(Duration),
    Resetting,
    /// The gateway ends.
    Closed,
}

/// A TCP gateway in front of a relay proxy, on a thread and a runtime apart from the test's.
pub(crate) struct Gateway {
    port: u16,
    way: watch::Sender<Way>,
    open: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Gateway {
    pub(crate) fn start(relay: SocketAddr) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        drop(listener);
        let (way, follow) = watch::channel(Way::Open);
        let open = Arc::new(AtomicUsize::new(0));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let counted = Arc::clone(&open);
        let serving = thread::spawn(move || runtime.block_on(serve(port, relay, follow, &counted)));
        while open.load(Ordering::Relaxed) == 0 && !serving.is_finished() {
            thread::yield_now();
        }
        Ok(Self {
            port,
            way,
            open,
            thread: Some(serving),
        })
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// Closes every connection, and treats the next ones in this way.
    pub(crate) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }

    /// How many descriptors the gateway has open, at least.
    pub(crate) fn descriptors(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.set(Way::Closed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(
    port: u16,
    relay: SocketAddr,
    mut ways: watch::Receiver<Way>,
    open: &Arc<AtomicUsize>,
) {
    loop {
        let way = *ways.borrow_and_update();
        let address: IpAddr = match way {
            Way::Closed => return,
            Way::Moved => Ipv6Addr::LOCALHOST.into(),
            _ => Ipv4Addr::LOCALHOST.into(),
        };
        // Dropped with the way, which closes the connections.
        let mut connections = JoinSet::new();
        let accepting = async {
            if way == Way::Refusing {
                return pending().await;
            }
            loop {
                let Ok(listener) = TcpListener::bind((address, port)).await else {
                    // Another socket of this machine has the port for a moment.
                    sleep(Duration::from_millis(10)).await;
                    continue;
                };
                let _listener = Counted::new(open, 1);
                while let Ok((stream, _)) = listener.accept().await {
                    let counted = Counted::new(open, 2);
                    connections.spawn(async move {
                        let _counted = counted;
                        // Either side may end it.
                        let _ = forward(stream, relay, way).await;
                    });
                    while connections.try_join_next().is_some() {}
                }
            }
        };
        tokio::select! {
            () = accepting => {}
            changed = ways.changed() => if changed.is_err() {
                return;
            },
        }
        connections.shutdown().await;
    }
}

async fn forward(mut stream: TcpStream, relay: SocketAddr, way: Way) -> io::Result<()> {
    match way {
        Way::Hanging => pending().await,
        Way::Resetting => return stream.set_zero_linger(),
        Way::Slow(time) => sleep(time).await,
        Way::Open | Way::Moved | Way::Refusing | Way::Closed => {}
    }
    let mut relay = TcpStream::connect(relay).await?;
    copy_bidirectional(&mut stream, &mut relay).await?;
    Ok(())
}

/// Descriptors of the gateway.
struct Counted(Arc<AtomicUsize>, usize);

impl Counted {
    fn new(open: &Arc<AtomicUsize>, descriptors: usize) -> Self {
        open.fetch_add(descriptors, Ordering::Relaxed);
        Self(Arc::clone(open), descriptors)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}
