//! A real server on a free port of this machine, its files in a temporary folder.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Names another program than those of the search path.
const PROGRAM: &str = "FORETELL_REDIS_SERVER";

/// Killed with the test.
pub(crate) struct RedisServer {
    program: String,
    options: Vec<&'static str>,
    port: u16,
    folder: TempDir,
    child: Child,
}

impl RedisServer {
    /// `None` where there is none on this machine, and says so.
    pub(crate) fn start(options: &[&'static str]) -> Option<Self> {
        let named = std::env::var(PROGRAM).ok();
        let candidates = named.map_or_else(
            || vec!["redis-server".to_owned(), "valkey-server".to_owned()],
            |it| vec![it],
        );
        let runs = |it: &String| Command::new(it).arg("--version").stdout(Stdio::null()).status().is_ok();
        let Some(program) = candidates.into_iter().find(runs) else {
            println!("skipped: there is no redis-server here; install it, or name it in {PROGRAM}");
            return None;
        };
        let free = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (options, port) = (options.to_vec(), free.port());
        let child = spawn(&program, &options, port, &folder);
        Some(Self {
            program,
            options,
            port,
            folder,
            child,
        })
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}/0", self.address())
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The same server again, after [`RedisServer::kill`].
    pub(crate) fn again(&mut self) {
        self.child = spawn(&self.program, &self.options, self.port, &self.folder);
    }

    /// Stops the process without ending it, or lets it go on.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(program: &str, options: &[&str], port: u16, folder: &TempDir) -> Child {
    let mut command = Command::new(program);
    command.args([
        "--port",
        &port.to_string(),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--dir",
    ]);
    command
        .arg(folder.path())
        .args(options)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let began = Instant::now();
    while !answers(port).unwrap_or(false) {
        assert_eq!(child.try_wait().unwrap(), None, "the server ended");
        assert!(began.elapsed() < Duration::from_secs(20), "the server does not answer");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

/// Whether it has read its files; a refusal is an answer as well.
fn answers(port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer)?;
    Ok(!answer.starts_with(b"-LOAD"))
}
