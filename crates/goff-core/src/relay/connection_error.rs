//! [`ConnectionError`]: why there is no connection to a server, or no answer over one.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::evaluation::Cause;

/// What went wrong between this client and a server: scheme, host and port of the server, what was
/// tried, and the likely remedy. There is one wording for each cause, for requests and for the
/// change stream. The cause in [`RelayError::NotConnected`](crate::RelayError::NotConnected) and
/// [`Interrupted`](crate::RelayError::Interrupted), where goff-http is the client.
#[derive(Debug, Clone)]
pub struct ConnectionError {
    address: Arc<str>,
    problem: ConnectionProblem,
    cause: Option<Cause>,
}

/// The cause of a [`ConnectionError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionProblem {
    /// Nothing listens at the port.
    Refused,
    /// The name of the host cannot be resolved.
    UnknownHost,
    /// No network leads to the host.
    Unreachable,
    /// Opening the connection took too long.
    TimedOut(Duration),
    /// The Unix socket does not exist.
    NoSocket,
    /// The Unix socket may not be opened.
    NotPermitted,
    /// The server does not speak TLS, and `https` was tried.
    NoTls,
    /// The server speaks TLS, and `http` was tried.
    NeedsTls,
    /// The certificate of the server has expired.
    CertificateExpired,
    /// The certificate of the server is not valid yet.
    CertificateNotYetValid,
    /// The certificate of the server is from an authority that is not trusted.
    UnknownAuthority,
    /// The certificate of the server is for other hosts.
    WrongHost,
    /// The TLS handshake failed otherwise.
    TlsFailed,
    /// The connection ended without an answer.
    Closed,
    /// The answer is not HTTP/1.1.
    NotHttp,
    /// Any other cause.
    Other,
}

impl ConnectionError {
    /// The error that `cause` means for the server at `address`. A [`ConnectionError`] among its
    /// causes is more precise; else `problem`, if there is one, else the kind of an I/O error.
    #[must_use]
    pub fn new(address: &Arc<str>, problem: Option<ConnectionProblem>, cause: Cause) -> Self {
        let mut kind = None;
        let mut next: Option<&(dyn Error + 'static)> = Some(&*cause);
        while let Some(error) = next {
            let io = error.downcast_ref::<io::Error>();
            // The source of such an error is not what it holds, but the source of that.
            let held = io.and_then(io::Error::get_ref);
            let precise = error.downcast_ref::<Self>();
            if let Some(precise) = precise.or_else(|| held?.downcast_ref()) {
                return precise.clone();
            }
            kind = kind.or_else(|| ConnectionProblem::of(io?));
            next = error.source();
        }
        Self {
            address: Arc::clone(address),
            problem: problem.or(kind).unwrap_or(ConnectionProblem::Other),
            cause: Some(cause),
        }
    }

    /// A problem that was found here.
    #[must_use]
    pub fn found(address: &Arc<str>, problem: ConnectionProblem) -> Self {
        Self {
            address: Arc::clone(address),
            problem,
            cause: None,
        }
    }

    /// What went wrong.
    #[must_use]
    pub fn problem(&self) -> ConnectionProblem {
        self.problem
    }
}

impl ConnectionProblem {
    fn of(error: &io::Error) -> Option<Self> {
        use io::ErrorKind::*;
        Some(match error.kind() {
            ConnectionRefused => Self::Refused,
            HostUnreachable | NetworkUnreachable => Self::Unreachable,
            ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof => Self::Closed,
            _ => return None,
        })
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use ConnectionProblem::*;
        let at = &self.address;
        match self.problem {
            Refused => write!(
                f,
                "{at} refused the connection; is a relay proxy running there, and is the port right?"
            ),
            UnknownHost => write!(
                f,
                "the host of {at} cannot be resolved; check its name, and the DNS of this machine"
            ),
            Unreachable => write!(f, "no network leads to {at}; check the host, and routes"),
            TimedOut(limit) => {
                let limit = limit.as_millis();
                write!(f, "{at} did not accept a connection within {limit} ms; ")?;
                f.write_str("check host and port, and firewalls on the way")
            }
            NoSocket => write!(
                f,
                "{at} does not exist; is the relay proxy running, and is the path right?"
            ),
            NotPermitted => write!(
                f,
                "{at} may not be opened by this process; check the permissions of the socket"
            ),
            NoTls => write!(f, "{at} does not speak TLS; use `http://`?"),
            NeedsTls => write!(f, "{at} speaks TLS; use `https://`?"),
            CertificateExpired => write!(
                f,
                "the certificate of {at} has expired; renew it, or correct the clock of this machine"
            ),
            CertificateNotYetValid => write!(
                f,
                "the certificate of {at} is not valid yet; correct the clock of this machine?"
            ),
            UnknownAuthority => write!(
                f,
                "the certificate of {at} is from an authority that is not trusted; \
                 add it with `TlsOptions::certificate_authority`?"
            ),
            WrongHost => write!(
                f,
                "the certificate of {at} is for other hosts; use the name in the certificate?"
            ),
            TlsFailed => {
                write!(f, "the TLS handshake with {at} failed{}; ", Of(&self.cause))?;
                f.write_str("does it speak TLS, or need `TlsOptions::client_certificate`?")
            }
            Closed => write!(
                f,
                "{at} closed the connection without an answer; is it restarting, or is the port \
                 wrong?"
            ),
            NotHttp => write!(
                f,
                "{at} does not speak HTTP/1.1; is it a relay proxy, and is the port right?"
            ),
            Other => write!(f, "{at}{}", Of(&self.cause)),
        }
    }
}

impl Error for ConnectionError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

/// A cause after a colon.
struct Of<'a>(&'a Option<Cause>);

impl fmt::Display for Of<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|cause| write!(f, ": {cause}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> Arc<str> {
        "http://relay:1031".into()
    }

    fn error(problem: Option<ConnectionProblem>, cause: io::Error) -> ConnectionError {
        ConnectionError::new(&address(), problem, Arc::new(cause))
    }

    #[test]
    fn problem_is_the_most_precise_one() {
        use io::ErrorKind;
        let found = ConnectionError::found(&"https://x:1".into(), ConnectionProblem::NoTls);
        let wrapped = io::Error::new(ErrorKind::InvalidData, found);
        let kind = |kind: ErrorKind| io::Error::from(kind);
        let closed = Some(ConnectionProblem::Closed);
        for (problem, cause, expected) in [
            (closed, wrapped, ConnectionProblem::NoTls),
            (closed, kind(ErrorKind::TimedOut), ConnectionProblem::Closed),
            (
                None,
                kind(ErrorKind::ConnectionRefused),
                ConnectionProblem::Refused,
            ),
            (None, kind(ErrorKind::BrokenPipe), ConnectionProblem::Closed),
            (None, io::Error::other("why"), ConnectionProblem::Other),
        ] {
            assert_eq!(error(problem, cause).problem(), expected);
        }
    }

    #[test]
    fn text_names_the_server_and_a_remedy() {
        use ConnectionProblem::*;
        for problem in [
            Refused,
            UnknownHost,
            Unreachable,
            TimedOut(Duration::from_secs(1)),
            NoSocket,
            NotPermitted,
            NoTls,
            NeedsTls,
            CertificateExpired,
            CertificateNotYetValid,
            UnknownAuthority,
            WrongHost,
            TlsFailed,
            Closed,
            NotHttp,
        ] {
            let text = ConnectionError::found(&address(), problem).to_string();
            assert!(text.contains("http://relay:1031"), "{text}");
            assert_eq!(text.matches("; ").count(), 1, "{text}");
        }
        let other = error(None, io::Error::other("why"));
        assert_eq!(other.to_string(), "http://relay:1031: why");
        assert!(other.source().is_some());
    }
}
