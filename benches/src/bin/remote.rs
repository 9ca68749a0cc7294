//! Remote evaluation on loopback, uncached and with new keys, beside a bare hyper client and the
//! generic OFREP provider.
//! The server is a separate process: this program, started with `--serve`. So is each of the pairs
//! of clients, ours and the bare one, that a row compares: `--pair`.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use goff_benches::{Budget, Comparison, Measure, Row, Suite, median};
use goff_client::{EvaluationContext, GoFeatureFlag, GoFeatureFlagOptions};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use open_feature::OpenFeature;
use open_feature_ofrep::{OfrepOptions, OfrepProvider};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<ExitCode, Failure> {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("--serve") => {
            runtime()?.block_on(serve())?;
            return Ok(ExitCode::SUCCESS);
        }
        Some("--pair") => {
            let mut argument = || arguments.next().ok_or("`--pair IN_FLIGHT URL`");
            measure_pair(argument()?.parse()?, &argument()?)?;
            return Ok(ExitCode::SUCCESS);
        }
        _ => {}
    }
    let mut suite = Suite::from_arguments()?;
    let server = Server::start()?;
    let runtime = runtime()?;
    let attributes = Arc::new(attributes());
    let context = Arc::new(native_context(&attributes, KEY));
    let connect = |options| runtime.block_on(GoFeatureFlag::connect(options));
    let options = || GoFeatureFlagOptions::new(server.url());
    let goff = Arc::new(connect(options().disable_cache(true))?);
    let caching = Arc::new(connect(options())?);
    let bare = Arc::new(Bare::new(&server.url()));
    let ofrep = Arc::new(Ofrep::new(&runtime, &server)?);
    let users = Arc::new(AtomicU64::new(0));

    for (in_flight, requests) in [
        (1, 2_000),
        (8, 4_000),
        (64, 8_000),
        (256, 16_000),
        (512, 16_000),
    ] {
        beside_bare(&mut suite, &server, in_flight)?;
        if [1, 64].contains(&in_flight) {
            let mut uncached =
                |requests| evaluate_uncached(&runtime, &goff, &context, requests, in_flight);
            let mut generic = |requests| {
                let ofrep = Arc::clone(&ofrep);
                run(&runtime, requests, in_flight, move || {
                    let ofrep = Arc::clone(&ofrep);
                    async move { assert!(ofrep.evaluate().await) }
                });
            };
            suite.compare(Comparison {
                name: &format!("remote uncached, {in_flight} in flight, open-feature-ofrep"),
                measure: Measure::OperationsPerSecond,
                operations: requests,
                subject: &mut uncached,
                baseline_name: "open-feature-ofrep",
                baseline: &mut generic,
                budget: if in_flight == 1 {
                    Budget::Stated
                } else {
                    Budget::AtLeast(1.5)
                },
            });
        }
        // As in an application, each request of a user makes a context.
        let next_user = || {
            let users = Arc::clone(&users);
            move || format!("{KEY}-{}", users.fetch_add(1, Ordering::Relaxed))
        };
        let mut missing = |requests| {
            let (goff, attributes, next) =
                (Arc::clone(&caching), Arc::clone(&attributes), next_user());
            run(&runtime, requests, in_flight, move || {
                let (goff, context) = (Arc::clone(&goff), native_context(&attributes, &next()));
                async move {
                    let details = goff.evaluate(FLAG, &context, false).await;
                    assert!(details.value, "{:?}", details.error());
                }
            });
        };
        let mut barely_new = |requests| {
            let (bare, next) = (Arc::clone(&bare), next_user());
            run(&runtime, requests, in_flight, move || {
                let (bare, key, custom) = (Arc::clone(&bare), next(), bare.custom.clone());
                async move { assert!(bare.evaluate(&key, &custom).await.unwrap_or(false)) }
            });
        };
        suite.compare(Comparison {
            name: &format!("remote, every key new, {in_flight} in flight"),
            measure: Measure::OperationsPerSecond,
            operations: requests,
            subject: &mut missing,
            baseline_name: "bare hyper-util client",
            baseline: &mut barely_new,
            // The bare client keeps no answer.
            budget: Budget::Stated,
        });
    }
    suite.finish().map_err(Into::into)
}

/// Adds the row of our client beside the bare one.
///
/// Where the memory of a process happens to lie changes the ratio by some percent, for as long as the
/// process lives. So a row has the median of many processes.
fn beside_bare(suite: &mut Suite, server: &Server, in_flight: u64) -> Result<(), Failure> {
    let name = format!("remote uncached, {in_flight} in flight, bare client");
    if !suite.wants(&name) {
        return Ok(());
    }
    let pairs = (0..PROCESSES).map(|_| {
        let output = Command::new(std::env::current_exe()?)
            .args(["--pair", &in_flight.to_string(), &server.url()])
            .stderr(Stdio::inherit())
            .output()?;
        let line = String::from_utf8(output.stdout)?;
        let (ours, bare) = line.trim().split_once(' ').ok_or("a pair failed")?;
        Ok((ours.parse()?, bare.parse()?))
    });
    let pairs: Vec<(f64, f64)> = pairs.collect::<Result<_, Failure>>()?;
    let budget = Budget::AtLeast(0.9);
    let baseline = "bare hyper-util client";
    suite.add(Row::of_pairs(name, &pairs, "1/s", baseline, budget));
    Ok(())
}

/// Prints how many evaluations a second our client does, and the bare one.
#[expect(
    clippy::print_stdout,
    reason = "the process that started this one reads it"
)]
fn measure_pair(in_flight: u64, url: &str) -> Result<(), Failure> {
    let runtime = runtime()?;
    let options = GoFeatureFlagOptions::new(url).disable_cache(true);
    let goff = Arc::new(runtime.block_on(GoFeatureFlag::connect(options))?);
    let context = Arc::new(native_context(&attributes(), KEY));
    let bare = Arc::new(Bare::new(url));
    // Many for each caller: while all begin at once, what they keep is still in the processor's caches.
    let requests = (in_flight * 500).clamp(2_000, 16_000);
    let ours = || evaluate_uncached(&runtime, &goff, &context, requests, in_flight);
    let barely = || {
        let bare = Arc::clone(&bare);
        run(&runtime, requests, in_flight, move || {
            let bare = Arc::clone(&bare);
            async move { assert!(bare.evaluate(KEY, &bare.custom).await.unwrap_or(false)) }
        });
    };
    let per_second = |evaluate: &dyn Fn()| {
        let started = Instant::now();
        evaluate();
        requests as f64 / started.elapsed().as_secs_f64()
    };
    // The connections are opened.
    ours();
    barely();
    let rounds = (0..ROUNDS).map(|round| {
        if round % 2 == 0 {
            return (per_second(&ours), per_second(&barely));
        }
        let bare = per_second(&barely);
        (per_second(&ours), bare)
    });
    let (mut ours, mut bare): (Vec<_>, Vec<_>) = rounds.unzip();
    println!("{} {}", median(&mut ours), median(&mut bare));
    Ok(())
}

fn evaluate_uncached(
    runtime: &Runtime,
    goff: &Arc<GoFeatureFlag>,
    context: &Arc<EvaluationContext>,
    requests: u64,
    in_flight: u64,
) {
    let (goff, context) = (Arc::clone(goff), Arc::clone(context));
    run(runtime, requests, in_flight, move || {
        let (goff, context) = (Arc::clone(&goff), Arc::clone(&context));
        async move {
            let details = goff.evaluate(FLAG, &*context, false).await;
            assert!(details.value, "{:?}", details.error());
        }
    });
}

/// Keeps `in_flight` requests going until `requests` are done.
fn run<F, Fut>(runtime: &Runtime, requests: u64, in_flight: u64, evaluate: F)
where
    F: Fn() -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    runtime.block_on(async {
        let tasks: Vec<_> = (0..in_flight)
            .map(|_| {
                let evaluate = evaluate.clone();
                tokio::spawn(async move {
                    for _ in 0..requests / in_flight {
                        evaluate().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            assert!(task.await.is_ok(), "a request failed");
        }
    });
}

fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

/// The pairs of clients in a row, each in a process.
const PROCESSES: usize = 20;
/// The measurements of each client in a process.
const ROUNDS: usize = 5;
const FLAG: &str = "bool_targeting_match";
/// The default of ours.
const TIMEOUT: Duration = Duration::from_secs(10);
const KEY: &str = "d45e303a-38c2-11ed-a261-0242ac120002";

/// The attributes of every contestant.
fn attributes() -> Map<String, Value> {
    let attributes = json!({
        "email": "john.doe@gofeatureflag.org", "firstname": "john", "lastname": "doe",
        "anonymous": false, "professional": true, "rate": 3.25, "age": 30, "visits": 1200,
        "score": 0.5, "beta": true,
    });
    match attributes {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn native_context(attributes: &Map<String, Value>, key: &str) -> EvaluationContext {
    let builder = EvaluationContext::builder().targeting_key(key);
    let attributes = attributes.iter();
    attributes
        .fold(builder, |builder, (name, value)| {
            builder.attribute(name.as_str(), value.clone())
        })
        .build()
}

fn sdk_context() -> open_feature::EvaluationContext {
    let context = open_feature::EvaluationContext::default().with_targeting_key(KEY);
    attributes()
        .into_iter()
        .fold(context, |context, (name, value)| match value {
            Value::Bool(value) => context.with_custom_field(name, value),
            Value::String(text) => context.with_custom_field(name, text),
            Value::Number(number) => match number.as_i64() {
                Some(int) => context.with_custom_field(name, int),
                None => context.with_custom_field(name, number.as_f64().unwrap_or_default()),
            },
            _ => context,
        })
}

/// The least that a client can do: write the context with serde_json, post it with a timeout, parse
/// the answer. It has as many requests in flight as ours has by default.
struct Bare {
    client: Client<HttpConnector, Full<Bytes>>,
    permits: Semaphore,
    url: String,
    custom: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "a client that evaluates has to read them all")]
struct Answer {
    value: Value,
    reason: String,
    variation_type: String,
    error_code: String,
    version: String,
    track_events: bool,
    cacheable: bool,
    #[serde(default)]
    metadata: Map<String, Value>,
}

impl Bare {
    fn new(url: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let mut custom = attributes();
        custom.insert(
            "gofeatureflag".to_owned(),
            json!({"exporterMetadata": {"provider": "rust", "openfeature": true}}),
        );
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            permits: Semaphore::new(256),
            url: format!("{url}/v1/feature/{FLAG}/eval"),
            custom,
        }
    }

    async fn evaluate(&self, key: &str, custom: &Map<String, Value>) -> Result<bool, Failure> {
        #[derive(serde::Serialize)]
        struct Body<'a> {
            #[serde(rename = "evaluationContext")]
            context: Context<'a>,
            #[serde(rename = "defaultValue")]
            default: (),
        }
        #[derive(serde::Serialize)]
        struct Context<'a> {
            key: &'a str,
            custom: &'a Map<String, Value>,
        }
        let body = serde_json::to_vec(&Body {
            context: Context { key, custom },
            default: (),
        })?;
        let request = Request::post(self.url.as_str())
            .header("content-type", "application/json")
            .body(Full::from(body))?;
        let exchange = async {
            let _permit = self.permits.acquire().await?;
            let response = self.client.request(request).await?;
            let body = response.into_body().collect().await?.to_bytes();
            let answer: Answer = serde_json::from_slice(&body)?;
            Ok(answer.value == true)
        };
        tokio::time::timeout(TIMEOUT, exchange).await?
    }
}

/// What a Rust application uses today.
struct Ofrep {
    client: open_feature::Client,
    context: open_feature::EvaluationContext,
}

impl Ofrep {
    fn new(runtime: &Runtime, server: &Server) -> Result<Self, Failure> {
        runtime.block_on(async {
            let provider = OfrepProvider::new(OfrepOptions {
                base_url: server.url(),
                ..OfrepOptions::default()
            })
            .await
            .map_err(|error| error.to_string())?;
            let mut api = OpenFeature::default();
            api.set_provider(provider).await;
            Ok(Self {
                client: api.create_client(),
                context: sdk_context(),
            })
        })
    }

    async fn evaluate(&self) -> bool {
        self.client
            .get_bool_value(FLAG, Some(&self.context), None)
            .await
            .unwrap_or(false)
    }
}

/// The server process; it ends when its standard input does.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn start() -> Result<Self, Failure> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("--serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().ok_or("the server has no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        Ok(Self {
            address: line.trim().parse()?,
            process,
        })
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn serve() -> Result<(), Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let mut output = std::io::stdout();
    writeln!(output, "{}", listener.local_addr()?)?;
    output.flush()?;
    // The parent's death closes the pipe.
    let parent = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0]));
    tokio::select! {
        _ = parent => Ok(()),
        result = accept(listener) => result,
    }
}

async fn accept(listener: TcpListener) -> Result<(), Failure> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let service = service_fn(answer);
            // A client that goes away is no failure of the server.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = if request.uri().path().starts_with("/ofrep/") {
        OFREP_ANSWER
    } else {
        ANSWER
    };
    // A keep-alive connection wants its request read whole.
    let _ = request.into_body().collect().await;
    let mut response = Response::new(Full::from(body));
    response.headers_mut().insert(
        hyper::header::CONTENT_TYPE,
        hyper::header::HeaderValue::from_static("application/json"),
    );
    Ok(response)
}

const ANSWER: &str = r#"{"trackEvents":true,"variationType":"True","failed":false,"version":"1.0.0","reason":"TARGETING_MATCH","errorCode":"","value":true,"cacheable":true,"metadata":{"description":"this is a test","pr_link":"https://github.com/thomaspoignant/go-feature-flag/pull/916"}}"#;
const OFREP_ANSWER: &str = r#"{"key":"bool_targeting_match","value":true,"reason":"TARGETING_MATCH","variant":"True","metadata":{"description":"this is a test","gofeatureflag_cacheable":true,"pr_link":"https://github.com/thomaspoignant/go-feature-flag/pull/916"}}"#;
