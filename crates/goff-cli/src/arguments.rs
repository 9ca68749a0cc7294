//! Arguments that several commands have: the evaluation context, the time, and the relay proxy.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::Args;
use goff_core::{ApiKey, Endpoint};
use goff_engine::Timestamp;
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::file;

/// For what to evaluate.
#[derive(Args)]
pub(crate) struct ContextArguments {
    /// The targeting key: the same as `-c targetingKey=KEY`.
    #[arg(short, long, value_name = "KEY")]
    user: Option<String>,
    /// Attributes of the evaluation context: `name=value`, a JSON object, or `@FILE` with a JSON
    /// object. Repeat it to combine them; a later one replaces an attribute of an earlier one. A value
    /// that is JSON counts as such: `age=42` is a number, `age='"42"'` a string.
    #[arg(short, long, value_name = "CONTEXT")]
    context: Vec<String>,
    /// Evaluate as at this time: RFC 3339 (`2026-12-24T18:00:00Z`), or a date for its start in UTC.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    at: Option<String>,
}

impl ContextArguments {
    /// The context, with the time of evaluation where one is given.
    pub(crate) fn context(&self) -> Result<Map<String, Value>, Failure> {
        let mut context = Map::new();
        for part in &self.context {
            context.extend(read_part(part)?);
        }
        if let Some(user) = &self.user {
            context.insert(TARGETING_KEY.to_owned(), user.as_str().into());
        }
        if let Some(at) = &self.at {
            set_time(&mut context, at);
        }
        Ok(context)
    }
}

/// Now, for evaluations whose context does not say otherwise.
pub(crate) fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

/// Sets the time of evaluation, as the relay proxy reads it too (docs/engine-semantics.md 5).
pub(crate) fn set_time(context: &mut Map<String, Value>, at: &str) {
    let specifics = context.entry("gofeatureflag").or_insert_with(|| json!({}));
    if !specifics.is_object() {
        *specifics = json!({});
    }
    if let Some(specifics) = specifics.as_object_mut() {
        specifics.insert("currentDateTime".to_owned(), at.into());
    }
}

/// A time, in the format of `currentDateTime`.
pub(crate) fn parse_time(text: &str) -> Result<String, String> {
    let midnight = format!("{text}T00:00:00Z");
    let candidates = [text.to_owned(), midnight];
    let mut times = candidates.into_iter();
    times
        .find(|time| Timestamp::parse(time).is_some())
        .ok_or_else(|| {
            "write a time as `2026-12-24T18:00:00Z`, or a date as `2026-12-24`".to_owned()
        })
}

fn read_part(part: &str) -> Result<Map<String, Value>, Failure> {
    if let Some(path) = part.strip_prefix('@') {
        let path = Path::new(path);
        return object(&file::read(path)?, &path.display().to_string());
    }
    if part.trim_start().starts_with('{') {
        return object(part.as_bytes(), "--context");
    }
    let Some((name, value)) = part.split_once('=').filter(|(name, _)| !name.is_empty()) else {
        let message = "is neither `name=value` nor a JSON object; a file is `@FILE`";
        return Err(Failure::at("--context", message));
    };
    let text = || Value::from(value);
    let value = match name {
        TARGETING_KEY => text(),
        _ => serde_json::from_str(value).unwrap_or_else(|_| text()),
    };
    Ok(Map::from_iter([(name.to_owned(), value)]))
}

/// The context in a JSON text.
pub(crate) fn object(json: &[u8], place: &str) -> Result<Map<String, Value>, Failure> {
    let context: Value = serde_json::from_slice(json).map_err(|error| {
        let message = format!("not JSON: {error}; write an object such as {EXAMPLE}");
        Failure::at(place, message)
    })?;
    let Value::Object(context) = context else {
        let message = format!("not an object; write one such as {EXAMPLE}");
        return Err(Failure::at(place, message));
    };
    check(&context).map_err(|message| Failure::at(place, message))?;
    Ok(context)
}

/// Refuses a context whose targeting key would be ignored.
pub(crate) fn check(context: &Map<String, Value>) -> Result<(), String> {
    match context.get(TARGETING_KEY) {
        None | Some(Value::String(_)) => Ok(()),
        Some(other) => Err(format!(
            "`targetingKey` is not a string, so it would be ignored; write \"{}\"",
            other.to_string().trim_matches('"')
        )),
    }
}

/// Which relay proxy to ask.
#[derive(Args)]
pub(crate) struct RelayArguments {
    /// The relay proxy: `http://…`, `https://…` or, on Unix, `unix:///path`.
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    /// Its API key. In a script set `GOFF_API_KEY` instead: other users can see arguments.
    #[arg(long, value_name = "KEY", env = "GOFF_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// How long to wait for an answer.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,
}

impl RelayArguments {
    /// Texts that may hold secrets are not repeated in errors.
    pub(crate) fn endpoint(&self) -> Result<Option<Endpoint>, Failure> {
        let endpoint = self.endpoint.as_deref().map(str::parse::<Endpoint>);
        endpoint.transpose().map_err(|error| {
            let message = format!("{error}; write it as `http://localhost:1031`");
            Failure::at("--endpoint", message)
        })
    }

    /// The key; none if it is empty.
    pub(crate) fn api_key(&self) -> Result<Option<ApiKey>, Failure> {
        let key = self.api_key.as_deref().filter(|key| !key.is_empty());
        key.map(ApiKey::new).transpose().map_err(|error| {
            let message = format!("{error}; check the key, also that of `GOFF_API_KEY`");
            Failure::at("--api-key", message)
        })
    }
}

/// Where flags come from.
#[derive(Args)]
pub(crate) struct SourceArguments {
    /// A flag file in YAML, JSON or TOML.
    #[arg(short, long, value_name = "FILE", conflicts_with = "endpoint")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) relay: RelayArguments,
}

pub(crate) const TARGETING_KEY: &str = "targetingKey";
const EXAMPLE: &str = r#"{"targetingKey": "user-1", "plan": "pro"}"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_json_where_they_can_be_and_keys_are_strings() {
        for (part, expected) in [
            ("age=42", json!({"age": 42})),
            ("age=\"42\"", json!({"age": "42"})),
            ("plan=pro", json!({"plan": "pro"})),
            ("a=b=c", json!({"a": "b=c"})),
            ("tags=[\"x\"]", json!({"tags": ["x"]})),
            ("targetingKey=42", json!({"targetingKey": "42"})),
            (" {\"x\": null}", json!({"x": null})),
        ] {
            let read = read_part(part).ok().map(Value::Object);
            assert_eq!(read, Some(expected), "{part}");
        }
        for part in [
            "plan",
            "=x",
            "{",
            "{\"targetingKey\": 42}",
            "@/no/such/file",
        ] {
            assert!(read_part(part).is_err(), "{part}");
        }
    }

    #[test]
    fn a_date_is_its_start_in_utc() {
        assert_eq!(
            parse_time("2026-12-24"),
            Ok("2026-12-24T00:00:00Z".to_owned())
        );
        let time = "2026-12-24T18:00:00+01:00";
        assert_eq!(parse_time(time), Ok(time.to_owned()));
        assert!(parse_time("tomorrow").is_err());
    }
}
