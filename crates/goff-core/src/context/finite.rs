//! Finds NaN and infinities in serializable values: `serde_json` silently writes them as null, which
//! is a different attribute.

use std::fmt;

use serde::ser::{self, Serialize};

/// Whether every number in `value` is finite. A value that does not serialize counts as finite:
/// converting it fails afterwards, with its own error.
pub(crate) fn has_only_finite_numbers(value: &impl Serialize) -> bool {
    !matches!(value.serialize(Scan), Err(Stop::NotFinite))
}

#[derive(Debug)]
enum Stop {
    NotFinite,
    Other,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFinite => "not finite",
            Self::Other => "not serializable",
        })
    }
}

impl std::error::Error for Stop {}

impl ser::Error for Stop {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Other
    }
}

/// A serializer that writes nothing and stops at the first number that is not finite.
struct Scan;

type Scanned = Result<(), Stop>;

macro_rules! accept {
    ($($method:ident($($argument:ty),*)),* $(,)?) => {$(
        fn $method(self, $(_: $argument),*) -> Scanned {
            Ok(())
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
        serialize_none(), serialize_unit(), serialize_unit_struct(&'static str),
        serialize_unit_variant(&'static str, u32, &'static str),
    }

    fn serialize_f32(self, value: f32) -> Scanned {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Scanned {
        if value.is_finite() {
            Ok(())
        } else {
            Err(Stop::NotFinite)
        }
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Scanned {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        value: &T,
    ) -> Scanned {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Scanned {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, Stop> {
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Stop> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Stop> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Stop> {
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, Stop> {
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Stop> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Stop> {
        Ok(self)
    }
}

macro_rules! scan_items {
    ($($compound:ident::$method:ident),* $(,)?) => {$(
        impl ser::$compound for Scan {
            type Ok = ();
            type Error = Stop;

            fn $method<T: ?Sized + Serialize>(&mut self, value: &T) -> Scanned {
                value.serialize(Scan)
            }

            fn end(self) -> Scanned {
                Ok(())
            }
        }
    )*};
}

macro_rules! scan_fields {
    ($($compound:ident),* $(,)?) => {$(
        impl ser::$compound for Scan {
            type Ok = ();
            type Error = Stop;

            fn serialize_field<T: ?Sized + Serialize>(
                &mut self,
                _: &'static str,
                value: &T,
            ) -> Scanned {
                value.serialize(Scan)
            }

            fn end(self) -> Scanned {
                Ok(())
            }
        }
    )*};
}

scan_items!(
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field,
);
scan_fields!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Scan {
    type Ok = ();
    type Error = Stop;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Scanned {
        key.serialize(Scan)
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Scanned {
        value.serialize(Scan)
    }

    fn end(self) -> Scanned {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Serialize)]
    enum Shape {
        Unit,
        Newtype(f64),
        Tuple(i32, f32),
        Struct { inner: Option<f64> },
    }

    #[derive(serde::Serialize)]
    struct Wrapper(f64);

    #[derive(serde::Serialize)]
    struct Pair(u8, f64);

    #[test]
    fn number_that_is_not_finite_is_found_at_any_depth() {
        assert!(!has_only_finite_numbers(&f32::NAN));
        assert!(!has_only_finite_numbers(&vec![1.0, f64::INFINITY]));
        assert!(!has_only_finite_numbers(&(1, f64::NAN)));
        assert!(!has_only_finite_numbers(&Wrapper(f64::NAN)));
        assert!(!has_only_finite_numbers(&Pair(1, f64::NAN)));
        assert!(!has_only_finite_numbers(&Shape::Newtype(f64::NAN)));
        assert!(!has_only_finite_numbers(&Shape::Tuple(1, f32::INFINITY)));
        assert!(!has_only_finite_numbers(&Shape::Struct {
            inner: Some(f64::NEG_INFINITY)
        }));
        assert!(!has_only_finite_numbers(&std::collections::HashMap::from(
            [("key", f64::NAN)]
        )));
    }

    #[test]
    fn other_values_are_accepted() {
        assert!(has_only_finite_numbers(&Shape::Unit));
        assert!(has_only_finite_numbers(&Shape::Struct { inner: None }));
        assert!(has_only_finite_numbers(&Shape::Tuple(1, 2.5)));
        assert!(has_only_finite_numbers(&("text", 'c', 1_u128, f64::MAX)));
    }
}
