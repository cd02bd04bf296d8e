//! The arguments of a request: a query string (GET) or a JSON body (all others), read as protobuf's JSON would be.

use axum::body::Bytes;
use axum::extract::{FromRequest, Query, Request};
use axum::http::{HeaderMap, Method, header};
use serde_json::{Map, Value};

use crate::error::{ApiError, SEE};

/// Named arguments in snake case; unknown ones are ignored.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Args(Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Args {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if request.method() == Method::GET || request.method() == Method::HEAD {
            let pairs = Query::<Vec<(String, String)>>::try_from_uri(request.uri());
            return Self::from_pairs(pairs.map_err(|it| ApiError::invalid(it.body_text()))?.0);
        }
        if request.method() == Method::POST || request.method() == Method::PUT {
            check_content_type(request.headers())?;
        }
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|it| ApiError::invalid(it.body_text()))?;
        Self::from_body(&body)
    }
}

impl Args {
    fn from_pairs(pairs: Vec<(String, String)>) -> Result<Self, ApiError> {
        let mut args: Map<String, Value> = Map::new();
        for (key, value) in pairs {
            match args.get_mut(&key) {
                None => drop(args.insert(key, Value::String(value))),
                Some(Value::Array(values)) => values.push(Value::String(value)),
                Some(first) => *first = Value::Array(vec![first.take(), Value::String(value)]),
            }
        }
        in_snake_case(args)
    }

    fn from_body(body: &[u8]) -> Result<Self, ApiError> {
        let malformed =
            |error: serde_json::Error| ApiError::invalid(format!("Malformed JSON in request body: {error}"));
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        let value = match serde_json::from_slice(body).map_err(malformed)? {
            Value::String(text) => serde_json::from_str(&text).map_err(malformed)?,
            value => value,
        };
        match value {
            Value::Object(args) => in_snake_case(args),
            _ => Err(ApiError::invalid("Malformed request body: a JSON object is expected.")),
        }
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|it| !it.is_null())
    }

    /// A text; absent if it was not sent.
    pub(crate) fn text(&self, key: &str) -> Result<Option<&str>, ApiError> {
        self.get(key)
            .map(|value| value.as_str().ok_or_else(|| wrong(key, value)))
            .transpose()
    }

    /// A text that is not empty.
    pub(crate) fn required(&self, key: &str) -> Result<&str, ApiError> {
        self.text(key)?
            .filter(|it| !it.is_empty())
            .ok_or_else(|| ApiError::missing(key))
    }

    /// A truth, in a query string `true` or `false` in any case.
    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>, ApiError> {
        let truth = |value: &Value| match value {
            Value::Bool(it) => Ok(*it),
            Value::String(text) => text
                .to_ascii_lowercase()
                .parse()
                .map_err(|_| ApiError::invalid(format!("Invalid boolean value: {text}, must be 'true' or 'false'."))),
            value => Err(wrong(key, value)),
        };
        self.get(key).map(truth).transpose()
    }

    /// An integer, sent as a number or as a string.
    pub(crate) fn integer(&self, key: &str) -> Result<Option<i64>, ApiError> {
        self.get(key)
            .map(|value| integer_of(value).ok_or_else(|| wrong(key, value)))
            .transpose()
    }

    /// A number, sent as a number or as a string; `NaN` and `Infinity` are strings.
    pub(crate) fn number(&self, key: &str) -> Result<Option<f64>, ApiError> {
        self.get(key)
            .map(|value| number_of(value).ok_or_else(|| wrong(key, value)))
            .transpose()
    }

    /// A list of texts; a single one in a query string is a list of one.
    pub(crate) fn texts(&self, key: &str) -> Result<Vec<String>, ApiError> {
        let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| wrong(key, value));
        match self.get(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => values.iter().map(text).collect(),
            Some(value) => Ok(vec![text(value)?]),
        }
    }

    /// A message; absent if it was not sent.
    pub(crate) fn message(&self, key: &str) -> Result<Option<Args>, ApiError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Object(args)) => in_snake_case(args.clone()).map(Some),
            Some(value) => Err(wrong(key, value)),
        }
    }

    /// A list of messages.
    pub(crate) fn messages(&self, key: &str) -> Result<Vec<Args>, ApiError> {
        let message = |value: &Value| match value {
            Value::Object(args) => in_snake_case(args.clone()),
            _ => Err(wrong(key, value)),
        };
        match self.get(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => values.iter().map(message).collect(),
            Some(value) => Err(wrong(key, value)),
        }
    }

    /// A list of `{"key", "value"}`; a missing value is an empty one.
    pub(crate) fn key_values(&self, key: &str) -> Result<Vec<(String, String)>, ApiError> {
        let pair = |it: &Args| {
            Ok((
                it.required("key")?.to_owned(),
                it.text("value")?.unwrap_or("").to_owned(),
            ))
        };
        self.messages(key)?.iter().map(pair).collect()
    }

    /// How many results are asked for, from 1 to `limit`.
    pub(crate) fn max_results(&self, default: u32, limit: u32) -> Result<u32, ApiError> {
        let Some(asked) = self.integer("max_results")? else {
            return Ok(default);
        };
        let fits = u32::try_from(asked).ok().filter(|it| (1..=limit).contains(it));
        let rule = if asked < 1 {
            "It must be a positive integer".into()
        } else {
            format!("It must be at most {limit}")
        };
        fits.ok_or_else(|| {
            ApiError::invalid(format!(
                "Invalid value for request parameter max_results: {asked}. {rule}"
            ))
        })
    }
}

/// Protobuf's JSON takes both spellings of a name, not both at once.
fn in_snake_case(args: Map<String, Value>) -> Result<Args, ApiError> {
    let mut out = Map::new();
    for (key, value) in args {
        let name = snake_case(&key);
        if out.insert(name.clone(), value).is_some() {
            return Err(ApiError::invalid(format!("Field '{name}' is given more than once.")));
        }
    }
    Ok(Args(out))
}

fn snake_case(key: &str) -> String {
    let mut out = String::with_capacity(key.len() + 4);
    for c in key.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

fn integer_of(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_i64().or_else(|| {
            let number = value.as_f64()?;
            let whole = number.fract() == 0.0 && number.abs() < 9e15;
            #[expect(clippy::cast_possible_truncation, reason = "whole and small")]
            whole.then_some(number as i64)
        }),
    }
}

fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            text => text.parse().ok().filter(|it: &f64| it.is_finite()),
        },
        value => value.as_f64(),
    }
}

/// The value of a parameter is of the wrong type.
pub(crate) fn wrong(key: &str, value: &Value) -> ApiError {
    let python = match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(it) if it.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    };
    ApiError::invalid(format!(
        "Invalid value {value} for parameter '{key}' supplied. Hint: Value was of type '{python}'.{SEE}"
    ))
}

fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(sent) = headers.get(header::CONTENT_TYPE) else {
        return Err(ApiError::invalid("Bad Request. Content-Type header is missing."));
    };
    let kind = sent
        .to_str()
        .unwrap_or("")
        .split(';')
        .next()
        .unwrap_or("")
        .trim()
        .to_ascii_lowercase();
    if kind == "application/json" {
        return Ok(());
    }
    Err(ApiError::invalid("Bad Request. Content-Type must be application/json."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> Args {
        Args::from_body(text.as_bytes()).unwrap()
    }

    #[test]
    fn integers_come_as_numbers_or_strings() {
        for text in [r#"{"step": 7}"#, r#"{"step": "7"}"#, r#"{"step": 7.0}"#] {
            assert_eq!(body(text).integer("step").unwrap(), Some(7), "{text}");
        }
        let error = body(r#"{"step": "x"}"#).integer("step").unwrap_err();
        assert!(
            error
                .message
                .starts_with("Invalid value \"x\" for parameter 'step' supplied. Hint: Value was of type 'str'.")
        );
    }

    #[test]
    fn truths_come_as_booleans_or_words() {
        for (text, expected) in [
            ("true", true),
            ("false", false),
            (r#""True""#, true),
            (r#""FALSE""#, false),
        ] {
            let args = body(&format!(r#"{{"archive": {text}}}"#));
            assert_eq!(args.flag("archive").unwrap(), Some(expected), "{text}");
        }
        let error = body(r#"{"archive": "yes"}"#).flag("archive").unwrap_err();
        assert_eq!(error.message, "Invalid boolean value: yes, must be 'true' or 'false'.");
        assert_eq!(body("{}").flag("archive").unwrap(), None);
    }

    #[test]
    fn odd_numbers_come_as_strings() {
        assert!(body(r#"{"value": "NaN"}"#).number("value").unwrap().unwrap().is_nan());
        assert_eq!(
            body(r#"{"value": "-Infinity"}"#).number("value").unwrap(),
            Some(f64::NEG_INFINITY)
        );
        assert!(body(r#"{"value": "1e999"}"#).number("value").is_err());
    }

    #[test]
    fn both_spellings_of_a_name_are_read_but_not_at_once() {
        assert_eq!(body(r#"{"runId": "a"}"#).text("run_id").unwrap(), Some("a"));
        assert!(Args::from_body(br#"{"runId": "a", "run_id": "a"}"#).is_err());
    }

    #[test]
    fn a_body_that_is_a_string_is_decoded_again_and_no_body_is_an_empty_one() {
        assert_eq!(body(r#""{\"name\": \"x\"}""#), body(r#"{"name": "x"}"#));
        assert_eq!(body(" \n"), Args::default());
        assert!(Args::from_body(b"[1]").is_err());
    }

    #[test]
    fn repeated_keys_of_a_query_are_a_list() {
        let pairs = [("a", "1"), ("b", "x"), ("b", "y"), ("b", "z")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let args = Args::from_pairs(pairs.to_vec()).unwrap();
        assert_eq!(args.texts("a").unwrap(), ["1"]);
        assert_eq!(args.texts("b").unwrap(), ["x", "y", "z"]);
    }
}
