//! The answer for one flag, from a file or from a relay proxy.

use anstyle::Style;
use goff_core::{ErrorCode, RelayError, Resolution};
use goff_engine::{Evaluation, Reason, SDK_DEFAULT};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::output::{BOLD, DIM, GREEN, RED, YELLOW, brief, shown, styled};

/// What a flag gives a context. Where the flag has no answer, or is disabled, an application gets its
/// default, which is null here.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    pub(crate) flag: String,
    pub(crate) value: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) variant: Option<String>,
    pub(crate) reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_details: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(crate) metadata: Map<String, Value>,
}

impl Answer {
    pub(crate) fn of_evaluation(flag: &str, evaluation: &Evaluation<'_>) -> Self {
        let error = evaluation.error.as_ref();
        let version = evaluation.version;
        Self {
            flag: flag.to_owned(),
            value: evaluation.value.clone(),
            variant: error.is_none().then(|| evaluation.variant.to_owned()),
            reason: evaluation.reason.as_str().to_owned(),
            error_code: error.map(|error| error.code().as_str().to_owned()),
            error_details: error.map(ToString::to_string),
            version: (!version.is_empty()).then(|| version.to_owned()),
            metadata: evaluation.metadata_map(),
        }
    }

    pub(crate) fn of_relay_proxy(flag: &str, resolution: Resolution) -> Self {
        // The bulk answer names no variant for a disabled flag; that to a single flag does.
        let of_disabled =
            (resolution.reason == goff_core::Reason::Disabled).then(|| SDK_DEFAULT.to_owned());
        Self {
            flag: flag.to_owned(),
            value: resolution.value,
            variant: resolution.variant.or(of_disabled),
            reason: resolution.reason.as_str().to_owned(),
            error_code: None,
            error_details: None,
            version: resolution.version.filter(|version| !version.is_empty()),
            metadata: resolution.metadata,
        }
    }

    /// The relay proxy's answer that it has none.
    pub(crate) fn of_error(flag: &str, code: &ErrorCode, details: String) -> Self {
        Self {
            flag: flag.to_owned(),
            value: Value::Null,
            variant: None,
            reason: Reason::Error.as_str().to_owned(),
            error_code: Some(code.as_str().to_owned()),
            error_details: Some(details),
            version: None,
            metadata: Map::new(),
        }
    }

    /// Whether an error is about the flag, rather than about the relay proxy as a whole.
    pub(crate) fn is_about_flag(error: &RelayError) -> bool {
        matches!(
            error,
            RelayError::Evaluation(_) | RelayError::UnreachableFlagKey { .. }
        )
    }

    pub(crate) fn is_default(&self) -> bool {
        self.error_code.is_some() || self.variant.as_deref() == Some(SDK_DEFAULT)
    }

    /// What an application gets, in few words.
    pub(crate) fn summary(&self) -> String {
        match (&self.error_code, &self.variant) {
            (Some(code), _) => shown(code).into_owned(),
            (None, Some(variant)) if variant == SDK_DEFAULT => "the default".to_owned(),
            (None, Some(variant)) => shown(variant).into_owned(),
            (None, None) => brief(&self.value),
        }
    }

    pub(crate) fn lines(&self) -> String {
        let mut text = format!(
            "{}: {}\n",
            styled(BOLD, shown(&self.flag)),
            self.value_text()
        );
        let mut line = |name: &str, value: &str| {
            text += &format!("  {} {value}\n", styled(DIM, format!("{name:8}")));
        };
        if let Some(variant) = self.variant.as_deref().filter(|_| !self.is_default()) {
            line("variant", &shown(variant));
        }
        line("reason", &shown(&self.reason));
        if let (Some(code), Some(details)) = (&self.error_code, &self.error_details) {
            line(
                "error",
                &format!("{}: {}", styled(RED, shown(code)), shown(details)),
            );
        }
        if let Some(version) = &self.version {
            line("version", &shown(version));
        }
        for (name, value) in &self.metadata {
            line("metadata", &format!("{} = {}", shown(name), brief(value)));
        }
        text
    }

    pub(crate) fn value_text(&self) -> String {
        match self.is_default() {
            true => styled(YELLOW, "(the application's default)"),
            false => styled(GREEN, brief(&self.value)),
        }
    }
}

/// Flags by line: key, variant, reason and value.
pub(crate) fn table(answers: &[Answer]) -> String {
    let row = |answer: &Answer| {
        [
            shown(&answer.flag).into_owned(),
            answer.summary(),
            shown(&answer.reason).into_owned(),
        ]
    };
    let rows: Vec<[String; 3]> = answers.iter().map(row).collect();
    let width = |text: &String| text.chars().count();
    let mut widths = [0; 3];
    for row in &rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = width(cell).max(*widest);
        }
    }
    let mut text = String::new();
    for (answer, row) in answers.iter().zip(&rows) {
        for ((cell, widest), style) in row.iter().zip(widths).zip([BOLD, Style::new(), DIM]) {
            let padding = " ".repeat(widest - width(cell));
            text += &format!("{}{padding}  ", styled(style, cell));
        }
        text += &format!("{}\n", answer.value_text());
    }
    text
}
