//! The published cases of the point-in-time join (C1 to C20 of the reference), and a brute-force oracle.

use crate::common::{Project, at, key, refs, row_text};
use foretell_features::{EntityFrame, Timestamp, Value};
use proptest::prelude::*;

const DRIVERS: &str = r#"
[entity.driver]
key = { driver_id = "int64" }
[source.stats]
path = "stats.csv"
event_time = "event"
known_time = "created"
[view.stats]
entity = "driver"
source = "stats"
max_age = "2h"
[view.stats.features]
conv = { latest = "conv" }
trips = { latest = "trips" }
"#;

const STATS: &str = "driver_id,event,created,conv,trips
1,2024-01-01 00:00,2024-01-01 00:05,.10,1
1,2024-01-01 10:00,2024-01-01 10:05,.20,2
1,2024-01-01 10:00,2024-01-02 00:00,.21,3
1,2024-01-01 12:00,2024-01-01 12:05,,4
2,2024-01-01 09:00,2024-01-01 09:05,.50,5
2,2024-01-01 11:00,2024-01-01 08:00,.60,6
3,2024-01-05,2024-01-05,.90,9
4,2023-01-01,2023-01-01,.40,8
6,2024-01-01 09:00,,.66,66
6,2024-01-01 09:00,2024-01-01 09:05,.67,67
";

/// Rows of `key @ time`, answers joined by `,` (null is `-`); the answer in hindsight, and as it was known.
fn check(project: &Project, features: &[&str], cases: &[(&str, &str, &str, &str)]) {
    let frame = EntityFrame::new(
        cases
            .iter()
            .map(|(_, entity, ..)| key(entity.split(" @ ").next().unwrap()))
            .collect(),
        cases
            .iter()
            .map(|(_, entity, ..)| at(entity.split(" @ ").nth(1).unwrap()))
            .collect(),
    );
    let hindsight = project
        .open()
        .in_hindsight()
        .historical(&frame, &refs(features), &[])
        .unwrap();
    let known = project.open().historical(&frame, &refs(features), &[]).unwrap();
    assert_eq!(
        (hindsight.n_rows(), known.n_rows()),
        (cases.len(), cases.len()),
        "rows out = rows in"
    );
    for (row, (name, entity, in_hindsight, as_known)) in cases.iter().enumerate() {
        assert_eq!(
            row_text(&hindsight, row),
            *in_hindsight,
            "{name} {entity}, in hindsight"
        );
        assert_eq!(row_text(&known, row), *as_known, "{name} {entity}, as known");
    }
}

#[test]
fn the_newest_value_not_older_than_max_age_is_joined() {
    let project = Project::new(DRIVERS, &[("stats.csv", STATS)]);
    check(
        &project,
        &["stats:conv", "stats:trips"],
        &[
            ("C1 exact, tie on created", "1 @ 2024-01-01 10:00", "0.21,3", "-,-"),
            ("C2 newest is null", "1 @ 2024-01-01 12:00", "-,4", "0.2,2"),
            ("C3 age edge", "1 @ 2024-01-01 14:00", "-,4", "-,4"),
            ("C4 age edge + 1 us", "1 @ 2024-01-01T14:00:00.000001", "-,-", "-,-"),
            ("C5", "1 @ 2024-01-01 11:59:59", "0.21,3", "0.2,2"),
            (
                "C6 later event, earlier created",
                "2 @ 2024-01-01 11:00",
                "0.6,6",
                "0.6,6",
            ),
            ("C6 the one before", "2 @ 2024-01-01 10:59", "0.5,5", "0.5,5"),
            ("C7 only future", "3 @ 2024-01-01 10:00", "-,-", "-,-"),
            ("C8 only expired", "4 @ 2024-01-01 10:00", "-,-", "-,-"),
            ("C9 unknown", "5 @ 2024-01-01 10:00", "-,-", "-,-"),
            ("C10 null created loses", "6 @ 2024-01-01 10:00", "0.67,67", "0.67,67"),
            ("C11 duplicate row", "2 @ 2024-01-01 11:00", "0.6,6", "0.6,6"),
            ("C15 zone", "2 @ 2024-01-01T03:00:00-08:00", "0.6,6", "0.6,6"),
            ("null key", "- @ 2024-01-01 11:00", "-,-", "-,-"),
        ],
    );
}

#[test]
fn composite_text_keys_do_not_run_together() {
    let toml = r#"
        [entity.pair]
        key = { a = "string", b = "string" }
        [source.rows]
        path = "rows.csv"
        types = { a = "string", b = "string" }
        [view.rows]
        entity = "pair"
        source = "rows"
        features = { v = { latest = "v" } }
    "#;
    let project = Project::new(toml, &[("rows.csv", "a,b,v\n1,11,10\n11,1,20\n,1,30\n")]);
    let day = " @ 2024-01-01";
    let cases = [("1,11", "10"), ("11,1", "20"), ("-,1", "-"), ("x,y", "-")];
    let cases: Vec<_> = cases
        .iter()
        .map(|(key, answer)| ("C12", format!("{key}{day}"), *answer))
        .collect();
    let cases: Vec<_> = cases
        .iter()
        .map(|(name, entity, answer)| (*name, entity.as_str(), *answer, *answer))
        .collect();
    check(&project, &["rows:v"], &cases);
}

#[test]
fn ties_go_to_the_last_row_of_the_file_and_naive_times_are_utc() {
    let toml = r#"
        [entity.k]
        key = { k = "int64" }
        [source.rows]
        path = "rows.csv"
        event_time = "t"
        [view.rows]
        entity = "k"
        source = "rows"
        features = { v = { latest = "v" } }
        [view.all]
        source = "rows"
        max_age = "2d"
        features = { any = { latest = "v" } }
    "#;
    let rows =
        "k,t,v\n1,2024-01-01,1\n1,2024-01-01,3\n1,2024-01-01,2\n2,2024-01-01 00:00,4\n2,2024-01-01T08:00:00Z,5\n";
    let project = Project::new(toml, &[("rows.csv", rows)]);
    check(
        &project,
        &["rows:v", "all:any"],
        &[
            ("C13 tie without created", "1 @ 2024-01-02", "2,5", "2,5"),
            ("C14 naive", "2 @ 2024-01-01 01:00", "4,4", "4,4"),
            ("C14 naive", "2 @ 2024-01-01 09:00", "5,5", "5,5"),
            ("C15 zone", "2 @ 2023-12-31T23:59:59-08:00", "4,4", "4,4"),
            ("C15 zone", "2 @ 2024-01-01T00:00:00-08:00", "5,5", "5,5"),
            (
                "C17 global view holds for whoever asks",
                "9 @ 2024-01-01 12:00",
                "-,5",
                "-,5",
            ),
            ("C17 global view, null key", "- @ 2024-01-03 08:00", "-,5", "-,5"),
            ("C17 global view, too old", "- @ 2024-01-03T08:00:01Z", "-,-", "-,-"),
        ],
    );
}

#[test]
fn late_corrections_count_from_when_they_were_known() {
    let toml = r#"
        [entity.k]
        key = { k = "int64" }
        [source.rows]
        path = "rows.csv"
        event_time = "t"
        known_time = "known"
        [view.rows]
        entity = "k"
        source = "rows"
        max_age = "10d"
        features = { v = { latest = "v" } }
    "#;
    let backfill = "k,t,known,v
1001,2024-01-01,2024-01-01,10
1001,2024-01-01,2024-01-03,20
1002,2024-01-01,2024-01-03,30
1002,2024-01-02,2024-01-01,40
1,2023-12-31,2023-12-31,11
1,2024-01-02,2024-01-02,22
1,2024-01-03,2024-01-03,33
2,2024-01-03,2024-01-03,22
3,2024-01-01,2024-01-03,10
3,2024-01-01,2024-01-02,20
";
    let project = Project::new(toml, &[("rows.csv", backfill)]);
    check(
        &project,
        &["rows:v"],
        &[
            ("C18 corrected later", "1001 @ 2024-01-02", "20", "10"),
            ("C18 corrected later", "1001 @ 2024-01-03", "20", "20"),
            ("C18 known early", "1002 @ 2024-01-02", "40", "40"),
            ("C19", "1 @ 2024-01-01", "11", "11"),
            ("C19", "1 @ 2024-01-02", "22", "22"),
            ("C19", "2 @ 2024-01-01", "-", "-"),
            ("C19", "3 @ 2024-01-03", "10", "10"),
        ],
    );
}

/// One event of the oracle.
#[derive(Debug, Clone)]
struct Event {
    entity: i64,
    time: i64,
    known: Option<i64>,
    value: Option<i64>,
}

const AGE: i64 = 5;

/// The obvious way: look at every row. Slow, and the judge of the fast one.
fn newest(events: &[Event], entity: Option<i64>, now: i64) -> Option<&Event> {
    let qualifies = |it: &&Event| {
        Some(it.entity) == entity && it.time <= now && it.time + AGE >= now && it.known.is_some_and(|it| it <= now)
    };
    events.iter().filter(qualifies).max_by_key(|it| (it.time, it.known))
}

fn in_window(events: &[Event], entity: Option<i64>, now: i64) -> impl Iterator<Item = &Event> {
    let qualifies = move |it: &&Event| {
        Some(it.entity) == entity && (now - 4..now).contains(&it.time) && it.known.is_some_and(|it| it <= now)
    };
    events.iter().filter(qualifies)
}

/// Small hours keep collisions frequent: ties, edges, unknown entities.
const HOUR: i64 = 3_600_000_000;

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = (
        0i64..3,
        0i64..12,
        proptest::option::of(0i64..14),
        proptest::option::of(-5i64..5),
    );
    let event = event.prop_map(|(entity, time, known, value)| Event {
        entity,
        time,
        known,
        value,
    });
    proptest::collection::vec(event, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn the_join_agrees_with_looking_at_every_row(
        events in events(),
        asked in proptest::collection::vec((proptest::option::of(0i64..4), 0i64..14), 1..30),
        memory_per_row in 1u64..40,
    ) {
        let toml = r#"
            [entity.k]
            key = { k = "int64" }
            [source.rows]
            path = "rows.csv"
            event_time = "t"
            known_time = "known"
            types = { t = "timestamp", known = "timestamp", v = "int64" }
            [view.rows]
            entity = "k"
            source = "rows"
            max_age = "5h"
            [view.rows.features]
            latest = { latest = "v" }
            n = { count = "*", window = "4h", hop = "exact" }
            values = { count = "v", window = "4h", hop = "exact" }
            total = { sum = "v", where = "v > 0", window = "4h", hop = "exact" }
            least = { min = "v", window = "4h", hop = "exact" }
            mean = { mean = "v", window = "4h", hop = "exact" }
            different = { count_distinct = "v", window = "4h", hop = "exact" }
        "#;
        let instant = |hour: i64| Timestamp(hour * HOUR);
        let text = |it: Option<String>| it.unwrap_or_default();
        let mut csv = "k,t,known,v\n".to_owned();
        for it in &events {
            let known = text(it.known.map(|it| instant(it).to_string()));
            csv += &format!("{},{},{known},{}\n", it.entity, instant(it.time), text(it.value.map(|it| it.to_string())));
        }
        let project = Project::new(toml, &[("rows.csv", &csv)]);
        let frame = EntityFrame::new(
            asked.iter().map(|(entity, _)| entity.and_then(|it| key(&it.to_string()))).collect(),
            asked.iter().map(|(_, now)| instant(*now)).collect(),
        );
        let table = project.open().historical(&frame, &refs(&["rows:*"]), &[]).unwrap();
        prop_assert_eq!(table.n_rows(), asked.len());
        let in_parts = project.open().with_memory(events.len() as u64 * memory_per_row);
        prop_assert_eq!(&in_parts.historical(&frame, &refs(&["rows:*"]), &[]).unwrap(), &table);
        for (row, (entity, now)) in asked.iter().enumerate() {
            let value = |name: &str| table.column(name).unwrap().value(row);
            let int = |it: Option<i64>| it.map_or(Value::Null, Value::Int);
            // Equal event and known time: the last row of the file, which `max_by_key` gives.
            prop_assert_eq!(value("latest"), int(newest(&events, *entity, *now).and_then(|it| it.value)));
            let values: Vec<i64> = in_window(&events, *entity, *now).filter_map(|it| it.value).collect();
            prop_assert_eq!(value("n"), int(Some(in_window(&events, *entity, *now).count() as i64)));
            prop_assert_eq!(value("values"), int(Some(values.len() as i64)));
            prop_assert_eq!(value("total"), int(Some(values.iter().filter(|it| **it > 0).sum())));
            prop_assert_eq!(value("least"), int(values.iter().min().copied()));
            let mean = values.iter().sum::<i64>() as f64 / values.len() as f64;
            prop_assert_eq!(value("mean"), if values.is_empty() { Value::Null } else { Value::Float(mean) });
            let different: std::collections::BTreeSet<_> = values.iter().collect();
            prop_assert_eq!(value("different"), Value::Int(different.len() as i64));
        }
    }
}
