//! Usage data: the events of the relay proxy's data collector, and the sink that receives them.

mod event;

pub use event::{
    ContextKind, Event, EventBatch, EventSink, EventSource, FeatureEvent, TrackingEvent,
    UNDEFINED_TARGETING_KEY,
};
