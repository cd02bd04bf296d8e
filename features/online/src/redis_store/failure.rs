//! What went wrong with the server, and what to do about it. A password is never shown.

use std::fmt;

use redis::{ConnectionAddr, ConnectionInfo, ErrorKind, RedisError, ServerError};

use super::ANSWER_TIME;
use crate::store::OnlineError;

/// Where the server is: `host:port/database`.
pub(super) struct Place(String);

impl Place {
    pub(super) fn of(info: &ConnectionInfo) -> Self {
        Self(match info.addr() {
            ConnectionAddr::Unix(path) => path.display().to_string(),
            address => format!("{address}/{}", info.redis_settings().db()),
        })
    }

    pub(super) fn failed(&self, error: &RedisError) -> OnlineError {
        storage(format!("Redis at {self} {}", told(error)))
    }

    pub(super) fn contended(&self, tries: u32) -> OnlineError {
        let advice = "send it again, or let fewer processes write the same entities";
        storage(format!(
            "Redis at {self}: others changed the same records {tries} times in a row; {advice}"
        ))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(super) fn bad_url(url: &str, reason: &str) -> OnlineError {
    let (scheme, rest) = url.split_once("://").unwrap_or(("redis", url));
    let shown = rest.rsplit_once('@').map_or(rest, |it| it.1);
    storage(format!(
        "`{scheme}://{shown}` is no address of a Redis server: {reason}; write redis://[user:password@]host:port/database"
    ))
}

fn told(error: &RedisError) -> String {
    if error.is_timeout() {
        let seconds = ANSWER_TIME.as_secs();
        return format!("did not answer within {seconds} s; look at its load and at the network");
    }
    if error.is_io_error() {
        return format!("cannot be reached ({error}); start it, or correct `[online] store` in foretell.toml");
    }
    let said = refusal(error);
    // A script's own failure is told in its text.
    let known = ADVICE.iter().find(|it| it.0.iter().any(|code| said.contains(code)));
    match known {
        Some((_, advice)) => (*advice).to_owned(),
        None if error.kind() == ErrorKind::AuthenticationFailed => ADVICE[0].1.to_owned(),
        None => format!("refused: {said}"),
    }
}

/// Codes of a server, and what to do.
const ADVICE: [(&[&str], &str); 5] = [
    (
        &["NOAUTH", "WRONGPASS", "NOPERM"],
        "refuses the login; write redis://user:password@host:port/database, of a user who may do all",
    ),
    (&["READONLY"], "is a replica; name the primary"),
    (&["LOADING"], "is still reading its files; try again"),
    (&["OOM"], "is full; raise its `maxmemory`"),
    (
        &["MOVED", "TRYAGAIN", "CLUSTERDOWN", "CROSSSLOT"],
        "is a node of a cluster, which this build does not speak to; name a single primary",
    ),
];

/// What the server said first.
fn refusal(error: &RedisError) -> String {
    let said = error.clone().into_server_errors();
    let first = said.as_deref().and_then(<[_]>::first);
    let told = |it: &ServerError| format!("{} {}", it.code(), it.details().unwrap_or_default());
    first.map_or_else(|| error.to_string(), |it| told(&it.1))
}

fn storage(reason: String) -> OnlineError {
    OnlineError::Storage { reason }
}
