//! Finds NaN and infinities in serializable values: `serde_json` silently writes them as null, which
//! is a different attribute.

use std::fmt;

use serde::ser::{self, Serialize};

/// Whether every number in `value` is finite. A value that does not serialize counts as finite:
/// converting it fails afterwards, with its own error.
pub(crate) fn has_only_finite_numbers(value: &impl Serialize) -> bool {
    !matches!(value.serialize(Scan), Err(Stop::NotFinite))
}

#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error("not finite")]
    NotFinite,
    #[error("not serializable")]
    Other,
}

impl ser::Error for Stop {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Other
    }
}

/// A serializer that writes nothing and stops at the first number that is not finite.
#[derive(Default)]
struct Scan;

type Name = &'static str;

/// Methods that accept a value without looking at it, or start a list, a map or a structure.
macro_rules! accept {
    ($ok:ty: $($method:ident($($argument:ty),*)),* $(,)?) => {$(
        fn $method(self, $(_: $argument),*) -> Result<$ok, Stop> {
            Ok(<$ok>::default())
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

    accept! { ():
        serialize_bool(bool),
        serialize_i8(i8), serialize_i16(i16), serialize_i32(i32), serialize_i64(i64),
        serialize_i128(i128),
        serialize_u8(u8), serialize_u16(u16), serialize_u32(u32), serialize_u64(u64),
        serialize_u128(u128),
        serialize_char(char), serialize_str(&str), serialize_bytes(&[u8]),
        serialize_none(), serialize_unit(), serialize_unit_struct(Name),
        serialize_unit_variant(Name, u32, Name),
    }
    accept! { Self:
        serialize_seq(Option<usize>), serialize_map(Option<usize>), serialize_tuple(usize),
        serialize_tuple_struct(Name, usize), serialize_tuple_variant(Name, u32, Name, usize),
        serialize_struct(Name, usize), serialize_struct_variant(Name, u32, Name, usize),
    }
    unwrap! {
        serialize_some(), serialize_newtype_struct(Name),
        serialize_newtype_variant(Name, u32, Name),
    }

    fn serialize_f32(self, value: f32) -> Result<(), Stop> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Stop> {
        if value.is_finite() {
            Ok(())
        } else {
            Err(Stop::NotFinite)
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
                item.serialize(Scan)
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
        let inner = Some(f64::NEG_INFINITY);
        assert!(!has_only_finite_numbers(&f32::NAN));
        assert!(!has_only_finite_numbers(&vec![1.0, f64::INFINITY]));
        assert!(!has_only_finite_numbers(&(1, f64::NAN)));
        assert!(!has_only_finite_numbers(&Wrapper(f64::NAN)));
        assert!(!has_only_finite_numbers(&Pair(1, f64::NAN)));
        assert!(!has_only_finite_numbers(&Shape::Newtype(f64::NAN)));
        assert!(!has_only_finite_numbers(&Shape::Tuple(1, f32::INFINITY)));
        assert!(!has_only_finite_numbers(&Shape::Struct { inner }));
        let map = std::collections::HashMap::from([("key", f64::NAN)]);
        assert!(!has_only_finite_numbers(&map));
    }

    #[test]
    fn other_values_are_accepted() {
        assert!(has_only_finite_numbers(&Shape::Unit));
        assert!(has_only_finite_numbers(&Shape::Struct { inner: None }));
        assert!(has_only_finite_numbers(&Shape::Tuple(1, 2.5)));
        assert!(has_only_finite_numbers(&("text", 'c', 1_u128, f64::MAX)));
    }
}
