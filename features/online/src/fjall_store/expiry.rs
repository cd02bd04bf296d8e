//! Records whose newest event is too old go when fjall compacts their tables: no scan, no extra write.

use std::collections::HashMap;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use fjall::compaction::filter::{CompactionFilter, CompactionFilterResult, Context, Factory, ItemAccessor, Verdict};
use foretell_features::Timestamp;

use crate::record;

/// Per space, the instant before which records may go.
#[derive(Default, Clone)]
pub(super) struct Expiry {
    before: Arc<Mutex<HashMap<String, Arc<AtomicI64>>>>,
}

struct SpaceExpiry {
    before: Arc<AtomicI64>,
}

struct Filter {
    before: Timestamp,
}

/// Gives each keyspace its filter when it is made or found.
type Assigner = Arc<dyn Fn(&str) -> Option<Arc<dyn Factory>> + Send + Sync + UnwindSafe + RefUnwindSafe>;

impl Expiry {
    pub(super) fn set(&self, space: &str, before: Timestamp) {
        self.of(space).store(before.0, Ordering::Relaxed);
    }

    pub(super) fn assigner(&self) -> Assigner {
        let expiry = std::panic::AssertUnwindSafe(self.clone());
        Arc::new(move |space: &str| {
            let before = expiry.of(space);
            Some(Arc::new(SpaceExpiry { before }) as Arc<dyn Factory>)
        })
    }

    fn of(&self, space: &str) -> Arc<AtomicI64> {
        let mut spaces = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        let never = || Arc::new(AtomicI64::new(i64::MIN));
        Arc::clone(spaces.entry(space.to_owned()).or_insert_with(never))
    }
}

impl Factory for SpaceExpiry {
    fn name(&self) -> &str {
        "expiry"
    }

    fn make_filter(&self, _: &Context) -> Box<dyn CompactionFilter> {
        let before = Timestamp(self.before.load(Ordering::Relaxed));
        Box::new(Filter { before })
    }
}

impl CompactionFilter for Filter {
    fn filter_item(&mut self, item: ItemAccessor<'_>, _: &Context) -> CompactionFilterResult {
        if self.before == Timestamp(i64::MIN) {
            return Ok(Verdict::Keep);
        }
        let newest = record::newest(&item.value()?);
        let old = newest.is_some_and(|it| it < self.before);
        Ok(if old { Verdict::Remove } else { Verdict::Keep })
    }
}
