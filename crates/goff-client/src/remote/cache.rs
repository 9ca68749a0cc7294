//! Answers of the relay proxy, cached for equal evaluations until they expire or their flag changes.

use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use goff_core::__internal::{CacheKey, CacheKeyRef};
use goff_core::{Invalidation, Reason, Resolution};
use moka::Equivalent;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::remote::invalidation_log::{Epoch, InvalidationLog};

/// A least-recently-used cache with a time limit (GOFF-CACHE-001). Epochs keep an answer from
/// surviving a change of its flag.
pub(crate) struct ResolutionCache {
    store: Cache<CacheKey, CachedResolution, BuildHasherDefault<AlreadyHashed>>,
    invalidations: InvalidationLog,
}

/// The size and age limits of a cache.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CacheLimits {
    pub(crate) size: u64,
    /// `None` means no expiry (GOFF-CACHE-002).
    pub(crate) ttl: Option<Duration>,
}

/// An answer as later callers get it.
#[derive(Debug, Clone)]
pub(crate) struct CachedResolution {
    pub(crate) flag_key: Arc<str>,
    pub(crate) resolution: Arc<Resolution>,
    epoch: Epoch,
}

impl ResolutionCache {
    /// `evictions` counts the answers that are dropped for size or age.
    pub(crate) fn new(limits: CacheLimits, evictions: Arc<AtomicU64>) -> Self {
        let mut builder = Cache::builder()
            .max_capacity(limits.size)
            .eviction_policy(EvictionPolicy::lru())
            .eviction_listener(move |_, _, cause| {
                if cause.was_evicted() {
                    evictions.fetch_add(1, Ordering::Relaxed);
                }
            });
        if let Some(ttl) = limits.ttl {
            builder = builder.time_to_live(ttl);
        }
        Self {
            store: builder.build_with_hasher(BuildHasherDefault::default()),
            invalidations: InvalidationLog::default(),
        }
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
    /// since (GOFF-CACHE-005). `cached` is the answer as later callers get it.
    pub(crate) fn put(
        &self,
        key: CacheKey,
        flag_key: &Arc<str>,
        cached: &Arc<Resolution>,
        epoch: Epoch,
    ) {
        if cached.cacheable && self.is_fresh(flag_key, epoch) {
            let cached = CachedResolution {
                flag_key: Arc::clone(flag_key),
                resolution: Arc::clone(cached),
                epoch,
            };
            self.store.insert(key, cached);
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
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use goff_core::EvaluationContext;

    use super::*;

    fn cache(size: u64, ttl: Option<Duration>) -> ResolutionCache {
        ResolutionCache::new(CacheLimits { size, ttl }, Arc::default())
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
        cache.put(
            key.to_owned_key(&context),
            &flag_key.into(),
            &resolution.into(),
            epoch,
        );
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
        let cache =
            ResolutionCache::new(CacheLimits { size: 3, ttl: None }, Arc::clone(&evictions));
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
        let deadline = std::time::Instant::now() + Duration::from_secs(5);
        while has(&brief, "a", 1) {
            assert!(std::time::Instant::now() < deadline, "it never expires");
            std::thread::yield_now();
        }
        assert!(has(&endless, "a", 1));
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
