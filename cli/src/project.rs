//! A project folder: `foretell.toml`, `features/*.toml`, `models/*/model.toml`, all read and checked at once.

mod access;
mod settings;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use foretell_features::{Definitions, Document, Problem, Problems, Timestamp};
use foretell_features_offline::OfflineStore;
use foretell_models::ModelSpec;
use foretell_registry::{Registry, SigningKey};
use foretell_serving::Clock;

use crate::arguments::Common;
pub(crate) use settings::Settings;

/// The file that makes a folder a project.
pub(crate) const FILE: &str = "foretell.toml";

/// A project, its settings read.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    pub root: PathBuf,
    pub settings: Settings,
}

/// What a project declares, or everything wrong with it.
#[derive(Debug)]
pub(crate) struct Checked {
    pub definitions: Definitions,
    pub models: Vec<ModelSpec>,
    /// TOML of features/, by path in the project.
    pub features: Vec<(PathBuf, String)>,
    /// TOML of models/, by path in the project.
    pub model_texts: Vec<(PathBuf, String)>,
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
        let definitions = match Definitions::parse(&features) {
            Ok(definitions) => definitions,
            Err(problems) => return Err(self.with_model_syntax(problems, &models).into()),
        };
        let (mut specs, mut problems) = (Vec::new(), Vec::new());
        for (file, text) in &models {
            match ModelSpec::parse(file.clone(), text, &definitions) {
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
            features,
            model_texts: models,
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

    /// The registry, which must be there. Packages that need a signature are not loaded without one.
    pub(crate) fn registry(&self) -> Result<Registry> {
        let settings = &self.settings.registry;
        Ok(Registry::open(&settings.url)?.trusting(settings.trusted_keys.clone()))
    }

    /// The same, made if it is not there.
    pub(crate) fn registry_or_create(&self) -> Result<Registry> {
        let settings = &self.settings.registry;
        Ok(Registry::open_or_create(&settings.url)?.trusting(settings.trusted_keys.clone()))
    }

    /// The registry for training: what is published is signed, where the project has a key.
    pub(crate) fn signing_registry(&self) -> Result<Registry> {
        let registry = self.registry_or_create()?;
        Ok(match self.signing_key()? {
            Some(key) => registry.signing_with(key),
            None => registry,
        })
    }

    /// `[registry] signing_key`, read.
    pub(crate) fn signing_key(&self) -> Result<Option<SigningKey>> {
        let Some(place) = &self.settings.registry.signing_key else {
            return Ok(None);
        };
        let pem = match place.strip_prefix("env:") {
            Some(name) => std::env::var(name)
                .map_err(|_| anyhow!("`[registry] signing_key` names the variable {name}, which is not set"))?,
            None => std::fs::read_to_string(place)
                .with_context(|| format!("cannot read `{place}`, the `[registry] signing_key`"))?,
        };
        let key = SigningKey::from_pem(&pem).with_context(|| format!("`[registry] signing_key` `{place}`"))?;
        Ok(Some(key))
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
    /// The TOML that training a model depends on: all features, and its own.
    pub(crate) fn texts_of(&self, model: &ModelSpec) -> Vec<(PathBuf, String)> {
        let own = self.model_texts.iter().filter(|it| it.0 == model.file);
        self.features.iter().chain(own).cloned().collect()
    }

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
