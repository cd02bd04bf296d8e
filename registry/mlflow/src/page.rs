//! Page tokens: opaque to clients, the offset of the next item for us.

use std::cmp::Ordering;

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

/// A page of what is in memory, in an order without ties; what is not on it is not sorted.
pub(crate) fn cut<T>(
    mut items: Vec<T>,
    order: impl Fn(&T, &T) -> Ordering,
    offset: u64,
    limit: u32,
) -> (Vec<T>, Option<u64>) {
    let end = offset.saturating_add(u64::from(limit));
    let more = (items.len() as u64) > end;
    if more {
        let end = usize::try_from(end).expect("less than the length of a list");
        items.select_nth_unstable_by(end, &order);
        items.truncate(end);
    }
    items.sort_unstable_by(&order);
    let skip = usize::try_from(offset).unwrap_or(usize::MAX).min(items.len());
    (items.split_off(skip), more.then_some(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_the_whole_in_order() {
        let items: Vec<u64> = (0..100).map(|it| it * 37 % 101).collect();
        let mut whole = items.clone();
        whole.sort_unstable();
        for limit in [1, 7, 99, 100, 101] {
            let (mut pages, mut next) = (Vec::new(), Some(0));
            while let Some(offset) = next {
                let (page, after) = cut(items.clone(), Ord::cmp, offset, limit);
                assert!(page.len() <= limit as usize);
                pages.extend(page);
                next = after;
            }
            assert_eq!(pages, whole, "{limit}");
        }
        assert_eq!(cut(items, Ord::cmp, u64::MAX, 5), (Vec::new(), None));
    }
}
