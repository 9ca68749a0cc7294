//! Directories of relay proxies: short paths, private, removed when the tests end.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::process::{self, Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Makes a directory. Its path is short, because the path of a socket must fit into about 100 bytes.
pub(crate) fn new_directory() -> io::Result<PathBuf> {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let path = env::temp_dir().join(format!("goff-relay-{}-{number}", process::id()));
    fs::DirBuilder::new().mode(0o700).create(&path)?;
    // Docker needs the path without symbolic links.
    path.canonicalize()
}

/// A directory that a shell removes when this process ends, in whatever way.
#[derive(Debug)]
pub(crate) struct SocketDirectory {
    pub(crate) path: PathBuf,
    remover: Child,
    lifeline: Option<ChildStdin>,
}

impl SocketDirectory {
    pub(crate) fn new() -> io::Result<Self> {
        let path = new_directory()?;
        let mut remover = Command::new("sh")
            .args(["-c", "read -r _; rm -rf -- \"$1\"", "remover"])
            .arg(&path)
            .stdin(Stdio::piped())
            .spawn()?;
        let lifeline = remover.stdin.take();
        Ok(Self {
            path,
            remover,
            lifeline,
        })
    }
}

impl Drop for SocketDirectory {
    fn drop(&mut self) {
        self.lifeline.take();
        // It fails only if the shell has already been reaped.
        let _ = self.remover.wait();
    }
}
