//! The offline store: definitions over files. Sources are read when first asked for and kept.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use foretell_features::{
    Column, DataType, Definitions, Entity, Expression, Feature, FeatureKind, Source, Table, View, ViewName,
};

use crate::error::{OfflineStoreError, Result, unknown};
use crate::events::{EventIndex, Knowledge};
use crate::needs;
use crate::scan::{SourceFile, SourceFrame, header, load, load_files, source_files};
use crate::view::{LoadedView, feature_type};

/// Definitions over a folder of files. Cheap to open; what is read stays in memory until the store is dropped, so one store
/// sees one state of the files.
#[derive(Debug)]
pub struct OfflineStore {
    definitions: Definitions,
    root: PathBuf,
    pub(crate) knowledge: Knowledge,
    sources: Mutex<BTreeMap<String, Arc<SourceFrame>>>,
    indexes: Mutex<BTreeMap<SourceOfEntity, Arc<EventIndex>>>,
}

/// A source and the entity whose key groups its rows; no entity is one group.
type SourceOfEntity = (String, Option<String>);

/// Rows of a source with the file row of each.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceTable {
    /// File and computed columns of the rows that `where` keeps, in file order.
    pub table: Table,
    /// 0-based file row of each row; with several files counted on.
    pub file_rows: Vec<u64>,
}

impl OfflineStore {
    /// Definitions over the files under `data_root`. Views with `latest = "*"` get their features from the file's header here.
    ///
    /// # Errors
    /// The file of such a view is missing or unreadable.
    pub fn open(definitions: Definitions, data_root: &Path) -> Result<Self> {
        let mut definitions = definitions;
        let mut views = std::mem::take(&mut definitions.views);
        for view in views.values_mut().filter(|it| it.all_columns) {
            let source = find_source(&definitions, &view.source)?;
            let entity = view.entity.as_ref().and_then(|it| definitions.entities.get(it));
            add_all_columns(view, source, entity, &header(source, data_root)?);
        }
        definitions.views = views;
        Ok(Self {
            definitions,
            root: data_root.to_owned(),
            knowledge: Knowledge::AsKnown,
            sources: Mutex::default(),
            indexes: Mutex::default(),
        })
    }

    /// Joins see what the files hold today, also what was learned only after the instant asked for (`known_time` is ignored
    /// but for choosing among equal event times). Not for training: it leaks.
    #[must_use]
    pub fn in_hindsight(self) -> Self {
        Self {
            knowledge: Knowledge::Hindsight,
            ..self
        }
    }

    /// The definitions, `latest = "*"` views with their features.
    pub fn definitions(&self) -> &Definitions {
        &self.definitions
    }

    /// The folder of the files.
    pub fn data_root(&self) -> &Path {
        &self.root
    }

    /// Features of a view and their types, in order.
    ///
    /// # Errors
    /// An unknown view, an unreadable source, a feature that does not fit its columns.
    pub fn view_schema(&self, view: &str) -> Result<Vec<(String, DataType)>> {
        let view = self.view(view)?;
        let source = self.source(&view.source)?;
        view.features
            .iter()
            .map(|it| Ok((it.name.clone(), feature_type(view, it, &source)?)))
            .collect()
    }

    /// File and computed columns of a source and their types.
    ///
    /// # Errors
    /// An unknown or unreadable source.
    pub fn source_schema(&self, source: &str) -> Result<Vec<(String, DataType)>> {
        Ok(self.source(source)?.schema.clone())
    }

    /// The rows of a source.
    ///
    /// # Errors
    /// An unknown or unreadable source.
    pub fn source_table(&self, source: &str) -> Result<SourceTable> {
        let source = self.source(source)?;
        Ok(SourceTable {
            table: source.table(),
            file_rows: source.file_rows.clone(),
        })
    }

    /// The files of a source as they stand, in the order in which their rows count. What an incremental run compares.
    ///
    /// # Errors
    /// An unknown source, no file.
    pub fn source_files(&self, source: &str) -> Result<Vec<SourceFile>> {
        source_files(find_source(&self.definitions, source)?, &self.root)
    }

    /// The file columns that a view is computed from, with their types, in file order: keys, times, and what its expressions, the
    /// source's computed columns and `where` use. Rows that are pushed need these columns.
    ///
    /// # Errors
    /// An unknown view, an unreadable source.
    pub fn input_types(&self, view: &str) -> Result<Vec<(String, DataType)>> {
        let view = self.view(view)?;
        let source = find_source(&self.definitions, &view.source)?;
        let entity = view.entity.as_deref().map(|it| self.entity(it)).transpose()?;
        let needed = needs::closed(source, &needs::of_view(view, entity, source));
        let loaded = self.source(&view.source)?;
        let file = loaded.schema[..loaded.n_file_columns].iter();
        Ok(file.filter(|(name, _)| needed.contains(name)).cloned().collect())
    }

    pub(crate) fn view(&self, name: &str) -> Result<&View> {
        let there = || self.definitions.views.keys().map(String::as_str);
        self.definitions
            .views
            .get(name)
            .ok_or_else(|| unknown("view", name, there()))
    }

    pub(crate) fn entity(&self, name: &str) -> Result<&Entity> {
        let there = || self.definitions.entities.keys().map(String::as_str);
        self.definitions
            .entities
            .get(name)
            .ok_or_else(|| unknown("entity", name, there()))
    }

    /// A source in memory; read when first asked for.
    pub(crate) fn source(&self, name: &str) -> Result<Arc<SourceFrame>> {
        let source = find_source(&self.definitions, name)?;
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = sources.get(name) {
            return Ok(loaded.clone());
        }
        let loaded = Arc::new(load(source, &self.root)?);
        sources.insert(name.to_owned(), loaded.clone());
        Ok(loaded)
    }

    /// A source with the rows of these files only; not kept.
    pub(crate) fn source_in(&self, name: &str, files: &BTreeSet<PathBuf>) -> Result<SourceFrame> {
        let source = find_source(&self.definitions, name)?;
        let there = source_files(source, &self.root)?.into_iter().map(|it| it.path);
        let chosen: Vec<PathBuf> = there.filter(|it| files.contains(it)).collect();
        load_files(source, &chosen)
    }

    /// A source's rows by entity and time; no entity is one group.
    pub(crate) fn events(&self, source: &str, entity: Option<&str>) -> Result<Arc<EventIndex>> {
        let key = (source.to_owned(), entity.map(str::to_owned));
        if let Some(index) = self.indexes.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(index.clone());
        }
        let entity = entity.map(|it| self.entity(it)).transpose()?;
        let index = Arc::new(EventIndex::of(&*self.source(source)?, entity)?);
        self.indexes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, index.clone());
        Ok(index)
    }

    pub(crate) fn loaded_view(&self, name: &str) -> Result<LoadedView<'_>> {
        let view = self.view(name)?;
        Ok(LoadedView {
            view,
            source: self.source(&view.source)?,
            events: self.events(&view.source, view.entity.as_deref())?,
            knowledge: self.knowledge,
        })
    }
}

impl SourceTable {
    /// A column by name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.table.column(name)
    }
}

fn find_source<'a>(definitions: &'a Definitions, name: &str) -> Result<&'a Source> {
    let there = || definitions.sources.keys().map(String::as_str);
    definitions
        .sources
        .get(name)
        .ok_or_else(|| unknown("source", name, there()))
}

/// Every column that is not a key or a time becomes a latest value of the same name, after the features written out.
fn add_all_columns(view: &mut View, source: &Source, entity: Option<&Entity>, header: &[String]) {
    let is_key = |name: &str| entity.is_some_and(|it| it.key.iter().any(|(key, _)| key == name));
    let is_time = |name: &str| {
        [&source.event_time, &source.known_time]
            .into_iter()
            .flatten()
            .any(|it| it == name)
    };
    let computed = source.columns.iter().map(|(name, _)| name);
    let file = header.iter().filter(|_| source.wide.is_none());
    for name in file.chain(computed) {
        let taken = view.features.iter().any(|it| it.name == *name);
        if !(taken || is_key(name) || is_time(name)) {
            let kind = FeatureKind::Latest {
                value: Expression::column(name),
            };
            view.features.push(Feature {
                name: name.clone(),
                kind,
            });
        }
    }
    view.all_columns = false;
}

/// The view `name` and the feature `feature` of it.
pub(crate) fn find_feature<'a>(view: &'a View, feature: &str) -> Result<&'a Feature> {
    let there = || view.features.iter().map(|it| it.name.as_str());
    view.features.iter().find(|it| it.name == feature).ok_or_else(|| {
        let name: ViewName = format!("{}:{feature}", view.name);
        match unknown("feature", feature, there()) {
            OfflineStoreError::Unknown { kind, hint, .. } => OfflineStoreError::Unknown { kind, name, hint },
            other => other,
        }
    })
}
