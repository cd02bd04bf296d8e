//! `foretell.toml`, read: every key checked, paths made absolute, defaults filled in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use foretell_features::document::Section;
use foretell_features::{Document, Problems, Timestamp};
use foretell_features_online::{Durability, StorePlace};
use foretell_registry::PublicKey;
use foretell_serving::Access;

use super::FILE;
use super::access::access_of;

/// `foretell.toml`, as meant. Paths are absolute.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    pub name: String,
    /// The clock, where the project has its own.
    pub as_of: Option<Timestamp>,
    pub data: PathBuf,
    pub online: StorePlace,
    pub registry: Registry,
    pub tracking: Tracking,
    pub http: String,
    pub grpc: String,
    pub request_log: bool,
    pub kafka: Option<Kafka>,
    /// Who may do what on a server; `None`: this machine only.
    pub access: Option<Arc<Access>>,
}

/// `[registry]`: where models are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Registry {
    pub url: String,
    /// What training signs with: a PEM file, absolute, or `env:NAME` of a variable that holds its text.
    pub signing_key: Option<String>,
    /// Whose signatures a package needs before it is loaded; empty: none.
    pub trusted_keys: Vec<PublicKey>,
}

/// `[tracking]`: where experiments are, and the files of their runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tracking {
    pub url: String,
    pub artifacts: String,
}

/// `[ingest.kafka]`: where a server takes events from besides `/push`.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(
    not(feature = "kafka"),
    allow(dead_code, reason = "refused where this build does not read Kafka")
)]
pub(crate) struct Kafka {
    pub brokers: String,
    pub group: String,
    /// The topic of each source.
    pub topics: BTreeMap<String, String>,
}

impl Settings {
    pub(super) fn read(root: &Path, data: Option<&Path>) -> Result<Self> {
        let path = root.join(FILE);
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let document = Document::parse(FILE, &text).map_err(|problem| Problems(vec![problem]))?;
        let settings = Self::from_root(&document.root(), root, data);
        let problems = document.into_problems();
        let settings = Problems::or(problems, settings)?;
        settings.ok_or_else(|| anyhow!("{FILE} cannot be read"))
    }

    fn from_root(document: &Section<'_>, root: &Path, data: Option<&Path>) -> Option<Self> {
        let project = document.need_table("project");
        let name = project.as_ref().and_then(|it| it.need::<String>("name"));
        let as_of = project.as_ref().and_then(|it| it.get::<Timestamp>("as_of"));
        let offline = text_of(document, "offline", "url").unwrap_or_else(|| "data".to_owned());
        let registry = registry_of(document, root);
        let tracking = tracking_of(document, root);
        let online = online_of(document, root.join(".foretell/online"));
        let kafka = kafka_of(document);
        let access = access_of(document);
        let serving = document.table("serving");
        let address = |name: &str| serving.as_ref().and_then(|it| it.get::<String>(name));
        let (http, grpc) = (address("http"), address("grpc"));
        let request_log = serving.as_ref().and_then(|it| it.get::<bool>("request_log"));
        [project.as_ref(), serving.as_ref(), Some(document)]
            .into_iter()
            .flatten()
            .for_each(Section::refuse_unknown);
        Some(Self {
            name: name?,
            as_of,
            data: data.map_or_else(|| absolute_url(root, &offline).into(), Path::to_owned),
            online,
            registry,
            tracking,
            http: http.unwrap_or_else(|| "127.0.0.1:8000".to_owned()),
            grpc: grpc.unwrap_or_else(|| "127.0.0.1:8001".to_owned()),
            request_log: request_log.unwrap_or(true),
            kafka,
            access,
        })
    }
}

/// `[registry]`, a folder of the project where nothing is said.
fn registry_of(document: &Section<'_>, root: &Path) -> Registry {
    let table = document.table("registry");
    let text = |key: &str| table.as_ref().and_then(|it| it.get::<String>(key));
    let (url, signing_key) = (text("url"), text("signing_key"));
    let trusted_keys = table.as_ref().map(trusted_keys).unwrap_or_default();
    table.iter().for_each(Section::refuse_unknown);
    Registry {
        url: absolute_url(root, url.as_deref().unwrap_or(".foretell/registry")),
        signing_key: signing_key.map(|it| match it.starts_with("env:") {
            true => it,
            false => root.join(it).display().to_string(),
        }),
        trusted_keys,
    }
}

fn trusted_keys(table: &Section<'_>) -> Vec<PublicKey> {
    let texts = table.get::<Vec<String>>("trusted_keys").unwrap_or_default();
    let mut keys = Vec::new();
    for text in &texts {
        match text.parse::<PublicKey>() {
            Ok(key) => keys.push(key),
            Err(error) => table.problem_in_list("trusted_keys", text, error.to_string()),
        }
    }
    if texts.is_empty() && table.has("trusted_keys") {
        table.problem(
            "trusted_keys",
            "an empty list trusts everybody; take it out, or name a key",
        );
    }
    keys
}

/// `[tracking]`, SQLite and a folder of the project where nothing is said.
fn tracking_of(document: &Section<'_>, root: &Path) -> Tracking {
    let table = document.table("tracking");
    let text = |key: &str| table.as_ref().and_then(|it| it.get::<String>(key));
    let (url, artifacts) = (text("url"), text("artifacts"));
    table.iter().for_each(Section::refuse_unknown);
    Tracking {
        url: url.unwrap_or_else(|| "sqlite:.foretell/tracking.db".to_owned()),
        artifacts: absolute_url(root, artifacts.as_deref().unwrap_or(".foretell/artifacts")),
    }
}

/// `[online] store`, embedded where nothing is said.
fn online_of(document: &Section<'_>, folder: PathBuf) -> StorePlace {
    let durability = Durability::default();
    let Some(online) = document.table("online") else {
        return StorePlace::Embedded { folder, durability };
    };
    let store = online.get::<String>("store").unwrap_or_else(|| "embedded".to_owned());
    let durability = durability_of(&online);
    let place = StorePlace::parse(&store, folder.clone(), durability).unwrap_or_else(|reason| {
        online.problem("store", reason);
        StorePlace::Embedded { folder, durability }
    });
    if place.is_shared() && online.get::<String>("durability").is_some() {
        let advice = "belongs to the embedded store; Redis has it in its own configuration: `appendonly yes`, `appendfsync always`";
        online.problem("durability", advice.to_owned());
    }
    online.refuse_unknown();
    place
}

/// `[ingest.kafka]`, where the project has it.
fn kafka_of(document: &Section<'_>) -> Option<Kafka> {
    let ingest = document.table("ingest")?;
    let kafka = ingest.table("kafka");
    ingest.refuse_unknown();
    let kafka = kafka?;
    if !cfg!(feature = "kafka") {
        let advice =
            "this build does not read Kafka; build it with `cargo build --release -p foretell --features kafka`";
        ingest.problem("kafka", advice.to_owned());
    }
    let (brokers, group) = (kafka.need::<String>("brokers"), kafka.get::<String>("group"));
    let table = kafka.need_table("topics");
    let mut topics = BTreeMap::new();
    for entry in table.as_ref().map_or(&[][..], |it| it.entries()) {
        let topic = table.as_ref().and_then(|it| it.get::<String>(&entry.name));
        topics.extend(topic.map(|topic| (entry.name.clone(), topic)));
    }
    kafka.refuse_unknown();
    Some(Kafka {
        brokers: brokers?,
        group: group.unwrap_or_else(|| "foretell".to_owned()),
        topics,
    })
}

/// `durability = "sync"`: acknowledged writes outlive the machine, not only the process.
fn durability_of(online: &Section<'_>) -> Durability {
    match online.get::<String>("durability").as_deref() {
        None | Some("buffer") => Durability::Buffer,
        Some("sync") => Durability::Sync,
        Some(other) => {
            online.problem(
                "durability",
                format!("unknown durability `{other}`; use \"buffer\" or \"sync\""),
            );
            Durability::Buffer
        }
    }
}

fn text_of(document: &Section<'_>, table: &str, key: &str) -> Option<String> {
    let table = document.table(table)?;
    let text = table.get::<String>(key);
    table.refuse_unknown();
    text
}

/// Folders are relative to the project, URLs are as they are.
fn absolute_url(root: &Path, url: &str) -> String {
    match url.contains("://") || url.starts_with("memory:") {
        true => url.to_owned(),
        false => root.join(url).display().to_string(),
    }
}
