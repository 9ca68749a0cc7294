//! Why an evaluation has its result.

use goff_core::{ContextView, ResolutionError};
use goff_engine::Explanation;
use goff_hooks::EnrichedContext;
use std::pin::pin;

use crate::client::GoFeatureFlag;
use crate::client::pending::CLOSED;

impl GoFeatureFlag {
    /// Says why a flag has its value for a context: the steps that are in force, the bucketing key,
    /// each rule with the comparison that decided, and the buckets. Print it for people, serialize
    /// it for programs. Nothing is recorded as usage data.
    ///
    /// The flag is evaluated by this crate's engine, as with in-process evaluation. There it uses the
    /// flags that are loaded. With remote evaluation each call fetches the configuration of the flag
    /// from the relay proxy and compiles it, whatever is cached; the relay proxy does not count it as
    /// an evaluation.
    ///
    /// Value, variant, reason and error are those of an in-process evaluation; the value where the
    /// caller's default is served is null, and the variant then is `SdkDefault`. A flag that an
    /// evaluation would let the relay proxy evaluate is explained as this engine sees it: with the
    /// error that an evaluation has if the relay proxy does not answer.
    ///
    /// An explanation contains parts of the context, which can be personal data.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use goff_client::{EvaluationContext, EvaluationType, GoFeatureFlag, GoFeatureFlagOptions};
    /// # use goff_testkit::ScriptedRelay;
    /// # use serde_json::json;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let relay = ScriptedRelay::new();
    /// # relay.set_flags(&json!({"new-checkout": {
    /// #     "variations": {"on": true, "off": false},
    /// #     "targeting": [{"query": "age ge 18", "variation": "on"}],
    /// #     "defaultRule": {"variation": "off"},
    /// # }}), None);
    /// # let options = GoFeatureFlagOptions::with_relay_client(Arc::new(relay));
    /// # let goff = GoFeatureFlag::connect(options).await?;
    /// let context = EvaluationContext::builder().attribute("age", "42").build();
    /// let explanation = goff.explain("new-checkout", &context).await?;
    /// assert_eq!(
    ///     explanation.rules[0].conditions[0].why,
    ///     "`age` is the string \"42\", and a string is never at least a number",
    /// );
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The client is not ready, or the relay proxy did not give the configuration.
    pub async fn explain(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
    ) -> Result<Explanation, ResolutionError> {
        let session = self.session()?;
        let mut in_flight = session.enter();
        let enriched = EnrichedContext::new(context, self.exporter_metadata());
        let evaluator = &session.evaluator;
        let explained = pin!(evaluator.explain(flag_key, &enriched, session.runtime.io()));
        in_flight
            .until_cut_off(explained)
            .await
            .ok_or(CLOSED)??
            .ok_or_else(|| self.lifecycle.not_ready())
    }
}
