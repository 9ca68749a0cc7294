//! What `goff evaluate` and `goff explain` share: where flags come from, and asking again on changes.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use goff_core::{Endpoint, StreamState};
use goff_engine::{FlagContext, FlagSet};
use goff_http::HttpRelayClient;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::arguments::{ContextArguments, SourceArguments};
use crate::failure::{Failure, Verdict};
use crate::flags;
use crate::output::{Output, RED, complain, warn};
use crate::relay::{self, Changes};

/// Which flags, for whom, from where.
#[derive(Args)]
pub(crate) struct Question {
    /// The key of the flag.
    flag: Option<String>,
    /// Every flag.
    #[arg(long, conflicts_with = "flag")]
    all: bool,
    /// Print the answers again whenever they change, until interrupted.
    #[arg(short, long)]
    watch: bool,
    #[command(flatten)]
    source: SourceArguments,
    #[command(flatten)]
    context: ContextArguments,
}

/// What is asked: one flag or all, and for whom.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'q> {
    pub(crate) key: Option<&'q str>,
    pub(crate) context: &'q Map<String, Value>,
}

/// The flags that are evaluated here.
pub(crate) struct Flags<'q> {
    pub(crate) set: &'q FlagSet,
    pub(crate) context: FlagContext,
}

/// The answer of a command for one flag.
pub(crate) trait Reply: Serialize + Sized {
    /// The answer of the engine for one flag.
    fn of_engine(flags: &Flags<'_>, key: &str, context: &Map<String, Value>) -> Self;

    async fn of_relay(client: &HttpRelayClient, asked: Asked<'_>) -> Result<Vec<Self>, Failure>;

    fn has_value(&self) -> bool;

    /// Whether this one says the same as the other, but for the time.
    fn is_same(&self, other: &Self) -> bool;

    fn text(&self) -> String;

    /// The text for several flags.
    fn texts(all: &[Self]) -> String;
}

impl Question {
    pub(crate) fn run<R: Reply>(&self, output: &Output) -> Result<Verdict, Failure> {
        if self.flag.is_none() && !self.all {
            return Err(Failure::new(
                "no flag to evaluate: name one, or give `--all`",
            ));
        }
        let context = self.context.context()?;
        let asked = Asked {
            key: self.flag.as_deref(),
            context: &context,
        };
        match (&self.source.file, self.source.relay.endpoint()?) {
            (Some(path), _) if self.watch => self.watch_file::<R>(path, asked, output),
            (Some(path), _) => self.answer(&asked.of_file::<R>(&flags::load(path)?), output),
            (None, Some(endpoint)) => relay::block_on(self.of_relay::<R>(endpoint, asked, output)),
            (None, None) => {
                let message = "no flags to evaluate: give `--file FILE` or `--endpoint URL`";
                Err(Failure::new(message))
            }
        }
    }

    /// Reads the file again and again: a rename over it, a link that changes, a network drive, and a
    /// flag that depends on the time are then no special cases.
    fn watch_file<R: Reply>(
        &self,
        path: &Path,
        asked: Asked<'_>,
        output: &Output,
    ) -> Result<Verdict, Failure> {
        crate::file::check_regular(path)?;
        let mut content = crate::file::read(path)?;
        let (mut flags, warnings) = flags::parse(path, &content)?;
        warnings.iter().for_each(|warning| warn(warning));
        let mut printed = Printed::new();
        loop {
            printed.print(self, asked.of_file::<R>(&flags), output)?;
            std::thread::sleep(PAUSE);
            let loaded = match crate::file::read(path) {
                Ok(newer) if newer == content => {
                    printed.failure.clear();
                    continue;
                }
                Ok(newer) => {
                    content = newer;
                    flags::parse(path, &content)
                }
                Err(failure) => Err(failure),
            };
            match loaded {
                Ok((newer, warnings)) => {
                    flags = newer;
                    printed.failure.clear();
                    warnings.iter().for_each(|warning| warn(warning));
                }
                Err(failure) => printed.complain(failure)?,
            }
        }
    }

    async fn of_relay<R: Reply>(
        &self,
        endpoint: Endpoint,
        asked: Asked<'_>,
        output: &Output,
    ) -> Result<Verdict, Failure> {
        let client = relay::client(&self.source.relay, endpoint.clone())?;
        if !self.watch {
            return self.answer(&R::of_relay(&client, asked).await?, output);
        }
        let mut changes = Changes::listen(&self.source.relay, endpoint)?;
        let mut printed = Printed::<R>::new();
        let mut is_warned = false;
        loop {
            // What is announced from here on is not in the answers below.
            let state = changes.seen.borrow_and_update().state;
            match R::of_relay(&client, asked).await {
                Ok(replies) => {
                    printed.failure.clear();
                    printed.print(self, replies, output)?;
                }
                Err(failure) => printed.complain(failure)?,
            }
            let wait = match state {
                Some(StreamState::Refused | StreamState::Down) => {
                    if !is_warned {
                        warn(&format!(
                            "the change stream does not work: the relay proxy is asked again every {} s; \
                             `goff doctor` examines it",
                            ASK_AGAIN.as_secs()
                        ));
                    }
                    is_warned = true;
                    ASK_AGAIN
                }
                Some(StreamState::Open) => {
                    is_warned = false;
                    Duration::MAX
                }
                _ => Duration::MAX,
            };
            let changed = tokio::time::timeout(wait, changes.seen.changed()).await;
            if matches!(changed, Ok(Err(_))) {
                let message = "the change stream has ended; start the command again";
                return Err(Failure::new(message));
            }
        }
    }

    fn print<R: Reply>(&self, replies: &[R], output: &Output) -> Result<(), Failure> {
        match (replies, output.is_json, self.watch) {
            ([only], true, false) if !self.all => output.json(only),
            ([only], true, true) if !self.all => output.json_line(only),
            (_, true, false) => output.json(&replies),
            (_, true, true) => output.json_line(&replies),
            ([only], false, _) if !self.all => output.text(&only.text()),
            (_, false, _) => output.text(&R::texts(replies)),
        }
    }

    fn answer<R: Reply>(&self, replies: &[R], output: &Output) -> Result<Verdict, Failure> {
        Verdict::of(replies.iter().all(R::has_value)).after(self.print(replies, output))
    }
}

impl Asked<'_> {
    fn of_file<R: Reply>(self, set: &FlagSet) -> Vec<R> {
        let context = FlagContext::default();
        self.of(&Flags { set, context })
    }

    /// The replies of the engine, sorted by key.
    pub(crate) fn of<R: Reply>(self, flags: &Flags<'_>) -> Vec<R> {
        let mut keys: Vec<&str> = match self.key {
            Some(key) => vec![key],
            None => flags.set.iter().map(goff_engine::Flag::key).collect(),
        };
        keys.sort_unstable();
        let reply = |key| R::of_engine(flags, key, self.context);
        keys.into_iter().map(reply).collect()
    }
}

/// What was printed before.
struct Printed<R> {
    replies: Option<Vec<R>>,
    failure: String,
}

impl<R: Reply> Printed<R> {
    fn new() -> Self {
        Self {
            replies: None,
            failure: String::new(),
        }
    }

    /// Prints replies that differ from those before.
    fn print(
        &mut self,
        question: &Question,
        replies: Vec<R>,
        output: &Output,
    ) -> Result<(), Failure> {
        if let Some(before) = &self.replies {
            let mut pairs = before.iter().zip(&replies);
            if before.len() == replies.len() && pairs.all(|(before, now)| now.is_same(before)) {
                return Ok(());
            }
            if !output.is_json {
                output.text("\n")?;
            }
        }
        question.print(&replies, output)?;
        self.replies = Some(replies);
        Ok(())
    }

    /// Tells a failure once; the replies before stay.
    fn complain(&mut self, failure: Failure) -> Result<(), Failure> {
        let Failure::Message(message) = failure else {
            return Err(failure);
        };
        if self.failure != message {
            complain("error", RED, &message);
            self.failure = message;
        }
        Ok(())
    }
}

/// How often to ask without a change stream.
const ASK_AGAIN: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(200);
