//! The suite of all stores, on PostgreSQL: a schema of its own for each test, in the database that `FORETELL_POSTGRES` names.
#![cfg(feature = "postgres")]

mod suite;

use std::ops::Deref;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use foretell_tracking::Tracking;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

const SERVER: &str = "FORETELL_POSTGRES";

pub(crate) struct Store {
    tracking: Tracking,
    server: String,
    schema: String,
    url: String,
}

impl Store {
    /// What opens it once more.
    pub(crate) fn address(&self) -> (&str, &Path) {
        (&self.url, Path::new("/"))
    }
}

impl Deref for Store {
    type Target = Tracking;

    fn deref(&self) -> &Tracking {
        &self.tracking
    }
}

/// What a test made is gone when it ends, however it ends. Transactions that it broke off end with their connections: the
/// test's own runtime, which would roll them back, stands still while this waits.
impl Drop for Store {
    fn drop(&mut self) {
        let schema = &self.schema;
        let (server, drop) = (
            self.server.clone(),
            format!(
                "SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
                 JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = '{schema}';
                 DROP SCHEMA {schema} CASCADE"
            ),
        );
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(run(&server, drop));
        });
        if dropped.join().is_err() {
            eprintln!("the schema {} is still there", self.schema);
        }
    }
}

/// A new store; the suite is skipped where there is no server.
pub(crate) async fn opened() -> Option<Store> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let Ok(server) = std::env::var(SERVER) else {
        println!("skipped: {SERVER} names no PostgreSQL database");
        return None;
    };
    let schema = format!("t{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    run(&server, format!("CREATE SCHEMA {schema}")).await;
    let mark = if server.contains('?') { '&' } else { '?' };
    let url = format!("{server}{mark}options=-c%20search_path%3D{schema}");
    let tracking = Tracking::open(&url, Path::new("/")).await.unwrap();
    Some(Store {
        tracking,
        server,
        schema,
        url,
    })
}

async fn run(server: &str, statement: String) {
    let mut connection = PgConnection::connect(server).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}
