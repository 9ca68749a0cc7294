//! Finds what `serde_json` would silently write as another attribute: NaN and infinities become null,
//! times become objects. Also bounds the depth, before anything is written.

use std::fmt;

use serde::ser::{self, Serialize};

use crate::context::Unreadable;
use crate::context::depth::MAX_DEPTH;

/// Why `value` cannot be an attribute. A value that does not serialize has no reason here:
/// converting it fails afterwards.
pub(crate) fn find_unreadable(value: &impl Serialize) -> Option<Unreadable> {
    match value.serialize(Scan { levels: MAX_DEPTH }) {
        Err(Stop::Unreadable(why)) => Some(why),
        _ => None,
    }
}

#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error("{0}")]
    Unreadable(Unreadable),
    #[error("not serializable")]
    Other,
}

impl ser::Error for Stop {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Other
    }
}

/// A serializer that writes nothing and stops at the first value that cannot be read.
#[derive(Clone, Copy)]
struct Scan {
    /// How many lists and objects may follow inside each other.
    levels: usize,
}

impl Scan {
    fn inner(self) -> Result<Self, Stop> {
        match self.levels.checked_sub(1) {
            Some(levels) => Ok(Self { levels }),
            None => Err(Stop::Unreadable(Unreadable::TooDeep)),
        }
    }
}

type Name = &'static str;

/// Methods that accept a value without looking at it.
macro_rules! accept {
    ($($method:ident($($argument:ty),*)),* $(,)?) => {$(
        fn $method(self, $(_: $argument),*) -> Result<(), Stop> {
            Ok(())
        }
    )*};
}

/// Methods that start a list or an object.
macro_rules! enter {
    ($($method:ident($($argument:ty),*)),* $(,)?) => {$(
        fn $method(self, $(_: $argument),*) -> Result<Self, Stop> {
            self.inner()
        }
    )*};
}

/// Methods that look at the value in a wrapper.
macro_rules! unwrap {
    ($($method:ident($($argument:ty),*)),* $(,)?) => {$(
        fn $method<T: ?Sized + Serialize>(self, $(_: $argument,)* value: &T) -> Result<(), Stop> {
            value.serialize(self)
        }
    )*};
}

impl ser::Serializer for Scan {
    type Ok = ();
    type Error = Stop;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    accept! {
        serialize_bool(bool),
        serialize_i8(i8), serialize_i16(i16), serialize_i32(i32), serialize_i64(i64),
        serialize_i128(i128),
        serialize_u8(u8), serialize_u16(u16), serialize_u32(u32), serialize_u64(u64),
        serialize_u128(u128),
        serialize_char(char), serialize_str(&str), serialize_bytes(&[u8]),
        serialize_none(), serialize_unit(), serialize_unit_struct(Name),
        serialize_unit_variant(Name, u32, Name),
    }
    enter! {
        serialize_seq(Option<usize>), serialize_map(Option<usize>), serialize_tuple(usize),
        serialize_tuple_struct(Name, usize), serialize_tuple_variant(Name, u32, Name, usize),
        serialize_struct_variant(Name, u32, Name, usize),
    }
    unwrap! { serialize_some(), serialize_newtype_struct(Name) }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: Name,
        _: u32,
        _: Name,
        value: &T,
    ) -> Result<(), Stop> {
        value.serialize(self.inner()?)
    }

    /// The names and members are those that serde gives these types.
    fn serialize_struct(self, name: Name, members: usize) -> Result<Self, Stop> {
        match (name, members) {
            ("SystemTime" | "Duration", 2) => Err(Stop::Unreadable(Unreadable::NotATimestamp)),
            _ => self.inner(),
        }
    }

    fn serialize_f32(self, value: f32) -> Result<(), Stop> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Stop> {
        if value.is_finite() {
            Ok(())
        } else {
            Err(Stop::Unreadable(Unreadable::NotFinite))
        }
    }
}

/// Lists, maps and structures: every item is looked at.
macro_rules! scan_items {
    ($($compound:ident: $($method:ident($($argument:ty)?)),*;)*) => {$(
        impl ser::$compound for Scan {
            type Ok = ();
            type Error = Stop;

            $(fn $method<T: ?Sized + Serialize>(
                &mut self,
                $(_: $argument,)?
                item: &T,
            ) -> Result<(), Stop> {
                item.serialize(*self)
            })*

            fn end(self) -> Result<(), Stop> {
                Ok(())
            }
        }
    )*};
}

scan_items! {
    SerializeSeq: serialize_element();
    SerializeTuple: serialize_element();
    SerializeTupleStruct: serialize_field();
    SerializeTupleVariant: serialize_field();
    SerializeMap: serialize_key(), serialize_value();
    SerializeStruct: serialize_field(Name);
    SerializeStructVariant: serialize_field(Name);
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::{Duration, SystemTime};

    use super::*;

    #[derive(serde::Serialize)]
    enum Shape {
        Unit,
        Newtype(f64),
        Tuple(i32, f32),
        Struct { inner: Option<f64> },
    }

    #[derive(serde::Serialize)]
    struct Wrapper<T>(T);

    #[derive(serde::Serialize)]
    struct Pair(u8, f64);

    #[derive(serde::Serialize)]
    struct Login<T> {
        at: T,
    }

    #[test]
    fn number_that_is_not_finite_is_found_at_any_depth() {
        fn found(value: &impl Serialize) -> bool {
            find_unreadable(value) == Some(Unreadable::NotFinite)
        }
        let inner = Some(f64::NEG_INFINITY);
        assert!(found(&f32::NAN));
        assert!(found(&vec![1.0, f64::INFINITY]));
        assert!(found(&(1, f64::NAN)));
        assert!(found(&Wrapper(f64::NAN)));
        assert!(found(&Pair(1, f64::NAN)));
        assert!(found(&Shape::Newtype(f64::NAN)));
        assert!(found(&Shape::Tuple(1, f32::INFINITY)));
        assert!(found(&Shape::Struct { inner }));
        assert!(found(&HashMap::from([("key", f64::NAN)])));
    }

    #[test]
    fn times_are_found_at_any_depth() {
        fn found(value: &impl Serialize) -> bool {
            find_unreadable(value) == Some(Unreadable::NotATimestamp)
        }
        let now = SystemTime::now();
        assert!(found(&now));
        assert!(found(&Duration::from_secs(1)));
        assert!(found(&Some(vec![now])));
        assert!(found(&Login { at: Wrapper(now) }));
        assert!(found(&HashMap::from([(
            "at",
            Login { at: Duration::ZERO }
        )])));
    }

    /// A list of one list, and so on.
    struct Nested(usize);

    impl Serialize for Nested {
        fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match self.0.checked_sub(1) {
                Some(rest) => [Nested(rest)].serialize(serializer),
                None => serializer.serialize_unit(),
            }
        }
    }

    #[test]
    fn depth_is_bounded() {
        assert_eq!(find_unreadable(&Nested(MAX_DEPTH)), None);
        for levels in [MAX_DEPTH + 1, 1_000_000] {
            let found = find_unreadable(&Nested(levels));
            assert_eq!(found, Some(Unreadable::TooDeep));
        }
    }

    #[test]
    fn other_values_are_accepted() {
        assert_eq!(find_unreadable(&Shape::Unit), None);
        assert_eq!(find_unreadable(&Shape::Struct { inner: None }), None);
        assert_eq!(find_unreadable(&Shape::Tuple(1, 2.5)), None);
        assert_eq!(find_unreadable(&("text", 'c', 1_u128, f64::MAX)), None);
        assert_eq!(find_unreadable(&Login { at: 1_700_000_000 }), None);
    }
}
