//! Page tokens: opaque to clients, the offset of the next item for us.

use serde_json::{Map, Value};

use crate::args::Args;
use crate::error::ApiError;

/// Where the asked page starts.
pub(crate) fn offset(args: &Args) -> Result<u64, ApiError> {
    let Some(token) = args.text("page_token")?.filter(|it| !it.is_empty()) else {
        return Ok(0);
    };
    let offset = token.strip_prefix("after-").and_then(|it| it.parse().ok());
    let offset = offset.filter(|it: &u64| i64::try_from(*it).is_ok());
    offset.ok_or_else(|| ApiError::invalid(format!("Invalid page token, could not be decoded: {token}")))
}

/// An answer with its list, left out when empty, and the token of the next page, left out at the end.
pub(crate) fn answer(name: &str, items: Vec<Value>, next_offset: Option<u64>) -> Value {
    let mut body = Map::new();
    if !items.is_empty() {
        body.insert(name.to_owned(), Value::Array(items));
    }
    if let Some(offset) = next_offset {
        body.insert("next_page_token".to_owned(), format!("after-{offset}").into());
    }
    Value::Object(body)
}

/// A page of what is in memory.
pub(crate) fn cut<T>(items: Vec<T>, offset: u64, limit: u32) -> (Vec<T>, Option<u64>) {
    let skip = usize::try_from(offset).unwrap_or(usize::MAX);
    let end = offset.saturating_add(u64::from(limit));
    let more = (items.len() as u64) > end;
    let page = items.into_iter().skip(skip).take(limit as usize).collect();
    (page, more.then_some(end))
}
