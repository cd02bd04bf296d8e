//! kill -9 at any moment of a materialization, of pushes under load and of an ingestion: what was acknowledged is there, nothing older has
//! replaced anything newer, and whoever does it again ends where nobody was killed.
//!
//! `FORETELL_KILLS` says how many kills, 6 unless told; the long run does 100.

mod support;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use foretell_features::Timestamp;
use serde_json::{Value, json};
use support::{Chance, Project, Server};

/// Enough rows for several batches: a kill can fall between two of them.
const MATERIALIZED: usize = 40_000;
const PUSHED: usize = 2000;
/// Of a file that is ingested.
const LINES: usize = 8000;
/// So many customers are looked at, or all.
const LOOKED_AT: usize = 2000;
const PUSHERS: usize = 4;
const DAY: i64 = 86_400_000_000;

const FEATURES: &str = r#"
[entity.customer]
key = { customer_id = "string" }
[source.orders]
path = "orders.csv"
event_time = "at"
[view.orders]
entity = "customer"
source = "orders"
[view.orders.features]
orders_90d = { count = "*", window = "90d" }
spend_90d = { sum = "amount", window = "90d" }
last_amount = { latest = "amount" }
"#;

#[test]
fn a_materialization_killed_at_any_moment_is_taken_up_and_ends_with_the_same_values() {
    let (project, mut ledger) = company(MATERIALIZED);
    materialize(&project, day(54));
    let pushed = fresh_orders();
    push_all(&project, &pushed, &mut ledger);
    let began = Instant::now();
    materialize(&project, day(55));
    let whole = began.elapsed();
    let (mut chance, mut from, mut before) = (Chance(5), day(55), read(&project, MATERIALIZED));
    let (n, mut halfway) = (share_of_kills(), 0);
    for kill in 0..n {
        let to = day(56 + kill as i64 / 3);
        let mut command = project.command(&["features", "materialize", "--to", &to.to_string()]);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        // Files are read first; it is written in the second half.
        std::thread::sleep(whole.mul_f64(0.4 + 0.7 * chance.unit()));
        child.kill().expect("our own child can be killed");
        child.wait().expect("a killed child ends");

        let (after, mut seen) = (read(&project, MATERIALIZED), [false; 2]);
        for (&(customer, was), &(_, is)) in before.iter().zip(&after) {
            let (old, new) = (ledger.features(customer, from), ledger.features(customer, to));
            if old != new {
                seen[usize::from(is == new)] = true;
            }
            assert!(
                is == old || is == new,
                "kill {kill}, C{customer}: {is:?} is neither {old:?} nor {new:?}"
            );
            assert!(
                was != new || is == new,
                "kill {kill}, C{customer}: {is:?} has replaced {was:?}"
            );
        }
        halfway += usize::from(seen == [true; 2]);
        before = after;
        if kill % 3 == 2 || kill + 1 == n {
            materialize(&project, to);
            before = read(&project, MATERIALIZED);
            assert_all(&before, &ledger, to);
            from = to;
        }
    }
    let (undisturbed, mut ledger) = company(MATERIALIZED);
    materialize(&undisturbed, from);
    push_all(&undisturbed, &pushed, &mut ledger);
    assert_eq!(read(&undisturbed, MATERIALIZED), before, "as if nobody had been killed");
    assert!(n < 20 || halfway > 0, "of many kills some fall between two batches");
    println!("{n} materializations killed, {halfway} of them halfway");
}

#[test]
fn a_push_that_was_acknowledged_survives_every_kill() {
    let (project, mut ledger) = company(PUSHED);
    let through = day(60);
    materialize(&project, through);
    let (mut chance, mut acknowledged) = (Chance(6), 0);
    for kill in 0..share_of_kills() {
        let mut server = project.serve();
        let address = server.http.clone();
        let pushed: Vec<Pushed> = std::thread::scope(|scope| {
            let pusher = |at: usize| {
                let address = &address;
                scope.spawn(move || Pushed::until_the_end(address, kill * PUSHERS + at))
            };
            let pushers: Vec<_> = (0..PUSHERS).map(pusher).collect();
            std::thread::sleep(Duration::from_millis(100 + chance.below(600) as u64));
            server.kill();
            pushers
                .into_iter()
                .map(|it| it.join().expect("no pusher panics"))
                .collect()
        });
        pushed
            .iter()
            .flat_map(|it| &it.acknowledged)
            .for_each(|it| ledger.add_all(it));
        acknowledged += pushed.iter().map(|it| it.acknowledged.len()).sum::<usize>();
        let mut all = ledger.clone();
        pushed.iter().for_each(|it| all.add_all(&it.open));

        let server = project.serve();
        for (customer, is) in read_from(&server, PUSHED) {
            let (least, most) = (ledger.features(customer, through), all.features(customer, through));
            let between = is == least || is == most || (least.0 < is.0 && is.0 < most.0);
            assert!(
                between,
                "kill {kill}, C{customer}: {is:?} is not between {least:?} and {most:?}"
            );
        }
        // Nobody knows what became of the last call of each: it is made again.
        for it in &pushed {
            server.post("/push", &body(&it.open));
        }
        assert_all(&read_from(&server, PUSHED), &all, through);
        ledger = all;
    }
    assert!(acknowledged > 0, "something was acknowledged between the kills");
    println!("{acknowledged} calls acknowledged, none lost");
}

#[test]
fn an_ingestion_goes_on_after_the_line_that_was_acknowledged_and_counts_every_row_once() {
    let (project, mut ledger) = company(PUSHED);
    let through = day(60);
    materialize(&project, through);
    let (mut chance, mut whole, mut early) = (Chance(7), Duration::from_secs(1), 0);
    for kill in 0..share_of_kills() {
        let name = format!("new-{kill}.jsonl");
        let mut orders = Orders::new(kill + 500);
        let orders = orders.next(LINES);
        project.write(&name, &lines(&orders));
        let file = project.path(&name).display().to_string();
        let ingest = ["features", "ingest", &file, "--source", "orders", "--batch", "100"];
        let mut command = project.command(&ingest);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        std::thread::sleep(whole.mul_f64(0.1 + chance.unit()));
        child.kill().expect("our own child can be killed");
        child.wait().expect("a killed child ends");

        let acknowledged = acknowledged_line(&project);
        early += usize::from(acknowledged > 0);
        let (mut least, mut most) = (ledger.clone(), ledger);
        least.add_all(&orders[..acknowledged]);
        most.add_all(&orders);
        for (customer, is) in read(&project, PUSHED) {
            let (least, most) = (least.features(customer, through), most.features(customer, through));
            assert!(
                (least.0..=most.0).contains(&is.0),
                "kill {kill}, C{customer}: {is:?} is not between {least:?} and {most:?}"
            );
        }
        // Only what is behind that line comes again: what was acknowledged must be there.
        let next = (acknowledged + 1).to_string();
        let began = Instant::now();
        project.json(&[&ingest[..], &["--from-line", &next]].concat());
        if acknowledged == 0 {
            whole = began.elapsed();
        }
        assert_all(&read(&project, PUSHED), &most, through);
        ledger = most;
    }
    println!("{early} ingestions killed halfway");
}

/// What became of the calls of one application.
struct Pushed {
    acknowledged: Vec<Vec<Order>>,
    /// The call that was under way when the server ended.
    open: Vec<Order>,
}

/// Customer, instant, amount. No two are of the same instant.
type Order = (usize, Timestamp, i64);

/// Orders and spend of ninety days and the last amount; nothing of a customer without orders.
type Features = (i64, i64, Option<i64>);

/// Every order there is: the slow way to the features, and the judge of the fast one.
#[derive(Clone, Default)]
struct Ledger {
    files: BTreeMap<usize, BTreeMap<Timestamp, i64>>,
    pushed: BTreeMap<usize, BTreeMap<Timestamp, i64>>,
}

impl Ledger {
    fn add_all(&mut self, orders: &[Order]) {
        for &(customer, at, amount) in orders {
            self.pushed.entry(customer).or_default().insert(at, amount);
        }
    }

    /// With the orders of files before an instant; all are younger than ninety days.
    fn features(&self, customer: usize, through: Timestamp) -> Features {
        let files = self
            .files
            .get(&customer)
            .into_iter()
            .flatten()
            .filter(|it| *it.0 < through);
        let all: BTreeMap<_, _> = files.chain(self.pushed.get(&customer).into_iter().flatten()).collect();
        let last = all.last_key_value().map(|it| **it.1);
        (all.len() as i64, all.into_values().sum(), last)
    }
}

impl Pushed {
    /// Calls one after the other until one is not answered.
    fn until_the_end(address: &str, seed: usize) -> Self {
        let (mut orders, mut acknowledged) = (Orders::new(seed), Vec::new());
        loop {
            let open = orders.next(8);
            if !matches!(posted(address, "/push", &body(&open)), Ok(200)) {
                return Self { acknowledged, open };
            }
            acknowledged.push(open);
        }
    }
}

/// New orders of all times, none like another.
struct Orders {
    chance: Chance,
    /// Microseconds into a day. Those of files are even, these are odd.
    own: i64,
}

impl Orders {
    fn new(seed: usize) -> Self {
        Self {
            chance: Chance(1000 + seed as u64),
            own: 1 + 20_000_000 * seed as i64,
        }
    }

    fn next(&mut self, n: usize) -> Vec<Order> {
        let mut order = || {
            self.own += 2;
            let at = day(self.chance.below(70) as i64).0 + self.own;
            (self.chance.below(PUSHED), Timestamp(at), self.chance.below(1000) as i64)
        };
        (0..n).map(|_| order()).collect()
    }
}

/// The clock of the project; its orders are of the seventy-five days before.
fn as_of() -> Timestamp {
    "2026-06-30T00:00:00Z".parse().expect("an instant")
}

fn day(number: i64) -> Timestamp {
    Timestamp(as_of().0 - 72 * DAY + number * DAY)
}

fn company(customers: usize) -> (Project, Ledger) {
    let (project, mut ledger, mut chance) = (Project::empty(), Ledger::default(), Chance(4));
    let mut text = "customer_id,at,amount\n".to_owned();
    for number in 0..6 * customers {
        let (customer, amount) = (chance.below(customers), chance.below(1000) as i64);
        let at = Timestamp(as_of().0 - (1 + chance.below(74) as i64) * DAY + 1_000_000 + 2 * number as i64);
        ledger.files.entry(customer).or_default().insert(at, amount);
        text.push_str(&format!("C{customer},{at},{amount}\n"));
    }
    project.write("data/orders.csv", &text);
    project.write("features/orders.toml", FEATURES);
    (project, ledger)
}

/// Orders newer than any file that is materialized: they must outlive all of them.
fn fresh_orders() -> Vec<Order> {
    let order = |it: usize| {
        (
            it * 20 % MATERIALIZED,
            Timestamp(as_of().0 - 3_600_000_000 + it as i64),
            1 + it as i64,
        )
    };
    (0..400).map(order).collect()
}

fn materialize(project: &Project, to: Timestamp) {
    project.json(&["features", "materialize", "--to", &to.to_string()]);
}

fn push_all(project: &Project, orders: &[Order], ledger: &mut Ledger) {
    project.serve().post("/push", &body(orders));
    ledger.add_all(orders);
}

/// One JSON object a line.
fn lines(orders: &[Order]) -> String {
    let line = |&(customer, at, amount): &Order| {
        let row = json!({ "customer_id": format!("C{customer}"), "at": at.to_string(), "amount": amount });
        format!("{row}\n")
    };
    orders.iter().map(line).collect()
}

/// The last line that an ingestion noted as acknowledged, 0 where none was or it came to its end.
fn acknowledged_line(project: &Project) -> usize {
    let noted = std::fs::read_to_string(project.path(".foretell/ingest.json")).unwrap_or_default();
    let line = serde_json::from_str::<Value>(&noted)
        .ok()
        .and_then(|it| it["line"].as_u64());
    line.unwrap_or(0) as usize
}

fn body(orders: &[Order]) -> Value {
    let customers: Vec<String> = orders.iter().map(|it| format!("C{}", it.0)).collect();
    let times: Vec<String> = orders.iter().map(|it| it.1.to_string()).collect();
    let amounts: Vec<i64> = orders.iter().map(|it| it.2).collect();
    json!({ "push_source_name": "orders", "df": { "customer_id": customers, "at": times, "amount": amounts } })
}

fn read(project: &Project, customers: usize) -> Vec<(usize, Features)> {
    read_from(&project.serve(), customers)
}

/// Customers as the server has them.
fn read_from(server: &Server, customers: usize) -> Vec<(usize, Features)> {
    let looked_at: Vec<usize> = (0..customers).step_by(customers.div_ceil(LOOKED_AT)).collect();
    let customers: Vec<String> = looked_at.iter().map(|it| format!("C{it}")).collect();
    let features = ["orders:orders_90d", "orders:spend_90d", "orders:last_amount"];
    let answer = server.post(
        "/get-online-features",
        &json!({ "features": features, "entities": { "customer_id": customers } }),
    );
    let value = |feature: usize, customer: usize| answer["results"][1 + feature]["values"][customer].as_i64();
    let number = |feature, customer| value(feature, customer).expect("counts and sums are never null");
    let features = |at| (number(0, at), number(1, at), value(2, at));
    looked_at
        .into_iter()
        .enumerate()
        .map(|(at, customer)| (customer, features(at)))
        .collect()
}

fn assert_all(read: &[(usize, Features)], ledger: &Ledger, through: Timestamp) {
    for &(customer, is) in read {
        assert_eq!(is, ledger.features(customer, through), "C{customer}");
    }
}

/// The status of a call, or that there was no answer: the server may be gone at any point of it.
fn posted(address: &str, path: &str, body: &Value) -> std::io::Result<u16> {
    let (mut stream, body) = (TcpStream::connect(address)?, body.to_string());
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|it| it.parse().ok());
    status.ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
}

/// Three ways to be killed share them.
fn share_of_kills() -> usize {
    let all = std::env::var("FORETELL_KILLS").map_or(6, |it| it.parse().expect("a number of kills"));
    usize::div_ceil(all, 3)
}
