//! The last-known-good file: the latest configuration, kept for a start without the relay proxy.
//!
//! ```text
//! goff-last-known-good 2 <SHA-256 of the rest>
//! {"written_unix_milliseconds":…,"salt":…,"source":…,"etag":…,"flags_bytes":…}
//! {<the enrichment>}
//! <the flags, exactly as received>
//! ```
//!
//! The checksum finds damage. `source` is a salted hash of the relay proxy, the API key and the flag
//! list, so that a configuration of another source is refused. The file's owner and mode (0600)
//! protect it from other users. With a copy of the file a weak key can be guessed offline; the salt
//! only prevents one table for all files.

mod private_file;
pub(crate) mod writer;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use goff_core::__internal::random_u64;
use goff_core::{Etag, FlagConfiguration, FlagsJson};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The file that keeps a configuration between runs.
#[derive(Clone)]
pub(crate) struct LastKnownGood {
    path: PathBuf,
    max_age: Duration,
    /// The flags that are fetched.
    #[cfg_attr(
        not(feature = "http"),
        expect(dead_code, reason = "only a key over HTTP changes")
    )]
    flags: Arc<[u8]>,
    /// The hash of the source's identity; the identity contains the API key.
    identity: [u8; 32],
}

/// A configuration from the file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stored {
    pub(crate) configuration: FlagConfiguration,
    /// The time since it was written; zero after the clock was set back a little.
    pub(crate) age: Duration,
}

impl LastKnownGood {
    /// `flags` and `relay` name the source of the configuration: the flag list, and the relay proxy
    /// with the API key.
    pub(crate) fn new(path: PathBuf, max_age: Duration, flags: &[u8], relay: &[u8]) -> Self {
        Self {
            path,
            max_age,
            flags: flags.into(),
            identity: Sha256::digest([flags, relay].concat()).into(),
        }
    }

    /// The same file for the flags of another key.
    #[cfg(feature = "http")]
    pub(crate) fn of_relay(self, relay: &[u8]) -> Self {
        Self::new(self.path, self.max_age, &self.flags, relay)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn max_age(&self) -> Duration {
        self.max_age
    }

    /// Replaces the file with [`private_file::replace`]. Blocks.
    pub(crate) fn store(
        &self,
        configuration: &FlagConfiguration,
    ) -> Result<(), LastKnownGoodError> {
        self.store_at(configuration, SystemTime::now())
    }

    fn store_at(
        &self,
        configuration: &FlagConfiguration,
        now: SystemTime,
    ) -> Result<(), LastKnownGoodError> {
        encode(configuration, now, &self.identity)
            .map_err(io::Error::from)
            .and_then(|(head, flags)| private_file::replace(&self.path, &[&head, flags]))
            .map_err(|error| self.error(Problem::NotWritten(error.into())))
    }

    /// Reads the file. Blocks.
    pub(crate) fn load(&self) -> Result<Stored, LastKnownGoodError> {
        self.load_at(SystemTime::now())
    }

    fn load_at(&self, now: SystemTime) -> Result<Stored, LastKnownGoodError> {
        let load = || {
            let content = private_file::read(&self.path, MAX_SIZE).map_err(Problem::of_reading)?;
            let (configuration, written) = decode(&content, &self.identity)?;
            let age = match now.duration_since(written) {
                Ok(age) => age,
                Err(ahead) if ahead.duration() <= LARGEST_CLOCK_ERROR => Duration::ZERO,
                // The clock was wrong when the file was written, or is now: its age is unknown.
                Err(ahead) => return Err(Problem::FromTheFuture(ahead.duration())),
            };
            if age > self.max_age {
                return Err(Problem::TooOld {
                    age,
                    max_age: self.max_age,
                });
            }
            Ok(Stored { configuration, age })
        };
        load().map_err(|problem| self.error(problem))
    }

    fn error(&self, problem: Problem) -> LastKnownGoodError {
        LastKnownGoodError {
            path: self.path.clone(),
            problem,
        }
    }
}

impl fmt::Debug for LastKnownGood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LastKnownGood")
            .field("path", &self.path)
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}

/// Why the file was not written or not used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("last-known-good file `{}` {problem}", .path.display())]
pub(crate) struct LastKnownGoodError {
    path: PathBuf,
    #[source]
    problem: Problem,
}

#[derive(Debug, Clone, thiserror::Error)]
enum Problem {
    #[error("cannot be written: {0}")]
    NotWritten(#[source] Arc<io::Error>),
    #[error("does not exist")]
    Absent(#[source] Arc<io::Error>),
    #[error("cannot be used: {0}")]
    NotRead(#[source] Arc<io::Error>),
    #[error("has an unknown format")]
    UnknownFormat,
    #[error("is damaged or was edited")]
    Damaged,
    #[error("belongs to another relay proxy, API key or flag list")]
    OtherSource,
    #[error("is {} s old; the limit is {} s", .age.as_secs(), .max_age.as_secs())]
    TooOld { age: Duration, max_age: Duration },
    #[error("is dated {} s in the future; set the clock, or delete the file", .0.as_secs())]
    FromTheFuture(Duration),
}

impl LastKnownGoodError {
    /// Whether there is no file, as before the first run.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self.problem, Problem::Absent(_))
    }
}

impl Problem {
    fn of_reading(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Absent(error.into()),
            _ => Self::NotRead(error.into()),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    written_unix_milliseconds: u64,
    salt: String,
    /// [`source`] of `salt` and the identity.
    source: String,
    /// One character for each byte, U+0000 to U+00FF: the bytes of an ETag need not be UTF-8.
    etag: Option<String>,
    flags_bytes: Option<u64>,
}

/// The text before the flags, and the flags.
fn encode<'a>(
    configuration: &'a FlagConfiguration,
    now: SystemTime,
    identity: &[u8; 32],
) -> serde_json::Result<(Vec<u8>, &'a [u8])> {
    let since_epoch = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let etag = configuration.etag.as_ref();
    let salt = format!("{:016x}{:016x}", random_u64(), random_u64());
    let header = Header {
        written_unix_milliseconds: u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX),
        source: source(&salt, identity),
        salt,
        etag: etag.map(|etag| etag.as_bytes().iter().copied().map(char::from).collect()),
        flags_bytes: configuration.flags.as_ref().map(|flags| flags.len() as u64),
    };
    let mut lines = serde_json::to_vec(&header)?;
    lines.push(b'\n');
    serde_json::to_writer(&mut lines, &configuration.enrichment)?;
    lines.push(b'\n');
    let flags = configuration.flags.as_deref().unwrap_or_default();
    let mut head = first_line(&[&lines, flags.as_bytes()]).into_bytes();
    head.append(&mut lines);
    Ok((head, flags.as_bytes()))
}

fn decode(content: &[u8], identity: &[u8; 32]) -> Result<(FlagConfiguration, SystemTime), Problem> {
    let (first, rest) = split_line(content).ok_or(Problem::UnknownFormat)?;
    if !first.starts_with(FORMAT.as_bytes()) {
        return Err(Problem::UnknownFormat);
    }
    if first != first_line(&[rest]).as_bytes() {
        return Err(Problem::Damaged);
    }
    let (header, rest) = split_line(rest).ok_or(Problem::Damaged)?;
    let header: Header = serde_json::from_slice(header).map_err(|_| Problem::Damaged)?;
    if header.source != source(&header.salt, identity) {
        return Err(Problem::OtherSource);
    }
    read_body(header, rest).ok_or(Problem::Damaged)
}

fn read_body(header: Header, rest: &[u8]) -> Option<(FlagConfiguration, SystemTime)> {
    let (enrichment, flags) = split_line(rest)?;
    let flags = match header.flags_bytes {
        None => None,
        Some(bytes) if bytes == flags.len() as u64 => {
            Some(FlagsJson::from(std::str::from_utf8(flags).ok()?))
        }
        Some(_) => return None,
    };
    let etag = match header.etag {
        None => None,
        Some(etag) => {
            let bytes: Result<Vec<u8>, _> = etag.chars().map(u8::try_from).collect();
            Some(Etag::from_bytes(&bytes.ok()?)?)
        }
    };
    let since_epoch = Duration::from_millis(header.written_unix_milliseconds);
    let mut configuration = FlagConfiguration::default()
        .with_enrichment(serde_json::from_slice(enrichment).ok()?)
        .with_etag(etag);
    configuration.flags = flags;
    Some((
        configuration,
        SystemTime::UNIX_EPOCH.checked_add(since_epoch)?,
    ))
}

/// The format and the checksum of everything else.
fn first_line(rest: &[&[u8]]) -> String {
    format!("{FORMAT}{}\n", sha256(rest))
}

fn source(salt: &str, identity: &[u8; 32]) -> String {
    sha256(&[salt.as_bytes(), identity])
}

/// SHA-256 of the joined parts, in hexadecimal digits.
fn sha256(parts: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part);
    }
    let digest = digest.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first line with its end, and the rest.
fn split_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| *byte == b'\n')?;
    text.split_at_checked(end + 1)
}

const FORMAT: &str = "goff-last-known-good 2 ";

/// How far two clocks may be apart.
const LARGEST_CLOCK_ERROR: Duration = Duration::from_secs(5 * 60);

/// Twice the limit of a relay proxy's configuration.
const MAX_SIZE: u64 = 512 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;

    const HOUR: Duration = Duration::from_secs(60 * 60);

    fn configuration() -> FlagConfiguration {
        FlagConfiguration::new(r#"{ "fläg": {"variations": {"on": true}} }"#)
            .with_enrichment(Map::from_iter([("env".to_owned(), json!("prod"))]))
            .with_etag(Etag::from_bytes(b"W/\"667-\xe9\""))
    }

    fn file(directory: &tempfile::TempDir, identity: &[u8]) -> LastKnownGood {
        LastKnownGood::new(directory.path().join("flags"), HOUR, b"", identity)
    }

    const IDENTITY: [u8; 32] = [7; 32];

    fn stored_bytes(configuration: &FlagConfiguration) -> Vec<u8> {
        let (mut head, flags) = encode(configuration, SystemTime::now(), &IDENTITY).unwrap();
        head.extend_from_slice(flags);
        head
    }

    #[test]
    fn configuration_comes_back_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let file = file(&directory, b"relay");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        let many: Vec<String> = (0..10_000)
            .map(|index| format!(r#""flag-{index}":{{"variations":{{"é":{index}}}}}"#))
            .collect();
        let with_flags = |flags: String| configuration().with_flags(flags);
        // The depth limit of the relay proxy's answer.
        let deep_enrichment = format!(r#"{{"deep":{}{}}}"#, "[".repeat(126), "]".repeat(126));
        for configuration in [
            configuration(),
            FlagConfiguration::default(),
            configuration().with_enrichment(serde_json::from_str(&deep_enrichment).unwrap()),
            with_flags(String::new()),
            with_flags("{}\n\n".to_owned()),
            with_flags(format!(r#"{{"deep":{deep}}}"#)),
            with_flags(format!("{{{}}}", many.join(","))),
        ] {
            file.store_at(&configuration, now).unwrap();
            let stored = file.load_at(now + Duration::from_secs(90)).unwrap();
            assert_eq!(stored.configuration, configuration);
            assert_eq!(stored.age, Duration::from_secs(90));
            assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn file_is_used_up_to_its_age_limit() {
        let directory = tempfile::tempdir().unwrap();
        let file = file(&directory, b"relay");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        file.store_at(&configuration(), now).unwrap();
        assert_eq!(file.load_at(now + HOUR).unwrap().age, HOUR);
        let too_late = now + HOUR + Duration::from_secs(1);
        let error = file.load_at(too_late).unwrap_err().to_string();
        let path = file.path().display();
        let expected = "is 3601 s old; the limit is 3600 s";
        assert_eq!(error, format!("last-known-good file `{path}` {expected}"));
        // The clock was set back a little, or the file was written while it was wrong.
        let back = |duration| file.load_at(now - duration);
        assert_eq!(back(LARGEST_CLOCK_ERROR).unwrap().age, Duration::ZERO);
        for ahead in [
            LARGEST_CLOCK_ERROR + Duration::from_secs(1),
            HOUR,
            20_000 * HOUR,
        ] {
            let error = back(ahead).unwrap_err().to_string();
            let expected = format!("is dated {} s in the future", ahead.as_secs());
            assert!(error.contains(&expected), "{error}");
        }
    }

    #[test]
    fn file_of_another_source_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let one = file(&directory, b"relay, key one");
        one.store(&configuration()).unwrap();
        let error = file(&directory, b"relay, key two").load().unwrap_err();
        let reason = "belongs to another relay proxy, API key or flag list";
        assert!(error.to_string().ends_with(reason), "{error}");
        let content = std::fs::read_to_string(directory.path().join("flags")).unwrap();
        assert!(!content.contains("key one"), "{content}");
    }

    #[test]
    fn absent_and_foreign_files_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = file(&directory, b"relay");
        let absent = file.load().unwrap_err();
        assert!(absent.is_absent() && absent.to_string().ends_with("does not exist"));
        for (content, reason) in [
            ("", "has an unknown format"),
            ("{}", "has an unknown format"),
            ("goff-last-known-good 1 \n{}\n", "has an unknown format"),
            ("goff-last-known-good 2 \n{}\n", "is damaged or was edited"),
        ] {
            private_file::replace(file.path(), &[content.as_bytes()]).unwrap();
            let error = file.load().unwrap_err();
            assert!(!error.is_absent());
            assert!(error.to_string().ends_with(reason), "{error}");
        }
    }

    #[test]
    fn edited_flags_are_refused() {
        let content = String::from_utf8(stored_bytes(&configuration())).unwrap();
        let edited = content.replace("true", "fals");
        assert_ne!(edited, content);
        let problem = decode(edited.as_bytes(), &IDENTITY).unwrap_err();
        assert!(matches!(problem, Problem::Damaged), "{problem:?}");
    }

    /// Two files of one source share no hash, so that neither they nor a table give the key away.
    #[test]
    fn source_is_salted_anew_for_each_file() {
        let source = || {
            let content = String::from_utf8(stored_bytes(&configuration())).unwrap();
            let header = content.lines().nth(1).unwrap();
            serde_json::from_str::<Header>(header).unwrap().source
        };
        assert_ne!(source(), source());
    }

    #[test]
    fn file_that_cannot_be_written_is_an_error_that_names_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("absent/flags");
        let file = LastKnownGood::new(path.clone(), HOUR, b"", b"relay");
        let error = file.store(&configuration()).unwrap_err().to_string();
        let path = path.display();
        let start = format!("last-known-good file `{path}` cannot be written: ");
        assert!(error.starts_with(&start), "{error}");
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(8, 64, 8, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                proptest::collection::btree_map(any::<String>(), inner, 0..8)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn any_configuration() -> impl Strategy<Value = FlagConfiguration> {
        let bytes = prop_oneof![Just(b'\t'), 0x20..=0x7e_u8, 0x80..=0xff_u8];
        (
            proptest::option::of(any::<String>()),
            proptest::collection::btree_map(any::<String>(), any_json(), 0..8),
            proptest::option::of(proptest::collection::vec(bytes, 0..40)),
        )
            .prop_map(|(flags, enrichment, etag)| {
                let mut configuration = FlagConfiguration::default()
                    .with_enrichment(enrichment.into_iter().collect())
                    .with_etag(etag.map(|etag| Etag::from_bytes(&etag).unwrap()));
                configuration.flags = flags.map(FlagsJson::from);
                configuration
            })
    }

    proptest! {
        #[test]
        fn any_configuration_comes_back(configuration in any_configuration()) {
            let content = stored_bytes(&configuration);
            prop_assert_eq!(decode(&content, &IDENTITY).unwrap().0, configuration);
        }

        #[test]
        fn any_other_byte_is_noticed(
            configuration in any_configuration(),
            place in any::<prop::sample::Index>(),
            change in 1..=u8::MAX,
        ) {
            let mut content = stored_bytes(&configuration);
            let place = place.index(content.len());
            content[place] ^= change;
            prop_assert!(decode(&content, &IDENTITY).is_err(), "byte {}", place);
        }

        #[test]
        fn any_truncation_and_any_addition_is_noticed(
            configuration in any_configuration(),
            place in any::<prop::sample::Index>(),
            addition in proptest::collection::vec(any::<u8>(), 1..9),
        ) {
            let content = stored_bytes(&configuration);
            let cut = &content[..place.index(content.len())];
            prop_assert!(decode(cut, &IDENTITY).is_err(), "{} bytes", cut.len());
            prop_assert!(decode(&[content, addition].concat(), &IDENTITY).is_err());
        }
    }
}
