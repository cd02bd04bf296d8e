use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, Sqlite, SqliteConnection, SqlitePool, Transaction};

use crate::{TrackingError, schema};

/// Another process may hold the write lock for this long before we give up.
const BUSY: Duration = Duration::from_secs(30);
/// Writers of this process queue for its one writing connection for this long.
const QUEUE: Duration = Duration::from_secs(90);
const READERS: u32 = 4;

/// The experiment store.
///
/// One connection writes, so writers of this process queue in order instead of colliding; several read, each from a
/// snapshot that writers do not disturb. What a call returned from survives the death of the process; a power cut may
/// lose the last moments, never the file.
#[derive(Debug)]
pub struct Tracking {
    write: SqlitePool,
    read: SqlitePool,
}

impl Tracking {
    /// Opens the store, makes it if it is not there.
    ///
    /// `sqlite:PATH`: one file, a relative path counts from `base_dir`.
    ///
    /// # Errors
    /// `Url`, `NotBuiltIn` (`postgres://`), `Folder`, `NewerSchema`, `Database`.
    pub async fn open(url: &str, base_dir: &Path) -> Result<Self, TrackingError> {
        let path = path_of(url, base_dir)?;
        if let Some(folder) = path.parent() {
            let made = tokio::fs::create_dir_all(folder).await;
            made.map_err(|source| TrackingError::Folder {
                path: folder.to_owned(),
                source,
            })?;
        }
        prepare(&options(&path)).await?;
        let write = SqlitePoolOptions::new().max_connections(1).acquire_timeout(QUEUE);
        let read = SqlitePoolOptions::new().max_connections(READERS).acquire_timeout(QUEUE);
        let read_only = options(&path).pragma("query_only", "on");
        Ok(Self {
            write: write.connect_with(options(&path)).await?,
            read: read.connect_with(read_only).await?,
        })
    }

    /// Waits for running calls and closes the file.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }

    /// A transaction that may write. It holds the write lock from the start, so it cannot fail half-way for want of it.
    pub(crate) async fn writing(&self) -> Result<Transaction<'static, Sqlite>, TrackingError> {
        Ok(self.write.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// A snapshot to read from.
    pub(crate) async fn reading(&self) -> Result<Transaction<'static, Sqlite>, TrackingError> {
        Ok(self.read.begin().await?)
    }
}

fn path_of(url: &str, base_dir: &Path) -> Result<PathBuf, TrackingError> {
    if let Some((scheme @ ("postgres" | "postgresql"), _)) = url.split_once(':') {
        return Err(TrackingError::NotBuiltIn {
            url: format!("{scheme}://.."),
        });
    }
    let path = url
        .strip_prefix("sqlite:")
        .map(|path| path.strip_prefix("//").unwrap_or(path));
    match path {
        Some(path) if !path.is_empty() && !path.starts_with(':') => Ok(base_dir.join(path)),
        _ => Err(TrackingError::Url { url: url.to_owned() }),
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY)
        .synchronous(SqliteSynchronous::Normal)
}

/// Switches the file to write-ahead logging, which it remembers, and makes the tables.
async fn prepare(options: &SqliteConnectOptions) -> Result<(), TrackingError> {
    let options = options.clone().create_if_missing(true);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    write_ahead(&mut connection).await?;
    schema::bring_up_to_date(&mut connection).await?;
    Ok(connection.close().await?)
}

/// SQLite does not wait for its lock here, whatever the busy timeout says, so we do.
async fn write_ahead(connection: &mut SqliteConnection) -> Result<(), TrackingError> {
    let pause = Duration::from_millis(20);
    let mut waited = Duration::ZERO;
    loop {
        match sqlx::raw_sql("PRAGMA journal_mode = WAL")
            .execute(&mut *connection)
            .await
        {
            Err(sqlx::Error::Database(it)) if it.message().contains("locked") && waited < BUSY => {}
            done => return Ok(done.map(drop)?),
        }
        tokio::time::sleep(pause).await;
        waited += pause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expected: Option<&str>) {
        let got = path_of(url, Path::new("/base")).ok();
        assert_eq!(got, expected.map(PathBuf::from), "{url}");
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

    #[test]
    fn a_password_is_not_repeated() {
        let error = path_of("postgres://me:secret@host/db", Path::new("/")).unwrap_err();
        assert!(matches!(error, TrackingError::NotBuiltIn { .. }));
        assert!(!error.to_string().contains("secret"));
    }
}
