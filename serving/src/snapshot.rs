//! What is served now: all models of the registry with their champions loaded, replaced as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use foretell_registry::{ModelState, ModelVersion, Registry, RegistryError};

use crate::endpoints::EndpointTable;
use crate::error::{ServeError, hint};
use crate::servable::Servable;

/// The alias that requests mean when they name none.
pub(crate) const CHAMPION: &str = "champion";

/// All models at one moment.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) models: BTreeMap<String, Entry>,
    pub(crate) endpoints: EndpointTable,
}

/// One model of the registry.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) state: ModelState,
    /// The loaded champion: the newest that could be loaded.
    pub(crate) champion: Option<Arc<Servable>>,
    /// Why the champion of the registry is not the one that is served.
    pub(crate) problem: Option<Problem>,
}

/// A version that could not be loaded. It is not tried again until the alias moves or the server starts again.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) version: u64,
    pub(crate) message: String,
    /// Whether trying again may help: the store was not reachable, say.
    transient: bool,
    /// Whether it is of another format, which says nothing about this server.
    foreign: bool,
}

/// What a refresh did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RefreshReport {
    /// Champions that answer from now on, `churn@3`.
    pub swapped: Vec<String>,
    /// Champions that could not be loaded, with the reason; what was served before goes on.
    pub refused: Vec<(String, String)>,
}

impl Snapshot {
    /// The names and versions in the registry, nothing loaded.
    pub(crate) async fn names(registry: &Registry) -> Result<Self, RegistryError> {
        let entry = |state: ModelState| {
            (
                state.name.clone(),
                Entry {
                    state,
                    champion: None,
                    problem: None,
                },
            )
        };
        let models = registry.list_models().await?.into_iter().map(entry).collect();
        Ok(Self {
            models,
            endpoints: EndpointTable::default(),
        })
    }

    /// The snapshot after this one: champions that moved are loaded, what cannot be loaded changes nothing but the report.
    pub(crate) async fn next(&self, registry: &Registry) -> Result<(Self, RefreshReport), RegistryError> {
        let mut report = RefreshReport::default();
        let mut models = BTreeMap::new();
        for state in registry.list_models().await? {
            let name = state.name.clone();
            let entry = self.next_entry(registry, state, &mut report).await;
            models.insert(name, entry);
        }
        let champions = models.values().filter_map(|it: &Entry| it.champion.as_ref());
        let endpoints = EndpointTable::of(champions);
        Ok((Self { models, endpoints }, report))
    }

    async fn next_entry(&self, registry: &Registry, state: ModelState, report: &mut RefreshReport) -> Entry {
        let old = self.models.get(&state.name);
        let served = old.and_then(|it| it.champion.clone());
        let Ok(version) = state.alias(CHAMPION) else {
            return Entry {
                state,
                champion: None,
                problem: None,
            };
        };
        if served.as_ref().is_some_and(|it| it.is(&version)) {
            return Entry {
                state,
                champion: served,
                problem: None,
            };
        }
        let known = old.and_then(|it| it.problem.clone());
        if let Some(problem) = known.filter(|it| it.version == version.version && !it.transient) {
            return Entry {
                state,
                champion: served,
                problem: Some(problem),
            };
        }
        match Servable::load(registry, &version).await {
            Ok(servable) => {
                report.swapped.push(version.to_string());
                Entry {
                    state,
                    champion: Some(Arc::new(servable)),
                    problem: None,
                }
            }
            Err(error) => {
                let problem = Problem::new(&version, &error);
                if problem.foreign {
                    tracing::info!(%version, "{}", problem.message);
                } else {
                    report.refused.push((version.to_string(), problem.message.clone()));
                }
                Entry {
                    state,
                    champion: served,
                    problem: Some(problem),
                }
            }
        }
    }

    /// Whether something that failed for now should be tried again, though nobody committed anything.
    pub(crate) fn wants_retry(&self) -> bool {
        self.models
            .values()
            .any(|it| it.problem.as_ref().is_some_and(|it| it.transient))
    }

    /// Whether every model with a champion that is ours to serve can answer.
    pub(crate) fn is_ready(&self) -> bool {
        let at_fault = |it: &Problem| !it.foreign;
        self.models
            .values()
            .all(|it| it.champion.is_some() || !it.problem.as_ref().is_some_and(at_fault))
    }

    pub(crate) fn entry(&self, model: &str) -> Result<&Entry, ServeError> {
        let unknown = || {
            let hint = hint(model, self.models.keys().map(String::as_str));
            ServeError::NotFound(format!("unknown model `{model}`{hint}"))
        };
        self.models.get(model).ok_or_else(unknown)
    }
}

impl Problem {
    fn new(version: &ModelVersion, error: &ServeError) -> Self {
        let transient = matches!(error, ServeError::Registry(RegistryError::Storage { .. }));
        Self {
            version: version.version,
            message: error.to_string(),
            transient,
            foreign: matches!(error, ServeError::Foreign(_)),
        }
    }
}
