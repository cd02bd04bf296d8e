//! A small project in a temporary folder and the binary run on it.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// A project folder that goes away with the test.
pub struct Project {
    dir: TempDir,
}

/// What a run of the binary said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A server that is killed with the test.
pub struct Server {
    child: Child,
    pub http: String,
    pub grpc: String,
}

impl Project {
    /// An empty project.
    pub fn empty() -> Self {
        let project = Self {
            dir: tempfile::tempdir().expect("a temporary folder can be made"),
        };
        project.write(
            "foretell.toml",
            "[project]\nname = \"test\"\nas_of = \"2026-06-30T00:00:00Z\"\n",
        );
        project
    }

    /// 1,500 customers in one CSV, who leave by age of contract, plan and complaints; churn from that file.
    pub fn churn() -> Self {
        let project = Self::empty();
        project.write("data/customers.csv", &customers(1500));
        project.write("features/customer.toml", CUSTOMER);
        project.write("models/churn/model.toml", CHURN);
        project
    }

    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("the folder can be made");
        std::fs::write(path, text).expect("the file can be written");
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("the file can be read")
    }

    /// Replaces text in a file that must contain it.
    pub fn change(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "{name} contains {from}");
        self.write(name, &text.replace(from, to));
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_foretell"));
        command
            .args(arguments)
            .arg("--project")
            .arg(self.root())
            .current_dir(self.root());
        command.stdin(Stdio::null()).env_remove("FORETELL_LOG");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Said {
        said(self.command(arguments).output().expect("the binary runs"))
    }

    /// Runs with `--json`, asserts success, and reads the one document.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let said = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(said.code, Some(0), "{arguments:?}: {}", said.stderr);
        serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("one JSON document, {error}: {}", said.stdout))
    }

    /// Starts a server on free ports and waits until it is ready.
    pub fn serve(&self) -> Server {
        self.serve_with(&[])
    }

    /// The same with more arguments.
    pub fn serve_with(&self, more: &[&str]) -> Server {
        let listen = ["serve", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--json"];
        let mut command = self.command(&[&listen, more].concat());
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut document = serde_json::Deserializer::from_reader(stdout).into_iter::<Value>();
        let Some(Ok(started)) = document.next() else {
            let output = child.wait_with_output().expect("the binary ends");
            panic!("the server did not start: {}", String::from_utf8_lossy(&output.stderr));
        };
        let address = |name: &str| started[name].as_str().expect("the server says where it is").to_owned();
        Server {
            http: address("http"),
            grpc: address("grpc"),
            child,
        }
    }
}

impl Server {
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// As an operator stops it; it may finish what it does.
    pub fn terminate(&mut self) {
        let id = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status();
        assert!(
            asked.expect("kill runs").success(),
            "our own child can be asked to stop"
        );
        self.child.wait().expect("it stops");
    }

    /// kill -9: nothing is finished, nothing is flushed.
    pub fn kill(&mut self) {
        self.child.kill().expect("our own child can be killed");
        self.child.wait().expect("a killed child ends");
    }

    /// The status and body of a request.
    pub fn request(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        http(&self.http, method, path, body)
    }

    /// POST that must succeed.
    pub fn post(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.request("POST", path, &body.to_string());
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A plain HTTP/1.1 exchange: tests want to see the wire, not a client's idea of it.
pub fn http(address: &str, method: &str, path: &str, body: &str) -> (u16, Value) {
    exchange(address, method, path, "", body)
}

/// POST of a body that says it is JSON, as MLflow's routes ask for.
pub fn post_json(address: &str, path: &str, body: &Value) -> (u16, Value) {
    exchange(
        address,
        "POST",
        path,
        "content-type: application/json\r\n",
        &body.to_string(),
    )
}

fn exchange(address: &str, method: &str, path: &str, headers: &str, body: &str) -> (u16, Value) {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).expect("the server listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a timeout can be set");
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("the head is sent");
    stream.write_all(body.as_bytes()).expect("the body is sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the answer is read");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|it| it.parse().ok())
        .expect("an answer has a status");
    (
        status,
        serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned())),
    )
}

/// Waits until something holds.
pub fn eventually(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn said(output: Output) -> Said {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Said {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// Customers with a known pattern and some noise; every column kind, some blanks.
pub fn customers(n: usize) -> String {
    let mut text = "customer_id,plan,months,complaints,price,left\n".to_owned();
    let mut chance = Chance(7);
    for at in 0..n {
        let plan = ["basic", "plus", "premium"][chance.below(3)];
        let months = 1 + chance.below(60);
        let complaints = chance.below(4);
        let price = 10.0 + 5.0 * chance.below(8) as f64;
        let score = 0.9 * complaints as f64 - 0.06 * months as f64 + if plan == "basic" { 1.2 } else { 0.0 };
        let left = chance.unit() < 1.0 / (1.0 + (-score).exp());
        let price = if chance.below(20) == 0 {
            String::new()
        } else {
            price.to_string()
        };
        text.push_str(&format!(
            "C{at},{plan},{months},{complaints},{price},{}\n",
            if left { "yes" } else { "no" }
        ));
    }
    text
}

/// A small generator, so that the files are the same everywhere.
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.unit() * n as f64) as usize
    }
}

pub const CUSTOMER: &str = r#"
[entity.customer]
key = { customer_id = "string" }
[source.customers]
path = "customers.csv"
[view.profile]
entity = "customer"
source = "customers"
latest = ["plan", "months", "complaints", "price"]
[derived.customer]
price_per_month = "price / greatest(months, 1)"
"#;

pub const CHURN: &str = r#"
name = "churn"
task = "binary_classification"
entity = "customer"
features = ["profile:*", "price_per_month"]
[label]
source = "customers"
column = "left"
positive = "yes"
[split]
by = "row_hash"
[[candidate]]
algorithm = "logistic"
[[candidate]]
algorithm = "boosted_trees"
rounds = 60
[gate]
roc_auc = { min = 0.6 }
[decision]
levels = { high = 0.6, medium = 0.3, low = 0.0 }
[decision.recommendations]
high = ["call"]
[[endpoint]]
method = "POST"
path = "/api/predict/churn"
answer = { churn_probability = "value", risk_level = "decision.level", recommendations = "decision.recommendations" }
"#;
