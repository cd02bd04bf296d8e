//! Registered models.

use axum::Json;
use axum::extract::State;
use foretell_registry::{
    ChangeRequest, CreateModelRequest, ModelOp, ModelState, RegistryError, check_model_name, check_tag,
};
use serde_json::json;

use crate::args::Args;
use crate::error::{ApiError, ApiResult};
use crate::filter::{CatalogFilter, registered_order};
use crate::stage::Stage;
use crate::{Caller, Shared, Stores, model_wire, page};

/// POST registered-models/create
pub(crate) async fn create(State(stores): Shared, caller: Caller, args: Args) -> ApiResult {
    let request = CreateModelRequest {
        name: name(&args)?.to_owned(),
        description: args.text("description")?.unwrap_or("").to_owned(),
        tags: args.key_values("tags")?.into_iter().collect(),
        stamp: caller.stamp(),
    };
    let is_prompt = is_prompt(&request.tags);
    match stores.registry.create_model(request).await {
        Ok(model) => Ok(Json(
            json!({ "registered_model": model_wire::registered_model(&model) }),
        )),
        Err(RegistryError::AlreadyExists { name }) => Err(name_taken(&stores, &name, is_prompt).await),
        Err(error) => Err(error.into()),
    }
}

/// GET registered-models/get
pub(crate) async fn get(State(stores): Shared, args: Args) -> ApiResult {
    let model = stores.registry.model(name(&args)?).await?;
    Ok(Json(
        json!({ "registered_model": model_wire::registered_model(&model) }),
    ))
}

/// POST registered-models/rename
pub(crate) async fn rename(State(stores): Shared, caller: Caller, args: Args) -> ApiResult {
    let (from, to) = (name(&args)?, args.required("new_name")?);
    let model = match from == to {
        true => stores.registry.model(from).await?,
        false => stores.registry.rename_model(from, to, &caller.stamp()).await?,
    };
    Ok(Json(
        json!({ "registered_model": model_wire::registered_model(&model) }),
    ))
}

/// PATCH registered-models/update
pub(crate) async fn update(State(stores): Shared, caller: Caller, args: Args) -> ApiResult {
    let describe = ModelOp::SetDescription {
        version: None,
        description: args.text("description")?.unwrap_or("").to_owned(),
    };
    let request = ChangeRequest::new(name(&args)?, vec![describe], caller.stamp());
    let model = stores.registry.change(request).await?;
    Ok(Json(
        json!({ "registered_model": model_wire::registered_model(&model) }),
    ))
}

/// DELETE registered-models/delete
pub(crate) async fn delete(State(stores): Shared, caller: Caller, args: Args) -> ApiResult {
    stores.registry.delete_model(name(&args)?, &caller.stamp()).await?;
    Ok(Json(json!({})))
}

/// GET registered-models/search
pub(crate) async fn search(State(stores): Shared, args: Args) -> ApiResult {
    let filter = CatalogFilter::of_models(args.text("filter")?.unwrap_or(""))?;
    let limit = args.max_results(100, 1000)?;
    let mut models = candidates(&stores, &filter).await?;
    models.retain(|it| filter.takes_model(it));
    let order = registered_order(&args.texts("order_by")?)?;
    let (models, next) = page::cut(models, order, page::offset(&args)?, limit);
    let models = models.iter().map(model_wire::registered_model).collect();
    Ok(Json(page::answer("registered_models", models, next)))
}

/// POST and GET registered-models/get-latest-versions
pub(crate) async fn latest_versions(State(stores): Shared, args: Args) -> ApiResult {
    let model = stores.registry.model(name(&args)?).await?;
    let stages = args.texts("stages")?;
    let stages = stages
        .iter()
        .map(|it| Stage::parse(it))
        .collect::<Result<Vec<_>, _>>()?;
    let latest = model_wire::latest_per_stage(&model);
    let asked = latest
        .iter()
        .filter(|it| stages.is_empty() || stages.contains(&Stage::of(it)));
    let asked = asked.map(model_wire::model_version).collect();
    Ok(Json(page::answer("model_versions", asked, None)))
}

/// POST registered-models/set-tag; nothing is recorded when it is set so.
pub(crate) async fn set_tag(State(stores): Shared, caller: Caller, args: Args) -> ApiResult {
    let (name, key, value) = (name(&args)?, args.required("key")?, args.text("value")?.unwrap_or(""));
    check_tag(key, value)?;
    let model = stores.registry.model(name).await?;
    if model.tags().get(key).is_none_or(|it| it != value) {
        let set = ModelOp::SetTag {
            version: None,
            key: key.to_owned(),
            value: value.to_owned(),
        };
        let request = ChangeRequest::new(name, vec![set], caller.stamp());
        stores.registry.change(request).await?;
    }
    Ok(Json(json!({})))
}

/// DELETE registered-models/delete-tag; deleting what is not there is fine.
pub(crate) async fn delete_tag(State(stores): Shared, caller: Caller, args: Args) -> ApiResult {
    let (name, key) = (name(&args)?, args.required("key")?);
    check_tag(key, "")?;
    let model = stores.registry.model(name).await?;
    if model.tags().contains_key(key) {
        let delete = ModelOp::DeleteTag {
            version: None,
            key: key.to_owned(),
        };
        let request = ChangeRequest::new(name, vec![delete], caller.stamp());
        stores.registry.change(request).await?;
    }
    Ok(Json(json!({})))
}

/// The name of a model, in a form that a model can have.
pub(crate) fn name(args: &Args) -> Result<&str, ApiError> {
    let name = args.required("name")?;
    check_model_name(name)?;
    Ok(name)
}

/// The models that a filter can take at all: a few, if it names them.
pub(crate) async fn candidates(stores: &Stores, filter: &CatalogFilter) -> Result<Vec<ModelState>, ApiError> {
    let Some(names) = filter.names() else {
        return Ok(stores.registry.list_models().await?);
    };
    let mut models = Vec::new();
    for name in names {
        match stores.registry.model(name).await {
            Ok(model) => models.push(model),
            Err(RegistryError::UnknownModel { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(models)
}

/// Prompts are models with this tag; they are out of sight unless a filter asks for them.
pub(crate) const IS_PROMPT: &str = "mlflow.prompt.is_prompt";

pub(crate) fn is_prompt(tags: &std::collections::BTreeMap<String, String>) -> bool {
    tags.get(IS_PROMPT).is_some_and(|it| it.eq_ignore_ascii_case("true"))
}

/// The refusal says what has the name: a prompt may meet a model.
async fn name_taken(stores: &Stores, name: &str, is_prompt: bool) -> ApiError {
    let what = |is_prompt| if is_prompt { "prompt" } else { "registered model" };
    let there = stores.registry.model(name).await.map(|it| self::is_prompt(it.tags()));
    match there {
        Ok(there) if there != is_prompt => ApiError::exists(format!(
            "Tried to create a {} with name '{name}', but the name is already taken by a {}. MLflow does not allow \
             creating a model and a prompt with the same name.",
            what(is_prompt),
            what(there)
        )),
        Ok(true) => ApiError::exists(format!("Prompt (name={name}) already exists.")),
        _ => RegistryError::AlreadyExists { name: name.to_owned() }.into(),
    }
}
