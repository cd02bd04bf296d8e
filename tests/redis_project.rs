//! A project whose online store is Redis: several servers and commands share it, and it may go away and come back.

#[allow(dead_code, reason = "each test binary uses its own part")]
#[path = "../features/online/tests/redis/server.rs"]
mod server;
mod support;

use serde_json::{Value, json};
use server::RedisServer;
use support::{Project, Server, eventually};

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
orders_7d = { count = "*", window = "7d" }
last_amount = { latest = "amount" }
"#;

const ORDERS: &str = "customer_id,at,amount
C1,2026-06-28T10:00:00Z,10
C1,2026-06-29T10:00:00Z,11
C2,2026-06-29T12:00:00Z,12
";

#[test]
fn servers_and_commands_share_one_store() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let project = shop(&redis, "");
    let materialized = project.json(&["features", "materialize"]);
    assert_eq!(materialized[0]["entities"], 2, "{materialized}");
    let (one, other) = (project.serve(), project.serve());
    assert_eq!(read(&one), json!([[2, 1], [11, 12]]));
    assert_eq!(read(&other), read(&one));

    push(&one, "2026-06-29T20:00:00Z", 13);
    push(&other, "2026-06-29T21:00:00Z", 14);
    push(&one, "2026-06-29T19:00:00Z", 15);
    for server in [&one, &other] {
        assert_eq!(read(server), json!([[5, 1], [14, 12]]), "what one server took all have");
    }
    // Neither server is asked: the store is open to all.
    let got = project.json(&["features", "get", "orders", "--entity", "customer_id=C1"]);
    let values: Vec<&Value> = got.as_array().expect("a list").iter().map(|it| &it["value"]).collect();
    assert_eq!(values, [5, 14]);
    project.json(&["features", "materialize", "--incremental"]);
    assert_eq!(project.run(&["check"]).code, Some(0));
}

#[test]
fn a_server_outlives_its_store() {
    let Some(mut redis) = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]) else {
        return;
    };
    let project = shop(&redis, "");
    project.json(&["features", "materialize"]);
    let server = project.serve();
    push(&server, "2026-06-29T20:00:00Z", 13);
    redis.kill();
    let (status, answer) = server.request("POST", "/get-online-features", &question().to_string());
    assert!(
        status >= 500 && answer.to_string().contains(&redis.address()),
        "{status} {answer}"
    );
    let command = project.run(&["features", "materialize"]);
    assert_eq!(command.code, Some(1));
    assert!(
        command.stderr.contains(&redis.address()) && command.stderr.contains("start it"),
        "{}",
        command.stderr
    );
    redis.again();
    let answers = || {
        server
            .request("POST", "/get-online-features", &question().to_string())
            .0
            == 200
    };
    eventually("the server reads again", answers);
    assert_eq!(
        read(&server),
        json!([[3, 1], [13, 12]]),
        "what was acknowledged is there"
    );
}

#[test]
fn what_redis_does_not_have_is_refused_with_its_place() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let project = shop(&redis, "durability = \"sync\"\n");
    let said = project.run(&["check"]);
    assert_ne!(said.code, Some(0));
    assert!(
        said.stderr.contains("durability") && said.stderr.contains("appendfsync"),
        "{}",
        said.stderr
    );
}

fn shop(redis: &RedisServer, more: &str) -> Project {
    let project = Project::empty();
    let settings = project.read("foretell.toml");
    project.write(
        "foretell.toml",
        &format!("{settings}[online]\nstore = \"{}\"\n{more}", redis.url()),
    );
    project.write("features/orders.toml", FEATURES);
    project.write("data/orders.csv", ORDERS);
    project
}

fn push(server: &Server, at: &str, amount: i64) {
    let df = json!({ "customer_id": ["C1"], "at": [at], "amount": [amount] });
    server.post("/push", &json!({ "push_source_name": "orders", "df": df }));
}

fn question() -> Value {
    json!({ "features": ["orders:orders_7d", "orders:last_amount"], "entities": { "customer_id": ["C1", "C2"] } })
}

/// Orders of both customers, and their last amounts.
fn read(server: &Server) -> Value {
    let answer = server.post("/get-online-features", &question());
    json!([answer["results"][1]["values"], answer["results"][2]["values"]])
}
