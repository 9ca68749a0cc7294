//! The options of in-process evaluation.

use std::path::PathBuf;
use std::time::Duration;

use goff_core::EvaluationType;

use crate::options::{GoFeatureFlagOptions, Source};

impl GoFeatureFlagOptions {
    /// Options for flags without a relay proxy, from a JSON object of flags by key, such as one
    /// that is built into the binary. The flags are evaluated in process and never change. Usage
    /// data goes to [`event_sink`](Self::event_sink) alone. Options of a relay proxy or of data delivery cannot be combined with
    /// it. A flag that a relay proxy would refuse is an error of the options, which names every such
    /// flag and the member that is wrong.
    ///
    /// ```
    /// # use goff_client::{EvaluationContext, GoFeatureFlag, GoFeatureFlagOptions};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let options = GoFeatureFlagOptions::from_flags(r#"{
    ///     "new-checkout": {"variations": {"on": true}, "defaultRule": {"variation": "on"}}
    /// }"#);
    /// let goff = GoFeatureFlag::connect(options).await?;
    /// let context = EvaluationContext::builder().build();
    /// assert!(goff.evaluate("new-checkout", &context, false).await.value);
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_flags(text: impl Into<String>) -> Self {
        Self::with_source(Source::Flags(text.into()))
    }

    /// Options for flags without a relay proxy, from a file in YAML, JSON or TOML (by its
    /// extension) of at most 256 MiB. The flags are evaluated in process. Usage data goes to
    /// [`event_sink`](Self::event_sink) alone. Options of a relay proxy or of data delivery cannot be combined with it.
    ///
    /// The file is watched: a write, a replacement, Kubernetes' swap of a mounted ConfigMap, and a
    /// deletion with re-creation take effect within a fraction of a second, or within a second on
    /// file systems without events. While the file is absent or cannot be loaded, the flags loaded
    /// before stay, and the state is [`Stale`](crate::State::Stale); without such flags it is
    /// [`Error`](crate::State::Error). Where there are no events and the system is no Unix, a change
    /// that keeps the file's length and time of modification is not noticed. Replace the file atomically, by renaming, so that no
    /// half-written file is loaded. As on the relay proxy, flags that fail validation are left out,
    /// with a warning; a file of which no flag is left cannot be loaded, while `{}` means no flags.
    #[cfg(feature = "file")]
    pub fn from_file(path: impl Into<PathBuf>) -> Self {
        Self::with_source(Source::Files {
            paths: vec![path.into()],
            constructor: "from_file",
        })
    }

    /// As [`from_file`](Self::from_file), with the flags of several files, which may be of different
    /// formats. They are merged as a relay proxy merges its retrievers: of two flags with the same
    /// key that of the later file counts, as a whole. All files are watched. While one of them is
    /// absent or cannot be loaded, the flags loaded before stay.
    #[cfg(feature = "file")]
    pub fn from_files(paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        Self::with_source(Source::Files {
            paths: paths.into_iter().map(Into::into).collect(),
            constructor: "from_files",
        })
    }

    /// Where flags are evaluated. Options of the other mode have no effect. Default:
    /// [`Remote`](EvaluationType::Remote).
    pub fn evaluation_type(mut self, evaluation_type: EvaluationType) -> Self {
        self.in_process.evaluation_type = Some(evaluation_type);
        self
    }

    /// The interval between polls of the flag configuration, with a jitter of a tenth; the first
    /// one is up to half shorter. Announced changes are fetched at once. In-process evaluation.
    /// Default: 120 s.
    ///
    /// *Specification*: GOFF-IP-006, GOFF-IP-011.
    pub fn flag_change_polling_interval(mut self, interval: Duration) -> Self {
        self.in_process.polling_interval = Some(interval);
        self
    }

    /// Never asks the relay proxy to evaluate a flag that cannot be evaluated here: such an evaluation
    /// gives the default and its error, as with [`LocalFlags`](crate::LocalFlags). Contexts then stay
    /// in the process; usage data with targeting keys and tracking events with their contexts are
    /// still sent. In-process evaluation. Default: `false`.
    pub fn disable_fallback(mut self, disable: bool) -> Self {
        self.in_process.disable_fallback = disable;
        self
    }

    /// The flags to load; any other flag is not found. In-process evaluation. Default: all.
    ///
    /// *Specification*: GOFF-CFG-008.
    pub fn evaluation_flag_list(
        mut self,
        flags: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.in_process.flags = flags.into_iter().map(Into::into).collect();
        self
    }

    /// Keeps the flag configuration in a file, for a start without the relay proxy: if the first
    /// attempt to load fails, the flags of the file are served, in state
    /// [`Stale`](crate::State::Stale), until the relay proxy answers. They are not served if the
    /// relay proxy refuses the key three times in a row. In-process evaluation. Default: none.
    ///
    /// The file is written after each load, replaced as a whole, and accessible to its owner only;
    /// a symbolic link at the path is replaced too, and its target untouched. A file that is
    /// damaged, writable by others, dated more than 5 minutes ahead of the clock, or written for
    /// another endpoint, API key or list of flags is refused. Owner and mode (0600) are those of Unix
    /// systems: on others the access rights of the folder decide who reads and writes the file, and
    /// they are not checked.
    ///
    /// Two clients that differ in endpoint, API key or list of flags need a file each: they would
    /// overwrite each other's, and refuse it at the next start. With your own relay client neither
    /// endpoint nor key are known, so that the wrong file would not be noticed. The file holds no
    /// key, but a salted SHA-256 of endpoint, key and list: with a copy of it a weak key can be
    /// guessed offline.
    pub fn last_known_good_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.in_process.last_known_good_file = Some(path.into());
        self
    }

    /// The maximum age of the flags in the file. The age counts from the last time the flags were
    /// current: the file's date is renewed as long as the relay proxy confirms them. In-process
    /// evaluation with [`last_known_good_file`](Self::last_known_good_file). Default: 24 h.
    pub fn last_known_good_max_age(mut self, max_age: Duration) -> Self {
        self.in_process.last_known_good_max_age = Some(max_age);
        self
    }
}
