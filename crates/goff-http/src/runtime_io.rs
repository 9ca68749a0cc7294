//! Whether a runtime has I/O.

use std::net::{Ipv4Addr, UdpSocket};
use std::panic::catch_unwind;

use goff_core::NoRuntimeError;
use tokio::runtime::Handle;

/// Looks whether the current tokio runtime can open connections. tokio reveals that only by a
/// panic, whose message the panic hook prints.
///
/// # Errors
/// Called outside a tokio runtime, or on one without I/O.
pub fn check_io() -> Result<(), NoRuntimeError> {
    Handle::try_current().map_err(|_| NoRuntimeError::Outside)?;
    // Nothing is sent. Where a sandbox allows no such socket, the first request finds out.
    let Ok(socket) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) else {
        return Ok(());
    };
    if socket.set_nonblocking(true).is_err() {
        return Ok(());
    }
    let probe = catch_unwind(|| drop(tokio::net::UdpSocket::from_std(socket)));
    probe.map_err(|_| NoRuntimeError::NoIo)
}
