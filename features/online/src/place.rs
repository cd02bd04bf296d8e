//! Where a project's online store is: in a folder of this machine, or shared by many processes.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::fjall_store::{Durability, FjallStore};
use crate::store::{OnlineError, OnlineStore};

/// What `[online] store` names.
#[derive(Clone, PartialEq, Eq)]
pub enum StorePlace {
    /// `embedded`: one process has it.
    Embedded {
        /// Its folder.
        folder: PathBuf,
        /// What acknowledged writes survive.
        durability: Durability,
    },
    /// `redis://host:port/database`: any number of processes have it.
    Redis {
        /// The address, which may hold a password.
        url: String,
    },
}

impl StorePlace {
    /// Reads `embedded` or an address. Nothing is opened.
    ///
    /// # Errors
    /// What is wrong with it and what to write: an unknown store, or one that this build does not have.
    pub fn parse(text: &str, folder: PathBuf, durability: Durability) -> Result<Self, String> {
        let is_redis = text.starts_with("redis:") || text.starts_with("rediss:");
        match text {
            "embedded" => Ok(Self::Embedded { folder, durability }),
            _ if is_redis => redis_url(text),
            _ => Err(format!(
                "unknown store `{text}`; use \"embedded\" or \"redis://host:port/database\""
            )),
        }
    }

    /// Whether other processes may have it open as well.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Redis { .. })
    }

    /// Whether there is anything to open: an embedded store is made by the first who writes.
    pub fn is_there(&self) -> bool {
        match self {
            Self::Embedded { folder, .. } => folder.exists(),
            Self::Redis { .. } => true,
        }
    }

    /// Opens the store.
    ///
    /// # Errors
    /// It cannot be used: [`OnlineError::Locked`], [`OnlineError::Storage`].
    pub async fn open(&self) -> Result<Arc<dyn OnlineStore>, OnlineError> {
        match self {
            Self::Embedded { folder, durability } => Ok(Arc::new(FjallStore::open_with(folder, *durability)?)),
            Self::Redis { url } => open_redis(url).await,
        }
    }
}

/// Without the address: it may hold a password.
impl fmt::Debug for StorePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded { folder, durability } => write!(f, "Embedded({}, {durability:?})", folder.display()),
            Self::Redis { .. } => f.write_str("Redis"),
        }
    }
}

#[cfg(feature = "redis")]
fn redis_url(url: &str) -> Result<StorePlace, String> {
    let url = url.to_owned();
    match crate::redis_store::RedisStore::check(&url) {
        Ok(()) => Ok(StorePlace::Redis { url }),
        Err(OnlineError::Storage { reason }) => Err(reason),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(not(feature = "redis"))]
fn redis_url(_: &str) -> Result<StorePlace, String> {
    Err(WITHOUT.to_owned())
}

#[cfg(feature = "redis")]
async fn open_redis(url: &str) -> Result<Arc<dyn OnlineStore>, OnlineError> {
    Ok(Arc::new(crate::redis_store::RedisStore::connect(url).await?))
}

#[cfg(not(feature = "redis"))]
async fn open_redis(_: &str) -> Result<Arc<dyn OnlineStore>, OnlineError> {
    let reason = WITHOUT.to_owned();
    Err(OnlineError::Storage { reason })
}

#[cfg(not(feature = "redis"))]
const WITHOUT: &str =
    "this build has no Redis; build it with `cargo build --release -p foretell --features redis`, or use \"embedded\"";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<StorePlace, String> {
        StorePlace::parse(text, PathBuf::from("online"), Durability::Sync)
    }

    #[test]
    fn a_store_is_embedded_or_has_an_address() {
        let folder = PathBuf::from("online");
        let durability = Durability::Sync;
        assert_eq!(parse("embedded"), Ok(StorePlace::Embedded { folder, durability }));
        assert!(
            parse("sqlite")
                .unwrap_err()
                .contains("unknown store `sqlite`; use \"embedded\" or \"redis://")
        );
    }

    #[cfg(not(feature = "redis"))]
    #[test]
    fn a_build_without_redis_says_how_to_get_one() {
        assert!(parse("redis://localhost").unwrap_err().contains("--features redis"));
    }

    #[cfg(feature = "redis")]
    #[test]
    fn addresses_are_checked_and_passwords_are_not_shown() {
        for good in [
            "redis://localhost",
            "redis://localhost:7000/3",
            "redis://ann:secret@10.0.0.1:6379",
        ] {
            let place = parse(good).unwrap();
            assert!(place.is_shared());
            assert_eq!(format!("{place:?}"), "Redis");
        }
        for bad in [
            "redis:/localhost",
            "redis://ann:secret@localhost:port",
            "redis://ann:secret@host/db",
            "rediss://x:secret@host",
        ] {
            let said = parse(bad).unwrap_err();
            assert!(said.contains("write redis://") && !said.contains("secret"), "{said}");
        }
    }
}
