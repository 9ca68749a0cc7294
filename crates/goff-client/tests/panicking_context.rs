//! A context whose methods panic costs the evaluation that reads it, not its caller.

#![cfg(feature = "in-process")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use goff_client::{
    ContextView, EvaluationType, GoFeatureFlag, GoFeatureFlagOptions, LocalFlags, ResolutionError,
    Snapshot,
};
use goff_core::{AttributeRef, RelayError};
use goff_testkit::{RecordingSink, ScriptedRelay};
use serde_json::Map;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Method {
    None,
    TargetingKey,
    Attribute(&'static str),
    Visit,
}

/// Panics in one method, `attribute` for one name.
#[derive(Debug)]
struct Panicking {
    method: Method,
    has_panicked: AtomicBool,
}

const fn panicking(method: Method) -> Panicking {
    Panicking {
        method,
        has_panicked: AtomicBool::new(false),
    }
}

impl Panicking {
    fn at(&self, method: Method) {
        if self.method == method {
            self.has_panicked.store(true, Ordering::Relaxed);
            panic!("on purpose");
        }
    }
}

impl ContextView for Panicking {
    fn targeting_key(&self) -> Option<&str> {
        self.at(Method::TargetingKey);
        Some("user-1")
    }

    fn attribute(&self, name: &str) -> Option<AttributeRef<'_>> {
        for one in ["anonymous", "plan", "gofeatureflag"] {
            if name == one {
                self.at(Method::Attribute(one));
            }
        }
        (name == "plan").then(|| AttributeRef::Text("pro".into()))
    }

    fn visit<'s>(
        &'s self,
        visitor: &mut dyn FnMut(&'s str, AttributeRef<'s>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.at(Method::Visit);
        visitor("plan", AttributeRef::Text("pro".into()))
    }
}

const FLAGS: &str = r#"{
    "flag": {
        "variations": {"on": "on", "off": "off"},
        "targeting": [
            {"query": "plan eq \"free\" or anonymous eq true", "variation": "on"},
            {"query": "{\"==\": [{\"var\": \"\"}, 1]}", "variation": "on"}
        ],
        "defaultRule": {"percentage": {"on": 50, "off": 50}}
    }
}"#;

const METHODS: [Method; 6] = [
    Method::None,
    Method::TargetingKey,
    Method::Attribute("anonymous"),
    Method::Attribute("plan"),
    Method::Attribute("gofeatureflag"),
    Method::Visit,
];

/// Calls `evaluate` with a context for each method. An error there is, if the context has panicked.
fn check(what: &str, evaluate: impl Fn(&Panicking) -> Result<(), String>) -> usize {
    let mut panicked = 0;
    for method in METHODS {
        let context = panicking(method);
        let ended = evaluate(&context);
        let has_panicked = context.has_panicked.into_inner();
        assert_eq!(
            ended.is_err(),
            has_panicked,
            "{what}, {method:?}: {ended:?}"
        );
        if let Err(error) = ended {
            assert!(error.contains("panicked"), "{what}, {method:?}: {error}");
            panicked += 1;
        }
    }
    panicked
}

fn outcome(error: Option<&ResolutionError>) -> Result<(), String> {
    error.map_or(Ok(()), |error| Err(error.to_string()))
}

fn result<T>(result: Result<T, ResolutionError>) -> Result<(), String> {
    result.map(drop).map_err(|error| error.to_string())
}

#[test]
fn a_panic_of_a_context_is_an_error_of_its_evaluation() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sink = || Arc::new(RecordingSink::default());
    let remote = |options: GoFeatureFlagOptions| options.evaluation_type(EvaluationType::Remote);
    let in_process =
        |options: GoFeatureFlagOptions| options.evaluation_type(EvaluationType::InProcess);
    type Change<'a> = (
        &'static str,
        &'a dyn Fn(GoFeatureFlagOptions) -> GoFeatureFlagOptions,
    );
    let changes: [Change<'_>; 5] = [
        ("remote", &|options| remote(options).disable_cache(true)),
        ("cached", &|options| remote(options)),
        ("remote, recorded", &|options| {
            remote(options).event_sink(sink())
        }),
        ("in process", &|options| in_process(options)),
        ("in process, recorded", &|options| {
            in_process(options).event_sink(sink())
        }),
    ];
    for (what, change) in changes {
        // In process an evaluation that panics goes to the relay proxy, which does not answer here.
        let relay = match what.starts_with("in process") {
            true => ScriptedRelay::new().with_answer("flag", Err(no_answer())),
            false => ScriptedRelay::new().with_value("flag", "on"),
        };
        relay.set_flags(&serde_json::from_str(FLAGS).unwrap(), None);
        let options = change(GoFeatureFlagOptions::with_relay_client(Arc::new(relay)));
        let goff = runtime.block_on(GoFeatureFlag::connect(options)).unwrap();
        let call = |name: &str, evaluate: &dyn Fn(&Panicking) -> Result<(), String>| {
            let panicked = check(&format!("{what}, {name}"), evaluate);
            assert!(panicked > 0, "{what}, {name}");
        };
        call("evaluate", &|context| {
            let evaluated = runtime.block_on(goff.evaluate("flag", context, String::new()));
            outcome(evaluated.error())
        });
        call("evaluate_as", &|context| {
            let evaluated = runtime.block_on(goff.evaluate_as("flag", context, String::new()));
            outcome(evaluated.error())
        });
        call("resolve", &|context| {
            let resolved = runtime.block_on(goff.resolve("flag", context)).result;
            outcome(resolved.as_ref().err().map(|error| &**error))
        });
        call("evaluate_all", &|context| {
            let all = runtime.block_on(goff.evaluate_all(context));
            let Ok(all) = all else { return result(all) };
            outcome(all.get("flag").and_then(|flag| flag.error()))
        });
        call("explain", &|context| {
            let explained = runtime.block_on(goff.explain("flag", context));
            explained
                .unwrap()
                .error
                .map_or(Ok(()), |error| Err(error.message))
        });
        if what.contains("recorded") {
            call("track", &|context| {
                result(goff.track("event", context, Map::new()))
            });
        }
        call("prefetch", &|context| {
            let flags = runtime.block_on(goff.prefetch(context));
            outcome(flags.evaluate("flag", context, String::new()).error())
        });
        let quiet = panicking(Method::None);
        let flags = runtime.block_on(goff.prefetch(&quiet));
        snapshot_functions(what, &flags);
        if let Some(local) = goff.local() {
            local_functions(what, &local);
        }
    }
}

fn no_answer() -> RelayError {
    RelayError::Timeout {
        timeout: Duration::from_secs(1),
        sent: true,
        server: None,
    }
}

#[test]
fn a_panic_of_a_context_costs_local_flags_one_evaluation() {
    local_functions("local", &LocalFlags::from_flags(FLAGS).unwrap());
    let sink = Arc::new(RecordingSink::default());
    let recorded = LocalFlags::from_flags_with_event_sink(FLAGS, sink).unwrap();
    local_functions("local, recorded", &recorded);
}

fn local_functions(what: &str, local: &LocalFlags) {
    let call = |name: &str, evaluate: &dyn Fn(&Panicking) -> Result<(), String>| {
        let panicked = check(&format!("{what}, {name} of local flags"), evaluate);
        assert!(panicked > 0, "{what}, {name}");
    };
    call("evaluate", &|context| {
        outcome(local.evaluate("flag", context, String::new()).error())
    });
    call("evaluate_as", &|context| {
        outcome(local.evaluate_as("flag", context, String::new()).error())
    });
    call("evaluate_all", &|context| {
        let all = local.evaluate_all(context);
        let Ok(all) = all else { return result(all) };
        outcome(all.get("flag").and_then(|flag| flag.error()))
    });
    call("explain", &|context| {
        let explained = local.explain("flag", context).unwrap();
        explained.error.map_or(Ok(()), |error| Err(error.message))
    });
    snapshot_functions(what, &local.snapshot());
}

fn snapshot_functions(what: &str, flags: &Snapshot) {
    let call = |name: &str, evaluate: &dyn Fn(&Panicking) -> Result<(), String>| {
        let panicked = check(&format!("{what}, {name} of a snapshot"), evaluate);
        assert!(panicked > 0, "{what}, {name}");
    };
    call("evaluate", &|context| {
        outcome(flags.evaluate("flag", context, String::new()).error())
    });
    call("evaluate_all", &|context| {
        let all = flags.evaluate_all(context);
        let Ok(all) = all else { return result(all) };
        outcome(all.get("flag").and_then(|flag| flag.error()))
    });
}
