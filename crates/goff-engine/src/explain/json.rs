//! Explanations as JSON. By hand, because `serde`'s macros would double the crate's dependencies.

use serde_core::ser::{Serialize, SerializeMap, Serializer};

use super::explanation::{
    ExplainedError, ExplainedExperimentation, ExplainedKey, ExplainedRange, ExplainedRollout,
    ExplainedRolloutEnd, ExplainedRule, ExplainedServing, ExplainedSplit, ExplainedStep,
    Explanation, RuleOutcome, StepStatus,
};
use crate::{
    configuration::date::Timestamp,
    evaluate::{
        evaluation::{ErrorCode, Reason},
        seen::{Condition, SeenValue},
    },
};

macro_rules! objects {
    ($($type:ty { $($name:literal: $field:ident),* $(,)? })*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut object = serializer.serialize_map(None)?;
                $(object.serialize_entry($name, &self.$field)?;)*
                object.end()
            }
        }
    )*};
}

macro_rules! texts {
    ($($type:ty: $text:expr;)*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let text: fn(&$type) -> _ = $text;
                serializer.collect_str(&text(self))
            }
        }
    )*};
}

objects! {
    Explanation {
        "flag": flag,
        "time": time,
        "timeFromContext": time_from_context,
        "steps": steps,
        "stepsOmitted": steps_omitted,
        "disabled": disabled,
        "experimentation": experimentation,
        "bucketingKey": bucketing_key,
        "rules": rules,
        "rulesOmitted": rules_omitted,
        "value": value,
        "variant": variant,
        "variantMissing": variant_missing,
        "reason": reason,
        "error": error,
        "cacheable": cacheable,
    }
    ExplainedStep { "date": date, "status": status, "changes": changes }
    ExplainedExperimentation { "start": start, "end": end, "running": running }
    ExplainedKey { "key": key, "source": source, "enriched": enriched }
    ExplainedRule {
        "index": index,
        "name": name,
        "query": query,
        "outcome": outcome,
        "why": why,
        "conditions": conditions,
        "conditionsOmitted": conditions_omitted,
        "ignored": ignored,
        "supplied": supplied,
        "serves": serves,
    }
    Condition { "text": text, "values": values, "holds": holds, "why": why }
    SeenValue { "kind": kind, "value": value }
    ExplainedRange {
        "variant": variant,
        "percentage": percentage,
        "start": start,
        "end": end,
        "hit": hit,
    }
    ExplainedRolloutEnd { "variant": variant, "percentage": percentage, "date": date }
    ExplainedError { "code": code, "message": message }
}

texts! {
    Timestamp: |time| *time;
    Reason: |reason| *reason;
    ErrorCode: |code| *code;
    StepStatus: |status| status.as_str();
    RuleOutcome: |outcome| outcome.as_str();
}

impl Serialize for ExplainedServing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        let kind = match self {
            Self::Variation(_) => "variation",
            Self::Split(_) => "split",
            Self::ProgressiveRollout(_) => "progressiveRollout",
            Self::IncompleteProgressiveRollout => "incompleteProgressiveRollout",
            Self::Nothing => "nothing",
        };
        object.serialize_entry("kind", kind)?;
        match self {
            Self::Variation(variant) => object.serialize_entry("variant", variant)?,
            Self::Split(ExplainedSplit {
                bucket,
                buckets,
                ranges,
                ranges_omitted,
            }) => {
                object.serialize_entry("bucket", bucket)?;
                object.serialize_entry("buckets", buckets)?;
                object.serialize_entry("ranges", ranges)?;
                object.serialize_entry("rangesOmitted", ranges_omitted)?;
            }
            Self::ProgressiveRollout(ExplainedRollout {
                initial,
                end,
                time,
                share,
                bucket,
            }) => {
                object.serialize_entry("initial", initial)?;
                object.serialize_entry("end", end)?;
                object.serialize_entry("time", time)?;
                object.serialize_entry("share", share)?;
                object.serialize_entry("bucket", bucket)?;
            }
            Self::IncompleteProgressiveRollout | Self::Nothing => {}
        }
        object.end()
    }
}
