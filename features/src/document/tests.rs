//! Reading by hand, as the parsers of the definitions do.

use super::*;
use crate::time::{Span, Timestamp};

const TEXT: &str = r#"
name = "acme"
at = 2026-06-30T00:00:00Z
day = 2026-06-30
later = "2026-07-01"
[b]
z = 1
a = [
  "x",
  "y",
]
[[step]]
n = 1
[[step]]
n = "two"
"#;

fn document() -> Document {
    Document::parse("p.toml", TEXT).unwrap()
}

#[test]
fn values_are_read_by_type_and_times_are_utc() {
    let document = document();
    let root = document.root();
    assert_eq!(root.get::<String>("name"), Some("acme".to_owned()));
    let midnight: Timestamp = "2026-06-30".parse().unwrap();
    assert_eq!(root.get::<Timestamp>("at"), Some(midnight));
    assert_eq!(root.get::<Timestamp>("day"), Some(midnight));
    assert_eq!(root.get::<Timestamp>("later"), Some(midnight.plus(Span::DAY)));
    let b = root.table("b").unwrap();
    assert_eq!(b.get::<Vec<String>>("a"), Some(vec!["x".to_owned(), "y".to_owned()]));
    let names: Vec<&str> = b.entries().iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["z", "a"], "the order of the file");
    assert_eq!(document.into_problems(), []);
}

#[test]
fn problems_gather_with_their_places_and_reading_goes_on() {
    let document = document();
    let root = document.root();
    assert_eq!(root.get::<Span>("name"), None);
    assert_eq!(root.need::<String>("nmae"), None);
    let steps: Vec<Option<usize>> = root.tables("step").iter().map(|it| it.get("n")).collect();
    assert_eq!(steps, [Some(1), None]);
    let b = root.table("b").unwrap();
    b.get::<String>("zz");
    b.refuse_unknown();
    let problems = Problems::or(document.into_problems(), ()).unwrap_err();
    let expected = "p.toml:1: nmae: `nmae` is missing; it is a text\n\
        p.toml:2: name: not a span of time like \"90d\", \"12h\", \"5m\" or \"30s\". got=`\"acme\"`\n\
        p.toml:7: b.z: unknown key `z`; did you mean `zz`?\n\
        p.toml:8: b.a: unknown key `a`; there is `zz`\n\
        p.toml:15: step[1].n: not a whole number of at least 1. got=`\"two\"`";
    assert_eq!(problems.to_string(), expected);
}

#[test]
fn what_is_not_toml_names_the_line() {
    for (text, line) in [
        ("a = 1\nb = \n", 2),
        ("a = 1\na = 2\n", 2),
        ("[x\n", 1),
        ("a = 1\n[t]\nb = \"x", 3),
    ] {
        let problem = Document::parse("p.toml", text).unwrap_err();
        assert_eq!(problem.line, line, "{problem}");
        assert!(problem.message.starts_with("not TOML: "), "{problem}");
    }
}

#[test]
fn numbers_that_do_not_fit_are_refused_not_rounded() {
    let document = Document::parse(
        "p.toml",
        "big = 99999999999999999999\nhex = 0x10\nnan = nan\ninf = inf\nneg = -1\n",
    )
    .unwrap();
    let root = document.root();
    assert_eq!(root.get::<usize>("big"), None);
    assert_eq!(root.get::<usize>("hex"), Some(16));
    assert_eq!(root.get::<f64>("nan"), None);
    assert_eq!(root.get::<f64>("inf"), None);
    assert_eq!(root.get::<usize>("neg"), None);
    assert_eq!(document.into_problems().len(), 4);
}
