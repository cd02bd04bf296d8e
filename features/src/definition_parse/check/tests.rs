//! Whole feature files: what they mean, or everything that is wrong with them.

use expect_test::{Expect, expect};

use crate::definition::{Aggregation, Definitions, FeatureKind, Format, SourceKey, View};
use crate::expression::Expression;
use crate::service::ServiceFeature;
use crate::time::Span;
use crate::value::DataType;
use crate::window::Window;

fn read(texts: &[&str]) -> Result<Definitions, crate::document::Problems> {
    let files = texts
        .iter()
        .enumerate()
        .map(|(at, text)| (format!("features/{at}.toml").into(), (*text).to_owned()));
    Definitions::parse(&files.collect::<Vec<_>>())
}

fn check(texts: &[&str], expected: Expect) {
    let got = match read(texts) {
        Ok(_) => "ok".to_owned(),
        Err(problems) => problems.to_string(),
    };
    expected.assert_eq(&got);
}

const SHOP: &str = r#"
[entity.customer]
key = { customer_id = "string", shop = "int64" }

[source.orders]
path = "orders/*.parquet"
event_time = "ordered_at"
known_time = "loaded_at"
columns = { total = "quantity * unit_price", amount = "total - discount" }
where = "status <> 'test'"

[source.customers]
path = "customers.csv.gz"
separator = ";"
null_values = ["?", "unknown"]
types = { zip = "string", since = "timestamp" }

[source.hours]
path = "m4.csv"
wide = { id = "V1", step = "hour" }

[view.profile]
entity = "customer"
source = "customers"
max_age = "365d"
latest = ["plan", "Call  Failure", "default"]

[view.everything]
entity = "customer"
source = "customers"
latest = "*"

[view.purchases]
entity = "customer"
source = "orders"
[view.purchases.features]
z_first = "channel"
upper_channel = { latest = "upper(channel)" }
odd = { latest = "emp.var rate (%)" }
orders = { count = "*" }
paid_90d = { sum = "amount", where = "status = 'paid'", window = "90d" }
exact_1h = { count = "amount", window = "1h", hop = "exact" }
weeks_since = { since_last = "*", unit = "7d" }
days_since_refund = { since_first = "nullif(refund, 0)" }
a_last = { count_distinct = "product", window = "12h" }
growth = { trend = "amount", unit = "7d", window = "90d" }

[derived.customer]
z = "paid_90d / greatest(orders, 1)"
a = "z * cart_value"

[request.customer]
cart_value = "double"
"#;

#[test]
fn definitions_mean_what_the_files_say_in_the_order_they_say_it() {
    let read = read(&[SHOP]).unwrap_or_else(|problems| panic!("{problems}"));
    let key = vec![
        ("customer_id".to_owned(), DataType::String),
        ("shop".to_owned(), DataType::Int64),
    ];
    assert_eq!(read.entities["customer"].key, key);

    let orders = &read.sources["orders"];
    let computed: Vec<&str> = orders.columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(computed, ["total", "amount"], "computed columns keep the file's order");
    assert_eq!(
        (orders.format.clone(), orders.key),
        (Format::Parquet, SourceKey::Columns)
    );
    assert_eq!(orders.filter, Some(Expression::parse("status <> 'test'").unwrap()));
    let null_values = vec!["?".to_owned(), "unknown".to_owned()];
    assert_eq!(
        read.sources["customers"].format,
        Format::Csv {
            separator: b';',
            null_values
        }
    );
    let wide = read.sources["hours"].wide.as_ref().unwrap();
    assert_eq!(
        (wide.id.as_slice(), wide.value.as_str(), wide.step.as_str()),
        (&["V1".to_owned()][..], "value", "hour")
    );

    let names: Vec<&str> = read.views["purchases"]
        .features
        .iter()
        .map(|it| it.name.as_str())
        .collect();
    let expected = [
        "z_first",
        "upper_channel",
        "odd",
        "orders",
        "paid_90d",
        "exact_1h",
        "weeks_since",
        "days_since_refund",
        "a_last",
        "growth",
    ];
    assert_eq!(names, expected, "features keep the file's order");
    assert!(read.views["everything"].all_columns);
    let derived: Vec<&str> = read.derived["customer"].iter().map(|it| it.name.as_str()).collect();
    assert_eq!(derived, ["z", "a"]);
}

#[test]
fn a_feature_is_what_its_line_says() {
    let definitions = read(&[SHOP]).unwrap();
    let kind = |view: &str, name: &str| {
        let features = &definitions.views[view].features;
        features.iter().find(|it| it.name == name).unwrap().kind.clone()
    };
    let aggregate = |aggregation, value: Option<&str>, filter: Option<&str>, window| FeatureKind::Aggregate {
        aggregation,
        value: value.map(|it| Expression::parse(it).unwrap()),
        filter: filter.map(|it| Expression::parse(it).unwrap()),
        window,
    };
    let column = |name: &str| FeatureKind::Latest {
        value: Expression::column(name),
    };
    assert_eq!(kind("profile", "Call  Failure"), column("Call  Failure"));
    assert_eq!(kind("purchases", "z_first"), column("channel"));
    assert_eq!(
        kind("purchases", "odd"),
        column("emp.var rate (%)"),
        "a name that is no expression is a column"
    );
    assert_eq!(
        kind("purchases", "orders"),
        aggregate(Aggregation::Count, None, None, None)
    );
    let window = Some(Window::of(Span::days(90)));
    assert_eq!(
        kind("purchases", "paid_90d"),
        aggregate(Aggregation::Sum, Some("amount"), Some("status = 'paid'"), window)
    );
    let window = Some(Window::exact(Span::HOUR));
    assert_eq!(
        kind("purchases", "exact_1h"),
        aggregate(Aggregation::Count, Some("amount"), None, window)
    );
    let unit = Span::days(7);
    assert_eq!(
        kind("purchases", "weeks_since"),
        aggregate(Aggregation::SinceLast { unit }, None, None, None)
    );
    assert_eq!(
        kind("purchases", "growth"),
        aggregate(
            Aggregation::Trend { unit },
            Some("amount"),
            None,
            Some(Window::of(Span::days(90)))
        )
    );
    let since_first = Aggregation::SinceFirst { unit: Span::DAY };
    assert_eq!(
        kind("purchases", "days_since_refund"),
        aggregate(since_first, Some("nullif(refund, 0)"), None, None)
    );
}

#[test]
fn everything_wrong_with_a_file_is_told_at_once() {
    check(
        &[r#"[entity.customer]
key = { customer_id = "strng", age = "double" }
[entity.empty]
key = {}
[source.orders]
pth = "orders.parquet"
evnt_time = "at"
[source.notes]
path = "notes.txt"
[source.lines]
path = "lines.parquet"
separator = ";"
key = "id"
known_time = "loaded"
columns = { amount = "quantity *" }
where = "greates(a, b) > 1"
types = { zip = "text" }
[view.purchases]
entity = "custmer"
source = "order"
max_age = "1 year"
[view.purchases.features]
a = { cuont = "*" }
b = { sum = "*" }
c = { sum = "amount", window = "90", hop = "1d" }
d = { count = "*", mean = "x" }
e = { latest = "plan", where = "x = 1" }
f = { count = "*", unit = "1d" }
g = 5
h = { window = "90d" }
i = "upper(x"
j = { count = "*", window = "0d" }
k = { trend = "*", unit = "1d" }
[view.empty]
source = "lines"
[colour]
x = 1
"#],
        expect![[r#"
            features/0.toml:2: entity.customer.key.age: a key column is string or int64. got=`double`
            features/0.toml:2: entity.customer.key.customer_id: unknown type `strng`; use boolean, int64, double, string or timestamp
            features/0.toml:4: entity.empty.key: a key needs at least one column; write key = { customer_id = "string" }
            features/0.toml:5: source.orders.path: `path` is missing; it is a text
            features/0.toml:6: source.orders.pth: unknown key `pth`; did you mean `path`?
            features/0.toml:7: source.orders.evnt_time: unknown key `evnt_time`; did you mean `event_time`?
            features/0.toml:9: source.notes.path: `notes.txt` is not .csv, .csv.gz or .parquet; for a folder say what is in it, format = "parquet" or format = "csv"
            features/0.toml:12: source.lines.separator: only CSV files have this; a Parquet file needs none
            features/0.toml:13: source.lines.key: a source's key is "row" (the file row is the entity) or left out (columns named as the entity's key). got=`id`
            features/0.toml:14: source.lines.known_time: a source with `known_time` also needs `event_time`
            features/0.toml:15: source.lines.columns.amount: cannot read `quantity *`: Expected: an expression, found: EOF
            features/0.toml:16: source.lines.where: unknown function `greates`; did you mean `greatest`?
            features/0.toml:17: source.lines.types.zip: unknown type `text`; use boolean, int64, double, string or timestamp
            features/0.toml:19: view.purchases.entity: `custmer` is not an entity; did you mean `customer`?
            features/0.toml:20: view.purchases.source: `order` is not a source; did you mean `orders`?
            features/0.toml:21: view.purchases.max_age: not a span of time like "90d", "12h", "5m" or "30s". got=`"1 year"`
            features/0.toml:23: view.purchases.features.a.cuont: unknown aggregation `cuont`; did you mean `count`?
            features/0.toml:24: view.purchases.features.b.sum: `sum` needs a column; `*` is for `count`, `since_last` and `since_first`
            features/0.toml:25: view.purchases.features.c.hop: the only hop to ask for is "exact"; the usual one follows from the window. got=`"1d"`
            features/0.toml:25: view.purchases.features.c.window: not a span of time like "90d", "12h", "5m" or "30s". got=`"90"`
            features/0.toml:26: view.purchases.features.d: a feature is one of `count`, `mean`; make two features
            features/0.toml:27: view.purchases.features.e.where: `latest` takes no `where`; use `last`, or the source's `where`
            features/0.toml:28: view.purchases.features.f.unit: `count` has no unit; only `since_last`, `since_first` and `trend` do
            features/0.toml:29: view.purchases.features.g: not a feature; write { count = "*", window = "90d" } or the column whose latest value it is. got=`5`
            features/0.toml:30: view.purchases.features.h: the feature does not say what it is; use one of `latest`, `count`, `sum`, `mean`, `min`, `max`, `std`, `count_distinct`, `first`, `last`, `since_last`, `since_first`, `trend`
            features/0.toml:31: view.purchases.features.i: cannot read `upper(x`: Expected: ), found: EOF
            features/0.toml:32: view.purchases.features.j.window: a window of zero length never holds an event; make it longer
            features/0.toml:33: view.purchases.features.k.trend: `trend` needs a column; `*` is for `count`, `since_last` and `since_first`
            features/0.toml:34: view.empty: a view needs features; write `latest = "*"`, `latest = [..]` or `[view.X.features]`
            features/0.toml:36: colour: unknown key `colour`; there is `derived`, `entity`, `request`, `service`, `source`, `view`"#]],
    );
}

#[test]
fn names_are_looked_up_across_all_files() {
    check(
        &[
            "[entity.customer]\nkey = { customer_id = \"string\" }\n[source.orders]\npath = \"o.parquet\"\nevent_time = \"at\"\n",
            "[view.a]\nentity = \"customer\"\nsource = \"orders\"\nfeatures = { n = { count = \"*\" } }\n",
        ],
        expect!["ok"],
    );
    check(
        &[
            "[entity.customer]\nkey = { customer_id = \"string\" }\n[source.orders]\npath = \"o.parquet\"\n",
            "[source.orders]\npath = \"p.parquet\"\n[view.a]\nentity = \"customer\"\nsource = \"orders\"\nfeatures = { n = { count = \"*\" } }\n",
            "[view.a]\nentity = \"client\"\nsource = \"ordres\"\nlatest = [\"plan\", \"plan\"]\n",
            "[derived.customer]\nm = \"n2 + later\"\nlater = \"n * cart\"\nn = \"1 + 1\"\ncart = \"n\"\n[request.customer]\ncart = \"double\"\nn = \"dubble\"\n[derived.clients]\nx = \"1\"\n",
            "[source.rows]\npath = \"r.csv\"\nkey = \"row\"\n[view.rows]\nentity = \"customer\"\nsource = \"rows\"\nlatest = \"*\"\n",
            "not toml",
        ],
        expect![[r#"
            features/1.toml:1: source.orders: `source.orders` is defined twice, first at features/0.toml:3; rename one
            features/1.toml:3: view.a: aggregates need times, and source `orders` has no `event_time`
            features/2.toml:1: view.a: `view.a` is defined twice, first at features/1.toml:3; rename one
            features/2.toml:1: view.a.features: feature `plan` is there twice; leave one out
            features/2.toml:2: view.a.entity: `client` is not an entity; there is `customer`
            features/2.toml:3: view.a.source: `ordres` is not a source; did you mean `orders`?
            features/3.toml:2: derived.customer.m: uses `later`, which is derived later; move that one up
            features/3.toml:4: derived.customer.n: `n` is a feature or a request value of `customer` already; rename one
            features/3.toml:5: derived.customer.cart: `cart` is a feature or a request value of `customer` already; rename one
            features/3.toml:8: request.customer.n: unknown type `dubble`; use boolean, int64, double, string or timestamp
            features/3.toml:9: derived.clients: `clients` is not an entity; there is `customer`
            features/4.toml:4: view.rows: source `rows` has key = "row", a number; give `customer` one int64 key column
            features/5.toml:1: not TOML: key with no value, expected `=`"#]],
    );
}

const CHECKOUT: &str = r#"
[entity.shop]
key = { shop = "int64" }
description = "where it was bought"
tags = { team = "growth", tier = "1" }
owner = "ann@example.com"
[view.shops]
entity = "shop"
source = "customers"
latest = ["plan"]
owner = "bob@example.com"
[derived.shop]
double_plan = "concat(plan, plan)"
z = "plan"
[service.checkout]
features = ["purchases:*", "everything:plan", "shops:plan", "a", "shop:z"]
except = ["purchases:a_last"]
description = "what the checkout asks for"
tags = { team = "checkout" }
"#;

#[test]
fn a_service_lists_features_of_several_entities_and_says_whom_to_ask() {
    let read = read(&[SHOP, CHECKOUT]).unwrap_or_else(|problems| panic!("{problems}"));
    let shop = &read.entities["shop"].about;
    assert_eq!(shop.tags["team"], "growth");
    assert_eq!(
        (shop.owner.as_deref(), shop.description.as_deref()),
        (Some("ann@example.com"), Some("where it was bought"))
    );
    assert_eq!(read.views["shops"].about.owner.as_deref(), Some("bob@example.com"));
    let service = &read.services["checkout"];
    assert_eq!(service.about.tags["team"], "checkout");
    let columns = |view: &View| view.features.iter().map(|it| it.name.clone()).collect();
    let given = read.expand(&service.features, &service.except, &columns).unwrap();
    let names: Vec<String> = given
        .iter()
        .map(|it| match it {
            ServiceFeature::Stored { view, feature } => format!("{view}:{feature}"),
            ServiceFeature::Derived { entity, name } => format!("{entity}={name}"),
        })
        .collect();
    let expected = "purchases:z_first purchases:upper_channel purchases:odd purchases:orders purchases:paid_90d \
                    purchases:exact_1h purchases:weeks_since purchases:days_since_refund purchases:growth \
                    everything:plan shops:plan customer=a shop=z";
    assert_eq!(names.join(" "), expected);
}

#[test]
fn a_service_that_lists_what_is_not_there_is_told_where() {
    let shops = r#"[view.shops]
entity = "customer"
source = "customers"
latest = "plan"
tags = { team = 5 }
owner = ["ann"]
[view.broken]
[derived.customer]
plans = "plan"
[entity.other]
key = { other = "string" }
[derived.other]
z = "1"
[service.a]
features = [
  "shop:*",
  "shops:plam",
  "shops:plan",
  "plan",
  "planz",
  "z",
  "cart_value",
  "broken:x",
  7,
]
[service.b]
features = []
[service.c]
features = ["shops:plan", "plans"]
except = ["shops:*", "plans"]
excpt = []
[service.d]
"#;
    check(
        &[SHOP, shops],
        expect![[r#"
        features/1.toml:5: view.shops.tags.team: not a text. got=`5`
        features/1.toml:6: view.shops.owner: not a text. got=a list
        features/1.toml:7: view.broken: a view needs features; write `latest = "*"`, `latest = [..]` or `[view.X.features]`
        features/1.toml:7: view.broken.source: `source` is missing; it is a text
        features/1.toml:15: service.a.features: not a text. got=`7`
        features/1.toml:16: service.a.features: unknown feature view `shop`; did you mean `shops`?
        features/1.toml:17: service.a.features: unknown feature `shops:plam`; did you mean `plan`?
        features/1.toml:19: service.a.features: unknown derived feature `plan`; write `profile:plan` for the stored feature
        features/1.toml:20: service.a.features: unknown derived feature `planz`; did you mean `plans`?
        features/1.toml:21: service.a.features: `z` is derived for `customer` and for `other`; write `customer:z`
        features/1.toml:22: service.a.features: `cart_value` is a request value, which the caller sends; leave it out
        features/1.toml:27: service.b.features: a service needs features; write features = ["view:*"]
        features/1.toml:28: service.c: `except` leaves no feature; take something out of it
        features/1.toml:31: service.c.excpt: unknown key `excpt`; did you mean `except`?
        features/1.toml:32: service.d.features: `features` is missing; it is a list"#]],
    );
}

#[test]
fn a_derived_feature_computed_from_itself_shows_the_circle() {
    check(
        &[
            "[entity.k]\nkey = { k = \"int64\" }\n[derived.k]\na = \"b + 1\"\nb = \"c * 2\"\nc = \"a - b\"\nd = \"d + 1\"\n",
        ],
        expect![[r#"
            features/0.toml:4: derived.k.a: it is computed from itself: a <- b <- c <- a; break the circle
            features/0.toml:5: derived.k.b: it is computed from itself: b <- c <- b; break the circle
            features/0.toml:7: derived.k.d: it is computed from itself: d <- d; break the circle"#]],
    );
}

#[test]
fn files_without_extension_say_their_format_and_columns_can_be_renamed() {
    let toml = r#"
        [source.events]
        path = "events"
        format = "csv"
        separator = ";"
        rename = { cust_no = "customer_id", "Order Date" = "ordered_at" }
    "#;
    let read = read(&[toml]).unwrap_or_else(|problems| panic!("{problems}"));
    let events = &read.sources["events"];
    assert!(matches!(events.format, Format::Csv { separator: b';', .. }));
    let renamed = [("cust_no", "customer_id"), ("Order Date", "ordered_at")];
    assert_eq!(events.rename, renamed.map(|(a, b)| (a.to_owned(), b.to_owned())));
    check(
        &[
            "[source.a]\npath = \"a\"\nformat = \"orc\"\n[source.b]\npath = \"b\"\n[source.c]\npath = \"c.csv\"\nrename = { x = \"z\", y = \"z\" }\n",
        ],
        expect![[r#"
            features/0.toml:3: source.a.format: a source is "parquet" or "csv". got=`orc`
            features/0.toml:5: source.b.path: `b` is not .csv, .csv.gz or .parquet; for a folder say what is in it, format = "parquet" or format = "csv"
            features/0.toml:8: source.c.rename.y: two columns are renamed to `z`; choose another name for one"#]],
    );
}
