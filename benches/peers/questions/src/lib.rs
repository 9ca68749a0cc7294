//! What every peer is asked, and how its answers are timed.
//!
//! A peer's program translates the measured flags into the peer's own format ([`translated`]), and passes a function that
//! evaluates a flag to [`ask`], for evaluation in the process, or to [`load`], for evaluation on a server. Both print one
//! line for each figure, `PLACE <tab> SUBJECT <tab> QUESTION <tab> VALUE`, which `cargo xtask bench peers` reads. The
//! driver starts every program with the endpoint of a relay proxy that serves the same flags.

#[path = "../../../src/measured_context.rs"]
pub mod measured_context;
#[path = "../../../src/measured_flags.rs"]
pub mod measured_flags;

use std::hint::black_box;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Map, Value};

/// The budgets that `benches` has for its flags, which do not concern this comparison.
#[derive(Clone, Copy, Debug)]
pub enum Budget {
    /// No larger than this.
    AtMost(f64),
    /// Stated, not judged.
    Stated,
}

/// Why a program failed.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The first six of the measured flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Off.
    Static,
    /// On where the country is France.
    OneRule,
    /// On for 30 %.
    Split,
    /// On for 30 % of France.
    RuleAndSplit,
    /// Ten rules of which none matches.
    TenRules,
    /// On where three conditions hold.
    ThreeConditions,
}

impl Question {
    /// In the order of the measured flags.
    pub const ALL: [Self; 6] = [
        Self::Static,
        Self::OneRule,
        Self::Split,
        Self::RuleAndSplit,
        Self::TenRules,
        Self::ThreeConditions,
    ];

    /// Whether the flag is on for the measured context. Both sides of a split are asked for.
    pub fn answer(self) -> bool {
        matches!(
            self,
            Self::OneRule | Self::RuleAndSplit | Self::ThreeConditions
        )
    }

    fn measured(self) -> (&'static str, Value) {
        let (name, flag, _) = measured_flags::measured().swap_remove(self as usize);
        (name, flag)
    }

    /// The key of one of the flags that ask this.
    fn key(self, copy: usize) -> String {
        let (name, _) = self.measured();
        let words = name.split(|letter: char| !letter.is_alphanumeric());
        let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
        format!("{}-{copy}", words.join("-").to_lowercase())
    }
}

/// Each flag stands in the file so many times, under keys that differ in a number: every peer hashes keys in its own way,
/// and of a split it is asked the first copy that gives the answer.
pub const COPIES: usize = 16;

/// All flags by key, in the format of a peer.
pub fn translated(mut translate: impl FnMut(Question, &str) -> Value) -> Map<String, Value> {
    let copies = Question::ALL
        .into_iter()
        .flat_map(|question| (0..COPIES).map(move |copy| (question, question.key(copy))));
    copies
        .map(|(question, key)| {
            let flag = translate(question, &key);
            (key, flag)
        })
        .collect()
}

/// All flags by key, as GO Feature Flag has them.
pub fn original() -> Map<String, Value> {
    translated(|question, _| question.measured().1)
}

/// The third of the ten rules, for example, has a limit of 52 for the age.
pub fn age_limits() -> impl Iterator<Item = i32> {
    50..60
}

/// The measured context as the OpenFeature SDK's.
#[cfg(feature = "open-feature")]
pub fn open_feature_context() -> open_feature::EvaluationContext {
    use open_feature::EvaluationContextFieldValue as Field;

    let context =
        open_feature::EvaluationContext::default().with_targeting_key(measured_context::USER);
    let attributes = measured_context::attributes().into_iter();
    attributes.fold(context, |context, (name, value)| {
        let field = match value {
            Value::Bool(value) => value.into(),
            Value::String(text) => text.into(),
            Value::Number(number) => match number.as_i64() {
                Some(int) => int.into(),
                None => number.as_f64().unwrap_or_default().into(),
            },
            other => Field::new_struct(other),
        };
        context.with_custom_field(name, field)
    })
}

/// A flag that is asked for.
#[derive(Debug)]
pub struct Asked {
    /// Its key.
    pub key: String,
    /// What must come out.
    pub answer: bool,
}

/// Asks a subject every question, checks each answer, and prints the median of the nanoseconds that one takes.
///
/// # Errors
/// When no copy of a flag gives the answer, or a timed evaluation gives another one.
pub async fn ask(
    subject: &str,
    evaluate: impl AsyncFn(&Asked) -> Option<bool>,
) -> Result<(), Failure> {
    for question in Question::ALL {
        let asked = find(question, &evaluate).await;
        let (name, _) = question.measured();
        let asked = asked
            .ok_or_else(|| format!("{subject}: no copy of `{name}` gives {}", question.answer()))?;
        let mut operations = 1_u32;
        while quickest(&asked, operations, &evaluate).await? < WINDOW {
            operations *= 2;
        }
        let mut times = [Duration::ZERO; WINDOWS];
        for window in &mut times {
            *window = time(&asked, operations, &evaluate).await?;
        }
        times.sort();
        let nanoseconds = times[WINDOWS / 2].as_secs_f64() * 1e9 / f64::from(operations);
        println!("local\t{subject}\t{name}\t{nanoseconds}");
    }
    Ok(())
}

/// Windows of one question in one run of a program.
const WINDOWS: usize = 25;

/// What a window takes at least: short enough that most windows run without an interruption.
const WINDOW: Duration = Duration::from_micros(300);

async fn find(
    question: Question,
    evaluate: &impl AsyncFn(&Asked) -> Option<bool>,
) -> Option<Asked> {
    for copy in 0..COPIES {
        let asked = Asked {
            key: question.key(copy),
            answer: question.answer(),
        };
        if evaluate(&asked).await == Some(asked.answer) {
            return Some(asked);
        }
    }
    None
}

/// Of a few windows, because one may be interrupted.
async fn quickest(
    asked: &Asked,
    operations: u32,
    evaluate: &impl AsyncFn(&Asked) -> Option<bool>,
) -> Result<Duration, Failure> {
    let mut quickest = Duration::MAX;
    for _ in 0..3 {
        quickest = quickest.min(time(asked, operations, evaluate).await?);
    }
    Ok(quickest)
}

async fn time(
    asked: &Asked,
    operations: u32,
    evaluate: &impl AsyncFn(&Asked) -> Option<bool>,
) -> Result<Duration, Failure> {
    let start = Instant::now();
    for _ in 0..operations {
        let answer = black_box(evaluate(black_box(asked)).await);
        if answer != Some(asked.answer) {
            return Err(format!("`{}` gives {answer:?}", asked.key).into());
        }
    }
    Ok(start.elapsed())
}

/// Asks a server for the flag with one rule, with one request and with 64 requests at a time, checks each answer, and prints
/// the nanoseconds of CPU time that an answer takes this process. The answers in a second would be those of the server,
/// which takes more for each.
///
/// # Errors
/// When an evaluation fails or gives another answer.
pub async fn load<Evaluating>(
    subject: &str,
    evaluate: impl Fn() -> Evaluating + Clone + Send + 'static,
) -> Result<(), Failure>
where
    Evaluating: Future<Output = Result<bool, Failure>> + Send,
{
    for in_flight in [1, 64] {
        // Opens the connections.
        cost(in_flight, LOAD / 4, &evaluate).await?;
        let nanoseconds = cost(in_flight, LOAD, &evaluate).await?;
        println!("remote\t{subject}\t{in_flight} in flight\t{nanoseconds}");
    }
    Ok(())
}

/// The flag that [`load`] asks for.
pub fn remote_key() -> String {
    Question::OneRule.key(0)
}

const LOAD: Duration = Duration::from_millis(250);

async fn cost<Evaluating>(
    in_flight: u32,
    duration: Duration,
    evaluate: &(impl Fn() -> Evaluating + Clone + Send + 'static),
) -> Result<f64, Failure>
where
    Evaluating: Future<Output = Result<bool, Failure>> + Send,
{
    let (start, cpu_before) = (Instant::now(), cpu_time());
    let tasks: Vec<_> = (0..in_flight)
        .map(|_| {
            let evaluate = evaluate.clone();
            tokio::spawn(async move {
                let mut answers = 0_u32;
                while start.elapsed() < duration {
                    if evaluate().await? != Question::OneRule.answer() {
                        return Err("the answer is wrong".into());
                    }
                    answers += 1;
                }
                Ok::<_, Failure>(answers)
            })
        })
        .collect();
    let mut answers = 0;
    for task in tasks {
        answers += task.await??;
    }
    Ok((cpu_time() - cpu_before) / f64::from(answers))
}

/// Nanoseconds that all threads of this process have run.
fn cpu_time() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// The relay proxy that the driver started.
///
/// # Errors
/// When the program is started without.
pub fn relay() -> Result<String, Failure> {
    let endpoint = std::env::args().nth(1);
    endpoint.ok_or_else(|| "run this by `cargo xtask bench peers`".into())
}
