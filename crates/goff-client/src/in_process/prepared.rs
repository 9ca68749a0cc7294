//! What a flag can answer, in the form that is handed out.

use std::num::NonZero;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::thread;

use goff_core::Resolution;
use goff_engine::{__internal, Evaluation, Flag};

/// One flag of a configuration beside its compiled form.
pub(crate) struct Prepared {
    pub(crate) is_left_out: bool,
    /// Whether the flag depends on others, which the engine does not evaluate.
    pub(crate) has_needs: bool,
    answers: Answers,
    /// Those of other threads, by the threads' numbers less one. `None` if the budget was spent, which
    /// stays so as long as the flag is the same.
    copies: OnceLock<Option<Copies>>,
    /// How many bytes the copies take.
    copied: AtomicUsize,
}

type Copies = Box<[OnceLock<Box<Answers>>]>;

/// The resolutions of one flag, each made when it is first served and shared from then on.
pub(crate) struct Answers {
    pub(crate) flag_key: Arc<str>,
    resolutions: Box<[OnceLock<Arc<Resolution>>]>,
    disabled: OnceLock<Arc<Resolution>>,
}

/// How many bytes the copies of a configuration's answers may still take.
pub(crate) struct CopyBudget(AtomicUsize);

impl Prepared {
    pub(crate) fn new(flag: &Flag, is_left_out: bool) -> Self {
        Self {
            is_left_out,
            has_needs: flag.needs().len() > 0,
            answers: Answers::new(flag),
            copies: OnceLock::new(),
            copied: AtomicUsize::new(0),
        }
    }

    /// The answers of this thread. Bench row "in-process, not recorded, 2 threads": the references to
    /// an answer are counted in it, and threads that count in the same place hold each other up.
    pub(crate) fn answers(&self, flag: &Flag, budget: &CopyBudget) -> &Answers {
        self.answers_of(thread_number(), flag, budget)
    }

    fn answers_of(&self, thread: usize, flag: &Flag, budget: &CopyBudget) -> &Answers {
        let Some(copy) = thread.checked_sub(1) else {
            return &self.answers;
        };
        let copies = self.copies.get_or_init(|| {
            let others = *NUMBERS - 1;
            self.spend(others * self.answers.size_without_resolutions(), budget)
                .then(|| (0..others).map(|_| OnceLock::new()).collect())
        });
        let copy = copies.as_ref().and_then(|copies| copies.get(copy));
        copy.map_or(&self.answers, |copy| {
            copy.get_or_init(|| Box::new(Answers::new(flag)))
        })
    }

    /// The resolution of an evaluation without an error, from the answers of a thread; `make` makes
    /// one. Threads share it if the budget does not allow a copy.
    pub(crate) fn resolution<'p>(
        &'p self,
        answers: &'p Answers,
        evaluation: &Evaluation<'_>,
        budget: &CopyBudget,
        make: fn(&Evaluation<'_>) -> Resolution,
    ) -> Option<&'p Arc<Resolution>> {
        let slot = answers.slot(evaluation)?;
        Some(slot.get_or_init(|| {
            let shared = self.answers.slot(evaluation);
            let Some(shared) = shared.filter(|shared| !ptr::eq(*shared, slot)) else {
                return Arc::new(make(evaluation));
            };
            let shared = shared.get_or_init(|| Arc::new(make(evaluation)));
            match self.spend(shared.memory_size(), budget) {
                true => Arc::new(Resolution::clone(shared)),
                false => Arc::clone(shared),
            }
        }))
    }

    fn spend(&self, bytes: usize, budget: &CopyBudget) -> bool {
        let is_spent = budget.spend(bytes);
        if is_spent {
            self.copied.fetch_add(bytes, Ordering::Relaxed);
        }
        is_spent
    }

    /// Takes the copies that exist from the budget of a later configuration.
    pub(crate) fn spend_again(&self, budget: &CopyBudget) {
        budget.take(self.copied.load(Ordering::Relaxed));
    }
}

impl Answers {
    fn new(flag: &Flag) -> Self {
        Self {
            flag_key: flag.key().into(),
            resolutions: (0..__internal::answer_count(flag))
                .map(|_| OnceLock::new())
                .collect(),
            disabled: OnceLock::new(),
        }
    }

    /// The place of the resolution of an evaluation without an error.
    fn slot(&self, evaluation: &Evaluation<'_>) -> Option<&OnceLock<Arc<Resolution>>> {
        match __internal::answer(evaluation) {
            Some(answer) => self.resolutions.get(answer),
            // No answer and no error: the flag is disabled.
            None => Some(&self.disabled),
        }
    }

    /// About how many bytes a copy takes before its first evaluation.
    fn size_without_resolutions(&self) -> usize {
        const ALLOCATIONS: usize = 3 * 16;
        size_of::<OnceLock<Box<Self>>>()
            + size_of::<Self>()
            + size_of_val(&*self.resolutions)
            + self.flag_key.len()
            + ALLOCATIONS
    }
}

impl CopyBudget {
    fn spend(&self, bytes: usize) -> bool {
        let left = |left: usize| left.checked_sub(bytes);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left)
            .is_ok()
    }

    /// Spends what is spent already, whether there is as much or not.
    fn take(&self, bytes: usize) {
        let left = |left: usize| Some(left.saturating_sub(bytes));
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
    }
}

impl Default for CopyBudget {
    fn default() -> Self {
        Self(AtomicUsize::new(MOST_COPIES))
    }
}

/// A number below [`NUMBERS`]. Threads of the same number share answers.
fn thread_number() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static NUMBER: usize = THREADS.fetch_add(1, Ordering::Relaxed) % *NUMBERS);
    // A thread that is ending has none any more.
    NUMBER.try_with(|number| *number).unwrap_or(0)
}

/// As many as threads can run at the same time.
static NUMBERS: LazyLock<usize> =
    LazyLock::new(|| thread::available_parallelism().map_or(1, NonZero::get));

/// The copies of a configuration's answers take at most 16 MB. Answers given later are shared.
const MOST_COPIES: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use goff_core::Reason;
    use goff_engine::{FlagContext, Timestamp};
    use serde_json::{Map, Value, json};

    use super::*;

    fn flag_of(value: &Value) -> Flag {
        let flag = json!({"variations": {"a": value}, "defaultRule": {"variation": "a"}});
        Flag::from_json("flag", flag.to_string().as_bytes())
    }

    fn make(evaluation: &Evaluation<'_>) -> Resolution {
        Resolution::new(evaluation.value.clone(), Reason::Static)
    }

    /// What a thread with this number gets.
    fn evaluate(
        prepared: &Prepared,
        flag: &Flag,
        thread: usize,
        budget: &CopyBudget,
    ) -> Arc<Resolution> {
        let (attributes, context) = (Map::new(), FlagContext::default());
        let evaluation = flag.evaluate(&attributes, &context, Timestamp::from_unix_seconds(0));
        let answers = prepared.answers_of(thread, flag, budget);
        assert_eq!(&*answers.flag_key, "flag");
        let resolution = prepared.resolution(answers, &evaluation, budget, make);
        let resolution = Arc::clone(resolution.unwrap());
        assert_eq!(resolution.value, *evaluation.value);
        resolution
    }

    fn spent(budget: &CopyBudget) -> usize {
        MOST_COPIES - budget.0.load(Ordering::Relaxed)
    }

    /// A list of small objects takes 80 times its text.
    #[test]
    fn copies_take_no_more_than_the_budget() {
        let flags = [json!("text"), json!(vec![json!({"a": 1}); 1_000])];
        for (value, least) in flags.iter().zip([0, 600_000]) {
            let flag = flag_of(value);
            let prepared: Vec<_> = (0..10).map(|_| Prepared::new(&flag, false)).collect();
            let whole = CopyBudget::default();
            let copy = evaluate(&prepared[0], &flag, 1, &whole);
            if *NUMBERS == 1 {
                assert_eq!(spent(&whole), 0);
                continue;
            }
            let one = spent(&whole);
            let skeletons = prepared[0].answers.size_without_resolutions() * (*NUMBERS - 1);
            assert_eq!(one, copy.memory_size() + skeletons);
            assert!(copy.memory_size() > least);
            let budget = CopyBudget(AtomicUsize::new(one * 3 + one / 2));
            let is_copied = |prepared: &&Prepared| {
                let copy = evaluate(prepared, &flag, 1, &budget);
                assert!(Arc::ptr_eq(&copy, &evaluate(prepared, &flag, 1, &budget)));
                !Arc::ptr_eq(&copy, &evaluate(prepared, &flag, 0, &budget))
            };
            assert_eq!(prepared[1..].iter().filter(is_copied).count(), 3);

            // A later configuration has the copies too.
            let later = CopyBudget::default();
            prepared[1..]
                .iter()
                .for_each(|kept| kept.spend_again(&later));
            let left = budget.0.load(Ordering::Relaxed);
            assert_eq!(spent(&later), one * 3 + one / 2 - left);
            let small = CopyBudget(AtomicUsize::new(one / 2));
            prepared[0].spend_again(&small);
            assert_eq!(small.0.load(Ordering::Relaxed), 0);
        }
    }

    #[test]
    fn threads_that_evaluate_first_together_spend_once() {
        let flag = flag_of(&json!(1));
        let (alone, first) = (CopyBudget::default(), Prepared::new(&flag, false));
        evaluate(&first, &flag, 1, &alone);
        let prepared: Vec<_> = (0..10_000).map(|_| Prepared::new(&flag, false)).collect();
        let enough = 2 * prepared.len() * spent(&alone);
        let budget = CopyBudget(AtomicUsize::new(enough));
        let start = Barrier::new(2);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    start.wait();
                    for prepared in &prepared {
                        evaluate(prepared, &flag, 1, &budget);
                    }
                });
            }
        });
        let left = budget.0.load(Ordering::Relaxed);
        assert_eq!(enough - left, prepared.len() * spent(&alone));
    }

    #[test]
    fn threads_that_run_together_have_different_numbers() {
        let numbers = || -> Vec<usize> {
            let start = Barrier::new(*NUMBERS);
            thread::scope(|scope| {
                let number = || {
                    start.wait();
                    thread_number()
                };
                let threads: Vec<_> = (0..*NUMBERS).map(|_| scope.spawn(number)).collect();
                let numbers = threads.into_iter().map(|thread| thread.join().unwrap());
                numbers.collect()
            })
        };
        // Other tests start threads too; one try in many is alone.
        let is_whole = |mut numbers: Vec<usize>| {
            numbers.sort_unstable();
            numbers == (0..*NUMBERS).collect::<Vec<_>>()
        };
        assert!((0..1_000).any(|_| is_whole(numbers())));
    }
}
