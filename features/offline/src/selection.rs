//! What a list of feature references means: columns in order, the stored features to read for them, what is computed from those.

use std::collections::BTreeSet;

use foretell_features::{DataType, Expression, FeatureKind, FeatureRef, RequestColumn, Span, Table, View};

use crate::column::{to_column, to_frame};
use crate::error::{OfflineStoreError, Result, definition, engine, unknown};
use crate::lower::lower;
use crate::scan::evaluate;
use crate::store::{OfflineStore, find_feature};
use crate::view::feature_type;

/// References resolved for one entity.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Selection {
    /// What a model sees, in order: every name once.
    pub columns: Vec<(String, DataType)>,
    /// Stored features: those among `columns`, and what derived features need.
    pub reads: Vec<StoredFeature>,
    /// Request values, likewise.
    pub request: Vec<RequestColumn>,
    /// Derived features in the order in which they can be computed.
    pub derived: Vec<SelectedDerived>,
}

/// One stored feature to read.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredFeature {
    /// Name of the value: the feature's, or `view__feature` where two views have one of that name.
    pub name: String,
    /// The view.
    pub view: String,
    /// Its version.
    pub version: String,
    /// Its feature.
    pub feature: String,
    /// Its type.
    pub data_type: DataType,
    /// Older latest values do not count; `None` for aggregates.
    pub max_age: Option<Span>,
}

/// One derived feature.
#[derive(Debug, Clone, PartialEq)]
pub struct SelectedDerived {
    /// Its name.
    pub name: String,
    /// Over reads, request values and derived features before it.
    pub expression: Expression,
    /// Its type.
    pub data_type: DataType,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Picked {
    Stored(String, String),
    Bare(String),
}

impl OfflineStore {
    /// Resolves references for an entity. `view:*` gives the view's features in order; `except` takes away.
    ///
    /// # Errors
    /// An unknown name (with the nearest), a view of another entity, an expression that does not fit.
    pub fn select(&self, entity: &str, features: &[FeatureRef], except: &[FeatureRef]) -> Result<Selection> {
        let picked = self.picked(entity, features, except)?;
        let mut selection = Selection::default();
        for it in &picked {
            let name = match it {
                Picked::Bare(name) => self.need(entity, name, &mut selection)?,
                Picked::Stored(view, feature) => {
                    let alike = |other: &&Picked| match other {
                        Picked::Stored(_, it) | Picked::Bare(it) => it == feature,
                    };
                    let name = match picked.iter().filter(alike).count() {
                        1 => feature.clone(),
                        _ => full_name(view, feature),
                    };
                    self.read(&name, self.view(view)?, feature, &mut selection)?;
                    name
                }
            };
            let data_type = selection.type_of(&name).expect("it was put in just now");
            selection.columns.push((name, data_type));
        }
        Ok(selection)
    }

    /// Every derived feature of an entity and its type, in file order.
    ///
    /// # Errors
    /// An expression over names that do not exist, or that does not fit.
    pub fn derived_schema(&self, entity: &str) -> Result<Vec<(String, DataType)>> {
        self.entity(entity)?;
        let names = self
            .definitions()
            .derived
            .get(entity)
            .into_iter()
            .flatten()
            .map(|it| it.name.clone());
        let mut selection = Selection::default();
        names
            .map(|name| {
                self.need(entity, &name, &mut selection)?;
                let data_type = selection.type_of(&name).expect("it was put in just now");
                Ok((name, data_type))
            })
            .collect()
    }

    /// Adds what an expression over feature names needs.
    pub(crate) fn need_all(&self, entity: &str, expression: &Expression, selection: &mut Selection) -> Result<()> {
        expression
            .columns()
            .into_iter()
            .try_for_each(|name| self.need(entity, name, selection).map(|_| ()))
    }

    /// Adds a derived feature, request value or stored feature by bare name, with all that it needs.
    fn need(&self, entity: &str, name: &str, selection: &mut Selection) -> Result<String> {
        if selection.type_of(name).is_some() {
            return Ok(name.to_owned());
        }
        let derived = self
            .definitions()
            .derived
            .get(entity)
            .map(Vec::as_slice)
            .unwrap_or_default();
        if let Some(at) = derived.iter().position(|it| it.name == name) {
            self.need_derived(entity, at, selection)?;
        } else if let Some(column) = self.request(entity).find(|it| it.name == name) {
            selection.request.push(column.clone());
        } else {
            let (view, feature) = self.stored(entity, name)?;
            self.read(name, view, &feature, selection)?;
        }
        Ok(name.to_owned())
    }

    fn need_derived(&self, entity: &str, at: usize, selection: &mut Selection) -> Result<()> {
        let all = &self.definitions().derived[entity];
        let derived = &all[at];
        let place = format!("derived.{entity}, `{}`", derived.name);
        for name in derived.expression.columns() {
            if all
                .iter()
                .position(|it| it.name == name)
                .is_some_and(|other| other >= at)
            {
                return Err(definition(
                    place,
                    format!("it uses `{name}`, which must be defined before it"),
                ));
            }
            self.need(entity, name, selection)?;
        }
        let data_type = match derived.expression.typed(&selection.available()) {
            Ok((_, data_type)) => data_type,
            Err(error) => return Err(OfflineStoreError::Expression { place, error }),
        };
        let (name, expression) = (derived.name.clone(), derived.expression.clone());
        selection.derived.push(SelectedDerived {
            name,
            expression,
            data_type,
        });
        Ok(())
    }

    fn read(&self, name: &str, view: &View, feature: &str, selection: &mut Selection) -> Result<()> {
        if selection.type_of(name).is_some() {
            return Ok(());
        }
        let feature = find_feature(view, feature)?;
        let latest = matches!(feature.kind, FeatureKind::Latest { .. });
        selection.reads.push(StoredFeature {
            name: name.to_owned(),
            view: view.name.clone(),
            version: self.view_definition(&view.name)?.id().version,
            feature: feature.name.clone(),
            data_type: feature_type(view, feature, &*self.schema(&view.source)?)?,
            max_age: view.max_age.filter(|_| latest),
        });
        Ok(())
    }

    /// The one stored feature that a bare name, or `view__feature`, can mean.
    fn stored<'a>(&'a self, entity: &'a str, name: &str) -> Result<(&'a View, String)> {
        let views = || self.views_of(entity);
        let all = || views().flat_map(|view| view.features.iter().map(move |feature| (view, &feature.name)));
        let mut found = all().filter(|(view, feature)| *feature == name || full_name(&view.name, feature) == name);
        match (found.next(), found.next()) {
            (Some((view, feature)), None) => Ok((view, feature.clone())),
            (Some((a, _)), Some((b, _))) => Err(definition(
                format!("feature `{name}`"),
                format!(
                    "views `{}` and `{}` both have it; write `{}`",
                    a.name,
                    b.name,
                    full_name(&a.name, name)
                ),
            )),
            (None, _) => {
                let derived = self
                    .definitions()
                    .derived
                    .get(entity)
                    .into_iter()
                    .flatten()
                    .map(|it| it.name.as_str());
                let request = self.request(entity).map(|it| it.name.as_str());
                let there: BTreeSet<&str> = all().map(|(_, it)| it.as_str()).chain(derived).chain(request).collect();
                Err(unknown("feature", name, there))
            }
        }
    }

    fn request(&self, entity: &str) -> impl Iterator<Item = &RequestColumn> {
        self.definitions().request.get(entity).into_iter().flatten()
    }

    fn views_of<'a>(&'a self, entity: &'a str) -> impl Iterator<Item = &'a View> {
        self.definitions()
            .views
            .values()
            .filter(move |it| it.entity.as_deref().is_none_or(|it| it == entity))
    }

    fn picked(&self, entity: &str, features: &[FeatureRef], except: &[FeatureRef]) -> Result<Vec<Picked>> {
        self.entity(entity)?;
        let mut left_out = BTreeSet::new();
        for reference in except {
            match self.expanded(entity, reference) {
                Ok(all) => left_out.extend(all),
                Err(error) => match reference {
                    // A bare name takes away a stored feature as well, whatever view it is of.
                    FeatureRef::Bare(name) if self.views_of(entity).any(|it| find_feature(it, name).is_ok()) => {
                        let views = self.views_of(entity).filter(|it| find_feature(it, name).is_ok());
                        left_out.extend(views.map(|it| Picked::Stored(it.name.clone(), name.clone())));
                    }
                    _ => return Err(error),
                },
            }
        }
        let mut picked = Vec::new();
        for reference in features {
            for it in self.expanded(entity, reference)? {
                if !left_out.contains(&it) && !picked.contains(&it) {
                    picked.push(it);
                }
            }
        }
        Ok(picked)
    }

    fn expanded(&self, entity: &str, reference: &FeatureRef) -> Result<Vec<Picked>> {
        let stored = |view: &View, feature: &str| Picked::Stored(view.name.clone(), feature.to_owned());
        match reference {
            FeatureRef::All(view) => {
                let view = self.view_for(entity, view)?;
                Ok(view.features.iter().map(|it| stored(view, &it.name)).collect())
            }
            FeatureRef::One(view, feature) => {
                let view = self.view_for(entity, view)?;
                Ok(vec![stored(view, &find_feature(view, feature)?.name)])
            }
            FeatureRef::Bare(name) => {
                let derived = self
                    .definitions()
                    .derived
                    .get(entity)
                    .into_iter()
                    .flatten()
                    .any(|it| it.name == *name);
                if derived || self.request(entity).any(|it| it.name == *name) {
                    return Ok(vec![Picked::Bare(name.clone())]);
                }
                let (view, feature) = self.stored(entity, name)?;
                Ok(vec![stored(view, &feature)])
            }
        }
    }

    fn view_for(&self, entity: &str, view: &str) -> Result<&View> {
        let view = self.view(view)?;
        match &view.entity {
            Some(other) if other != entity => {
                let reason = format!("it describes entity `{other}`, not `{entity}`");
                Err(definition(format!("view `{}`", view.name), reason))
            }
            _ => Ok(view),
        }
    }
}

impl Selection {
    /// The type of a value by name, whether read, sent or derived.
    pub fn type_of(&self, name: &str) -> Option<DataType> {
        self.available()
            .into_iter()
            .find(|(it, _)| it == name)
            .map(|(_, it)| it)
    }

    /// All values by name: read, sent, derived.
    pub fn available(&self) -> Vec<(String, DataType)> {
        let reads = self.reads.iter().map(|it| (it.name.clone(), it.data_type));
        let request = self.request.iter().map(|it| (it.name.clone(), it.data_type));
        let derived = self.derived.iter().map(|it| (it.name.clone(), it.data_type));
        reads.chain(request).chain(derived).collect()
    }

    /// Adds the derived features to a table that has the reads and request values.
    pub(crate) fn derive(&self, table: &mut Table) -> Result<()> {
        for it in &self.derived {
            let column = over_table(table, &it.expression, &format!("derived feature `{}`", it.name))?;
            table.push(&it.name, column);
        }
        Ok(())
    }
}

/// An expression over the columns of a table.
pub(crate) fn over_table(table: &Table, expression: &Expression, place: &str) -> Result<foretell_features::Column> {
    let schema: Vec<_> = table
        .iter()
        .map(|(name, it)| (name.to_owned(), it.data_type()))
        .collect();
    let (lowered, _) = lower(expression, &schema).map_err(|error| OfflineStoreError::Expression {
        place: place.to_owned(),
        error,
    })?;
    let frame = to_frame(table).map_err(|error| engine(place, error))?;
    let column = evaluate(&frame, lowered).map_err(|error| engine(place, error))?;
    Ok(to_column(&column))
}

fn full_name(view: &str, feature: &str) -> String {
    format!("{view}__{feature}")
}
