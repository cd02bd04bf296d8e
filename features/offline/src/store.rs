//! The offline store: definitions over files. Sources are read when first asked for and kept.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foretell_features::{
    Column, DataType, Definitions, Entity, Expression, Feature, FeatureKind, Source, Table, View, ViewName,
};

use crate::erase::Tombstones;
use crate::error::{OfflineStoreError, Result, unknown};
use crate::events::{EventIndex, Knowledge};
use crate::needs::{self, Columns};
use crate::partitions::{Partition, Partitions};
use crate::place::{Place, SourceFile};
use crate::scan::{Reading, SourceFrame, SourceSchema, Texts, header, inspect};
use crate::spill::Spill;
use crate::view::feature_type;

/// Definitions over a folder of files. Cheap to open; what is read stays until the store is dropped, in memory or, of a source
/// larger than [`OfflineStore::with_memory`] allows, in temporary files: one store sees one state of the files.
#[derive(Debug)]
pub struct OfflineStore {
    definitions: Definitions,
    root: PathBuf,
    state: Option<PathBuf>,
    place: Place,
    pub(crate) knowledge: Knowledge,
    /// Bytes that the rows of one source may take in memory.
    memory: u64,
    /// Where rows lie that do not fit.
    temporary: PathBuf,
    schemas: Mutex<BTreeMap<String, Arc<SourceSchema>>>,
    /// Texts of CSV files that were gone through for their types, until they are read.
    texts: Mutex<BTreeMap<String, Texts>>,
    /// Columns that are going to be asked for, so that files are read once.
    wanted: Mutex<BTreeMap<String, Columns>>,
    sources: Mutex<BTreeMap<String, Arc<SourceFrame>>>,
    indexes: Mutex<BTreeMap<SourceOfEntity, Arc<EventIndex>>>,
    spills: Mutex<BTreeMap<SourceOfEntity, Arc<Spill>>>,
}

/// Bytes that the rows of one source may take in memory, if nothing else is said.
const MEMORY: u64 = 256 << 20;

/// What is read of a partition is worked with in several forms: rows, an index, values of expressions.
const PARTITIONS_PER_MEMORY: u64 = 4;

/// Each partition is an open file while they are filled.
const MOST_PARTITIONS: u64 = 256;

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
    /// Definitions over the files under `data_root`: a folder, or the URL of an object store in a build with one (cargo features
    /// `aws`, `gcp`, `azure`), whose objects are fetched into a local cache. Views with `latest = "*"` get their features from the file's header here.
    ///
    /// # Errors
    /// The file of such a view is missing or unreadable.
    pub fn open(definitions: Definitions, data_root: &Path) -> Result<Self> {
        let mut definitions = definitions;
        let place = Place::of(data_root)?;
        let mut views = std::mem::take(&mut definitions.views);
        for view in views.values_mut().filter(|it| it.all_columns) {
            let source = find_source(&definitions, &view.source)?;
            let entity = view.entity.as_ref().and_then(|it| definitions.entities.get(it));
            add_all_columns(view, source, entity, &header(source, &place)?);
        }
        definitions.views = views;
        Ok(Self {
            definitions,
            root: data_root.to_owned(),
            state: None,
            place,
            knowledge: Knowledge::AsKnown,
            memory: MEMORY,
            temporary: std::env::temp_dir(),
            schemas: Mutex::default(),
            texts: Mutex::default(),
            wanted: Mutex::default(),
            sources: Mutex::default(),
            indexes: Mutex::default(),
            spills: Mutex::default(),
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

    /// How many bytes the rows of one source may take in memory, 256 MiB where nothing is said. A larger source is parted by
    /// the hash of the entity key into temporary files and answered partition by partition; the answers are the same.
    /// What has no entity (global views, the series of a forecast) is read whole.
    #[must_use]
    pub fn with_memory(self, bytes: u64) -> Self {
        Self { memory: bytes, ..self }
    }

    /// With a folder for what is no source: quarantined rows, statistics, erasures. Without one, none of them is kept.
    #[must_use]
    pub fn keeping(self, state: &Path) -> Self {
        Self {
            state: Some(state.to_owned()),
            ..self
        }
    }

    /// The folder of temporary files, which needs room for the columns read of the largest source; `TMPDIR` where nothing is said.
    #[must_use]
    pub fn with_temporary(self, folder: &Path) -> Self {
        Self {
            temporary: folder.to_owned(),
            ..self
        }
    }

    /// The folder for what is no source, where there is one.
    pub fn state(&self) -> Option<&Path> {
        self.state.as_deref()
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// The definitions, `latest = "*"` views with their features.
    pub fn definitions(&self) -> &Definitions {
        &self.definitions
    }

    /// Where the files are: a folder or a URL.
    pub fn data_root(&self) -> &Path {
        &self.root
    }

    /// Features of a view and their types, in order. A source that fits into memory is read, so that values are checked as well.
    ///
    /// # Errors
    /// An unknown view, an unreadable source, a feature that does not fit its columns.
    pub fn view_schema(&self, view: &str) -> Result<Vec<(String, DataType)>> {
        let view = self.view(view)?;
        let schema = self.schema(&view.source)?;
        let needed = self.needs_of_view(view)?;
        if self.fits(&schema, &needed) {
            self.source(&view.source, &needed)?;
        }
        view.features
            .iter()
            .map(|it| Ok((it.name.clone(), feature_type(view, it, &schema)?)))
            .collect()
    }

    /// File and computed columns of a source and their types. A source that fits into memory is read, so that values are checked
    /// as well.
    ///
    /// # Errors
    /// An unknown or unreadable source, a column that only some of its files have.
    pub fn source_schema(&self, source: &str) -> Result<Vec<(String, DataType)>> {
        let schema = self.schema(source)?;
        let all = all_columns(&schema);
        all.iter().try_for_each(|it| schema.check_everywhere(it))?;
        if self.fits(&schema, &all) {
            self.source(source, &all)?;
        }
        Ok(schema.columns.clone())
    }

    /// The rows of a source, all in memory.
    ///
    /// # Errors
    /// An unknown or unreadable source.
    pub fn source_table(&self, source: &str) -> Result<SourceTable> {
        let source = self.source(source, &all_columns(&*self.schema(source)?))?;
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
        self.place.describe(find_source(&self.definitions, source)?)
    }

    /// The file columns that a view is computed from, with their types, in file order: keys, times, and what its expressions, the
    /// source's computed columns and `where` use. Rows that are pushed need these columns.
    ///
    /// # Errors
    /// An unknown view, an unreadable source.
    pub fn input_types(&self, view: &str) -> Result<Vec<(String, DataType)>> {
        let view = self.view(view)?;
        let schema = self.schema(&view.source)?;
        let needed = needs::closed(&schema.source, &self.needs_of_view(view)?);
        let file = schema.columns[..schema.n_file_columns].iter();
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

    /// A source's columns, without its rows.
    pub(crate) fn schema(&self, name: &str) -> Result<Arc<SourceSchema>> {
        let source = find_source(&self.definitions, name)?;
        let mut schemas = locked(&self.schemas);
        if let Some(schema) = schemas.get(name) {
            return Ok(schema.clone());
        }
        let inspected = inspect(source, &self.place, self.memory)?;
        if let Some(texts) = inspected.texts {
            locked(&self.texts).insert(name.to_owned(), texts);
        }
        let mut schema = inspected.schema;
        if let Some(state) = &self.state {
            schema.erased = Tombstones::read(state)?.over(|name| schema.data_type(name).is_some());
        }
        let schema = Arc::new(schema);
        schemas.insert(name.to_owned(), schema.clone());
        Ok(schema)
    }

    /// Says ahead of time which columns of a source will be asked for.
    pub(crate) fn want(&self, source: &str, columns: Columns) {
        locked(&self.wanted)
            .entry(source.to_owned())
            .or_default()
            .extend(columns);
    }

    /// All rows of a source in memory, with these columns at least; kept.
    pub(crate) fn source(&self, name: &str, columns: &Columns) -> Result<Arc<SourceFrame>> {
        let schema = self.schema(name)?;
        let mut sources = locked(&self.sources);
        if let Some(loaded) = sources.get(name).filter(|it| it.has(columns)) {
            return Ok(loaded.clone());
        }
        let before = sources.remove(name).map(|it| it.columns());
        let all = self.with_wanted(name, columns, before);
        let texts = locked(&self.texts).remove(name);
        let rows = Reading::of(&schema, &all)?.whole(texts)?;
        let loaded = Arc::new(SourceFrame::new(schema, rows));
        sources.insert(name.to_owned(), loaded.clone());
        Ok(loaded)
    }

    /// These columns of the rows of some files only; not kept.
    pub(crate) fn source_in(&self, name: &str, files: &BTreeSet<PathBuf>, columns: &Columns) -> Result<SourceFrame> {
        let schema = self.schema(name)?;
        let rows = Reading::of(&schema, columns)?.in_files(files).whole(None)?;
        Ok(SourceFrame::new(schema, rows))
    }

    /// A source's rows by entity, with these columns at least; no entity is one group.
    pub(crate) fn partitions(&self, source: &str, entity: Option<&str>, columns: &Columns) -> Result<Partitions> {
        let schema = self.schema(source)?;
        let entity = entity.map(|it| self.entity(it)).transpose()?;
        let mut columns = columns.clone();
        columns.extend(needs::of_key(entity, &schema.source));
        let all = self.with_wanted(source, &columns, None);
        let Some(entity) = entity.filter(|_| !self.fits(&schema, &all)) else {
            let events = self.events(source, entity)?;
            let source = self.source(source, &columns)?;
            return Ok(Partitions::Whole(Partition { source, events }));
        };
        let key = (source.to_owned(), Some(entity.name.clone()));
        let mut spills = locked(&self.spills);
        if let Some(spill) = spills.get(&key).filter(|it| it.has(&columns)) {
            return Ok(Partitions::Spilled(spill.clone(), entity.clone()));
        }
        let before = spills.remove(&key).map(|it| it.columns());
        let all = self.with_wanted(source, &columns, before);
        let size = schema.size_of(all.iter().map(String::as_str));
        let count = (size * PARTITIONS_PER_MEMORY)
            .div_ceil(self.memory.max(1))
            .clamp(2, MOST_PARTITIONS);
        locked(&self.texts).remove(source);
        let spill = Arc::new(Spill::fill(schema, entity, &all, (count as usize, &self.temporary))?);
        spills.insert(key, spill.clone());
        Ok(Partitions::Spilled(spill, entity.clone()))
    }

    /// What is going to be read of a source, for one reason or another.
    fn with_wanted(&self, source: &str, columns: &Columns, before: Option<Columns>) -> Columns {
        let mut all = columns.clone();
        all.extend(before.into_iter().flatten());
        all.extend(locked(&self.wanted).get(source).into_iter().flatten().cloned());
        all
    }

    fn fits(&self, schema: &SourceSchema, columns: &Columns) -> bool {
        schema.size_of(columns.iter().map(String::as_str)) <= self.memory
    }

    pub(crate) fn needs_of_view(&self, view: &View) -> Result<Columns> {
        let entity = view.entity.as_deref().map(|it| self.entity(it)).transpose()?;
        Ok(needs::of_view(
            view,
            entity,
            find_source(&self.definitions, &view.source)?,
        ))
    }

    /// A source's rows by entity and time, all in memory; no entity is one group.
    fn events(&self, source: &str, entity: Option<&Entity>) -> Result<Arc<EventIndex>> {
        let key = (source.to_owned(), entity.map(|it| it.name.clone()));
        if let Some(index) = locked(&self.indexes).get(&key) {
            return Ok(index.clone());
        }
        let columns = needs::of_key(entity, &self.schema(source)?.source);
        let index = Arc::new(EventIndex::of(&*self.source(source, &columns)?, entity)?);
        locked(&self.indexes).insert(key, index.clone());
        Ok(index)
    }

    /// A partition with only the rows that a view lets in; it must have the columns of [`View::admits`].
    pub(crate) fn admitted(&self, view: &View, partition: Partition) -> Result<Partition> {
        let Some(admits) = view.admits() else {
            return Ok(partition);
        };
        let place = format!("view `{}`, expect", view.name);
        let admitted = partition.source.holds(&place, Some(&admits))?;
        let entity = view.entity.as_deref().map(|it| self.entity(it)).transpose()?;
        let events = EventIndex::admitted(&partition.source, entity, admitted.as_deref())?;
        Ok(Partition {
            events: Arc::new(events),
            ..partition
        })
    }
}

fn locked<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

fn all_columns(schema: &SourceSchema) -> Columns {
    schema.columns.iter().map(|(name, _)| name.clone()).collect()
}

impl SourceTable {
    /// A column by name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.table.column(name)
    }
}

pub(crate) fn find_source<'a>(definitions: &'a Definitions, name: &str) -> Result<&'a Source> {
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
