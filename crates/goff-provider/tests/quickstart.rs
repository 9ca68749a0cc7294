//! The quickstart's output is what the README promises.

use std::time::Duration;

#[expect(dead_code, reason = "its `main` is for `cargo run`")]
#[path = "../examples/quickstart.rs"]
mod quickstart;

#[tokio::test]
async fn the_quickstart_shows_every_type_a_cached_answer_a_pushed_change_and_the_events() {
    let mut out = Vec::new();
    let shown = quickstart::show_everything(&mut out);
    tokio::time::timeout(Duration::from_secs(30), shown)
        .await
        .unwrap()
        .unwrap();
    let out = String::from_utf8(out).unwrap();
    let mut rest = out.as_str();
    // In this order.
    for expected in [
        "A relay proxy at http://127.0.0.1:",
        "\nbool_targeting_match = true\n  variant  on\n  reason   TARGETING_MATCH\n",
        "evaluatedRuleName",
        "\ninteger_key = 100\n  variant  large\n",
        "\ndouble_key = 0.",
        "  reason   SPLIT\n",
        "\nstring_key = \"Hello spring\"\n  variant  spring\n  reason   STATIC\n",
        "\nobject_key = StructValue",
        "\ndisabled_bool: disabled, your default applies\n",
        "\nOnce more, from the cache:\nbool_targeting_match = true\n  variant  on\n  reason   CACHED\n",
        "\nThe file is edited",
        "ms: {\"string_key\"} changed.\n",
        "string_key = \"Hello summer\"\n  variant  summer\n  reason   STATIC\n",
        "\nusage data: 1 recorded, 1 delivered, 0 dropped, 0 still buffered\n",
        "\nWhat the relay proxy has collected:\n",
        "\"source\":\"PROVIDER_CACHE\"",
    ] {
        let found = rest.find(expected);
        assert!(found.is_some(), "no {expected:?} in\n{rest}\nof\n{out}");
        // Each line is searched for after the one before.
        rest = rest.split_at(found.unwrap() + expected.len() - 1).1;
    }
    let announced = out
        .lines()
        .find_map(|line| line.strip_prefix("Announced after "));
    let milliseconds = announced.and_then(|rest| rest.split_once(' ')).unwrap().0;
    assert!(
        milliseconds.parse::<u32>().unwrap() < 1_000,
        "{milliseconds} ms"
    );
    let events: Vec<&str> = out
        .lines()
        .filter(|line| line.starts_with("  {\""))
        .collect();
    assert_eq!(events.len(), 8, "{out}");
    let of_server = events
        .iter()
        .filter(|event| event.contains("\"source\":\"SERVER\""));
    assert_eq!(of_server.count(), 7);
}

#[tokio::test]
async fn the_quickstart_says_that_a_relay_proxy_is_unreachable() {
    let url = goff_testkit::FaultyServer::refusing_url().await.unwrap();
    let mut out = Vec::new();
    let options = goff_provider::GoFeatureFlagOptions::new(url);
    let shown = quickstart::show_endpoint(&mut out, options).await;
    let error = shown.unwrap_err().to_string();
    assert!(error.starts_with("flags cannot be evaluated: "), "{error}");
    assert!(out.is_empty());
}
