//! A balancer whose process is out of file descriptors for a while.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "the other process tells its address")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _, stdin};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, io, thread};

use goff_testkit::RoundRobinBalancer;

/// The server behind the balancer, in the process that has one.
const SERVER: &str = "GOFF_BALANCED_SERVER";
const PREFIX: &str = "balancer: ";
/// Of which a process uses about ten without connections, and a balancer two for each connection.
const DESCRIPTORS: usize = 40;

#[test]
fn balancer_goes_on_when_there_are_file_descriptors_again() {
    if let Ok(server) = env::var(SERVER) {
        return balance(server.parse().unwrap());
    }
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let server_address = server.local_addr().unwrap();
    // Ends with the process of the test.
    thread::spawn(move || {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = server.accept() {
            stream.write_all(b"a").unwrap();
            open.push(stream);
        }
    });
    let (_balancing, address) = Balancing::start(server_address);
    let connect = || -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.read_exact(&mut [0])?;
        Ok(stream)
    };
    let answered: Vec<TcpStream> = (0..4).map(|_| connect().unwrap()).collect();
    // The system accepts them for the balancer, which has too few descriptors for them.
    let waiting: Vec<io::Result<TcpStream>> = (0..DESCRIPTORS)
        .map(|_| TcpStream::connect(address))
        .collect();
    assert!(connect().is_err());
    drop((answered, waiting));
    let give_up = Instant::now() + Duration::from_secs(20);
    while let Err(error) = connect() {
        assert!(Instant::now() < give_up, "{error}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A process with few file descriptors, which ends with this one.
struct Balancing(Child);

impl Balancing {
    fn start(server: SocketAddr) -> (Self, SocketAddr) {
        let script = format!("ulimit -n {DESCRIPTORS}; exec \"$0\" \"$@\"");
        let mut process = Command::new("sh")
            .args(["-c", &script])
            .arg(env::current_exe().unwrap())
            .args(["--nocapture", "--test-threads=1"])
            .env(SERVER, server.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut addresses = lines.filter_map(|line| {
            let line = line.unwrap();
            let (_, address) = line.split_once(PREFIX)?;
            Some(address.parse().unwrap())
        });
        (Self(process), addresses.next().unwrap())
    }
}

impl Drop for Balancing {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Balances until standard input ends.
fn balance(server: SocketAddr) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let starting = RoundRobinBalancer::start([server]);
    let balancer = runtime.block_on(starting).unwrap();
    println!("{PREFIX}{}", balancer.address());
    stdin().read_to_end(&mut Vec::new()).unwrap();
}
