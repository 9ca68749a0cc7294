//! The configuration that worked last, kept in a file for starts without the relay proxy.
//!
//! ```text
//! goff-last-known-good 1 <checksum>
//! {"written_unix_milliseconds":…,"source":…,"etag":…,"flags_bytes":…}
//! {<the enrichment>}
//! <the flags, exactly as received>
//! ```
//!
//! The checksum is over everything else, with a key made from the source's identity. So a file
//! that was damaged, cut short, edited, or written for another relay proxy, API key or choice of
//! flags is refused. Where there is an API key, nobody without it can make a file that is taken;
//! where there is none, the file's owner and mode alone keep others from doing so.

pub(crate) mod private_file;
pub(crate) mod seal;
pub(crate) mod writer;

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use goff_core::{Etag, FlagConfiguration};
use serde::{Deserialize, Serialize};

use crate::in_process::last_known_good::private_file::ReadError;
use crate::in_process::last_known_good::seal::Seal;

/// The file in which a configuration survives the process.
#[derive(Debug, Clone)]
pub(crate) struct LastKnownGood {
    path: PathBuf,
    max_age: Duration,
    seal: Seal,
}

/// A configuration from the file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stored {
    pub(crate) configuration: FlagConfiguration,
    /// How long ago it was written; zero where the clock has been set back since.
    pub(crate) age: Duration,
}

impl LastKnownGood {
    /// `identity` says whose configuration it is: relay proxy, API key, chosen flags. Only its
    /// hash is kept, and not that is written.
    pub(crate) fn new(path: PathBuf, max_age: Duration, identity: &[u8]) -> Self {
        Self {
            path,
            max_age,
            seal: Seal::from_secret(identity),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn max_age(&self) -> Duration {
        self.max_age
    }

    /// Replaces the file, as [`private_file::replace`] does. It blocks.
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
        let written = encode(configuration, now, &self.seal).and_then(|(head, flags)| {
            private_file::replace(&self.path, &[&head, flags]).map_err(|error| error.to_string())
        });
        written.map_err(|reason| self.error(Problem::NotWritten(reason)))
    }

    /// Reads the file. It blocks.
    pub(crate) fn load(&self) -> Result<Stored, LastKnownGoodError> {
        self.load_at(SystemTime::now())
    }

    fn load_at(&self, now: SystemTime) -> Result<Stored, LastKnownGoodError> {
        let load = || {
            let content = private_file::read(&self.path, MAX_SIZE)?;
            let (configuration, written) = decode(&content, &self.seal)?;
            let age = now.duration_since(written).unwrap_or_default();
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

/// A file that could not be written, read or trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LastKnownGoodError {
    path: PathBuf,
    problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Problem {
    NotWritten(String),
    Absent,
    NotRead(String),
    UnknownFormat,
    Damaged,
    OtherSource,
    TooOld { age: Duration, max_age: Duration },
}

impl LastKnownGoodError {
    /// Whether there just is no file, as before the first configuration was written.
    pub(crate) fn is_absent(&self) -> bool {
        self.problem == Problem::Absent
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) if error.kind() == std::io::ErrorKind::NotFound => Self::Absent,
            error => Self::NotRead(error.to_string()),
        }
    }
}

impl fmt::Display for LastKnownGoodError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "last-known-good file `{}` ", self.path.display())?;
        match &self.problem {
            Problem::NotWritten(reason) => write!(f, "cannot be written: {reason}"),
            Problem::Absent => f.write_str("does not exist"),
            Problem::NotRead(reason) => f.write_str(reason),
            Problem::UnknownFormat => f.write_str("has a format that is not known here"),
            Problem::Damaged => f.write_str("was damaged or changed since it was written"),
            Problem::OtherSource => {
                f.write_str("was written for another relay proxy, API key or list of flags")
            }
            Problem::TooOld { age, max_age } => write!(
                f,
                "is {} s old, and at most {} s are allowed",
                age.as_secs(),
                max_age.as_secs()
            ),
        }
    }
}

impl Error for LastKnownGoodError {}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    written_unix_milliseconds: u64,
    /// Tells another source from damage. Nothing is decided by it.
    source: String,
    /// Each byte as the character of that number, since a tag need not be UTF-8.
    etag: Option<String>,
    flags_bytes: Option<u64>,
}

/// What comes before the flags, and the flags.
fn encode<'a>(
    configuration: &'a FlagConfiguration,
    now: SystemTime,
    seal: &Seal,
) -> Result<(Vec<u8>, &'a [u8]), String> {
    let since_epoch = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let etag = configuration.etag.as_ref();
    let header = Header {
        written_unix_milliseconds: u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX),
        source: source(seal),
        etag: etag.map(|etag| etag.as_bytes().iter().copied().map(char::from).collect()),
        flags_bytes: configuration.flags.as_ref().map(|flags| flags.len() as u64),
    };
    let mut lines = serde_json::to_vec(&header).map_err(|error| error.to_string())?;
    lines.push(b'\n');
    serde_json::to_writer(&mut lines, &configuration.enrichment)
        .map_err(|error| error.to_string())?;
    lines.push(b'\n');
    let flags = configuration.flags.as_deref().unwrap_or_default();
    let mut head = first_line(seal, &[&lines, flags.as_bytes()]).into_bytes();
    head.append(&mut lines);
    Ok((head, flags.as_bytes()))
}

fn decode(content: &[u8], seal: &Seal) -> Result<(FlagConfiguration, SystemTime), Problem> {
    let (first, rest) = split_line(content).ok_or(Problem::UnknownFormat)?;
    if !first.starts_with(FORMAT.as_bytes()) {
        return Err(Problem::UnknownFormat);
    }
    let is_sealed = first == first_line(seal, &[rest]).as_bytes();
    let (header, rest) = split_header(rest).ok_or(Problem::Damaged)?;
    if is_sealed {
        read_sealed(header, rest).ok_or(Problem::Damaged)
    } else if header.source != source(seal) {
        Err(Problem::OtherSource)
    } else {
        Err(Problem::Damaged)
    }
}

fn split_header(text: &[u8]) -> Option<(Header, &[u8])> {
    let (header, rest) = split_line(text)?;
    Some((serde_json::from_slice(header).ok()?, rest))
}

fn read_sealed(header: Header, rest: &[u8]) -> Option<(FlagConfiguration, SystemTime)> {
    let (enrichment, flags) = split_line(rest)?;
    let flags = match header.flags_bytes {
        None => None,
        Some(bytes) if bytes == flags.len() as u64 => {
            Some(Arc::from(std::str::from_utf8(flags).ok()?))
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
    let configuration = FlagConfiguration {
        flags,
        enrichment: serde_json::from_slice(enrichment).ok()?,
        etag,
    };
    Some((
        configuration,
        SystemTime::UNIX_EPOCH.checked_add(since_epoch)?,
    ))
}

/// The line that everything else is sealed by.
fn first_line(seal: &Seal, rest: &[&[u8]]) -> String {
    let mut parts = vec![FORMAT.as_bytes()];
    parts.extend(rest);
    format!("{FORMAT}{}\n", seal.of(&parts))
}

fn source(seal: &Seal) -> String {
    seal.of(&[b"source"])
}

/// The first line with its end, and the rest.
fn split_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| *byte == b'\n')?;
    text.split_at_checked(end + 1)
}

const FORMAT: &str = "goff-last-known-good 1 ";

/// Twice what the relay proxy may send.
const MAX_SIZE: u64 = 512 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::in_process::test_directory::TestDirectory;

    const HOUR: Duration = Duration::from_secs(60 * 60);

    fn configuration() -> FlagConfiguration {
        FlagConfiguration {
            flags: Some(r#"{ "fläg": {"variations": {"on": true}} }"#.into()),
            enrichment: Map::from_iter([("env".to_owned(), json!("prod"))]),
            etag: Etag::from_bytes(b"W/\"667-\xe9\""),
        }
    }

    fn file(directory: &TestDirectory, identity: &[u8]) -> LastKnownGood {
        LastKnownGood::new(directory.path("flags"), HOUR, identity)
    }

    fn stored_bytes(configuration: &FlagConfiguration, seal: &Seal) -> Vec<u8> {
        let (mut head, flags) = encode(configuration, SystemTime::now(), seal).unwrap();
        head.extend_from_slice(flags);
        head
    }

    #[test]
    fn configuration_comes_back_as_it_was() {
        let directory = TestDirectory::new();
        let file = file(&directory, b"relay");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        let many: Vec<String> = (0..10_000)
            .map(|index| format!(r#""flag-{index}":{{"variations":{{"é":{index}}}}}"#))
            .collect();
        let with_flags = |flags: String| FlagConfiguration {
            flags: Some(flags.into()),
            ..configuration()
        };
        // As deep as the answer may be that they come from.
        let deep_enrichment = format!(r#"{{"deep":{}{}}}"#, "[".repeat(126), "]".repeat(126));
        for configuration in [
            configuration(),
            FlagConfiguration::default(),
            FlagConfiguration {
                enrichment: serde_json::from_str(&deep_enrichment).unwrap(),
                ..configuration()
            },
            with_flags(String::new()),
            with_flags("{}\n\n".to_owned()),
            with_flags(format!(r#"{{"deep":{deep}}}"#)),
            with_flags(format!("{{{}}}", many.join(","))),
        ] {
            file.store_at(&configuration, now).unwrap();
            let stored = file.load_at(now + Duration::from_secs(90)).unwrap();
            assert_eq!(stored.configuration, configuration);
            assert_eq!(stored.age, Duration::from_secs(90));
            assert_eq!(directory.names(), ["flags"]);
        }
    }

    #[test]
    fn file_is_taken_up_to_its_age_limit() {
        let directory = TestDirectory::new();
        let file = file(&directory, b"relay");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        file.store_at(&configuration(), now).unwrap();
        assert_eq!(file.load_at(now + HOUR).unwrap().age, HOUR);
        let too_late = now + HOUR + Duration::from_secs(1);
        assert_eq!(
            file.load_at(too_late).unwrap_err().to_string(),
            format!(
                "last-known-good file `{}` is 3601 s old, and at most 3600 s are allowed",
                directory.path("flags").display()
            )
        );
        // The clock was set back: no time has passed that anybody knows of.
        assert_eq!(file.load_at(now - HOUR).unwrap().age, Duration::ZERO);
    }

    #[test]
    fn file_of_another_source_is_refused_by_name() {
        let directory = TestDirectory::new();
        file(&directory, b"relay, key one")
            .store(&configuration())
            .unwrap();
        let error = file(&directory, b"relay, key two").load().unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("was written for another relay proxy, API key or list of flags"),
            "{error}"
        );
        let content = std::fs::read_to_string(directory.path("flags")).unwrap();
        assert!(!content.contains("key one"), "{content}");
    }

    #[test]
    fn what_was_never_written_here_is_refused() {
        let directory = TestDirectory::new();
        let file = file(&directory, b"relay");
        let absent = file.load().unwrap_err();
        assert!(absent.is_absent() && absent.to_string().ends_with("does not exist"));
        for (content, reason) in [
            ("", "has a format that is not known here"),
            ("{}", "has a format that is not known here"),
            (
                "goff-last-known-good 2 \n{}\n",
                "has a format that is not known here",
            ),
            (
                "goff-last-known-good 1 \n{}\n",
                "was damaged or changed since it was written",
            ),
        ] {
            private_file::replace(file.path(), &[content.as_bytes()]).unwrap();
            let error = file.load().unwrap_err();
            assert!(!error.is_absent());
            assert!(error.to_string().ends_with(reason), "{error}");
        }
    }

    /// Whoever changes the flags in an editor does not know the key.
    #[test]
    fn edited_flags_are_refused() {
        let seal = Seal::from_secret(b"relay");
        let content = String::from_utf8(stored_bytes(&configuration(), &seal)).unwrap();
        let edited = content.replace("true", "fals");
        assert_ne!(edited, content);
        assert_eq!(
            decode(edited.as_bytes(), &seal).unwrap_err(),
            Problem::Damaged
        );
    }

    #[test]
    fn file_that_cannot_be_written_is_an_error_that_names_it() {
        let directory = TestDirectory::new();
        let path = directory.path("absent/flags");
        let file = LastKnownGood::new(path.clone(), HOUR, b"relay");
        let error = file.store(&configuration()).unwrap_err().to_string();
        let start = format!(
            "last-known-good file `{}` cannot be written: ",
            path.display()
        );
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
            .prop_map(|(flags, enrichment, etag)| FlagConfiguration {
                flags: flags.map(Arc::from),
                enrichment: enrichment.into_iter().collect(),
                etag: etag.map(|etag| Etag::from_bytes(&etag).unwrap()),
            })
    }

    proptest! {
        #[test]
        fn any_configuration_comes_back(configuration in any_configuration()) {
            let seal = Seal::from_secret(b"relay");
            let content = stored_bytes(&configuration, &seal);
            prop_assert_eq!(decode(&content, &seal).unwrap().0, configuration);
        }

        #[test]
        fn any_other_byte_is_noticed(
            configuration in any_configuration(),
            place in any::<prop::sample::Index>(),
            change in 1..=u8::MAX,
        ) {
            let seal = Seal::from_secret(b"relay");
            let mut content = stored_bytes(&configuration, &seal);
            let place = place.index(content.len());
            content[place] ^= change;
            prop_assert!(decode(&content, &seal).is_err(), "byte {}", place);
        }

        #[test]
        fn any_truncation_and_any_addition_is_noticed(
            configuration in any_configuration(),
            place in any::<prop::sample::Index>(),
            addition in proptest::collection::vec(any::<u8>(), 1..9),
        ) {
            let seal = Seal::from_secret(b"relay");
            let content = stored_bytes(&configuration, &seal);
            let cut = &content[..place.index(content.len())];
            prop_assert!(decode(cut, &seal).is_err(), "{} bytes", cut.len());
            prop_assert!(decode(&[content, addition].concat(), &seal).is_err());
        }
    }
}
