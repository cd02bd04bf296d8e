//! The one place of these routes that touches the online store.

use std::sync::Arc;

use foretell_features::{EntityKey, FeatureRead, FeatureRow, Span, Timestamp, View};
use foretell_features_online::{OnlineError, ViewSchema};

use super::failure::Failure;
use crate::error::{ServeError, hint};
use crate::http::App;

/// The rows of one view for all entities of a request, at one instant.
pub(super) struct StoredView {
    name: String,
    columns: Arc<ViewSchema>,
    rows: Vec<Option<FeatureRow>>,
    max_age: Option<Span>,
    now: Timestamp,
}

impl StoredView {
    /// One row per key; no key, no row.
    pub(super) async fn read(app: &App, view: &View, keys: &[Option<EntityKey>]) -> Result<Self, Failure> {
        let dependencies = app.service.dependencies();
        let asked: Vec<EntityKey> = keys.iter().flatten().cloned().collect();
        let stored = dependencies.online.read(&view.name, &asked).await?;
        let mut found = stored.rows.into_iter();
        let row = |key: &Option<EntityKey>| key.as_ref().and_then(|_| found.next().flatten());
        Ok(Self {
            name: view.name.clone(),
            columns: stored.columns,
            rows: keys.iter().map(row).collect(),
            max_age: view.max_age,
            now: dependencies.clock.now(),
        })
    }

    /// One feature of all rows.
    pub(super) fn feature(&self, name: &str) -> Result<impl Iterator<Item = FeatureRead> + '_, Failure> {
        let unknown = || {
            let hint = hint(name, self.columns.iter().map(|it| it.0.as_str()));
            ServeError::NotFound(format!(
                "feature `{}:{name}` is not stored{hint}; materialize the view",
                self.name
            ))
        };
        let at = self.columns.iter().position(|it| it.0 == name).ok_or_else(unknown)?;
        Ok(self.rows.iter().map(move |row| match row {
            None => FeatureRead::NOT_FOUND,
            Some(row) => FeatureRead::of(row, at, self.now, self.max_age),
        }))
    }
}

/// The stored features of a view and their types.
pub(super) async fn columns(app: &App, view: &View) -> Result<ViewSchema, Failure> {
    let unknown = || OnlineError::UnknownView {
        view: view.name.clone(),
    };
    let schema = app.service.dependencies().online.schema(&view.name).await?;
    Ok(schema.ok_or_else(unknown)?)
}

/// Writes rows of a view.
pub(super) async fn write(app: &App, view: &View, rows: Vec<(EntityKey, FeatureRow)>) -> Result<(), Failure> {
    app.service.dependencies().online.put(&view.name, rows).await?;
    Ok(())
}
