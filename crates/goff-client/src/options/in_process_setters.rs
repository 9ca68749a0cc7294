//! The setters for in-process evaluation.

use std::path::PathBuf;
use std::time::Duration;

use goff_core::EvaluationType;

use crate::options::GoFeatureFlagOptions;

impl GoFeatureFlagOptions {
    /// Where flags are evaluated. Options of the other mode have no effect. Default:
    /// [`Remote`](EvaluationType::Remote), a deliberate deviation from GOFF-CFG-002.
    pub fn evaluation_type(mut self, evaluation_type: EvaluationType) -> Self {
        self.in_process.evaluation_type = Some(evaluation_type);
        self
    }

    /// The interval between polls of the flag configuration, with a jitter of a tenth; announced
    /// changes are fetched at once (GOFF-IP-006, GOFF-IP-011). In-process evaluation. Default:
    /// 120 s.
    pub fn flag_change_polling_interval(mut self, interval: Duration) -> Self {
        self.in_process.polling_interval = Some(interval);
        self
    }

    /// The flags to load; any other flag is not found (GOFF-CFG-008). In-process evaluation.
    /// Default: all.
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
    /// relay proxy refuses the key. In-process evaluation. Default: none.
    ///
    /// The file is written after each load, replaced as a whole, and accessible to its owner only;
    /// a symbolic link at the path is replaced too, and its target untouched. A file that is
    /// damaged, writable by others, or written for another endpoint, API key or list of flags is
    /// refused. With your own relay client neither endpoint nor key are known: give each client its
    /// own file.
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
