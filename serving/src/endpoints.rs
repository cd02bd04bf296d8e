//! Domain endpoints: what packages declare, as a table from paths to champions. Data, not code.

use std::sync::Arc;

use foretell_inference::{Endpoint, Method};

use crate::servable::Servable;

/// All endpoints of a snapshot. Of two that answer the same request the model whose name sorts first wins.
#[derive(Debug, Default)]
pub(crate) struct EndpointTable {
    mounted: Vec<Mounted>,
}

/// One endpoint of one champion.
#[derive(Debug)]
pub(crate) struct Mounted {
    pub(crate) servable: Arc<Servable>,
    pub(crate) endpoint: Endpoint,
    segments: Vec<Segment>,
}

#[derive(Debug)]
enum Segment {
    Text(String),
    Key(String),
}

/// An endpoint that answers, with the key columns of the path.
pub(crate) type Matched<'a> = (&'a Mounted, Vec<(String, String)>);

impl EndpointTable {
    pub(crate) fn of<'a>(champions: impl IntoIterator<Item = &'a Arc<Servable>>) -> Self {
        let mounted = champions.into_iter().flat_map(|servable| {
            let mount = |endpoint: &Endpoint| Mounted {
                servable: Arc::clone(servable),
                segments: segments(&endpoint.path),
                endpoint: endpoint.clone(),
            };
            servable.manifest().endpoints.iter().map(mount)
        });
        Self {
            mounted: mounted.collect(),
        }
    }

    /// The endpoint for a request; the error says whether the path answers another method.
    pub(crate) fn find(&self, method: &str, path: &str) -> Result<Matched<'_>, bool> {
        let mut other_method = false;
        for mounted in &self.mounted {
            let Some(keys) = mounted.matches(path) else { continue };
            if mounted.method() == method {
                return Ok((mounted, keys));
            }
            other_method = true;
        }
        Err(other_method)
    }

    /// `POST /api/predict/churn` and so on, for the list of models and for hints.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.mounted.iter().map(|it| it.endpoint.path.as_str())
    }
}

impl Mounted {
    fn method(&self) -> &'static str {
        match self.endpoint.method {
            Method::Get => "GET",
            Method::Post => "POST",
        }
    }

    fn matches(&self, path: &str) -> Option<Vec<(String, String)>> {
        let mut parts = path.split('/').filter(|it| !it.is_empty());
        let mut keys = Vec::new();
        for segment in &self.segments {
            let part = parts.next()?;
            match segment {
                Segment::Text(text) if text == part => {}
                Segment::Text(_) => return None,
                Segment::Key(column) => keys.push((column.clone(), percent_decoded(part)?)),
            }
        }
        parts.next().is_none().then_some(keys)
    }
}

fn segments(path: &str) -> Vec<Segment> {
    let segment = |part: &str| match part.strip_prefix('{').and_then(|it| it.strip_suffix('}')) {
        Some(column) => Segment::Key(column.to_owned()),
        None => Segment::Text(part.to_owned()),
    };
    path.split('/').filter(|it| !it.is_empty()).map(segment).collect()
}

/// `None` where it is no UTF-8.
pub(crate) fn percent_decoded(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|it| std::str::from_utf8(it).ok());
        let byte = hex.filter(|it| it.bytes().all(|it| it.is_ascii_hexdigit()));
        match byte
            .and_then(|it| u8::from_str_radix(it, 16).ok())
            .filter(|_| bytes[at] == b'%')
        {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_signs_are_decoded_where_they_mean_something() {
        let cases = [
            ("a%20b", "a b"),
            ("100%", "100%"),
            ("%zz%2", "%zz%2"),
            ("%C3%A9", "é"),
            ("a+b", "a+b"),
        ];
        for (text, decoded) in cases {
            assert_eq!(percent_decoded(text).as_deref(), Some(decoded));
        }
        assert_eq!(percent_decoded("%ff"), None);
    }
}
