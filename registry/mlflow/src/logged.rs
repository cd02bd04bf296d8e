//! Logged models as far as registering needs them.

use crate::Stores;
use crate::error::ApiError;

/// Where a logged model's files lie, and which run made it.
#[derive(Debug, Clone)]
pub(crate) struct LoggedPlace {
    pub(crate) uri: String,
    pub(crate) run_id: Option<String>,
}

/// # Errors
/// 404 when there is none of this id.
pub(crate) async fn logged_model(_stores: &Stores, id: &str) -> Result<LoggedPlace, ApiError> {
    Err(ApiError::absent(format!("Logged model with ID '{id}' not found.")))
}
