//! The part of YAML that MLflow writes into an `MLmodel`: mappings by indentation, and texts plain or in quotes, folded over
//! several lines. Lists and inline forms are kept as text and not looked into.

/// Levels of a file at most.
const DEEPEST: usize = 16;
/// Bytes of a file at most; MLflow's own are a few kilobytes, with a wide signature a few hundred.
const LONGEST: usize = 16 << 20;

/// A mapping, or a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tree {
    Text(String),
    Mapping(Vec<(String, Tree)>),
}

impl Tree {
    pub(super) fn parse(text: &str) -> Result<Tree, String> {
        if text.len() > LONGEST {
            return Err(format!("it is longer than {LONGEST} bytes"));
        }
        let lines = text.lines().enumerate().filter(|(_, it)| !is_nothing(it));
        let lines: Vec<Line<'_>> = lines.map(|(at, it)| Line::of(at + 1, it)).collect();
        let mut rest = lines.as_slice();
        let tree = mapping(&mut rest, 0, 0)?;
        match rest.first() {
            None => Ok(tree),
            Some(line) => Err(line.wrong()),
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Tree> {
        self.entries().iter().find(|it| it.0 == key).map(|it| &it.1)
    }

    pub(super) fn entries(&self) -> &[(String, Tree)] {
        match self {
            Tree::Text(_) => &[],
            Tree::Mapping(entries) => entries,
        }
    }

    /// The text; `null` is none.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Tree::Text(text) => Some(text.as_str()).filter(|it| !matches!(*it, "null" | "~" | "")),
            Tree::Mapping(_) => None,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Line<'a> {
    number: usize,
    indent: usize,
    text: &'a str,
}

impl<'a> Line<'a> {
    fn of(number: usize, line: &'a str) -> Self {
        let text = line.trim_start_matches(' ');
        Self {
            number,
            indent: line.len() - text.len(),
            text: text.trim_end(),
        }
    }

    fn wrong(&self) -> String {
        format!("line {} is not `key: value`", self.number)
    }

    /// A key and what stands behind it on the line.
    fn entry(&self) -> Option<(String, &'a str)> {
        if let Some(quote @ ('\'' | '"')) = self.text.chars().next() {
            let end = self.text[1..].find(quote)? + 1;
            let rest = self.text[end + 1..].strip_prefix(':')?;
            return Some((self.text[1..end].to_owned(), rest.trim_start()));
        }
        let (key, rest) = match self.text.split_once(": ") {
            Some(split) => split,
            None => (self.text.strip_suffix(':')?, ""),
        };
        Some((key.to_owned(), rest.trim_start()))
    }
}

fn is_nothing(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#') || line == "---"
}

fn mapping(rest: &mut &[Line<'_>], indent: usize, depth: usize) -> Result<Tree, String> {
    if depth > DEEPEST {
        return Err(format!("it is nested deeper than {DEEPEST}"));
    }
    let mut entries = Vec::new();
    while let Some(line) = rest.first().copied().filter(|it| it.indent == indent) {
        let (key, value) = line.entry().ok_or_else(|| line.wrong())?;
        *rest = &rest[1..];
        entries.push((key, self::value(rest, line, value, depth)?));
    }
    Ok(Tree::Mapping(entries))
}

fn value(rest: &mut &[Line<'_>], line: Line<'_>, first: &str, depth: usize) -> Result<Tree, String> {
    let inner = rest.first().map_or(0, |it| it.indent);
    // Items of a list may stand as far out as their key.
    let is_list = |it: &Line<'_>| it.indent >= line.indent && it.text.starts_with('-');
    if first.is_empty() && rest.first().is_some_and(is_list) {
        let more = |it: &Line<'_>| it.indent > line.indent || is_list(it);
        return Ok(Tree::Text(folded(rest, "", more)));
    }
    let is_entry = |it: &Line<'_>| it.text == "{}" || it.entry().is_some();
    if first.is_empty() && inner > line.indent && rest.first().is_some_and(is_entry) {
        if rest[0].text == "{}" {
            *rest = &rest[1..];
            return Ok(Tree::Mapping(Vec::new()));
        }
        return mapping(rest, inner, depth + 1);
    }
    if first == "{}" {
        return Ok(Tree::Mapping(Vec::new()));
    }
    let text = folded(rest, first, |it| it.indent > line.indent);
    unquoted(&text).map(Tree::Text).ok_or_else(|| line.wrong())
}

/// A text over several lines: each break is a space.
fn folded(rest: &mut &[Line<'_>], first: &str, more: impl Fn(&Line<'_>) -> bool) -> String {
    let mut text = first.to_owned();
    while let Some(line) = rest.first().filter(|it| more(it)) {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(line.text);
        *rest = &rest[1..];
    }
    text
}

fn unquoted(text: &str) -> Option<String> {
    match text.as_bytes().first() {
        Some(b'\'') => {
            let inner = text[1..].strip_suffix('\'')?;
            Some(inner.replace("''", "'"))
        }
        Some(b'"') => {
            // A break inside double quotes is written as a backslash at the end of the line and one before the rest.
            let joined = text.replace("\\ \\ ", " ").replace("\\ ", "");
            serde_json::from_str(&joined).ok()
        }
        _ => Some(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_texts_and_lists_are_read() {
        let text = "# a comment\na: 1\nb:\n  c: 'it''s\n    folded'\n  d: {}\n  e: \"x\\\"y\"\nlist:\n- one: 1\n  two: 2\n- three\nlast: null\n";
        let tree = Tree::parse(text).unwrap();
        let of = |path: &[&str]| path.iter().try_fold(&tree, |it, key| it.get(key)).and_then(Tree::text);
        assert_eq!(of(&["a"]), Some("1"));
        assert_eq!(of(&["b", "c"]), Some("it's folded"));
        assert_eq!(of(&["b", "e"]), Some("x\"y"));
        assert_eq!(tree.get("b").unwrap().get("d"), Some(&Tree::Mapping(vec![])));
        assert_eq!(of(&["list"]), Some("- one: 1 two: 2 - three"));
        assert_eq!((of(&["last"]), tree.entries().len()), (None, 4));
    }

    #[test]
    fn what_is_no_mapping_is_refused_by_its_line() {
        for (text, line) in [
            ("a: 1\nb\n", 2),
            ("a: 'open\n", 1),
            ("  a: 1\nb: 2\n", 1),
            ("[1, 2]", 1),
        ] {
            let error = Tree::parse(text).unwrap_err();
            assert!(error.contains(&format!("line {line} ")), "{text}: {error}");
        }
        let deep: String = (0..40).map(|it| format!("{}a:\n", " ".repeat(it))).collect();
        assert!(Tree::parse(&deep).unwrap_err().contains("deeper"));
    }
}
