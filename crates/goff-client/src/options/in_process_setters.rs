//! The setters for in-process evaluation.

use std::path::PathBuf;
use std::time::Duration;

use goff_core::EvaluationType;

use crate::options::GoFeatureFlagOptions;

impl GoFeatureFlagOptions {
    /// Who evaluates. Options of the other mode stay unused. Default:
    /// [`Remote`](EvaluationType::Remote), which differs from GOFF-CFG-002 on purpose.
    pub fn evaluation_type(mut self, evaluation_type: EvaluationType) -> Self {
        self.in_process.evaluation_type = Some(evaluation_type);
        self
    }

    /// How often the flag configuration is asked for, announced changes aside; give or take a
    /// tenth (GOFF-IP-006, GOFF-IP-011). In-process evaluation. Default: 120 s.
    pub fn flag_change_polling_interval(mut self, interval: Duration) -> Self {
        self.in_process.polling_interval = Some(interval);
        self
    }

    /// The flags to load; others are not found then (GOFF-CFG-008). In-process evaluation.
    /// Default: all.
    pub fn evaluation_flag_list(
        mut self,
        flags: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.in_process.flags = flags.into_iter().map(Into::into).collect();
        self
    }

    /// Keeps the flag configuration in a file, so that the next start can do without the relay
    /// proxy: where its first attempt to load fails, the flags of the file are served, with status
    /// [`Stale`](crate::State::Stale), until the relay proxy answers; not where the relay proxy
    /// refuses the key. In-process evaluation. Default: none.
    ///
    /// The file is written after each load, replaced as a whole, readable by its owner alone; a
    /// symbolic link at the path is replaced too, and its target untouched. A file that was
    /// changed, that others may write to, or that was written for another endpoint, API key or
    /// list of flags is refused. It protects against forgery as far as the API key is secret;
    /// without a key, the file's owner and mode alone do. With a relay client of your own neither
    /// endpoint nor key are known: give each its own file.
    pub fn last_known_good_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.in_process.last_known_good_file = Some(path.into());
        self
    }

    /// How long ago the flags of the file may have been known to be current. The file's date is
    /// renewed while they are, if they change or not. In-process evaluation with
    /// [`last_known_good_file`](Self::last_known_good_file). Default: 24 h.
    pub fn last_known_good_max_age(mut self, max_age: Duration) -> Self {
        self.in_process.last_known_good_max_age = Some(max_age);
        self
    }
}
