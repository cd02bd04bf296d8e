//! Walking a space page by page, while others write.

use std::collections::HashSet;

use redis::Pipeline;
use xxhash_rust::xxh3::xxh3_128;

use super::{BUCKETS, RedisStore, hash};
use crate::store::OnlineError;

/// Buckets walked at once: a small space is read in few round trips, a large one is not held in memory.
const TOGETHER: u64 = 16;
/// Records of one bucket in one answer, about.
const PAGE: usize = 100;

/// Keys and their bytes.
type Page = Vec<(Vec<u8>, Vec<u8>)>;

/// Where a walk is.
pub(super) struct Scan<'a> {
    space: &'a str,
    next_bucket: u64,
    /// Buckets under way, and the server's cursor in each.
    open: Vec<(u64, u64)>,
    /// The server may show a key twice; told apart by 128 bits of hash.
    shown: HashSet<u128>,
}

impl<'a> Scan<'a> {
    pub(super) fn of(space: &'a str) -> Self {
        Self {
            space,
            next_bucket: 0,
            open: Vec::new(),
            shown: HashSet::new(),
        }
    }

    /// The next records, `None` after the last.
    pub(super) async fn next(&mut self, store: &RedisStore) -> Result<Option<Page>, OnlineError> {
        if self.open.is_empty() {
            let end = BUCKETS.min(self.next_bucket + TOGETHER);
            self.open = (self.next_bucket..end).map(|it| (it, 0)).collect();
            self.next_bucket = end;
            self.shown.clear();
        }
        if self.open.is_empty() {
            return Ok(None);
        }
        let answers: Vec<(u64, Page)> = store.look(self.question()).await?;
        let mut page = Page::new();
        let open = std::mem::take(&mut self.open);
        for ((bucket, _), (cursor, records)) in open.into_iter().zip(answers) {
            if cursor != 0 {
                self.open.push((bucket, cursor));
            }
            page.extend(records.into_iter().filter(|it| self.shown.insert(xxh3_128(&it.0))));
        }
        Ok(Some(page))
    }

    fn question(&self) -> Pipeline {
        let mut pipeline = Pipeline::new();
        for &(bucket, cursor) in &self.open {
            let scan = pipeline.cmd("HSCAN").arg(hash(self.space, bucket));
            scan.arg(cursor).arg("COUNT").arg(PAGE);
        }
        pipeline
    }
}
