//! An application that evaluates flags, and its tests: flags set one by one, rules, a change while it
//! runs, and a failing relay proxy.
//!
//! ```sh
//! cargo run --example testing_an_application
//! cargo test --example testing_an_application
//! ```
#![expect(clippy::print_stdout, reason = "an example prints what it shows")]

use std::sync::Arc;
use std::time::Duration;

use goff_provider::{GoFeatureFlag, GoFeatureFlagOptions, GoFeatureFlagProvider};
use goff_testkit::TestFlags;
use open_feature::{Client, EvaluationContext, OpenFeature};

/// The application. It uses OpenFeature only.
struct Shop {
    flags: Client,
}

impl Shop {
    /// The price of a basket for a customer, in cents.
    async fn price(&self, customer: &Customer, basket: i64) -> i64 {
        let context = EvaluationContext::default()
            .with_targeting_key(&customer.id)
            .with_custom_field("plan", customer.plan);
        let discount = self
            .flags
            .get_int_value("discount-percent", Some(&context), None)
            .await
            // The full price also if the flag is disabled or the evaluation fails.
            .unwrap_or(0);
        basket - basket * discount.clamp(0, 100) / 100
    }
}

struct Customer {
    id: String,
    plan: &'static str,
}

impl Customer {
    fn on(plan: &'static str) -> Self {
        Self {
            id: format!("customer-{plan}"),
            plan,
        }
    }
}

/// The shop over a client, as a real `main` would build it.
async fn open_shop(goff: &GoFeatureFlag) -> (Shop, OpenFeature) {
    // Not the singleton, so that tests can run side by side.
    let mut api = OpenFeature::default();
    api.set_provider(GoFeatureFlagProvider::from(goff)).await;
    let shop = Shop {
        flags: api.create_client(),
    };
    (shop, api)
}

/// A client with the flags of a test.
async fn client_of(flags: &TestFlags) -> Result<GoFeatureFlag, Box<dyn std::error::Error>> {
    let options = GoFeatureFlagOptions::with_relay_client(Arc::new(flags.clone()));
    let goff = GoFeatureFlag::connect(options).await?;
    // A flag that a test sets from now on reaches the client at once, past its cache.
    flags.announce_to(goff.invalidation_sink());
    Ok(goff)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let flags = TestFlags::new().with("discount-percent", 10);
    let goff = client_of(&flags).await?;
    let (shop, _api) = open_shop(&goff).await;
    println!("{}", shop.price(&Customer::on("free"), 1000).await);
    flags.set("discount-percent", 50);
    println!("{}", shop.price(&Customer::on("free"), 1000).await);
    goff.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use goff_testkit::{EmbeddedRelay, Fault};
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn discount_is_taken_off() {
        let flags = TestFlags::new().with("discount-percent", 10);
        let goff = client_of(&flags).await.unwrap();
        let (shop, _api) = open_shop(&goff).await;
        assert_eq!(shop.price(&Customer::on("free"), 1000).await, 900);
        // Changed while the shop runs.
        flags.set("discount-percent", 25);
        assert_eq!(shop.price(&Customer::on("free"), 1000).await, 750);
        flags.disable("discount-percent");
        assert_eq!(shop.price(&Customer::on("free"), 1000).await, 1000);
    }

    #[tokio::test]
    async fn only_paying_customers_have_the_discount() {
        let rule = json!({
            "variations": {"half": 50, "none": 0},
            "targeting": [{"query": "plan eq \"pro\"", "variation": "half"}],
            "defaultRule": {"variation": "none"},
        });
        let flags = TestFlags::new()
            .with_flag("discount-percent", rule)
            .unwrap();
        let goff = client_of(&flags).await.unwrap();
        let (shop, _api) = open_shop(&goff).await;
        assert_eq!(shop.price(&Customer::on("pro"), 1000).await, 500);
        assert_eq!(shop.price(&Customer::on("free"), 1000).await, 1000);
    }

    /// With a failing relay proxy the application's defaults apply; over real HTTP.
    #[tokio::test]
    async fn shop_stays_open_without_a_relay_proxy() {
        let relay = EmbeddedRelay::builder()
            .flags("discount-percent: {variations: {d: 10}, defaultRule: {variation: d}}")
            .start()
            .unwrap();
        let options = GoFeatureFlagOptions::new(relay.endpoint())
            .timeout(Duration::from_millis(200))
            .disable_cache(true);
        let goff = GoFeatureFlag::connect(options).await.unwrap();
        let (shop, _api) = open_shop(&goff).await;
        assert_eq!(shop.price(&Customer::on("free"), 1000).await, 900);
        for fault in [
            Fault::status(503),
            Fault::silence(),
            Fault::garbage("<html>"),
        ] {
            relay.inject(fault);
            assert_eq!(shop.price(&Customer::on("free"), 1000).await, 1000);
            relay.clear_faults();
        }
        assert_eq!(shop.price(&Customer::on("free"), 1000).await, 900);
    }
}
