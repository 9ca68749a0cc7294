//! The thread of an embedded relay proxy, and its commands.

use std::future::ready;
use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::unix::fs::FileTypeExt as _;
#[cfg(unix)]
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, mpsc as blocking};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime;
use tokio::sync::mpsc;

use super::service::Service;
use super::socket::{Socket, Stream};
use super::tasks::Tasks;

/// The address to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Tcp(SocketAddr),
    #[cfg(unix)]
    Unix(PathBuf),
}

/// A dedicated thread with a dedicated runtime: a test that blocks its threads or pauses its clock
/// does not affect the relay proxy.
#[derive(Debug)]
pub(super) struct Server {
    commands: mpsc::UnboundedSender<Command>,
    thread: Option<JoinHandle<()>>,
    /// Dropping the sender ends a pause.
    paused: Mutex<Option<blocking::Sender<()>>>,
}

type Reply<T> = blocking::SyncSender<T>;

enum Command {
    Start(Address, Reply<io::Result<Address>>),
    Stop(Reply<()>),
    /// Whether nothing was cut off.
    Drain(Duration, Reply<bool>),
    /// Blocks the thread until the other end is dropped.
    Pause(blocking::Receiver<()>, Reply<()>),
}

impl Server {
    pub(super) fn new(service: Arc<Service>, poll_interval: Duration) -> io::Result<Self> {
        let (commands, receiver) = mpsc::unbounded_channel();
        let runtime = runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let thread = thread::Builder::new()
            .name("embedded-relay".to_owned())
            .spawn(move || runtime.block_on(serve(service, poll_interval, receiver)))?;
        Ok(Self {
            commands,
            thread: Some(thread),
            paused: Mutex::default(),
        })
    }

    /// Listens. Returns the bound address.
    pub(super) fn start(&self, address: Address) -> io::Result<Address> {
        self.request(|reply| Command::Start(address, reply))?
    }

    /// Closes the listener and every connection.
    pub(super) fn stop(&self) -> io::Result<()> {
        self.request(Command::Stop)
    }

    /// Closes the listener, and the connections when their requests are answered. Whether all were.
    pub(super) fn drain(&self, timeout: Duration) -> io::Result<bool> {
        self.request(|reply| Command::Drain(timeout, reply))
    }

    /// Blocks the thread until [`resume`](Self::resume).
    pub(super) fn pause(&self) -> io::Result<()> {
        let (resume, resumed) = blocking::channel();
        self.request(|reply| Command::Pause(resumed, reply))?;
        *self.lock_paused() = Some(resume);
        Ok(())
    }

    pub(super) fn resume(&self) {
        *self.lock_paused() = None;
    }

    fn request<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> io::Result<T> {
        self.resume();
        let gone = || io::Error::other("the thread of the embedded relay proxy has ended");
        let (reply, answer) = blocking::sync_channel(1);
        self.commands.send(command(reply)).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())
    }

    fn lock_paused(&self) -> std::sync::MutexGuard<'_, Option<blocking::Sender<()>>> {
        self.paused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.resume();
        // Without a sender the thread ends, and so do its connections.
        let (closed, _) = mpsc::unbounded_channel();
        self.commands = closed;
        if let Some(thread) = self.thread.take() {
            // A panic has been printed.
            let _ = thread.join();
        }
    }
}

async fn serve(
    service: Arc<Service>,
    poll_interval: Duration,
    mut commands: mpsc::UnboundedReceiver<Command>,
) {
    let tasks = Arc::new(Tasks::default());
    let mut next = None;
    loop {
        let command = match next.take() {
            None => commands.recv().await,
            next => next,
        };
        let Some(command) = command else { break };
        match command {
            Command::Start(address, reply) => {
                tasks.end(ready(())).await;
                tasks.set_draining(false);
                let listening = Listener::bind(address).await.map(|(listener, address)| {
                    tasks.spawn_endless(poll(Arc::clone(&service), poll_interval));
                    let accept = accept(listener, Arc::clone(&service), Arc::clone(&tasks));
                    tasks.spawn_endless(accept);
                    address
                });
                let _ = reply.send(listening);
            }
            Command::Stop(reply) => {
                tasks.end(ready(())).await;
                let _ = reply.send(());
            }
            Command::Drain(timeout, reply) => {
                tasks.set_draining(true);
                // Another command ends the wait.
                let cut = async {
                    let command = tokio::time::timeout(timeout, commands.recv()).await;
                    next = command.ok().flatten();
                };
                let is_drained = tasks.end(cut).await;
                let _ = reply.send(is_drained);
            }
            Command::Pause(resumed, reply) => {
                let _ = reply.send(());
                // Returns when the sender is dropped.
                let _ = resumed.recv();
            }
        }
    }
    tasks.end(ready(())).await;
}

/// Reloads the flags at an interval. The service keeps the error of a failed load.
async fn poll(service: Arc<Service>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let _ = service.reload();
    }
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

impl Listener {
    async fn bind(address: Address) -> io::Result<(Self, Address)> {
        match address {
            Address::Tcp(address) => {
                let listener = TcpListener::bind(address).await?;
                let address = listener.local_addr()?;
                Ok((Self::Tcp(listener), Address::Tcp(address)))
            }
            #[cfg(unix)]
            Address::Unix(path) => {
                // An earlier listener leaves its socket behind. Anything else at the path stays.
                let metadata = std::fs::symlink_metadata(&path);
                let is_socket = metadata.is_ok_and(|found| found.file_type().is_socket());
                if is_socket && UnixStream::connect(&path).await.is_err() {
                    std::fs::remove_file(&path)?;
                }
                Ok((Self::Unix(UnixListener::bind(&path)?), Address::Unix(path)))
            }
        }
    }

    async fn accept(&self) -> io::Result<Socket> {
        Ok(Socket::new(match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Stream::Tcp(stream)
            }
            #[cfg(unix)]
            Self::Unix(listener) => Stream::Unix(listener.accept().await?.0),
        }))
    }
}

async fn accept(listener: Listener, service: Arc<Service>, tasks: Arc<Tasks>) {
    loop {
        let Ok(socket) = listener.accept().await else {
            // The peer has gone, or the process is out of file descriptors for the moment.
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        };
        let end = socket.end();
        let (service, connections) = (Arc::clone(&service), Arc::clone(&tasks));
        let answer = service_fn(move |request| {
            let answer =
                Arc::clone(&service).answer(request, end.clone(), Arc::clone(&connections));
            async move { Ok::<_, std::convert::Infallible>(answer.await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(socket), answer)
            .with_upgrades();
        let draining = Arc::clone(&tasks);
        tasks.spawn(async move {
            tokio::pin!(connection);
            // An error means that the client went away.
            tokio::select! {
                _ = connection.as_mut() => return,
                () = draining.draining() => connection.as_mut().graceful_shutdown(),
            }
            let _ = connection.await;
        });
    }
}
