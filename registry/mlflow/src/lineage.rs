//! Whose a version's source is, and where its files lie: the rules of MLflow's `create`.

use foretell_registry::{ModelState, ModelVersion};
use foretell_tracking::LoggedModel;

use crate::Stores;
use crate::artifacts::ArtifactPath;
use crate::error::ApiError;
use crate::facts::{Facts, NewFacts};
use crate::logged::logged_model;
use crate::model_wire::latest_per_stage;
use crate::models::is_prompt;
use crate::source::{Source, Wanted, not_of};
use crate::stage::Stage;
use crate::uri::Uri;

/// What the client said; an empty id is one that was not sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claim {
    pub(crate) source: String,
    pub(crate) run_id: Option<String>,
    pub(crate) model_id: Option<String>,
}

/// What is true.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) facts: NewFacts,
    pub(crate) files: Files,
}

/// Where the files of a version to be lie.
#[derive(Debug)]
pub(crate) enum Files {
    /// Here, under this folder.
    Artifacts(ArtifactPath),
    /// In the package of another version.
    Package(Box<ModelVersion>),
    /// Where only clients read.
    Elsewhere,
}

/// Checks the claim and completes it: a copy inherits what its original said, a logged model knows its run.
pub(crate) async fn settle(stores: &Stores, claim: &Claim) -> Result<Origin, ApiError> {
    match Source::parse(&claim.source)? {
        Source::Version { name, version } => of_version(stores, claim, &name, &version).await,
        source => match &claim.model_id {
            Some(id) => of_logged_model(stores, claim, &source, id).await,
            None => of_run(stores, claim, &source).await,
        },
    }
}

async fn of_version(stores: &Stores, claim: &Claim, name: &str, wanted: &Wanted) -> Result<Origin, ApiError> {
    let model = stores.registry.model(name).await?;
    if is_prompt(model.tags()) {
        return Err(refused(
            claim,
            "Prompt versions cannot be used as model version sources.",
        ));
    }
    let original = wanted_of(&model, wanted)?;
    let facts = Facts::of(&original);
    let agrees = |said: &Option<String>, is: Option<&str>| said.as_deref().is_none_or(|it| Some(it) == is);
    if !agrees(&claim.run_id, facts.run_id()) || !agrees(&claim.model_id, facts.model_id()) {
        return Err(refused(
            claim,
            "The run_id and model_id request parameters must match the referenced model version.",
        ));
    }
    let facts = NewFacts {
        source: format!("models:/{name}/{}", original.version),
        location: facts.location().map(str::to_owned),
        run_id: facts.run_id().map(str::to_owned),
        model_id: facts.model_id().map(str::to_owned),
        ..NewFacts::default()
    };
    let files = Files::Package(Box::new(original));
    Ok(Origin { facts, files })
}

fn wanted_of(model: &ModelState, wanted: &Wanted) -> Result<ModelVersion, ApiError> {
    match wanted {
        Wanted::Ref(version) => Ok(model.resolve(version)?),
        Wanted::Stage(word) => {
            let stage = Stage::parse(word)?;
            let found = latest_per_stage(model).into_iter().find(|it| Stage::of(it) == stage);
            found.ok_or_else(|| {
                ApiError::absent(format!(
                    "No versions of model with name '{}' and stage '{word}' found",
                    model.name
                ))
            })
        }
    }
}

async fn of_logged_model(stores: &Stores, claim: &Claim, source: &Source, id: &str) -> Result<Origin, ApiError> {
    let model = logged_model(stores, id).await.map_err(|error| match source {
        Source::LoggedModel { .. } | Source::Elsewhere => error,
        _ => not_of(&claim.source, "model_id"),
    })?;
    match source {
        Source::LoggedModel { id: named } if named == id => {
            Ok(origin(claim, Some(&model), Some(model.artifact_uri.clone())))
        }
        Source::Elsewhere => Ok(origin(claim, Some(&model), Some(claim.source.clone()))),
        Source::Local | Source::Proxied if within(&claim.source, &model.artifact_uri) => {
            Ok(origin(claim, Some(&model), Some(claim.source.clone())))
        }
        Source::Local => Err(not_inside(claim, "model_id")),
        _ => Err(not_of(&claim.source, "model_id")),
    }
}

async fn of_run(stores: &Stores, claim: &Claim, source: &Source) -> Result<Origin, ApiError> {
    match source {
        Source::Elsewhere => Ok(origin(claim, None, Some(claim.source.clone()))),
        Source::Run { run, path } if claim.run_id.as_ref() == Some(run) => {
            let root = artifact_uri(stores, run).await?;
            let place = root.map(|it| format!("{}/{path}", it.trim_end_matches('/')));
            Ok(Origin {
                files: files_at(place.as_deref()),
                ..origin(claim, None, None)
            })
        }
        Source::Local | Source::Proxied => {
            let root = match &claim.run_id {
                Some(run) => artifact_uri(stores, run).await?,
                None => None,
            };
            match root {
                Some(root) if within(&claim.source, &root) => Ok(origin(claim, None, Some(claim.source.clone()))),
                _ if *source == Source::Local => Err(not_inside(claim, "run_id")),
                _ => Err(not_of(&claim.source, "run_id")),
            }
        }
        Source::LoggedModel { .. } => Err(not_of(&claim.source, "model_id")),
        _ => Err(not_of(&claim.source, "run_id")),
    }
}

/// What holds when the files are at `place`; without one they are found by the source alone.
fn origin(claim: &Claim, model: Option<&LoggedModel>, place: Option<String>) -> Origin {
    let run_of_model = || model.and_then(|it| it.source_run_id.clone());
    let facts = NewFacts {
        source: claim.source.clone(),
        location: Some(place.clone().unwrap_or_else(|| claim.source.clone())),
        run_id: claim.run_id.clone().or_else(run_of_model),
        model_id: claim.model_id.clone(),
        ..NewFacts::default()
    };
    let files = files_at(place.as_deref());
    Origin { facts, files }
}

fn files_at(place: Option<&str>) -> Files {
    place
        .and_then(ArtifactPath::of_uri)
        .map_or(Files::Elsewhere, Files::Artifacts)
}

/// Where the run's files lie; `None` for a run that is not there.
async fn artifact_uri(stores: &Stores, run: &str) -> Result<Option<String>, ApiError> {
    use foretell_tracking::TrackingError as E;
    let Ok(id) = run.parse() else { return Ok(None) };
    match stores.tracking.run(&id).await {
        Ok(run) => Ok(Some(run.info.artifact_uri)),
        Err(E::NoRun { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether a source lies under a root; a path of a machine is compared as it is written.
fn within(source: &str, root: &str) -> bool {
    let (source, root) = (Uri::parse(source), Uri::parse(root));
    if source.is_local() && root.is_local() {
        let inside = |it: &Uri<'_>| it.parts().iter().map(|it| it.to_string()).collect::<Vec<_>>();
        let (own, above) = (inside(&source), inside(&root));
        let normal = own.iter().all(|it| it != ".." && it != ".");
        let absolute = source.path.starts_with('/');
        return normal && absolute && !above.is_empty() && own.starts_with(&above);
    }
    source.is_within(&root)
}

fn not_inside(claim: &Claim, parameter: &str) -> ApiError {
    ApiError::invalid(format!(
        "Invalid model version source: '{}'. To use a local path as a model version source, the {parameter} request \
         parameter has to be specified and the local path has to be contained within the artifact directory of the run \
         specified by the {parameter}.",
        claim.source
    ))
}

fn refused(claim: &Claim, why: &str) -> ApiError {
    ApiError::invalid(format!("Invalid model version source: '{}'. {why}", claim.source))
}
