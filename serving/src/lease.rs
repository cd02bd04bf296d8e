//! What this server has loaded, said in the registry, so that no garbage collection takes it away.

use std::collections::BTreeSet;
use std::time::Duration;

use foretell_registry::{Registry, Stamp};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::service::PredictService;

/// Well within the ten minutes that a lease lives.
const RENEW: Duration = Duration::from_secs(60);

/// The lease of one server.
pub(crate) struct Lease {
    registry: Registry,
    holder: String,
    /// What was said last, and when to say it again.
    said: BTreeSet<(String, u64)>,
    due: Instant,
}

impl Lease {
    /// A lease that says nothing yet. `name` tells this server from others.
    pub(crate) fn new(registry: &Registry, name: &str) -> Self {
        let holder = format!("{name} {} {}", std::process::id(), Clock::Real.now());
        Self {
            registry: registry.clone(),
            holder,
            said: BTreeSet::new(),
            due: Instant::now(),
        }
    }

    /// Says what is loaded, when that changed or the lease grows old. A registry that cannot be written is no reason to stop
    /// serving: it is tried again when the lease is due.
    pub(crate) async fn renew(&mut self, service: &PredictService) {
        let loaded = service.loaded();
        let nothing = loaded.is_empty() && self.said.is_empty();
        if nothing || (loaded == self.said && Instant::now() < self.due) {
            return;
        }
        let versions: Vec<(String, u64)> = loaded.iter().cloned().collect();
        let held = self.registry.hold(&self.holder, &versions, &self.stamp()).await;
        (self.said, self.due) = (loaded, Instant::now() + RENEW);
        if let Err(error) = held {
            tracing::warn!(%error, "the registry does not know what this server has loaded; a garbage collection may remove it");
        }
    }

    /// Nothing is loaded any more.
    pub(crate) async fn end(self) {
        if let Err(error) = self.registry.release(&self.holder).await {
            tracing::debug!(%error, "the lease of this server is left; it ends by itself");
        }
    }

    fn stamp(&self) -> Stamp {
        Stamp::new("foretell serve", Clock::Real.now().0)
    }
}
