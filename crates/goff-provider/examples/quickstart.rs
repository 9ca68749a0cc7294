//! A relay proxy, the provider, and a flag that changes, in one process that needs only Rust.
//!
//! ```sh
//! cargo run --example quickstart
//! ```
//!
//! It starts the test kit's embedded relay proxy with the flags of `quickstart-flags.yaml`, evaluates a flag of
//! each type through OpenFeature, shows an answer from the cache, edits the flag file, shows the change arrive,
//! and prints the usage data that the relay proxy has collected. With an endpoint it evaluates against your relay
//! proxy instead:
//!
//! ```sh
//! cargo run --example quickstart -- --endpoint http://localhost:1031 [--api-key KEY]
//! ```

use std::error::Error;
use std::fmt::Debug;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use goff_provider::{
    ChangedFlags, ClientEvent, GoFeatureFlag, GoFeatureFlagOptions, GoFeatureFlagProvider,
    StreamState, is_disabled,
};
use goff_testkit::EmbeddedRelay;
use open_feature::{
    Client, EvaluationContext, EvaluationContextFieldValue, EvaluationDetails, EvaluationResult,
    OpenFeature, StructValue,
};

const USAGE: &str = "\
usage: quickstart [--endpoint URL [--api-key KEY]]

Without an endpoint it starts an embedded relay proxy. With one it evaluates the same flags there; those that
yours does not have are shown as what they are: not found. `docker compose up` starts one that has them.
";

const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut out = io::stdout();
    match Arguments::parse(std::env::args().skip(1)) {
        None => {
            out.write_all(USAGE.as_bytes())?;
            return Ok(ExitCode::FAILURE);
        }
        Some(Arguments { endpoint: None, .. }) => show_everything(&mut out).await?,
        Some(Arguments {
            endpoint: Some(url),
            api_key,
        }) => {
            let options = GoFeatureFlagOptions::new(url);
            let options = match api_key {
                Some(key) => options.api_key(key),
                None => options,
            };
            if let Err(error) = show_endpoint(&mut out, options).await {
                writeln!(out, "{error}")?;
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The flags of another relay proxy.
pub(crate) async fn show_endpoint(
    out: &mut impl Write,
    options: GoFeatureFlagOptions,
) -> Result<(), Box<dyn Error>> {
    // Without the check an unreachable relay proxy would fail each evaluation instead.
    let goff = GoFeatureFlag::connect_checked(options, CHECK_TIMEOUT).await?;
    evaluate(out, &goff).await?;
    finish(out, &goff).await?;
    Ok(())
}

/// The tour with the embedded relay proxy.
pub(crate) async fn show_everything(out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let file = FlagFile::create()?;
    let relay = EmbeddedRelay::builder().flag_file(&file.path).start()?;
    writeln!(
        out,
        "A relay proxy at {}, with the flags of {}\n",
        relay.endpoint(),
        file.path.display()
    )?;

    let goff = GoFeatureFlag::connect(GoFeatureFlagOptions::new(relay.endpoint())).await?;
    let client = evaluate(out, &goff).await?;

    // Changes reach open streams only; the first stream opens in the background.
    while goff.stats().stream != StreamState::Open {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut events = goff.subscribe();
    writeln!(
        out,
        "\nThe file is edited: `string_key` serves `summer` from now on."
    )?;
    file.edit(
        "defaultRule: {variation: spring}",
        "defaultRule: {variation: summer}",
    )?;
    let edited = Instant::now();
    while let Some(event) = events.next().await {
        if let ClientEvent::ConfigurationChanged(ChangedFlags::Named(flags)) = event {
            let after = edited.elapsed().as_millis();
            writeln!(out, "Announced after {after} ms: {flags:?} changed.")?;
            break;
        }
    }
    let user = user();
    let string = client
        .get_string_details("string_key", Some(&user), None)
        .await;
    show(out, "string_key", string)?;

    finish(out, &goff).await?;
    writeln!(out, "\nWhat the relay proxy has collected:")?;
    for event in relay.feature_events() {
        writeln!(out, "  {event}")?;
    }
    Ok(())
}

async fn evaluate(out: &mut impl Write, goff: &GoFeatureFlag) -> io::Result<Client> {
    let mut api = OpenFeature::singleton_mut().await;
    api.set_provider(GoFeatureFlagProvider::from(goff)).await;
    let client = api.create_client();
    drop(api);

    let user = user();
    let context = Some(&user);
    let boolean = client
        .get_bool_details("bool_targeting_match", context, None)
        .await;
    show(out, "bool_targeting_match", boolean)?;
    let integer = client.get_int_details("integer_key", context, None).await;
    show(out, "integer_key", integer)?;
    let float = client.get_float_details("double_key", context, None).await;
    show(out, "double_key", float)?;
    let string = client.get_string_details("string_key", context, None).await;
    show(out, "string_key", string)?;
    let object = client
        .get_struct_details::<StructValue>("object_key", context, None)
        .await;
    show(out, "object_key", object)?;
    let disabled = client
        .get_bool_details("disabled_bool", context, None)
        .await;
    show(out, "disabled_bool", disabled)?;

    writeln!(out, "\nOnce more, from the cache:")?;
    let again = client
        .get_bool_details("bool_targeting_match", context, None)
        .await;
    show(out, "bool_targeting_match", again)?;
    Ok(client)
}

/// Delivers the usage data that the client recorded for cached evaluations.
async fn finish(out: &mut impl Write, goff: &GoFeatureFlag) -> io::Result<()> {
    let report = goff.shutdown(Duration::from_secs(5)).await;
    writeln!(
        out,
        "\nusage data: {} recorded, {} delivered, {} dropped, {} still buffered",
        report.recorded, report.delivered, report.dropped, report.pending
    )
}

fn user() -> EvaluationContext {
    EvaluationContext::default()
        .with_targeting_key("d45e303a-38c2-11ed-a261-0242ac120002")
        .with_custom_field("email", "john.doe@gofeatureflag.org")
        .with_custom_field("age", 30)
        .with_custom_field(
            "labels",
            EvaluationContextFieldValue::new_struct(vec!["pro".to_owned(), "beta".to_owned()]),
        )
}

fn show<T: Debug>(
    out: &mut impl Write,
    flag_key: &str,
    result: EvaluationResult<EvaluationDetails<T>>,
) -> io::Result<()> {
    match result {
        Ok(details) => {
            writeln!(out, "{flag_key} = {:?}", details.value)?;
            writeln!(
                out,
                "  variant  {}",
                details.variant.as_deref().unwrap_or("-")
            )?;
            let reason = details.reason.map(|reason| reason.to_string());
            writeln!(out, "  reason   {}", reason.as_deref().unwrap_or("-"))?;
            writeln!(out, "  metadata {:?}", details.flag_metadata.values)
        }
        Err(error) if is_disabled(&error) => {
            writeln!(out, "{flag_key}: disabled, your default applies")
        }
        Err(error) => {
            let message = error.message.unwrap_or_default();
            writeln!(
                out,
                "{flag_key}: {} ({message}), your default applies",
                error.code
            )
        }
    }
}

/// A copy of the sample flags to edit; removed when dropped.
struct FlagFile {
    path: PathBuf,
    _directory: tempfile::TempDir,
}

impl FlagFile {
    fn create() -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("flags.yaml");
        fs::write(&path, include_str!("quickstart-flags.yaml"))?;
        Ok(Self {
            path,
            _directory: directory,
        })
    }

    /// Replaces the file atomically.
    fn edit(&self, from: &str, to: &str) -> io::Result<()> {
        let flags = fs::read_to_string(&self.path)?.replace(from, to);
        let beside = Path::with_extension(&self.path, "new");
        fs::write(&beside, flags)?;
        fs::rename(beside, &self.path)
    }
}

struct Arguments {
    endpoint: Option<String>,
    api_key: Option<String>,
}

impl Arguments {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut parsed = Self {
            endpoint: None,
            api_key: None,
        };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--endpoint" => parsed.endpoint = Some(arguments.next()?),
                "--api-key" => parsed.api_key = Some(arguments.next()?),
                _ => return None,
            }
        }
        // A key needs an endpoint.
        (parsed.endpoint.is_some() || parsed.api_key.is_none()).then_some(parsed)
    }
}
