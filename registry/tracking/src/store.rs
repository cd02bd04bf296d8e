use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, SqliteConnection};

use crate::database::{Database, Tx};
use crate::{TrackingError, schema};

/// Another process may hold the write lock for this long before we give up.
const BUSY: Duration = Duration::from_secs(30);
/// Callers of this process queue for a connection for this long.
const QUEUE: Duration = Duration::from_secs(90);
const READERS: u32 = 4;
/// Rows that the thread of a connection may be ahead of the task that asked: most answers whole.
const ROW_BUFFER: usize = 1024;
/// Bytes of the file that readers map rather than copy page by page.
const MAPPED: &str = "268435456";
#[cfg(feature = "postgres")]
const POSTGRES_CONNECTIONS: u32 = 16;
/// All programs that bring a database up to date take this lock; the number means nothing else.
#[cfg(feature = "postgres")]
const MIGRATION_LOCK: i64 = 0x464f_5245_5445_4c4c;

/// The experiment store.
///
/// What a call returned from survives the death of the process; on SQLite a power cut may lose the last moments, never the
/// file. Reads see a snapshot that writers do not disturb.
#[derive(Debug)]
pub struct Tracking {
    pub(crate) database: Database,
}

impl Tracking {
    /// Opens the store, makes it if it is not there.
    ///
    /// `sqlite:PATH`: one file, a relative path counts from `base_dir`. `postgres://USER:PASSWORD@HOST/DATABASE`: a database
    /// that is there; its tables are made (cargo feature `postgres`).
    ///
    /// # Errors
    /// `Url`, `NotBuiltIn` (`postgres://` without the feature), `Folder`, `NewerSchema`, `Database`.
    pub async fn open(url: &str, base_dir: &Path) -> Result<Self, TrackingError> {
        let database = match address(url, base_dir)? {
            Address::File(path) => open_file(&path).await?,
            Address::Postgres => open_postgres(url).await?,
        };
        Ok(Self { database })
    }

    /// Waits for running calls and closes the connections.
    pub async fn close(&self) {
        self.database.close().await;
    }

    /// Makes the store as new: the default experiment, no runs. For servers that tests talk to.
    ///
    /// # Errors
    /// `Database`.
    pub async fn clear(&self) -> Result<(), TrackingError> {
        let mut tx = self.writing().await?;
        schema::clear(&mut tx).await?;
        tx.commit().await
    }

    pub(crate) async fn writing(&self) -> Result<Tx, TrackingError> {
        self.database.writing().await
    }

    pub(crate) async fn reading(&self) -> Result<Tx, TrackingError> {
        self.database.reading().await
    }
}

#[derive(Debug, PartialEq)]
enum Address {
    File(PathBuf),
    Postgres,
}

fn address(url: &str, base_dir: &Path) -> Result<Address, TrackingError> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok(Address::Postgres);
    }
    let path = url
        .strip_prefix("sqlite:")
        .map(|path| path.strip_prefix("//").unwrap_or(path));
    match path {
        Some(path) if !path.is_empty() && !path.starts_with(':') => Ok(Address::File(base_dir.join(path))),
        _ => Err(TrackingError::Url { url: url.to_owned() }),
    }
}

async fn open_file(path: &Path) -> Result<Database, TrackingError> {
    if let Some(folder) = path.parent() {
        let made = tokio::fs::create_dir_all(folder).await;
        made.map_err(|source| TrackingError::Folder {
            path: folder.to_owned(),
            source,
        })?;
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY)
        .row_buffer_size(ROW_BUFFER)
        .synchronous(SqliteSynchronous::Normal);
    write_ahead(&options.clone().create_if_missing(true)).await?;
    let write = SqlitePoolOptions::new().max_connections(1).acquire_timeout(QUEUE);
    let read = SqlitePoolOptions::new().max_connections(READERS).acquire_timeout(QUEUE);
    let database = Database::Sqlite {
        write: write.connect_with(options.clone()).await?,
        read: read
            .connect_with(options.pragma("query_only", "on").pragma("mmap_size", MAPPED))
            .await?,
    };
    let mut tx = database.writing().await?;
    schema::bring_up_to_date(&mut tx).await?;
    tx.commit().await?;
    Ok(database)
}

/// Switches the file to write-ahead logging, which it remembers. SQLite does not wait for its lock here, whatever the busy
/// timeout says, so we do.
async fn write_ahead(options: &SqliteConnectOptions) -> Result<(), TrackingError> {
    let mut connection = SqliteConnection::connect_with(options).await?;
    let pause = Duration::from_millis(20);
    let mut waited = Duration::ZERO;
    loop {
        match sqlx::raw_sql("PRAGMA journal_mode = WAL")
            .execute(&mut connection)
            .await
        {
            Err(sqlx::Error::Database(it)) if it.message().contains("locked") && waited < BUSY => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return Ok(connection.close().await?),
        }
        tokio::time::sleep(pause).await;
        waited += pause;
    }
}

#[cfg(feature = "postgres")]
async fn open_postgres(url: &str) -> Result<Database, TrackingError> {
    let options: sqlx::postgres::PgConnectOptions = url.parse().map_err(|_| TrackingError::Url {
        url: without_secrets(url),
    })?;
    let pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS)
        .acquire_timeout(QUEUE);
    let database = Database::Postgres(pool.connect_with(options.application_name("foretell")).await?);
    let mut tx = database.writing().await?;
    // The lock falls when the transaction ends.
    tx.script(format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
        .await?;
    schema::bring_up_to_date(&mut tx).await?;
    tx.commit().await?;
    Ok(database)
}

#[cfg(not(feature = "postgres"))]
async fn open_postgres(url: &str) -> Result<Database, TrackingError> {
    Err(TrackingError::NotBuiltIn {
        url: without_secrets(url),
    })
}

/// The scheme alone: what follows may hold a password.
fn without_secrets(url: &str) -> String {
    let scheme = url.split_once(':').map_or(url, |it| it.0);
    format!("{scheme}://..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expected: Option<&str>) {
        let got = address(url, Path::new("/base")).ok();
        assert_eq!(got, expected.map(|it| Address::File(PathBuf::from(it))), "{url}");
    }

    #[test]
    fn a_relative_path_counts_from_the_base_folder() {
        check("sqlite:a/b.db", Some("/base/a/b.db"));
        check("sqlite://a/b.db", Some("/base/a/b.db"));
        check("sqlite:/a/b.db", Some("/a/b.db"));
        check("sqlite:///a/b.db", Some("/a/b.db"));
    }

    #[test]
    fn an_address_that_means_nothing_is_refused() {
        for url in ["", "tracking.db", "sqlite:", "sqlite::memory:", "mysql://h/d"] {
            check(url, None);
        }
    }

    #[cfg(not(feature = "postgres"))]
    #[tokio::test]
    async fn without_the_feature_the_refusal_names_it_and_not_the_password() {
        for url in ["postgres://me:secret@host/db", "postgresql://me:secret@host/db"] {
            let error = Tracking::open(url, Path::new("/")).await.unwrap_err();
            assert!(error.to_string().contains("--features foretell/postgres"), "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
