//! Derived features on demand: from stored features and from what the caller sends among the entities.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use foretell_features::expression::Resolved;
use foretell_features::{DataType, Definitions, ServiceFeature, Value, View};

use super::asked::request_type;
use super::failure::Failure;
use super::frame::Columns;
use super::stored::{self, StoredView};
use crate::service::PredictService;

/// How the derived features of one entity are computed, operands before what uses them.
#[derive(Debug, Default)]
pub(crate) struct OnDemand {
    slots: Vec<(String, DataType)>,
    origins: Vec<Origin>,
}

/// Where a slot's value comes from.
#[derive(Debug)]
enum Origin {
    Stored { view: String, feature: String },
    Request,
    Derived(Resolved),
}

impl OnDemand {
    /// For those of the features asked for that are derived for this entity.
    pub(crate) async fn plan(
        service: &PredictService,
        entity: &str,
        asked: &[ServiceFeature],
    ) -> Result<Self, Failure> {
        let definitions = &service.dependencies().definitions;
        let mut planning = Planning {
            definitions,
            entity,
            columns: BTreeMap::new(),
            plan: Self::default(),
        };
        for view in planning.views() {
            let columns = stored::columns(service, view).await;
            // A view that is not stored matters only where a feature of it is used.
            planning.columns.insert(&view.name, columns.unwrap_or_default());
        }
        for it in asked {
            if let ServiceFeature::Derived { entity: of, name } = it
                && of == entity
            {
                planning.add(name)?;
            }
        }
        Ok(planning.plan)
    }

    /// View and feature of everything stored that it needs.
    pub(crate) fn reads(&self) -> impl Iterator<Item = (&str, &str)> {
        self.origins.iter().filter_map(|it| match it {
            Origin::Stored { view, feature } => Some((view.as_str(), feature.as_str())),
            _ => None,
        })
    }

    /// Every slot's values, by name. A stored value counts as it does for a model.
    pub(crate) fn evaluate(
        &self,
        views: &BTreeMap<String, StoredView>,
        entities: &Columns,
        n: usize,
    ) -> Result<BTreeMap<&str, Vec<Value>>, Failure> {
        let mut rows: Vec<Vec<Value>> = vec![Vec::with_capacity(self.slots.len()); n];
        for ((name, data_type), origin) in self.slots.iter().zip(&self.origins) {
            match origin {
                Origin::Stored { view, feature } => {
                    for (row, read) in rows.iter_mut().zip(views[view].feature(feature)) {
                        row.push(read.into_counted());
                    }
                }
                Origin::Request => {
                    let sent = entities.get(name).ok_or_else(|| not_sent(name))?;
                    for (at, (row, value)) in rows.iter_mut().zip(sent).enumerate() {
                        let wrong = |error| Failure::request(format!("`{name}`, row {at}: {error}"));
                        row.push(value.clone().cast(*data_type).map_err(wrong)?);
                    }
                }
                Origin::Derived(expression) => {
                    for row in &mut rows {
                        let value = expression.evaluate(row);
                        row.push(value.cast(*data_type).unwrap_or_default());
                    }
                }
            }
        }
        let column = |at: usize| rows.iter().map(|row| row[at].clone()).collect();
        Ok(self
            .slots
            .iter()
            .enumerate()
            .map(|(at, it)| (it.0.as_str(), column(at)))
            .collect())
    }
}

struct Planning<'a> {
    definitions: &'a Definitions,
    entity: &'a str,
    columns: BTreeMap<&'a str, Vec<(String, DataType)>>,
    plan: OnDemand,
}

impl<'a> Planning<'a> {
    /// The entity's views, and the global ones.
    fn views(&self) -> Vec<&'a View> {
        let entity = self.entity;
        let of_entity = |it: &&View| it.entity.as_deref().is_none_or(|it| it == entity);
        self.definitions.views.values().filter(of_entity).collect()
    }

    /// Adds a derived feature, a request value or a stored feature, operands first. Definitions are checked: a derived
    /// feature uses only earlier ones, so this ends.
    fn add(&mut self, name: &str) -> Result<(), Failure> {
        if self.plan.slots.iter().any(|it| it.0 == name) {
            return Ok(());
        }
        let derived = self.definitions.derived.get(self.entity).into_iter().flatten();
        if let Some(feature) = derived.into_iter().find(|it| it.name == name) {
            for operand in feature.expression.columns() {
                self.add(operand)?;
            }
            let wrong = |error| Failure::request(format!("derived feature `{name}` of `{}`: {error}", self.entity));
            let expression = feature.expression.resolve(&self.plan.slots).map_err(wrong)?;
            self.plan.slots.push((name.to_owned(), expression.data_type()));
            self.plan.origins.push(Origin::Derived(expression));
        } else if let Some(data_type) = request_type(self.definitions, self.entity, name) {
            self.plan.slots.push((name.to_owned(), data_type));
            self.plan.origins.push(Origin::Request);
        } else {
            let (view, feature, data_type) = self.stored(name)?;
            self.plan.slots.push((name.to_owned(), data_type));
            self.plan.origins.push(Origin::Stored { view, feature });
        }
        Ok(())
    }

    /// The one stored feature that a bare name, or `view__feature`, can mean.
    fn stored(&self, name: &str) -> Result<(String, String, DataType), Failure> {
        let all = self
            .columns
            .iter()
            .flat_map(|(view, all)| all.iter().map(move |it| (*view, it)));
        let mut found = all.filter(|(view, (feature, _))| feature == name || format!("{view}__{feature}") == name);
        match (found.next(), found.next()) {
            (Some((view, (feature, data_type))), None) => Ok((view.to_owned(), feature.clone(), *data_type)),
            (Some((a, _)), Some((b, _))) => {
                let message =
                    format!("views `{a}` and `{b}` both have `{name}`; write `{a}__{name}` in the derived feature");
                Err(Failure::request(message))
            }
            (None, _) => {
                let message = format!(
                    "`{name}` of entity `{}` is not stored; run `foretell features materialize`",
                    self.entity
                );
                Err(Failure::raised(StatusCode::NOT_FOUND, "FeastError", message))
            }
        }
    }
}

fn not_sent(name: &str) -> Failure {
    let message = format!(
        "Required request data source features [{name:?}] not found in the entity rows; send `{name}` among the entities"
    );
    Failure::raised(
        StatusCode::NOT_FOUND,
        "RequestDataNotFoundInEntityRowsException",
        message,
    )
}
