//! The two databases behind one face: transactions that run statements, and rows.

#[cfg(feature = "postgres")]
use sqlx::postgres::{PgArguments, PgPool, PgRow};
use sqlx::sqlite::{SqliteArguments, SqlitePool, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Row as _, Sqlite, Transaction};

use crate::TrackingError;
use crate::sql::{Arg, Dialect, Sql};

/// Connections.
#[derive(Debug)]
pub(crate) enum Database {
    /// One connection writes, so writers of this process queue in order instead of colliding; several read.
    Sqlite { write: SqlitePool, read: SqlitePool },
    #[cfg(feature = "postgres")]
    Postgres(PgPool),
}

impl Database {
    /// A transaction that may write. In SQLite it holds the write lock from the start, so it cannot fail half-way for want
    /// of it.
    pub(crate) async fn writing(&self) -> Result<Tx, TrackingError> {
        Ok(match self {
            Self::Sqlite { write, .. } => Tx::Sqlite(write.begin_with("BEGIN IMMEDIATE").await?),
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) => Tx::Postgres(pool.begin().await?),
        })
    }

    /// A snapshot to read from.
    pub(crate) async fn reading(&self) -> Result<Tx, TrackingError> {
        Ok(match self {
            Self::Sqlite { read, .. } => Tx::Sqlite(read.begin().await?),
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) => {
                let snapshot = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                Tx::Postgres(pool.begin_with(snapshot).await?)
            }
        })
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite { write, read } => {
                read.close().await;
                write.close().await;
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// A transaction; dropped, it leaves no trace.
#[derive(Debug)]
pub(crate) enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    #[cfg(feature = "postgres")]
    Postgres(Transaction<'static, sqlx::Postgres>),
}

impl Tx {
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    /// A statement whose text is always the same.
    pub(crate) fn sql(&self, text: &str) -> Sql {
        Sql::new(self.dialect(), text)
    }

    /// Runs a statement; answers how many rows it changed.
    pub(crate) async fn run(&mut self, sql: Sql) -> Result<u64, TrackingError> {
        let (text, prepared) = (AssertSqlSafe(sql.text), sql.prepared);
        Ok(match self {
            Self::Sqlite(tx) => {
                let query = sqlx::query_with(text, sqlite(sql.args)?).persistent(prepared);
                query.execute(&mut **tx).await?.rows_affected()
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(tx) => {
                let query = sqlx::query_with(text, postgres(sql.args)?).persistent(prepared);
                query.execute(&mut **tx).await?.rows_affected()
            }
        })
    }

    /// All rows of a statement.
    pub(crate) async fn all(&mut self, sql: Sql) -> Result<Vec<Row>, TrackingError> {
        let (text, prepared) = (AssertSqlSafe(sql.text), sql.prepared);
        Ok(match self {
            Self::Sqlite(tx) => {
                let query = sqlx::query_with(text, sqlite(sql.args)?).persistent(prepared);
                let rows = query.fetch_all(&mut **tx).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(tx) => {
                let query = sqlx::query_with(text, postgres(sql.args)?).persistent(prepared);
                let rows = query.fetch_all(&mut **tx).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    /// The row of a statement that has one at most.
    pub(crate) async fn first(&mut self, sql: Sql) -> Result<Option<Row>, TrackingError> {
        Ok(self.all(sql).await?.into_iter().next())
    }

    /// Inserts the rows: `before VALUES (..), (..) after`.
    pub(crate) async fn insert<const N: usize>(
        &mut self,
        before: &str,
        rows: Vec<[Arg; N]>,
        after: &str,
    ) -> Result<(), TrackingError> {
        for sql in Sql::inserts(self.dialect(), before, rows, after) {
            self.run(sql).await?;
        }
        Ok(())
    }

    /// Runs statements without values, divided by semicolons.
    pub(crate) async fn script(&mut self, text: String) -> Result<(), TrackingError> {
        match self {
            Self::Sqlite(tx) => {
                sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut **tx).await?;
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(tx) => {
                sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut **tx).await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn commit(self) -> Result<(), TrackingError> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            #[cfg(feature = "postgres")]
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }
}

fn sqlite(args: Vec<Arg>) -> Result<SqliteArguments, TrackingError> {
    let mut out = SqliteArguments::default();
    for arg in args {
        let added = match arg {
            Arg::Int(it) => out.add(it),
            Arg::Real(it) => out.add(it),
            Arg::Text(it) => out.add(it),
            Arg::MaybeInt(it) => out.add(it),
            Arg::MaybeText(it) => out.add(it),
            Arg::Ints(it) => out.add(json_list(&it)),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(out)
}

fn json_list(keys: &[i64]) -> String {
    let keys: Vec<String> = keys.iter().map(i64::to_string).collect();
    format!("[{}]", keys.join(","))
}

#[cfg(feature = "postgres")]
fn postgres(args: Vec<Arg>) -> Result<PgArguments, TrackingError> {
    let mut out = PgArguments::default();
    for arg in args {
        if let Arg::Text(text) | Arg::MaybeText(Some(text)) = &arg
            && text.contains('\0')
        {
            return Err(TrackingError::invalid(
                "text",
                text,
                "PostgreSQL cannot hold the character NUL",
            ));
        }
        let added = match arg {
            Arg::Int(it) => out.add(it),
            Arg::Real(it) => out.add(it),
            Arg::Text(it) => out.add(it),
            Arg::MaybeInt(it) => out.add(it),
            Arg::MaybeText(it) => out.add(it),
            Arg::Ints(it) => out.add(it),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(out)
}

/// A row of an answer, read by position.
#[derive(Debug)]
pub(crate) enum Row {
    Sqlite(SqliteRow),
    #[cfg(feature = "postgres")]
    Postgres(PgRow),
}

/// Reads a column as a type that both databases know.
macro_rules! column {
    ($name:ident, $type:ty) => {
        pub(crate) fn $name(&self, at: usize) -> Result<$type, TrackingError> {
            Ok(match self {
                Self::Sqlite(row) => row.try_get(at)?,
                #[cfg(feature = "postgres")]
                Self::Postgres(row) => row.try_get(at)?,
            })
        }
    };
}

impl Row {
    column!(int, i64);
    column!(maybe_int, Option<i64>);
    column!(real, f64);
    column!(text, String);
    column!(maybe_text, Option<String>);

    /// A truth, stored as 0 or 1.
    pub(crate) fn truth(&self, at: usize) -> Result<bool, TrackingError> {
        Ok(self.int(at)? != 0)
    }
}
