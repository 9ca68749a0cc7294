//! Conversions from and to the OpenFeature SDK's types, behind the feature `open-feature`.

mod context;
mod go_feature_flag_attribute;
mod opaque;
mod result;
mod value;

pub use go_feature_flag_attribute::GoFeatureFlagAttribute;
pub use result::{FLAG_DISABLED, NULL_VALUE, is_disabled, resolution_details};
pub use value::value_to_json;
