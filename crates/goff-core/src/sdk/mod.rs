//! Conversions to and from the OpenFeature SDK's types, behind the feature `open-feature`.

mod context;
mod field;
mod goff_attribute;
mod result;
mod value;

pub use goff_attribute::GoFeatureFlagAttribute;
pub use result::{FLAG_DISABLED, NULL_VALUE, is_disabled, resolution_details};
pub(crate) use value::{
    hash_struct, hash_value, struct_is_json, struct_to_json, value_is_json, value_ref,
    value_to_json, write_struct, write_value,
};
