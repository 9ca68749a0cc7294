//! Why an attribute cannot be read.

/// Why an attribute cannot be read or sent. It never contains the attribute's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// NaN or an infinity, which JSON cannot represent.
    #[error("is NaN or infinite, which JSON cannot represent")]
    NotFinite,
    /// A date outside the years that RFC 3339 can represent.
    #[error("is a date that RFC 3339 cannot represent")]
    NotADate,
    /// More than 512 lists and objects inside each other.
    #[error("is nested deeper than 512 levels")]
    TooDeep,
    /// A `SystemTime` or `Duration` inside a serialized value: an object in JSON, which no rule
    /// matches.
    #[error("contains a `SystemTime` or `Duration`; convert it to a date or a number")]
    NotATimestamp,
    /// A value that does not serialize to JSON.
    #[error("does not serialize to JSON")]
    NotJson,
    /// An opaque type that this client does not know.
    #[error("has a type that this client cannot read; convert it with `Attribute::from_serialize`")]
    UnknownType,
}
