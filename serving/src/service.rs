//! The one predict path: REST, gRPC, OIP, domain endpoints and `foretell predict` all call [`PredictService::predict`].
//!
//! No sockets here. A request runs on one snapshot from beginning to end; the next snapshot is made beside it and swapped in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use foretell_features::{Definitions, Offline};
use foretell_features_online::OnlineFeatures;
use foretell_registry::{ModelVersion, Registry, VersionRef};
use tokio::sync::OnceCell;

use crate::clock::Clock;
use crate::error::ServeError;
use crate::metrics::Metrics;
use crate::predict;
use crate::request::PredictRequest;
use crate::request_log::RequestLog;
use crate::response::PredictResponse;
use crate::servable::Servable;
use crate::snapshot::{CHAMPION, RefreshReport, Snapshot};

/// Versions kept loaded beside the champions; the one asked for longest ago goes first.
const ON_DEMAND: usize = 16;

/// What serving needs from the rest of the house.
#[derive(Clone)]
pub struct Dependencies {
    /// Where packages come from.
    pub registry: Arc<Registry>,
    /// Where features come from.
    pub online: OnlineFeatures,
    /// The clock for ages.
    pub clock: Clock,
    /// Where requests are logged.
    pub request_log: Option<RequestLog>,
    /// Keys of entities and views, for the feature server's routes.
    pub definitions: Arc<Definitions>,
    /// The engine behind `/materialize`; without it that answers 501.
    pub offline: Option<Arc<dyn Offline>>,
}

/// Models by name, and predictions from them. Cloning is cheap; clones share everything.
#[derive(Clone)]
pub struct PredictService {
    inner: Arc<Inner>,
}

struct Inner {
    dependencies: Dependencies,
    snapshot: ArcSwap<Snapshot>,
    on_demand: Mutex<OnDemand>,
    /// One refresh at a time.
    refreshing: tokio::sync::Mutex<()>,
    metrics: Metrics,
}

type Loading = Arc<OnceCell<Arc<Servable>>>;

#[derive(Default)]
struct OnDemand {
    loaded: BTreeMap<(String, u64, String), (u64, Loading)>,
    clock: u64,
}

impl Dependencies {
    /// A registry and an online store; no log, no definitions, no offline engine.
    pub fn new(registry: Arc<Registry>, online: OnlineFeatures, clock: Clock) -> Self {
        Self {
            registry,
            online,
            clock,
            request_log: None,
            definitions: Arc::default(),
            offline: None,
        }
    }
}

impl std::fmt::Debug for PredictService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PredictService")
            .field("snapshot", &self.inner.snapshot.load())
            .finish_non_exhaustive()
    }
}

impl PredictService {
    /// Reads the names in the registry. Packages are loaded when asked for, or all champions by [`PredictService::refresh`].
    ///
    /// # Errors
    /// The registry cannot be read.
    pub async fn new(dependencies: Dependencies) -> Result<Self, ServeError> {
        let snapshot = ArcSwap::from_pointee(Snapshot::names(&dependencies.registry).await?);
        let (on_demand, refreshing, metrics) = Default::default();
        Ok(Self {
            inner: Arc::new(Inner {
                dependencies,
                snapshot,
                on_demand,
                refreshing,
                metrics,
            }),
        })
    }

    /// Predicts with a model of the registry.
    ///
    /// # Errors
    /// The request as a whole cannot be answered: unknown model, version or input, a missing column, a store that fails.
    /// Rows that cannot be scored are no error, they have a status.
    pub async fn predict(&self, model: &str, request: PredictRequest) -> Result<PredictResponse, ServeError> {
        let wanted = request.wanted()?;
        let servable = self.servable(model, wanted.as_ref()).await?;
        self.predict_with(&servable, request).await
    }

    /// Predicts with a servable in hand.
    ///
    /// # Errors
    /// As [`PredictService::predict`].
    pub async fn predict_with(
        &self,
        servable: &Arc<Servable>,
        request: PredictRequest,
    ) -> Result<PredictResponse, ServeError> {
        let Dependencies {
            online,
            clock,
            request_log,
            ..
        } = &self.inner.dependencies;
        let now = request.as_of.unwrap_or_else(|| clock.now());
        let response = predict::predict(servable, online, &request, now, request_log.as_ref()).await?;
        self.inner.metrics.predicted(&response);
        Ok(response)
    }

    /// The loaded version that is meant; `None` is the champion.
    ///
    /// # Errors
    /// There is no such model, alias or version, or its package cannot be served.
    pub async fn servable(&self, model: &str, wanted: Option<&VersionRef>) -> Result<Arc<Servable>, ServeError> {
        let snapshot = self.inner.snapshot.load();
        let entry = snapshot.entry(model)?;
        let version = match wanted {
            None => match &entry.champion {
                Some(champion) => return Ok(Arc::clone(champion)),
                None => entry
                    .state
                    .alias(CHAMPION)
                    .map_err(|_| no_champion(model, entry.state.latest().as_ref()))?,
            },
            Some(wanted) => entry.state.resolve(wanted)?,
        };
        if let Some(champion) = entry.champion.as_ref().filter(|it| it.is(&version)) {
            return Ok(Arc::clone(champion));
        }
        if let Some(problem) = entry.problem.as_ref().filter(|it| it.version == version.version) {
            return Err(ServeError::Unavailable(format!(
                "{version} cannot be served: {}",
                problem.message
            )));
        }
        drop(snapshot);
        self.load_on_demand(version).await
    }

    /// Looks at the registry and swaps in every champion that moved. A package that cannot be loaded changes nothing.
    ///
    /// # Errors
    /// The registry cannot be read.
    pub async fn refresh(&self) -> Result<RefreshReport, ServeError> {
        let _alone = self.inner.refreshing.lock().await;
        let before = self.inner.snapshot.load_full();
        let (snapshot, report) = before.next(&self.inner.dependencies.registry).await?;
        let old = self.inner.snapshot.swap(Arc::new(snapshot));
        self.inner.metrics.refreshed(&report);
        for (version, reason) in &report.refused {
            tracing::error!(%version, %reason, "a champion cannot be loaded; what was served before goes on");
        }
        for version in &report.swapped {
            tracing::info!(%version, "champion swapped in");
        }
        // Freeing a model takes time that no I/O thread should spend.
        tokio::task::spawn_blocking(move || drop((before, old)));
        Ok(report)
    }

    /// Every version in memory: champions, and those that were asked for by name.
    pub(crate) fn loaded(&self) -> BTreeSet<(String, u64)> {
        let snapshot = self.snapshot();
        let champions = snapshot.models.values().filter_map(|it| it.champion.as_ref());
        let mut loaded: BTreeSet<_> = champions.map(|it| (it.name.clone(), it.version)).collect();
        let on_demand = self.on_demand();
        let asked = on_demand.loaded.iter().filter(|(_, (_, cell))| cell.initialized());
        loaded.extend(asked.map(|((model, version, _), _)| (model.clone(), *version)));
        loaded
    }

    /// Whether every model with a champion can answer.
    pub fn is_ready(&self) -> bool {
        self.snapshot().is_ready()
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.inner.snapshot.load_full()
    }

    pub(crate) fn dependencies(&self) -> &Dependencies {
        &self.inner.dependencies
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// Loads a version once, however many ask for it at the same time.
    async fn load_on_demand(&self, version: ModelVersion) -> Result<Arc<Servable>, ServeError> {
        let cell = self.on_demand().cell(&version);
        let registry = &self.inner.dependencies.registry;
        let load = || async { Servable::load(registry, &version).await.map(Arc::new) };
        cell.get_or_try_init(load).await.cloned()
    }

    fn on_demand(&self) -> std::sync::MutexGuard<'_, OnDemand> {
        self.inner.on_demand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OnDemand {
    fn cell(&mut self, version: &ModelVersion) -> Loading {
        self.clock += 1;
        let key = (version.model.clone(), version.version, version.digest.to_string());
        let (used, cell) = self.loaded.entry(key).or_default();
        *used = self.clock;
        let cell = Arc::clone(cell);
        while self.loaded.len() > ON_DEMAND {
            let oldest = self.loaded.iter().min_by_key(|it| it.1.0).map(|it| it.0.clone());
            oldest.and_then(|it| self.loaded.remove(&it));
        }
        cell
    }
}

fn no_champion(model: &str, latest: Option<&ModelVersion>) -> ServeError {
    let advice = match latest {
        Some(latest) => format!("promote one with `foretell models promote {model} {}`", latest.version),
        None => format!("train one with `foretell train {model}`"),
    };
    ServeError::NotFound(format!("model `{model}` has no champion; {advice}"))
}
