//! Who may do what: one tower layer around every mounted route, over HTTP and gRPC alike.
//!
//! A client shows a token; the project's settings hold only its SHA-256, with the name and the roles of its holder. The layer
//! puts that name into the request as an [`Actor`](foretell_registry::Actor), so that what is recorded names who did it.
//! Left out: making tokens (the command line does), users and sessions (a proxy in front may do more).

mod layer;
mod needs;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use foretell_features::spelling::hint;
use sha2::{Digest as _, Sha256};

pub(crate) use layer::{over_grpc, over_http};

/// What somebody may do. `Admin` may do everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Look at everything, and ask for predictions.
    Viewer,
    /// Ask for predictions, and see which models and views there are.
    Predictor,
    /// Write features into the online store.
    Writer,
    /// Write experiments, runs, models and versions; see them.
    Trainer,
    /// Move aliases and stages; see what they point to.
    Promoter,
    /// Everything, deleting and erasing included.
    Admin,
}

impl Role {
    /// All roles, the weakest first.
    pub const ALL: [Self; 6] = [
        Self::Viewer,
        Self::Predictor,
        Self::Writer,
        Self::Trainer,
        Self::Promoter,
        Self::Admin,
    ];

    /// Its name in the settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Predictor => "predictor",
            Self::Writer => "writer",
            Self::Trainer => "trainer",
            Self::Promoter => "promoter",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|it| it.as_str() == text);
        found.ok_or_else(|| {
            let near = hint(text, Self::ALL.into_iter().map(Self::as_str));
            format!("unknown role `{text}`{near}; roles are {}", names(&Self::ALL))
        })
    }
}

/// SHA-256 of a token: what the settings hold in its place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of a token.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// Looks at every byte whatever the first ones are, so that time tells nothing.
    fn is(&self, other: &Self) -> bool {
        let difference = self.0.iter().zip(&other.0).fold(0, |seen, (a, b)| seen | (a ^ b));
        std::hint::black_box(difference) == 0
    }

    fn bucket(&self) -> u64 {
        u64::from_le_bytes(self.0[..8].try_into().expect("8 of 32 bytes"))
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|it| write!(f, "{it:02x}"))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TokenHash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let wrong = || "not a SHA-256 of 64 hex digits; `foretell access token NAME` prints one".to_owned();
        if digits.len() != 64 || !digits.bytes().all(|it| it.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

/// A token without the token: whose it is and what it allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// The name that records will bear.
    pub actor: String,
    /// What the token hashes to.
    pub sha256: TokenHash,
    /// What its holder may do.
    pub roles: BTreeSet<Role>,
}

/// All tokens of a project.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// By the first bytes of the hash: one lookup per request, however many tokens there are.
    tokens: HashMap<u64, Vec<AccessToken>>,
}

impl Access {
    /// Access for the holders of these tokens.
    ///
    /// # Errors
    /// Two holders have the same token.
    pub fn new(tokens: impl IntoIterator<Item = AccessToken>) -> Result<Self, String> {
        let mut this = Self::default();
        for token in tokens {
            if let Some(twin) = this.holder(&token.sha256) {
                return Err(format!(
                    "`{}` and `{}` have the same token; give each its own",
                    twin.actor, token.actor
                ));
            }
            this.tokens.entry(token.sha256.bucket()).or_default().push(token);
        }
        Ok(this)
    }

    /// Everybody who has a token, in no order.
    pub fn holders(&self) -> impl Iterator<Item = &AccessToken> {
        self.tokens.values().flatten()
    }

    fn holder(&self, sha256: &TokenHash) -> Option<&AccessToken> {
        let alike = self.tokens.get(&sha256.bucket())?;
        alike.iter().find(|it| it.sha256.is(sha256))
    }

    /// The holder of the token in these headers, if he may do what only `allowed` may.
    fn admit(&self, headers: &HeaderMap, allowed: &[Role]) -> Result<&AccessToken, Refusal> {
        let token = token(headers).ok_or(Refusal::NoToken)?;
        let holder = self.holder(&TokenHash::of(&token)).ok_or(Refusal::UnknownToken)?;
        let may = |it: &Role| *it == Role::Admin || allowed.contains(it);
        match holder.roles.iter().any(may) {
            true => Ok(holder),
            false => Err(Refusal::Role {
                actor: holder.actor.clone(),
                has: names(&holder.roles),
                needs: names(allowed),
            }),
        }
    }
}

/// Why a request does not reach its route.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Refusal {
    NoToken,
    UnknownToken,
    Role { actor: String, has: String, needs: String },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoToken => f.write_str(
                "this server asks for a token; send `Authorization: Bearer TOKEN` (the command line sends FORETELL_TOKEN, \
                 MLflow's client MLFLOW_TRACKING_TOKEN)",
            ),
            Self::UnknownToken => f.write_str(
                "this token is not known here; ask the operator for one, who makes it with `foretell access token NAME`",
            ),
            Self::Role { actor, has, needs } => match needs.is_empty() {
                true => write!(f, "`{actor}` is {has}; this takes admin"),
                false => write!(f, "`{actor}` is {has}; this takes {needs} or admin"),
            },
        }
    }
}

/// `Bearer TOKEN`; or `Basic`, where the token is the password and the name is anything.
fn token(headers: &HeaderMap) -> Option<String> {
    let sent = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, value) = sent.trim().split_once(' ')?;
    let value = value.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(value.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}

fn names<'a>(roles: impl IntoIterator<Item = &'a Role>) -> String {
    let names: Vec<&str> = roles.into_iter().map(|it| it.as_str()).collect();
    names.join(", ")
}
