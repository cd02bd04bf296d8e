//! Registering a version: its source is checked, its files are taken into a package, so that it can be verified,
//! described, exported and promoted like one that Foretell trained.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use foretell_registry::{ModelVersion, PublishRequest, Signature, StreamedFile, check_tag};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use crate::args::Args;
use crate::artifacts::{ArtifactPath, StoredFile};
use crate::error::{ApiError, ApiResult};
use crate::facts::{Facts, NewFacts, package_uri};
use crate::lineage::{Claim, Files, Origin, settle};
use crate::logged::note_version;
use crate::models::is_prompt;
use crate::{Caller, Shared, Stores, model_wire, models, versions};

/// Larger sources stay where they are and are only referred to.
const MAX_PACKAGE: u64 = 2 * 1024 * 1024 * 1024;
/// Files read at a time.
const AT_ONCE: usize = 4;
/// Prompts have no files; their clients say one of these.
const PROMPT_SOURCES: [&str; 2] = ["dummy-source", "prompt-template"];
/// Tells MLflow's users what the metadata tells ours.
const FILES_TAG: &str = "foretell.files";

/// POST model-versions/create
pub(crate) async fn create(State(stores): Shared, caller: Caller, args: Args) -> ApiResult {
    let name = models::name(&args)?;
    let claim = claim(&args)?;
    let mut tags: BTreeMap<String, String> = args.key_values("tags")?.into_iter().collect();
    tags.iter().try_for_each(|(key, value)| check_tag(key, value))?;
    let mut origin = match is_prompt(&tags) {
        true => of_prompt(&claim)?,
        false => settle(&stores, &claim).await?,
    };
    origin.facts.run_link = args.text("run_link")?.filter(|it| !it.is_empty()).map(str::to_owned);
    stores.registry.model(name).await?;
    let place = found_at(&origin);
    let package = Package::of(&stores, origin.files).await?;
    if !package.files.is_empty() && place.is_some() {
        origin.facts.location = place;
    }
    if let Some(why) = package.left_out {
        tags.insert(FILES_TAG.to_owned(), why.clone());
        origin.facts.files = Some(why);
    }
    let request = PublishRequest {
        streamed: package.files,
        signatures: package.signatures,
        metadata: origin.facts.clone().into_metadata(package.metadata.as_ref()),
        tags,
        description: args.text("description")?.unwrap_or("").to_owned(),
        ..PublishRequest::new(name, Vec::new(), caller.stamp())
    };
    let version = stores.registry.publish(request).await?;
    if let Some(id) = Facts::of(&version).model_id()
        && let Err(error) = note_version(&stores, id, name, version.version).await
    {
        // The version is there: an error would make the client register it once more.
        tracing::warn!(%error, model_id = id, %version, "the logged model does not name its version");
    }
    Ok(Json(json!({ "model_version": model_wire::model_version(&version) })))
}

/// GET model-versions/get-download-uri
pub(crate) async fn download_uri(State(stores): Shared, args: Args) -> ApiResult {
    let version = versions::asked(&stores, &args).await?;
    Ok(Json(
        json!({ "artifact_uri": download_place(&stores, &version).await? }),
    ))
}

/// Where a client downloads the version: where its publisher said, or, when the files are only in its package (any
/// more), from there.
pub(crate) async fn download_place(stores: &Stores, version: &ModelVersion) -> Result<String, ApiError> {
    let Some(location) = Facts::of(version).location() else {
        return Ok(package_uri(version));
    };
    let gone = match ArtifactPath::of_uri(location) {
        Some(place) => stores.artifacts.files(&place).await?.is_empty(),
        None => false,
    };
    let packed = gone && !stores.registry.manifest(version).await?.files.is_empty();
    Ok(if packed {
        package_uri(version)
    } else {
        location.to_owned()
    })
}

/// The address of files that the source does not name but `runs:/..` tells how to find: where they are taken from, so
/// that it is seen when they are gone.
fn found_at(origin: &Origin) -> Option<String> {
    let named = origin.facts.location.as_deref().and_then(ArtifactPath::of_uri);
    match (&origin.files, named) {
        (Files::Artifacts(place), None) => Some(place.uri()),
        _ => None,
    }
}

fn claim(args: &Args) -> Result<Claim, ApiError> {
    let text = |key: &str| Ok::<_, ApiError>(args.text(key)?.filter(|it| !it.is_empty()).map(str::to_owned));
    Ok(Claim {
        source: args.required("source")?.to_owned(),
        run_id: text("run_id")?,
        model_id: text("model_id")?,
    })
}

fn of_prompt(claim: &Claim) -> Result<Origin, ApiError> {
    if !PROMPT_SOURCES.contains(&claim.source.as_str()) {
        return Err(ApiError::invalid(format!(
            "Invalid prompt source: '{}'. Prompt sources must use an MLflow placeholder.",
            claim.source
        )));
    }
    let facts = NewFacts {
        source: claim.source.clone(),
        location: Some(claim.source.clone()),
        run_id: claim.run_id.clone(),
        ..NewFacts::default()
    };
    Ok(Origin {
        facts,
        files: Files::Elsewhere,
    })
}

/// What is published besides what the client said.
#[derive(Debug, Default)]
struct Package {
    files: Vec<StreamedFile>,
    /// Of the version that is copied.
    metadata: Option<Value>,
    /// Of the version that is copied: they vouch for the package, whatever its name.
    signatures: Vec<Signature>,
    /// Why files that are there were not taken.
    left_out: Option<String>,
}

impl Package {
    async fn of(stores: &Stores, files: Files) -> Result<Self, ApiError> {
        match files {
            Files::Artifacts(place) => Self::taken(stores, &place).await,
            Files::Package(original) => Ok(Self {
                files: stored_files(stores, &original).await?,
                metadata: Some((*original.metadata).clone()),
                signatures: original.signatures,
                left_out: None,
            }),
            Files::Elsewhere => Ok(Self::default()),
        }
    }

    /// Copies the files of a folder into the registry, unless they are too many bytes or have names that no package has.
    async fn taken(stores: &Stores, place: &ArtifactPath) -> Result<Self, ApiError> {
        let found = stores.artifacts.files(place).await?;
        if let Some(why) = left_out(&found) {
            return Ok(Self {
                left_out: Some(why),
                ..Self::default()
            });
        }
        let read = |it: StoredFile| async move {
            let from = stores.artifacts.objects();
            StreamedFile::read(&it.path, from, it.object).await
        };
        let files: Vec<_> = found.into_iter().map(read).collect();
        Ok(Self {
            files: stream::iter(files).buffered(AT_ONCE).try_collect().await?,
            ..Self::default()
        })
    }
}

async fn stored_files(stores: &Stores, original: &ModelVersion) -> Result<Vec<StreamedFile>, ApiError> {
    let manifest = stores.registry.manifest(original).await?;
    Ok(manifest.files.into_iter().map(StreamedFile::stored).collect())
}

fn left_out(found: &[StoredFile]) -> Option<String> {
    let bytes: u64 = found.iter().map(|it| it.object.size).sum();
    if bytes > MAX_PACKAGE {
        return Some(format!(
            "not in the package: {bytes} bytes are more than {MAX_PACKAGE}; they are only where the source says"
        ));
    }
    let odd = found
        .iter()
        .find(|it| it.path.contains([':', '\\']) || it.path.len() > 1024);
    odd.map(|it| format!("not in the package: a package cannot hold a file named '{}'", it.path))
}

#[cfg(test)]
mod tests {
    use object_store::ObjectMeta;

    use super::*;

    #[test]
    fn what_is_too_large_or_has_an_odd_name_is_only_referred_to() {
        let check = |path: &str, size: u64, expected: Option<&str>| {
            let object = ObjectMeta {
                location: path.into(),
                last_modified: Default::default(),
                size,
                e_tag: None,
                version: None,
            };
            let path = path.to_owned();
            let why = left_out(&[StoredFile { path, object }]);
            assert_eq!(why.is_some(), expected.is_some(), "{why:?}");
            assert!(why.unwrap_or_default().contains(expected.unwrap_or("")));
        };
        check("model.bin", MAX_PACKAGE, None);
        check("model.bin", MAX_PACKAGE + 1, Some("2147483649 bytes"));
        check("a:b", 1, Some("'a:b'"));
    }
}
