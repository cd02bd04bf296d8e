//! Models as names: create, rename, delete.

use std::collections::BTreeMap;

use crate::digest::random_id;
use crate::error::{RegistryError, Result};
use crate::log::Draft;
use crate::names::{check_model_name, check_tag};
use crate::record::{CatalogOp, ModelOp, Stamp};
use crate::registry::Registry;
use crate::state::Catalog;
use crate::view::ModelState;

/// A model without versions to be.
#[derive(Clone, Debug)]
pub struct CreateModelRequest {
    /// Its name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Tags of the model.
    pub tags: BTreeMap<String, String>,
    /// Who, when, why.
    pub stamp: Stamp,
}

impl Registry {
    /// Creates a model without versions. [`Registry::publish`] does not need this.
    pub async fn create_model(&self, request: CreateModelRequest) -> Result<ModelState> {
        check_model_name(&request.name)?;
        request.tags.iter().try_for_each(|(key, value)| check_tag(key, value))?;
        let catalog = self.catalog().refresh().await?;
        if catalog.state.find(&request.name).is_some() {
            return Err(RegistryError::AlreadyExists { name: request.name });
        }
        let mut ops = vec![ModelOp::SetDescription {
            version: None,
            description: request.description,
        }];
        ops.extend(request.tags.into_iter().map(|(key, value)| ModelOp::SetTag {
            version: None,
            key,
            value,
        }));
        self.found(&request.name, &Draft::new(&request.name, &request.stamp), &ops)
            .await
    }

    /// Gives a model another name; its id, versions, aliases and history stay.
    pub async fn rename_model(&self, from: &str, to: &str, stamp: &Stamp) -> Result<ModelState> {
        check_model_name(to)?;
        let rename = |_: &Catalog| {
            Ok(vec![CatalogOp::RenameModel {
                from: from.to_owned(),
                to: to.to_owned(),
            }])
        };
        let catalog = self.catalog().commit(&Draft::new(from, stamp), rename).await?;
        let entry = catalog.state.entry(to)?.clone();
        self.state(to.to_owned(), entry).await
    }

    /// Deletes a model with all its versions. The name is free again; the log stays for the audit.
    pub async fn delete_model(&self, name: &str, stamp: &Stamp) -> Result<()> {
        let delete = |_: &Catalog| Ok(vec![CatalogOp::DeleteModel { name: name.to_owned() }]);
        self.catalog().commit(&Draft::new(name, stamp), delete).await.map(drop)
    }

    /// Makes a model whose first record has these ops. The log is written before the name that makes it visible, so
    /// there is no moment with half a model. Fails with `AlreadyExists` when another writer gave the name first.
    pub(crate) async fn found(&self, name: &str, draft: &Draft<'_>, ops: &[ModelOp]) -> Result<ModelState> {
        let id = random_id();
        let head = self.log_of(&id).commit(draft, |_| Ok(ops.to_vec())).await?;
        let create = CatalogOp::CreateModel {
            name: name.to_owned(),
            id,
        };
        let catalog = self.catalog().commit(draft, |_| Ok(vec![create.clone()])).await?;
        Ok(ModelState::new(name, catalog.state.entry(name)?, head))
    }
}
