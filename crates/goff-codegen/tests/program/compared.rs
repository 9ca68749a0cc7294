//! Compares generated functions with untyped calls. `tests/compiled.rs` compiles and runs it.

mod blocking;
mod local;
mod native;
mod sdk;

use std::alloc::System;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use goff_client::blocking::GoFeatureFlag as BlockingClient;
use goff_client::{
    EvaluationContext, EvaluationDetails, Event, EventSink, FlagType, GoFeatureFlag,
    GoFeatureFlagOptions, LocalFlags,
};
use goff_provider::GoFeatureFlagProvider;
use open_feature::{Client, EvaluationDetails as Details, EvaluationResult, OpenFeature, StructValue};
use serde_json::{Map, Value};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

type SdkDetails<T> = EvaluationResult<Details<T>>;

const FLAGS: &str = include_str!("flags.json");

#[derive(Debug, Default)]
struct Events(Mutex<Vec<String>>);

impl EventSink for Events {
    fn record(&self, event: Event) {
        let mut json = serde_json::to_value(&event).expect("events are JSON");
        json["creationDate"] = 0.into();
        self.0.lock().expect("no panic").push(json.to_string());
    }
}

/// A client that records usage data, and one that does not.
struct Run<'r, C> {
    recording: &'r C,
    silent: &'r C,
    flush: &'r dyn Fn(&C),
    events: Arc<Events>,
    context: EvaluationContext,
}

impl<C> Run<'_, C> {
    /// The usage data of a call.
    fn recorded<T>(&self, call: impl FnOnce(&C) -> T) -> (T, Vec<String>) {
        let answer = call(self.recording);
        (self.flush)(self.recording);
        (answer, std::mem::take(&mut *self.events.0.lock().expect("no panic")))
    }

    /// The typed call gives what the untyped one gives, records the same, and allocates no more.
    fn compare<T: FlagType, U: FlagType>(
        &self,
        key: &str,
        typed: impl Fn(&C, &EvaluationContext) -> EvaluationDetails<T>,
        value: impl Fn(&C, &EvaluationContext) -> T,
        untyped: impl Fn(&C, &EvaluationContext) -> EvaluationDetails<U>,
    ) {
        let (details, recorded) = self.recorded(|client| typed(client, &self.context));
        let (expected, expected_records) = self.recorded(|client| untyped(client, &self.context));
        assert_eq!(recorded, expected_records, "{key}");
        assert_eq!(recorded.len(), 1, "{key}");
        let (alone, recorded) = self.recorded(|client| value(client, &self.context));
        assert_eq!(recorded, expected_records, "{key}");
        for value in [&details.value, &alone] {
            assert_eq!(value.to_json(), expected.value.to_json(), "{key}");
        }
        assert_eq!(details.reason(), expected.reason(), "{key}");
        assert_eq!(details.variant(), expected.variant(), "{key}");
        assert_eq!(details.metadata(), expected.metadata(), "{key}");
        assert!(details.error().is_none(), "{key}");

        let typed = fewest_allocations(|| value(self.silent, &self.context));
        let allowed = fewest_allocations(|| untyped(self.silent, &self.context).value);
        assert!(typed <= allowed, "{key}: {typed} allocations, not {allowed}");
    }
}

/// The answer of an evaluation that waits for nothing, as those in process do.
fn at_once<F: Future>(evaluation: F) -> F::Output {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(evaluation).poll(&mut context) {
        std::task::Poll::Ready(answer) => answer,
        std::task::Poll::Pending => panic!("the evaluation waits"),
    }
}

/// The thread that takes events allocates too, now and then.
fn fewest_allocations<T>(call: impl Fn() -> T) -> usize {
    let counts = (0..20).map(|_| {
        let region = Region::new(ALLOCATOR);
        let value = call();
        let allocations = region.change().allocations;
        drop(value);
        allocations
    });
    counts.min().unwrap_or_default()
}

macro_rules! compare {
    ($run:expr, $api:ident, $wait:path, $($name:ident $constant:ident $default:expr;)*) => {$(
        let (key, default) = ($api::keys::$constant, $default);
        $run.compare(
            key,
            |client, context| $wait($api::details::$name(client, context)),
            |client, context| $wait($api::$name(client, context)),
            |client, context| $wait(client.evaluate(key, context, Clone::clone(&default))),
        );
    )*};
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn object(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).expect("an object")
}

macro_rules! compare_all {
    ($run:expr, $api:ident, $wait:path) => { compare! { $run, $api, $wait,
        new_checkout_HASH1 NEW_CHECKOUT_HASH1 false;
        new_checkout_HASH2 NEW_CHECKOUT_HASH2 false;
        new_checkout_HASH3 NEW_CHECKOUT_HASH3 false;
        new_checkout_details NEW_CHECKOUT_DETAILS true;
        details DETAILS false;
        keys KEYS false;
        read READ false;
        client CLIENT false;
        context CONTEXT false;
        main MAIN false;
        type_ TYPE_ false;
        self_ SELF_ false;
        gen_ GEN_ false;
        flag FLAG false;
        flag_2fa FLAG_2FA false;
        gr_u00f6_u00df_e GR_U00F6_U00DF_E false;
        u65e5_u672c_u8a9e U65E5_U672C_U8A9E false;
        a_std_process_exit_1 A_STD_PROCESS_EXIT_1 false;
        pub_fn_injected PUB_FN_INJECTED false;
        line_break LINE_BREAK false;
        bidi_u202e_key BIDI_U202E_KEY false;
        r_fn_tick_x R_FN_TICK_X false;
        cafe_u0301 CAFE_U0301 false;
        http_server_v2_x HTTP_SERVER_V2_X false;
        requests REQUESTS 25_000_000_i64;
        lowest LOWEST i64::MIN;
        pi PI "3.14159".parse::<f64>().expect("a number");
        ratio RATIO 0.25_f64;
        banner BANNER "Sunny days! \u{202e} \"quoted\" \\ größe".to_owned();
        plan PLAN "free".to_owned();
        option OPTION "some".to_owned();
        value VALUE "planA".to_owned();
        disabled_plan DISABLED_PLAN "pro".to_owned();
        disabled_text DISABLED_TEXT "Other text.".to_owned();
        disabled DISABLED false;
        countries COUNTRIES vec!["FR".to_owned(), "DE".to_owned()];
        mixed_list MIXED_LIST vec![json("1"), json("\"x\""), json("null")];
        disabled_limits DISABLED_LIMITS object(r#"{"limits_type": 1, "limits_size": 2, "limits_name": "x"}"#);
        limits_nested LIMITS_NESTED object(r#"{"x": 1}"#);
        anything ANYTHING object(r#"{"a b": [1, 2.5, "x", true, {"deep": null, "c": ["\""]}], "c": "d"}"#);
        clashing_parts CLASHING_PARTS object(r#"{"a": {"bC": {"x": 1}}, "aB": {"c": {"x": 1}}}"#);
    }};
}

/// Two clients of the SDK, of which one records usage data.
struct SdkRun<'r> {
    recording: Client,
    silent: Client,
    flush: &'r dyn Fn(),
    events: &'r Events,
    context: open_feature::EvaluationContext,
}

impl SdkRun<'_> {
    fn recorded<T>(&self, call: impl FnOnce(&Client) -> T) -> (T, Vec<String>) {
        let answer = call(&self.recording);
        (self.flush)();
        (answer, std::mem::take(&mut *self.events.0.lock().expect("no panic")))
    }

    /// The typed call has the details of the untyped one, records the same, and allocates no more.
    fn compare<T, U>(
        &self,
        key: &str,
        typed: impl Fn(&Client, &open_feature::EvaluationContext) -> SdkDetails<T>,
        untyped: impl Fn(&Client, &open_feature::EvaluationContext) -> SdkDetails<U>,
    ) {
        let (details, recorded) = self.recorded(|client| typed(client, &self.context));
        let (expected, expected_records) = self.recorded(|client| untyped(client, &self.context));
        assert_eq!(recorded, expected_records, "{key}");
        assert_eq!(recorded.len(), 1, "{key}");
        match (details, expected) {
            (Ok(details), Ok(expected)) => {
                assert_eq!(details.flag_key, expected.flag_key, "{key}");
                assert_eq!(details.variant, expected.variant, "{key}");
                assert_eq!(details.reason, expected.reason, "{key}");
                assert_eq!(details.flag_metadata, expected.flag_metadata, "{key}");
            }
            (Err(error), Err(expected)) => assert_eq!(error.code, expected.code, "{key}"),
            _ => panic!("{key}: an error and an answer"),
        }
        let typed = fewest_allocations(|| typed(&self.silent, &self.context));
        let allowed = fewest_allocations(|| untyped(&self.silent, &self.context));
        assert!(typed <= allowed, "{key}: {typed} allocations, not {allowed}");
    }
}

macro_rules! compare_sdk {
    ($run:expr, $($name:ident $constant:ident $get:ident $(::<$value:ty>)?;)*) => {$(
        let key = sdk::keys::$constant;
        $run.compare(
            key,
            |client, context| at_once(sdk::details::$name(client, Some(context))),
            |client, context| at_once(client.$get$(::<$value>)?(key, Some(context), None)),
        );
    )*};
}

async fn through_the_sdk(goff: &GoFeatureFlag, plan: Option<&str>) {
    let mut context = open_feature::EvaluationContext::default().with_targeting_key("user-1");
    let mut own = EvaluationContext::builder().targeting_key("user-1");
    if let Some(plan) = plan {
        context = context.with_custom_field("plan", plan);
        own = own.attribute("plan", plan);
    }
    let own = own.build();
    let context = Some(&context);
    let client = OpenFeature::singleton().await.create_client();

    for (typed, key) in [
        (sdk::new_checkout_HASH1(&client, context).await, sdk::keys::NEW_CHECKOUT_HASH1),
        (sdk::type_(&client, context).await, sdk::keys::TYPE_),
        (sdk::flag(&client, context).await, sdk::keys::FLAG),
        (sdk::disabled(&client, context).await, sdk::keys::DISABLED),
    ] {
        let untyped = client.get_bool_value(key, context, None).await;
        assert_eq!(typed, untyped.unwrap_or(false), "{key}");
    }
    let untyped = client.get_int_value("requests", context, None).await;
    assert_eq!(sdk::requests(&client, context).await, untyped.expect("an integer"));
    let untyped = client.get_float_value("pi", context, None).await;
    let typed = sdk::pi(&client, context).await;
    assert_eq!(typed.to_bits(), untyped.expect("a number").to_bits());
    let untyped = client.get_string_value("banner", context, None).await;
    assert_eq!(sdk::banner(&client, context).await, untyped.expect("a text"));
    let untyped = client.get_string_value("plan", context, None).await;
    assert_eq!(sdk::plan(&client, context).await.as_str(), untyped.expect("a text"));
    let untyped = client.get_string_details("plan", context, None).await.expect("a text");
    let typed = sdk::details::plan(&client, context).await.expect("a plan");
    assert_eq!(typed.variant, untyped.variant);
    assert_eq!(typed.reason, untyped.reason);
    assert_eq!(typed.flag_key, untyped.flag_key);
    assert_eq!(sdk::disabled_plan(&client, context).await, sdk::DisabledPlan::Pro);
    assert_eq!(sdk::disabled_text(&client, context).await, "Other text.");
    assert!(sdk::details::disabled_text(&client, context).await.is_err());
    let untyped = client.get_struct_value::<StructValue>("anything", context, None).await;
    assert_eq!(sdk::anything(&client, context).await, untyped.expect("an object"));
    assert_eq!(sdk::disabled_limits(&client, context).await.limits_name, "x");

    let limits = sdk::limits(&client, context).await;
    let same = native::limits(goff, &own).await;
    let same = format!("{same:?}")
        .replace("open: {}", "open: StructValue { fields: {} }")
        .replace("open: {\"any thing\": Number(1)}", "open: StructValue { fields: {\"any thing\": Int(1)} }");
    assert_eq!(format!("{limits:?}"), same);
    assert_eq!(limits.max_size, if plan.is_some() { 2000 } else { 100 });
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let _entered = runtime.enter();
    let events = Arc::new(Events::default());
    let sink = || Arc::<Events>::clone(&events) as Arc<dyn EventSink>;
    let options = || GoFeatureFlagOptions::from_flags(FLAGS);
    let limit = Duration::from_secs(10);
    let connect = |options| runtime.block_on(GoFeatureFlag::connect(options)).expect("a client");
    let [recording, silent] = [connect(options().event_sink(sink())), connect(options())];
    let wait = |options| BlockingClient::connect(options).expect("a client");
    let [blocking_recording, blocking_silent] =
        [wait(options().event_sink(sink())), wait(options())];
    let local_recording = LocalFlags::from_flags_with_event_sink(FLAGS, sink()).expect("flags");
    let local_silent = LocalFlags::from_flags(FLAGS).expect("flags");

    for plan in [None, Some("pro")] {
        let mut context = EvaluationContext::builder().targeting_key("user-1");
        if let Some(plan) = plan {
            context = context.attribute("plan", plan);
        }
        let context = context.build();
        let run = Run {
            recording: &local_recording,
            silent: &local_silent,
            flush: &|flags| drop(flags.flush(limit)),
            events: Arc::clone(&events),
            context: context.clone(),
        };
        compare_all!(run, local, std::convert::identity);
        let native_run = Run {
            recording: &recording,
            silent: &silent,
            flush: &|goff| drop(runtime.block_on(goff.flush(limit))),
            events: Arc::clone(&events),
            context: context.clone(),
        };
        compare_all!(native_run, native, at_once);
        let blocking_run = Run {
            recording: &blocking_recording,
            silent: &blocking_silent,
            flush: &|goff| drop(goff.flush(limit)),
            events: Arc::clone(&events),
            context,
        };
        compare_all!(blocking_run, blocking, std::convert::identity);

        // Scalars and enums are free.
        let free = || {
            let _ = local::new_checkout_HASH1(run.silent, &run.context);
            let _ = local::requests(run.silent, &run.context);
            let _ = local::pi(run.silent, &run.context);
            let _ = local::plan(run.silent, &run.context);
            let _ = local::disabled_text(run.silent, &run.context);
        };
        assert_eq!(fewest_allocations(free), 0);

        let limits = local::limits(run.silent, &run.context);
        let plan = if plan.is_none() {
            assert_eq!(limits.type_, "standard");
            assert_eq!(limits.burst, None);
            assert_eq!(limits.windows[0].calls, Some(100));
            assert_eq!(limits.windows[1].calls, None);
            assert!(limits.nested.a);
            local::Plan::Free
        } else {
            assert_eq!(limits.burst, Some(10));
            assert!((limits.rate - 2.5).abs() < f64::EPSILON);
            local::Plan::ProPlus
        };
        assert_eq!(local::plan(run.silent, &run.context), plan);
        assert_eq!(local::disabled_limits(run.silent, &run.context).limits_name, "x");
        assert_eq!(local::Plan::from_text("pro_max"), Some(local::Plan::ProMax));
    }

    // A value that the types do not have is a mismatch, and the default is served.
    let changed = FLAGS
        .replace("\"pro-plus\"", "\"team\"")
        .replace("\"maxSize\"", "\"size\"");
    let changed = LocalFlags::from_flags(&changed).expect("flags");
    let context = EvaluationContext::builder().attribute("plan", "pro").build();
    let plan = local::details::plan(&changed, &context);
    assert_eq!(plan.value, local::Plan::Free);
    let message = plan.error().expect("a mismatch").to_string();
    assert_eq!(message, "flag `plan` holds another string, not one of the strings of `Plan`");
    let limits = local::details::limits(&changed, &context);
    assert_eq!(limits.value.max_size, 100);
    let message = limits.error().expect("a mismatch").to_string();
    assert_eq!(message, "flag `limits` holds an object without `maxSize`, not an object like `Limits55840ac5`");

    // The SDK, with the clients of above behind it.
    runtime.block_on(async {
        let mut sdk = OpenFeature::singleton_mut().await;
        sdk.set_provider(GoFeatureFlagProvider::from(&silent)).await;
        sdk.set_named_provider("recording", GoFeatureFlagProvider::from(&recording)).await;
        drop(sdk);
        through_the_sdk(&silent, None).await;
        through_the_sdk(&silent, Some("pro")).await;
    });
    let sdk = runtime.block_on(OpenFeature::singleton());
    let context = open_feature::EvaluationContext::default()
        .with_targeting_key("user-1")
        .with_custom_field("plan", "pro");
    let run = SdkRun {
        recording: sdk.create_named_client("recording"),
        silent: sdk.create_client(),
        flush: &|| drop(runtime.block_on(recording.flush(limit))),
        events: &events,
        context,
    };
    drop(sdk);
    compare_sdk! { run,
        new_checkout_HASH1 NEW_CHECKOUT_HASH1 get_bool_details;
        flag FLAG get_bool_details;
        disabled DISABLED get_bool_details;
        requests REQUESTS get_int_details;
        pi PI get_float_details;
        banner BANNER get_string_details;
        plan PLAN get_string_details;
        disabled_text DISABLED_TEXT get_string_details;
        anything ANYTHING get_struct_details::<StructValue>;
    }
    println!("all answers are the same");
}
