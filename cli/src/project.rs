//! A project folder: `foretell.toml`, `features/*.toml`, `models/*/model.toml`, all read and checked at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use foretell_features::document::Section;
use foretell_features::{Definitions, Document, Problem, Problems, Timestamp};
use foretell_features_offline::OfflineStore;
use foretell_features_online::{Durability, StorePlace};
use foretell_models::ModelSpec;
use foretell_serving::Clock;

use crate::arguments::Common;

/// The file that makes a folder a project.
pub(crate) const FILE: &str = "foretell.toml";

/// A project, its settings read.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    pub root: PathBuf,
    pub settings: Settings,
}

/// `foretell.toml`, as meant. Paths are absolute.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    pub name: String,
    /// The clock, where the project has its own.
    pub as_of: Option<Timestamp>,
    pub data: PathBuf,
    pub online: StorePlace,
    pub registry: String,
    pub tracking: String,
    pub http: String,
    pub grpc: String,
    pub request_log: bool,
    pub kafka: Option<Kafka>,
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

/// What a project declares, or everything wrong with it.
#[derive(Debug)]
pub(crate) struct Checked {
    pub definitions: Definitions,
    pub models: Vec<ModelSpec>,
    /// SHA-256 of all TOML that training depends on, for lineage.
    pub digest: String,
}

impl Project {
    /// The project of the command line: `--project`, else the current folder or the nearest parent.
    pub(crate) fn find(common: &Common) -> Result<Self> {
        let root = match &common.project {
            Some(dir) if dir.join(FILE).is_file() => dir.clone(),
            Some(dir) => bail!("`{}` is no project: it has no {FILE}; `foretell init DIR` writes one", dir.display()),
            None => nearest().context("cannot read the current folder")?.ok_or_else(|| {
                anyhow!("no {FILE} here or in any parent folder; `foretell init DIR` writes a project, --project DIR names one")
            })?,
        };
        let root = root
            .canonicalize()
            .with_context(|| format!("cannot open `{}`", root.display()))?;
        let settings = Settings::read(&root, common.data.as_deref())?;
        Ok(Self { root, settings })
    }

    /// Reads every definition and every model.
    ///
    /// # Errors
    /// Everything wrong at once, as [`Problems`]; or a file that cannot be read.
    pub(crate) fn check(&self) -> Result<Checked> {
        let features = self.texts("features", |path| path.extension().is_some_and(|it| it == "toml"))?;
        let models = self.model_texts()?;
        if features.is_empty() {
            bail!("the project has no features/*.toml; `foretell init DIR` shows what they look like");
        }
        let digest = digest(features.iter().chain(&models));
        let definitions = match Definitions::parse(&features) {
            Ok(definitions) => definitions,
            Err(problems) => return Err(self.with_model_syntax(problems, &models).into()),
        };
        let (mut specs, mut problems) = (Vec::new(), Vec::new());
        for (file, text) in models {
            match ModelSpec::parse(file, &text, &definitions) {
                Ok(spec) => specs.push(spec),
                Err(found) => problems.extend(found.0),
            }
        }
        for (at, spec) in specs.iter().enumerate() {
            if let Some(twin) = specs[..at].iter().find(|it| it.name == spec.name) {
                let message = format!("model `{}` is already in {}", spec.name, twin.file.display());
                problems.push(Problem {
                    file: spec.file.clone(),
                    line: 1,
                    key: "name".to_owned(),
                    message,
                });
            }
        }
        let checked = Checked {
            definitions,
            models: specs,
            digest,
        };
        Ok(Problems::or(problems, checked)?)
    }

    /// The instant that the project calls now.
    pub(crate) fn now(&self) -> Timestamp {
        Clock::of(self.settings.as_of).now()
    }

    /// The offline store over the project's files, with `.foretell` for what it keeps.
    pub(crate) fn offline(&self, definitions: Definitions) -> Result<OfflineStore> {
        let store = OfflineStore::open(definitions, &self.settings.data)?;
        Ok(store.keeping(&self.root.join(".foretell")))
    }

    /// A path under `.foretell`.
    pub(crate) fn state(&self, name: &str) -> PathBuf {
        self.root.join(".foretell").join(name)
    }

    /// Broken features must not hide broken TOML in models: references cannot be checked yet, syntax can.
    fn with_model_syntax(&self, mut problems: Problems, models: &[(PathBuf, String)]) -> Problems {
        let broken = models
            .iter()
            .filter_map(|(file, text)| Document::parse(file.clone(), text).err());
        problems.0.extend(broken);
        problems
    }

    fn model_texts(&self) -> Result<Vec<(PathBuf, String)>> {
        let mut texts = Vec::new();
        for dir in sorted(&self.root.join("models"))? {
            let file = dir.join("model.toml");
            if file.is_file() {
                texts.push(self.text(&file)?);
            }
        }
        Ok(texts)
    }

    fn texts(&self, folder: &str, wanted: impl Fn(&Path) -> bool) -> Result<Vec<(PathBuf, String)>> {
        let files = sorted(&self.root.join(folder))?;
        files
            .iter()
            .filter(|path| wanted(path))
            .map(|path| self.text(path))
            .collect()
    }

    /// Text with its path relative to the project, as errors should name it.
    fn text(&self, path: &Path) -> Result<(PathBuf, String)> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let relative = path.strip_prefix(&self.root).unwrap_or(path);
        Ok((relative.to_owned(), text))
    }
}

impl Checked {
    /// A model by name.
    pub(crate) fn model(&self, name: &str) -> Result<&ModelSpec> {
        self.models.iter().find(|it| it.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.models.iter().map(|it| it.name.as_str()).collect();
            let hint = foretell_features::spelling::hint(name, names.iter().copied());
            match names.is_empty() {
                true => anyhow!("the project has no models; write models/{name}/model.toml"),
                false => anyhow!("unknown model `{name}`{hint}; the project has {}", names.join(", ")),
            }
        })
    }
}

impl Settings {
    fn read(root: &Path, data: Option<&Path>) -> Result<Self> {
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
        let registry = text_of(document, "registry", "url").unwrap_or_else(|| ".foretell/registry".to_owned());
        let tracking =
            text_of(document, "tracking", "url").unwrap_or_else(|| "sqlite:.foretell/tracking.db".to_owned());
        let online = online_of(document, root.join(".foretell/online"));
        let kafka = kafka_of(document);
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
            registry: absolute_url(root, &registry),
            tracking,
            http: http.unwrap_or_else(|| "127.0.0.1:8000".to_owned()),
            grpc: grpc.unwrap_or_else(|| "127.0.0.1:8001".to_owned()),
            request_log: request_log.unwrap_or(true),
            kafka,
        })
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

fn nearest() -> std::io::Result<Option<PathBuf>> {
    let here = std::env::current_dir()?;
    Ok(here
        .ancestors()
        .find(|dir| dir.join(FILE).is_file())
        .map(Path::to_owned))
}

fn sorted(dir: &Path) -> Result<Vec<PathBuf>> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(dir).with_context(|| format!("cannot read `{}`", dir.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn digest<'a>(texts: impl Iterator<Item = &'a (PathBuf, String)>) -> String {
    let mut all = Vec::new();
    for (path, text) in texts {
        all.extend_from_slice(path.to_string_lossy().as_bytes());
        all.push(0);
        all.extend_from_slice(text.as_bytes());
        all.push(0);
    }
    format!("sha256:{}", foretell_registry::Digest::of(&all).hex())
}
