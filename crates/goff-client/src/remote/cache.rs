//! Answers of the relay proxy, cached for equal evaluations until they expire or their flag changes.

use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use goff_core::__internal::{CacheKey, CacheKeyRef, random_u64, shortened};
use goff_core::{Invalidation, Reason, Resolution};
use moka::Equivalent;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::remote::invalidation_log::{Epoch, InvalidationLog};

/// A least-recently-used cache with a time limit (GOFF-CACHE-001). Epochs keep an answer from
/// surviving a change of its flag.
pub(crate) struct ResolutionCache {
    store: Cache<CacheKey, CachedResolution, BuildHasherDefault<AlreadyHashed>>,
    ttl: Option<Duration>,
    stale_for: Option<Duration>,
    bytes: Arc<AtomicU64>,
    /// The limit and a little more, so that not every insertion evicts.
    most_bytes: u64,
    invalidations: InvalidationLog,
}

/// The size and age limits of a cache.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CacheLimits {
    pub(crate) size: u64,
    pub(crate) bytes: u64,
    /// `None` means no expiry (GOFF-CACHE-002).
    pub(crate) ttl: Option<Duration>,
    /// How long an expired answer is kept for the time when the relay proxy cannot answer.
    pub(crate) stale_for: Option<Duration>,
}

/// An answer as later callers get it.
#[derive(Debug, Clone)]
pub(crate) struct CachedResolution {
    pub(crate) flag_key: Arc<str>,
    pub(crate) resolution: Arc<Resolution>,
    epoch: Epoch,
    /// The number of the request, in the order in which requests began.
    request: u64,
    since: Instant,
    /// `None` means no expiry.
    serve_until: Option<Instant>,
    bytes: u32,
}

impl ResolutionCache {
    /// `evictions` counts the answers that are dropped for size or age.
    pub(crate) fn new(limits: CacheLimits, evictions: Arc<AtomicU64>) -> Self {
        let bytes = Arc::new(AtomicU64::new(0));
        // moka has one limit. Where an answer weighs its share at least, it bounds the number too.
        let share = (limits.bytes / limits.size).clamp(1, u32::MAX.into());
        let least = u32::try_from(share).unwrap_or(u32::MAX);
        let held = Arc::clone(&bytes);
        let mut builder = Cache::builder()
            .max_capacity(limits.bytes.min(share.saturating_mul(limits.size)))
            .weigher(move |_, cached: &CachedResolution| cached.bytes.max(least))
            .eviction_policy(EvictionPolicy::lru())
            .eviction_listener(move |_, cached, cause| {
                held.fetch_sub(cached.bytes.into(), Ordering::Relaxed);
                if cause.was_evicted() {
                    evictions.fetch_add(1, Ordering::Relaxed);
                }
            });
        if let Some(ttl) = limits.ttl {
            let stale_for = limits.stale_for.unwrap_or_default();
            builder = builder.time_to_live(ttl.saturating_add(stale_for));
        }
        Self {
            store: builder.build_with_hasher(BuildHasherDefault::default()),
            ttl: limits.ttl,
            stale_for: limits.stale_for,
            bytes,
            most_bytes: limits.bytes.saturating_add(limits.bytes / 16),
            invalidations: InvalidationLog::default(),
        }
    }

    /// About how many bytes of memory the answers keep.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The fresh answer for this key.
    pub(crate) fn get(&self, key: &CacheKey) -> Option<CachedResolution> {
        self.store.get(key).filter(|cached| self.serves(cached))
    }

    /// As [`get`](Self::get), without copying flag key and context.
    pub(crate) fn get_ref(&self, key: CacheKeyRef<'_>) -> Option<CachedResolution> {
        let found = self.store.get(&LookUp(key));
        found.filter(|cached| self.serves(cached))
    }

    /// A stale answer is not removed: a newer one may have replaced it by now, and would be lost.
    fn serves(&self, cached: &CachedResolution) -> bool {
        self.is_fresh(&cached.flag_key, cached.epoch)
            && cached.serve_until.is_none_or(|end| Instant::now() < end)
    }

    pub(crate) fn serves_stale(&self) -> bool {
        self.stale_for.is_some()
    }

    /// The answer for this key, expired or not, with reason `STALE` and its age. Its flag has not
    /// changed since, as far as is known.
    pub(crate) fn get_stale(&self, key: &CacheKey) -> Option<Arc<Resolution>> {
        let limit = self.ttl?.saturating_add(self.stale_for?);
        let cached = self.store.get(key)?;
        let age = cached.since.elapsed();
        (self.is_fresh(&cached.flag_key, cached.epoch) && age < limit)
            .then(|| stale_form(&cached.resolution, age))
    }

    /// The epoch of a request that starts now.
    pub(crate) fn epoch(&self) -> Epoch {
        self.invalidations.now()
    }

    /// Whether an answer for the flag, requested in `epoch`, may still be served.
    pub(crate) fn is_fresh(&self, flag_key: &str, epoch: Epoch) -> bool {
        self.invalidations.is_fresh(flag_key, epoch)
    }

    /// Caches an answer if the relay proxy marked it cacheable and its flag was not invalidated
    /// since (GOFF-CACHE-005). `cached` is the answer as later callers get it; `request` is its number,
    /// in the order in which requests began.
    pub(crate) fn put(&self, key: CacheKey, cached: &Arc<Resolution>, epoch: Epoch, request: u64) {
        let flag_key = Arc::clone(key.flag_key());
        if !cached.cacheable || !self.is_fresh(&flag_key, epoch) {
            return;
        }
        let bytes = BOOKKEEPING + key.memory_size() + cached.memory_size();
        if bytes > LARGEST {
            tracing::debug!(%flag_key, bytes, "answer too large for the cache");
            return;
        }
        let now = Instant::now();
        let cached = CachedResolution {
            flag_key,
            resolution: Arc::clone(cached),
            epoch,
            request,
            since: now,
            // moka could do this, but with a time for each answer it takes 30 % longer to find one.
            serve_until: self
                .ttl
                .and_then(|ttl| now.checked_add(shortened(ttl, random_u64()))),
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
        };
        // Each runtime sends its own request, and a slow answer may come after a newer one.
        self.store.entry(key).and_compute_with(|held| {
            if held.is_some_and(|held| held.value().request > request) {
                return Op::Nop;
            }
            self.bytes.fetch_add(cached.bytes.into(), Ordering::Relaxed);
            Op::Put(cached)
        });
        // moka evicts after some hundred insertions, which may be many bytes.
        if self.bytes() > self.most_bytes {
            self.store.run_pending_tasks();
        }
    }

    /// Once this returns, no older answer is served for the flags.
    pub(crate) fn invalidate(&self, invalidation: &Invalidation) {
        self.invalidations.note(invalidation);
        if !matches!(invalidation, Invalidation::Flags(_)) {
            self.store.invalidate_all();
        }
    }
}

/// The contexts of users are in the keys.
impl fmt::Debug for ResolutionCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResolutionCache")
            .field("entries", &self.store.entry_count())
            .finish_non_exhaustive()
    }
}

/// An answer as all callers but the first get it: with reason `CACHED`, unless the flag is
/// disabled (docs/python-parity.md C4, GOFF-CACHE-007).
pub(crate) fn cached_form(resolution: &Arc<Resolution>) -> Arc<Resolution> {
    if resolution.is_disabled() {
        return Arc::clone(resolution);
    }
    Arc::new(Resolution::clone(resolution).with_reason(Reason::Cached))
}

/// A cached answer as it is served while the relay proxy cannot answer. A disabled flag stays
/// disabled.
fn stale_form(cached: &Arc<Resolution>, age: Duration) -> Arc<Resolution> {
    let mut stale = Resolution::clone(cached);
    if !stale.is_disabled() {
        stale.reason = Reason::Stale;
    }
    stale
        .metadata
        .insert(AGE_SECONDS.to_owned(), age.as_secs().into());
    Arc::new(stale)
}

/// The metadata entry of a stale answer: the whole seconds since the relay proxy gave it.
const AGE_SECONDS: &str = "gofeatureflag_age_seconds";

/// What the cache keeps for each answer beside key and value.
const BOOKKEEPING: usize = 300;

/// The largest answer that is cached (64 KiB). Few of them would displace all others.
const LARGEST: usize = 64 * 1024;

struct LookUp<'a>(CacheKeyRef<'a>);

impl Hash for LookUp<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Equivalent<CacheKey> for LookUp<'_> {
    fn equivalent(&self, key: &CacheKey) -> bool {
        self.0.matches(key)
    }
}

/// Passes on the hash of a key, which is seeded and of good quality.
#[derive(Debug, Default)]
struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        // moka hashes a key alone, and beside its kind of operation.
        self.0 ^= hash;
    }
}

#[cfg(test)]
mod tests {
    use goff_core::EvaluationContext;

    use super::*;

    fn limits(size: u64, ttl: Option<Duration>) -> CacheLimits {
        let bytes = u64::MAX;
        CacheLimits {
            size,
            bytes,
            ttl,
            stale_for: None,
        }
    }

    fn cache(size: u64, ttl: Option<Duration>) -> ResolutionCache {
        ResolutionCache::new(limits(size, ttl), Arc::default())
    }

    fn context(n: i64) -> EvaluationContext {
        EvaluationContext::builder().attribute("n", n).build()
    }

    fn resolution() -> Resolution {
        Resolution::new(true, Reason::Static).with_cacheable(true)
    }

    fn put(cache: &ResolutionCache, flag_key: &str, n: i64, epoch: Epoch) {
        put_resolution(cache, resolution(), flag_key, n, epoch);
    }

    fn put_resolution(
        cache: &ResolutionCache,
        resolution: Resolution,
        flag_key: &str,
        n: i64,
        epoch: Epoch,
    ) {
        let context = context(n);
        let key = CacheKeyRef::new(flag_key, &context).unwrap();
        cache.put(key.to_owned_key(&context), &resolution.into(), epoch, 0);
    }

    fn has(cache: &ResolutionCache, flag_key: &str, n: i64) -> bool {
        let context = context(n);
        let key = CacheKeyRef::new(flag_key, &context).unwrap();
        cache.get_ref(key).is_some()
    }

    fn flags(flag_key: &str) -> Invalidation {
        Invalidation::Flags([flag_key.to_owned()].into())
    }

    #[test]
    fn answer_is_found_by_an_equal_evaluation_only() {
        let cache = cache(100, None);
        put(&cache, "a", 1, cache.epoch());
        assert!(has(&cache, "a", 1));
        assert!(!has(&cache, "a", 2));
        assert!(!has(&cache, "b", 1));
    }

    #[test]
    fn invalidation_of_one_flag_leaves_the_others() {
        let cache = cache(100, None);
        put(&cache, "a", 1, cache.epoch());
        put(&cache, "b", 1, cache.epoch());
        cache.invalidate(&flags("a"));
        assert!(!has(&cache, "a", 1));
        assert!(has(&cache, "b", 1));
        put(&cache, "a", 1, cache.epoch());
        assert!(has(&cache, "a", 1));
        cache.invalidate(&Invalidation::All);
        assert!(!has(&cache, "a", 1));
        assert!(!has(&cache, "b", 1));
    }

    /// docs/python-parity.md C19: an answer that was on its way when its flag changed.
    #[test]
    fn answer_older_than_an_invalidation_is_not_kept() {
        let cache = cache(100, None);
        let epoch = cache.epoch();
        cache.invalidate(&flags("a"));
        put(&cache, "a", 1, epoch);
        put(&cache, "b", 1, epoch);
        assert!(!has(&cache, "a", 1));
        assert!(has(&cache, "b", 1));
    }

    /// GOFF-CACHE-005.
    #[test]
    fn answer_that_is_not_cacheable_is_not_kept() {
        let cache = cache(100, None);
        let fleeting = resolution().with_cacheable(false);
        put_resolution(&cache, fleeting, "a", 1, cache.epoch());
        assert!(!has(&cache, "a", 1));
    }

    /// GOFF-CACHE-001, GOFF-CACHE-006: the least recently used answer goes.
    #[test]
    fn size_limit_drops_the_least_recently_used() {
        let evictions = Arc::default();
        let cache = ResolutionCache::new(limits(3, None), Arc::clone(&evictions));
        for n in 0..3 {
            put(&cache, "a", n, cache.epoch());
            cache.store.run_pending_tasks();
        }
        assert!(has(&cache, "a", 0));
        cache.store.run_pending_tasks();
        put(&cache, "a", 3, cache.epoch());
        cache.store.run_pending_tasks();
        let left: Vec<bool> = (0..4).map(|n| has(&cache, "a", n)).collect();
        assert_eq!(left, [true, false, true, true]);
        assert_eq!(evictions.load(Ordering::Relaxed), 1);
    }

    /// GOFF-CACHE-002, GOFF-CACHE-006. moka has its own clock, so this test waits in real time.
    #[test]
    fn expired_answer_is_not_served() {
        let brief = cache(100, Some(Duration::from_millis(30)));
        let endless = cache(100, None);
        for cache in [&brief, &endless] {
            put(cache, "a", 1, cache.epoch());
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        while has(&brief, "a", 1) {
            assert!(Instant::now() < deadline, "it never expires");
            std::thread::yield_now();
        }
        assert!(has(&endless, "a", 1));
    }

    /// The bytes of contexts and answers together, whatever the limit of answers allows.
    #[test]
    fn limit_of_bytes_drops_the_least_recently_used() {
        let size_of_one = |length: usize| {
            let cache = cache(100, None);
            put_resolution(&cache, resolution_of(length), "a", 1, cache.epoch());
            cache.bytes()
        };
        assert!(size_of_one(9_000) >= size_of_one(1_000) + 8_000);
        for (length, most) in [(1_000, 20), (9_000, 4), (30_000, 1)] {
            // Rounded down to a multiple of the number of answers.
            let bytes = size_of_one(length) * most + 100;
            let limits = CacheLimits {
                size: 100,
                bytes,
                ttl: None,
                stale_for: None,
            };
            let cache = ResolutionCache::new(limits, Arc::default());
            for n in 0..50 {
                put_resolution(&cache, resolution_of(length), "a", n, cache.epoch());
                cache.store.run_pending_tasks();
                assert!(cache.bytes() <= bytes, "{length}");
            }
            let first_left = 50 - i64::try_from(most).unwrap();
            let left: Vec<_> = (0..50).filter(|n| has(&cache, "a", *n)).collect();
            assert_eq!(left, (first_left..50).collect::<Vec<_>>(), "{length}");
            cache.invalidate(&Invalidation::All);
            cache.store.run_pending_tasks();
            assert_eq!(cache.bytes(), 0);
        }
    }

    /// Small answers weigh their share, so that the limit of answers holds too.
    #[test]
    fn number_of_answers_is_limited_exactly_with_any_limit_of_bytes() {
        for bytes in [10_000, 64 * 1024 * 1024, u64::MAX] {
            let limits = CacheLimits {
                size: 7,
                bytes,
                ttl: None,
                stale_for: None,
            };
            let cache = ResolutionCache::new(limits, Arc::default());
            for n in 0..20 {
                put(&cache, "a", n, cache.epoch());
                cache.store.run_pending_tasks();
            }
            let left: Vec<_> = (0..20).filter(|n| has(&cache, "a", *n)).collect();
            assert_eq!(left, (13..20).collect::<Vec<_>>(), "{bytes}");
        }
    }

    #[test]
    fn answer_and_context_beyond_a_size_are_not_kept() {
        let cache = cache(100, None);
        put_resolution(&cache, resolution_of(64_000), "a", 1, cache.epoch());
        assert!(has(&cache, "a", 1));
        put_resolution(&cache, resolution_of(LARGEST), "b", 1, cache.epoch());
        assert!(!has(&cache, "b", 1));
        let flag_key = "c".repeat(LARGEST);
        put(&cache, &flag_key, 1, cache.epoch());
        assert!(!has(&cache, &flag_key, 1));
        let context = EvaluationContext::builder().attribute("bio", "x".repeat(LARGEST));
        let context = context.build();
        let key = CacheKeyRef::new("d", &context).unwrap();
        let answer = Arc::new(resolution());
        let owned = key.to_owned_key(&context);
        cache.put(owned, &answer, cache.epoch(), 0);
        assert!(cache.get_ref(key).is_none());
    }

    fn resolution_of(length: usize) -> Resolution {
        resolution().with_value("x".repeat(length))
    }

    #[test]
    fn slow_answer_does_not_replace_that_of_a_later_request() {
        let cache = cache(10, None);
        let context = context(1);
        let key = CacheKeyRef::new("a", &context).unwrap();
        for (request, served) in [(2, 2), (1, 2), (3, 3)] {
            let answer = resolution().with_value(request).into();
            let owned = key.to_owned_key(&context);
            cache.put(owned, &answer, cache.epoch(), request);
            let cached = cache.get_ref(key).unwrap();
            assert_eq!(cached.resolution.value, serde_json::Value::from(served));
        }
    }

    /// Two runtimes get answers for one key in the same moment.
    #[test]
    fn older_answer_does_not_replace_a_newer_one_that_comes_at_the_same_time() {
        let cache = cache(10, None);
        let context = context(1);
        let key = CacheKeyRef::new("a", &context).unwrap();
        let answer = Arc::new(resolution());
        let start = std::sync::Barrier::new(2);
        let put_each = |first: u64| {
            for round in 0..10_000 {
                start.wait();
                let owned = key.to_owned_key(&context);
                let request = round * 2 + (first + round) % 2;
                cache.put(owned, &answer, cache.epoch(), request);
                start.wait();
                let newest = cache.get_ref(key).unwrap().request;
                assert_eq!(newest, round * 2 + 1);
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| put_each(0));
            put_each(1);
        });
    }

    /// Answers that were cached together are not asked for again together, and none is served for
    /// longer than the limit.
    #[test]
    fn answers_cached_together_expire_apart() {
        let ttl = Duration::from_secs(2);
        assert_eq!(shortened(ttl, 0), ttl);
        assert!(shortened(ttl, u64::MAX) < ttl * 7 / 10);
        assert!(shortened(Duration::MAX, u64::MAX) < Duration::MAX);
        let cache = cache(1_000, Some(ttl));
        let start = Instant::now();
        for n in 0..200 {
            put(&cache, "a", n, cache.epoch());
        }
        let end = Instant::now() + ttl;
        let mut counts = Vec::new();
        loop {
            let is_over = Instant::now() >= end;
            let before = start.elapsed() < ttl * 6 / 10;
            let count = (0..200).filter(|n| has(&cache, "a", *n)).count();
            assert!(!before || start.elapsed() >= ttl * 6 / 10 || count == 200);
            counts.push(count);
            if is_over {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(counts.last(), Some(&0));
        let apart = counts.iter().filter(|count| (20..180).contains(*count));
        assert!(apart.count() > 5, "{counts:?}");
    }

    /// moka's clock cannot be paused. GOFF-CACHE-006.
    #[test]
    fn expired_answer_is_stale_until_its_flag_changes_or_it_is_too_old() {
        let ttl = Duration::from_millis(20);
        let limits = |stale_for| CacheLimits {
            stale_for,
            ..limits(100, Some(ttl))
        };
        let key = |n| {
            let context = context(n);
            let key = CacheKeyRef::new("a", &context).unwrap();
            key.to_owned_key(&context)
        };
        let minute = Duration::from_secs(60);
        let cache = ResolutionCache::new(limits(Some(minute)), Arc::default());
        let start = Instant::now();
        put(&cache, "a", 1, cache.epoch());
        let disabled = Resolution::new((), Reason::Disabled).with_cacheable(true);
        put_resolution(&cache, disabled, "a", 2, cache.epoch());
        put(&cache, "b", 1, cache.epoch());
        // The age is in whole seconds.
        loop {
            let stale = cache.get_stale(&key(1)).unwrap();
            assert_eq!(
                (&stale.reason, &stale.value),
                (&Reason::Stale, &true.into())
            );
            let age = stale.metadata.get(AGE_SECONDS).and_then(|age| age.as_u64());
            let age = age.unwrap();
            assert!(age <= start.elapsed().as_secs());
            if age == 1 {
                break;
            }
            assert!(start.elapsed() < minute / 2);
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(!has(&cache, "a", 1));
        assert_eq!(cache.get_stale(&key(2)).unwrap().reason, Reason::Disabled);
        assert!(cache.get_stale(&key(3)).is_none());
        cache.invalidate(&flags("b"));
        assert!(cache.get_stale(&key(1)).is_some());
        cache.invalidate(&flags("a"));
        assert!(cache.get_stale(&key(1)).is_none());
        let stale_for = Duration::from_millis(50);
        let short = ResolutionCache::new(limits(Some(stale_for)), Arc::default());
        let start = Instant::now();
        put(&short, "a", 1, short.epoch());
        while short.get_stale(&key(1)).is_some() {
            assert!(start.elapsed() < minute / 2);
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(start.elapsed() >= ttl + stale_for);
        let strict = ResolutionCache::new(limits(None), Arc::default());
        put(&strict, "a", 1, strict.epoch());
        assert!(strict.get_stale(&key(1)).is_none());
    }

    /// docs/python-parity.md C4, docs/python-parity.md C26.
    #[test]
    fn cached_form_has_reason_cached_unless_disabled() {
        let full = Arc::new(resolution().with_variant("A").with_version("1"));
        let cached = cached_form(&full);
        assert_eq!(cached.reason, Reason::Cached);
        let cached = Resolution::clone(&cached);
        assert_eq!(cached.with_reason(Reason::Static), *full);
        let disabled = Arc::new(Resolution::new((), Reason::Disabled));
        assert_eq!(cached_form(&disabled).reason, Reason::Disabled);
    }
}
