//! [`RequestLines`]: the request lines in what a client sends.

/// Finds the request lines of HTTP/1.1 in the bytes of one connection, by their end alone: JSON, which
/// all bodies of the relay proxy's clients are, cannot contain ` HTTP/1.1` before a line break, since
/// a string in it has no raw line breaks. After an upgrade, frames are masked with random bytes.
#[derive(Debug, Default)]
pub(super) struct RequestLines {
    /// The end of the current line.
    line: Vec<u8>,
}

impl RequestLines {
    /// The paths of the request lines that end in `bytes`, without their queries, which may hold keys.
    pub(super) fn paths_in(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut paths = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                paths.extend(path(&self.line));
                self.line.clear();
            } else if let Some(surplus) = self.line.len().checked_sub(LONGEST) {
                self.line.drain(..surplus);
            }
        }
        paths
    }
}

/// The path in a line that ends with a request line. A body without a line break may precede it.
fn path(line: &[u8]) -> Option<String> {
    let line = line.strip_suffix(b" HTTP/1.1\r\n")?;
    let target = line.rsplit(|byte| *byte == b' ').next()?;
    let path = target.split(|byte| *byte == b'?').next()?;
    Some(String::from_utf8_lossy(path).into_owned())
}

/// The longest target that is found, about.
const LONGEST: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_lines_are_found_however_the_bytes_are_cut() {
        let body = format!("{{\"text\":\"{}\"}}", " HTTP/1.1 ".repeat(10_000));
        let sent = format!(
            "POST /v1/a HTTP/1.1\r\nhost: a\r\n\r\n{body}GET /b?apiKey=secret HTTP/1.1\r\n\r\n{body}"
        );
        for length in [1, 7, 8192, sent.len()] {
            let mut lines = RequestLines::default();
            let parts = sent.as_bytes().chunks(length);
            let paths: Vec<String> = parts.flat_map(|part| lines.paths_in(part)).collect();
            assert_eq!(paths, ["/v1/a", "/b"], "{length}");
            assert!(lines.line.len() <= LONGEST + length);
        }
    }
}
