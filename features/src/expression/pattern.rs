//! Regular expressions of `matches`: compiled once per thread, because a row evaluator sees one row at a time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use regex::Regex;

use super::{Expression, ExpressionError};
use crate::value::Value;

/// Patterns kept; definitions hold a handful.
const KEPT: usize = 64;

thread_local! {
    static COMPILED: RefCell<HashMap<Arc<str>, Option<Regex>>> = RefCell::default();
}

/// Whether the pattern is found in the text; null where the text is no pattern, which [`check`] has refused before.
pub(super) fn is_match(pattern: &Arc<str>, text: &str) -> Value {
    COMPILED.with_borrow_mut(|compiled| {
        if !compiled.contains_key(pattern) {
            if compiled.len() >= KEPT {
                compiled.clear();
            }
            compiled.insert(pattern.clone(), Regex::new(pattern).ok());
        }
        let found = compiled[pattern].as_ref().map(|it| it.is_match(text));
        found.map_or(Value::Null, Value::Bool)
    })
}

/// The pattern of a call must be a constant that compiles.
pub(super) fn check(whole: &Expression, pattern: Option<&Expression>) -> Result<(), ExpressionError> {
    let Some(Expression::Literal(Value::Str(pattern))) = pattern else {
        let message = format!("`{whole}`: the pattern of `matches` is a text in quotes, matches(code, '^[A-Z]+$')");
        return Err(ExpressionError(message));
    };
    problem(pattern).map_or(Ok(()), |message| Err(ExpressionError(message)))
}

/// What is wrong with a pattern, in a sentence.
pub(crate) fn problem(pattern: &str) -> Option<String> {
    let error = Regex::new(pattern).err()?.to_string();
    // The last line says what is wrong, the ones before draw an arrow under the place.
    let reason = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
    Some(format!("`{pattern}` is not a regular expression: {reason}"))
}
