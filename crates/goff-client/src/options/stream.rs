//! Where announcements of changed flags come from.

use std::fmt;
use std::sync::Arc;

use goff_core::Connect;
use goff_ws::ListenerOptions;

/// The change stream of a relay proxy, before anybody follows it.
#[derive(Clone)]
pub(crate) struct StreamSource {
    pub(crate) options: ListenerOptions,
    pub(crate) connect: Arc<dyn Connect>,
}

impl fmt::Debug for StreamSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamSource")
            .field("connect", &self.connect)
            .finish_non_exhaustive()
    }
}
