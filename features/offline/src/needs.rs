//! Which columns of a source a question reads, so that the others stay in the files.

use std::collections::BTreeSet;

use foretell_features::{Entity, Feature, FeatureKind, Source, SourceKey, View};

/// Names of file and computed columns.
pub(crate) type Columns = BTreeSet<String>;

/// What some features of a view are computed from: their expressions, and the entity's key.
pub(crate) fn of_features<'a>(
    features: impl IntoIterator<Item = &'a Feature>,
    entity: Option<&Entity>,
    source: &Source,
) -> Columns {
    let mut columns = of_key(entity, source);
    for feature in features {
        match &feature.kind {
            FeatureKind::Latest { value } => add(&mut columns, value.columns()),
            FeatureKind::Aggregate { value, filter, .. } => {
                let both = [value, filter].into_iter().flatten();
                both.for_each(|it| add(&mut columns, it.columns()));
            }
        }
    }
    columns
}

/// What a whole view is computed from, and what says which rows it lets in.
pub(crate) fn of_view(view: &View, entity: Option<&Entity>, source: &Source) -> Columns {
    let mut columns = of_features(&view.features, entity, source);
    columns.extend(of_admission(view));
    columns
}

/// What says which rows a view lets in.
pub(crate) fn of_admission(view: &View) -> Columns {
    let admits = view.admits();
    let columns = admits.iter().flat_map(|it| it.columns());
    columns.map(str::to_owned).collect()
}

/// The key columns of an entity in a source; the file row needs none.
pub(crate) fn of_key(entity: Option<&Entity>, source: &Source) -> Columns {
    let key = entity.filter(|_| source.key == SourceKey::Columns);
    key.into_iter()
        .flat_map(|it| &it.key)
        .map(|(name, _)| name.clone())
        .collect()
}

/// The columns with what comes in anyway: times, what `where` reads, and what computed columns among them are computed from.
pub(crate) fn closed(source: &Source, columns: &Columns) -> Columns {
    let mut all = columns.clone();
    all.extend([&source.event_time, &source.known_time].into_iter().flatten().cloned());
    if let Some(filter) = &source.filter {
        add(&mut all, filter.columns());
    }
    // A computed column may use file columns and earlier computed ones.
    for (name, expression) in source.columns.iter().rev() {
        if all.contains(name) {
            add(&mut all, expression.columns());
        }
    }
    all
}

fn add<'a>(columns: &mut Columns, more: impl IntoIterator<Item = &'a str>) {
    columns.extend(more.into_iter().map(str::to_owned));
}
