//! A log of records in an object store: reading folds it, and creating the next record commits.
//!
//! Nothing here knows what the records mean; that is [`Fold`]'s. Create-only put is the one primitive that every store
//! has, local disk included, so it is the only one relied on.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, pin_mut, stream};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::{Digest, TxId, random_id};
use crate::error::{RegistryError, Result};
use crate::head::{Fold, Head, Part, Snapshot, decode, part_key, record_key};
use crate::record::{Expected, Record, Stamp};
use crate::seal::{Broken, seal, unseal};
use crate::storage::{Storage, failure, is_taken};

/// Every commit rewrites this; watchers look at its entity tag.
pub(crate) const HEAD: &str = "catalog/head";

/// A folded state is stored every so many commits.
const SNAPSHOT_EVERY: u64 = 64;
/// Lost races before a writer gives up; with the pauses this is minutes of losing.
const MAX_ATTEMPTS: u32 = 100;
/// Records read at a time once the first one shows that there are more.
const READ_AHEAD: usize = 16;
const READ_BACKS: u32 = 3;

/// What a commit says besides its ops.
#[derive(Clone, Debug)]
pub(crate) struct Draft<'a> {
    /// What the log is about, for errors.
    pub(crate) subject: &'a str,
    pub(crate) txid: TxId,
    pub(crate) stamp: &'a Stamp,
    pub(crate) expected: Option<&'a Expected>,
    pub(crate) evidence: Option<&'a Value>,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(subject: &'a str, stamp: &'a Stamp) -> Self {
        Self {
            subject,
            txid: TxId::random(),
            stamp,
            expected: None,
            evidence: None,
        }
    }
}

/// The content of [`HEAD`]: the latest commit anywhere, as far as its writer knew.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HeadHint {
    /// Folder of the log.
    pub(crate) log: String,
    pub(crate) seq: u64,
    pub(crate) sha256: Digest,
    pub(crate) txid: TxId,
}

/// One log and what this process knows of it.
#[derive(Debug)]
pub(crate) struct Log<F> {
    storage: Storage,
    folder: String,
    known: Mutex<Arc<Head<F>>>,
    /// Writers of one process take turns, so that they race only against other processes.
    writing: tokio::sync::Mutex<()>,
}

impl<F: Fold> Log<F> {
    pub(crate) fn new(storage: Storage, folder: impl Into<String>) -> Self {
        let folder = folder.into();
        let known = Mutex::new(Arc::new(Head::before(&folder)));
        Self {
            storage,
            folder,
            known,
            writing: tokio::sync::Mutex::default(),
        }
    }

    /// The state now: everything committed before this call is in it.
    pub(crate) async fn refresh(&self) -> Result<Arc<Head<F>>> {
        let mut known = self.known();
        if known.seq == 0 {
            known = self.snapshot().await?.map_or(known, Arc::new);
        }
        let Some(next) = self.storage.get(&self.key(known.seq + 1)).await? else {
            return Ok(self.remember(known));
        };
        let mut head = (*known).clone();
        head.read(&self.folder, &next)?;
        let rest = self.objects_from(head.seq + 1);
        pin_mut!(rest);
        while let Some(bytes) = rest.next().await {
            head.read(&self.folder, &bytes?)?;
        }
        Ok(self.remember(Arc::new(head)))
    }

    /// Commits what `plan` makes of the newest state, again and again while others win the race for the next number.
    /// A plan without ops commits nothing. Returns the state that holds the commit.
    ///
    /// The first try goes by what this process knows: if it is not the newest, the next number is taken, and only then is
    /// it worth a look. A refusal, or that nothing is to be done, is believed of the newest state alone.
    pub(crate) async fn commit<P>(&self, draft: &Draft<'_>, mut plan: P) -> Result<Arc<Head<F>>>
    where
        P: FnMut(&F) -> Result<Vec<F::Op>> + Send,
    {
        let _turn = self.writing.lock().await;
        self.storage.prove().await?;
        let known = self.known();
        if known.seq > 0
            && let Ok(Some((record, state))) = next(&known, draft, &mut plan)
            && let Some(head) = self.try_commit(record, state).await?
        {
            return Ok(head);
        }
        for attempt in 0..MAX_ATTEMPTS {
            let head = self.refresh().await?;
            let Some((record, state)) = next(&head, draft, &mut plan)? else {
                return Ok(head);
            };
            if let Some(head) = self.try_commit(record, state).await? {
                return Ok(head);
            }
            pause(attempt).await;
        }
        let reason = "other writers won every race for the next record".to_owned();
        Err(RegistryError::Conflict {
            reason,
            log: draft.subject.to_owned(),
            seq: self.known().seq,
        })
    }

    /// `None`: another writer has that number.
    async fn try_commit(&self, record: Record<F::Op>, state: F) -> Result<Option<Arc<Head<F>>>> {
        let Some(hash) = self.append(&record).await? else {
            return Ok(None);
        };
        let seq = record.seq;
        let head = self.remember(Arc::new(Head { seq, hash, state }));
        self.leave_hints(&head, record.txid).await;
        Ok(Some(head))
    }

    /// Every record and its state from the first on, ignoring hints and the cache; `each` sees them, the error is where
    /// the log stops making sense.
    pub(crate) async fn replay(&self, mut each: impl FnMut(&Record<F::Op>) + Send) -> (Head<F>, Result<()>) {
        let mut head = Head::before(&self.folder);
        let records = self.objects_from(1);
        pin_mut!(records);
        while let Some(bytes) = records.next().await {
            match bytes.and_then(|it| head.read(&self.folder, &it)) {
                Ok(record) => each(&record),
                Err(error) => return (head, Err(error)),
            }
        }
        (head, Ok(()))
    }

    /// All records, oldest first.
    pub(crate) async fn history(&self) -> Result<Vec<Record<F::Op>>> {
        let mut records = Vec::new();
        let (_, verdict) = self.replay(|it| records.push(it.clone())).await;
        verdict.map(|()| records)
    }

    /// Forgets what was read: the log is not what it was.
    pub(crate) fn forget(&self) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(Head::before(&self.folder));
    }

    pub(crate) fn key(&self, seq: u64) -> String {
        record_key(&self.folder, seq)
    }

    fn known(&self) -> Arc<Head<F>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps the newer of two states.
    fn remember(&self, head: Arc<Head<F>>) -> Arc<Head<F>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if head.seq >= known.seq {
            *known = head.clone();
        }
        head
    }

    /// Objects at consecutive numbers up to the first gap.
    fn objects_from(&self, seq: u64) -> impl Stream<Item = Result<Bytes>> + Send + use<F> {
        let (storage, folder) = (self.storage.clone(), self.folder.clone());
        let objects = stream::iter(seq..).map(move |seq| {
            let (storage, key) = (storage.clone(), record_key(&folder, seq));
            async move { storage.get(&key).await.transpose() }
        });
        objects
            .buffered(READ_AHEAD)
            .take_while(|it| std::future::ready(it.is_some()))
            .filter_map(std::future::ready)
    }

    /// Creates the record's object. `None`: another writer has that number.
    ///
    /// An error does not say whether the record landed: the answer may have been lost, or the store's own retry may have
    /// met our first attempt. What lies at that number tells. A store that says "taken" and shows nothing is asked again
    /// with the very same record, so that a late landing of the first attempt is still recognised as ours.
    async fn append(&self, record: &Record<F::Op>) -> Result<Option<Digest>> {
        let (hash, bytes) = seal(record);
        let key = self.key(record.seq);
        let mut attempt = 0;
        loop {
            let Err(cause) = self.storage.create(&key, bytes.clone()).await else {
                return Ok(Some(hash));
            };
            if let Some(found) = self.read_back(&key).await? {
                let (found, winner) = decode::<Record<F::Op>>(&self.folder, record.seq, &found)?;
                let ours = winner.txid == record.txid && found == hash;
                return Ok(ours.then_some(hash));
            }
            attempt += 1;
            if !is_taken(&cause) || attempt == READ_BACKS {
                return Err(failure("commit", &key, cause));
            }
            pause(attempt).await;
        }
    }

    async fn read_back(&self, key: &str) -> Result<Option<Bytes>> {
        for attempt in 1..READ_BACKS {
            match self.storage.get(key).await {
                Err(error) => tracing::debug!(%error, key, "cannot read a commit back yet"),
                done => return done,
            }
            pause(attempt).await;
        }
        self.storage.get(key).await
    }

    /// The newest stored state that agrees with the log. Damage to a snapshot is no error: the log has everything.
    async fn snapshot(&self) -> Result<Option<Head<F>>> {
        for key in self.storage.list(&format!("{}/snap", self.folder)).await?.iter().rev() {
            let Some(bytes) = self.storage.get(key).await? else {
                continue;
            };
            let Ok(head) = self.restore(&bytes).await? else {
                tracing::warn!(key, "snapshot is damaged, reading the log instead");
                continue;
            };
            let record = self.storage.get(&self.key(head.seq)).await?;
            let agrees = record
                .and_then(|it| unseal::<Value>(&it).ok())
                .is_some_and(|it| it.0 == head.hash);
            if agrees {
                return Ok(Some(head));
            }
            tracing::warn!(key, "snapshot does not agree with the log, reading the log instead");
        }
        Ok(None)
    }

    /// The state that a snapshot stands for, from it and its parts.
    async fn restore(&self, snapshot: &[u8]) -> Result<Result<Head<F>, Broken>> {
        let snapshot = match unseal::<Snapshot<F::Root>>(snapshot) {
            Ok((_, snapshot)) => snapshot,
            Err(broken) => return Ok(Err(broken)),
        };
        let keys: Vec<_> = F::parts(&snapshot.state)
            .iter()
            .map(|it| part_key(&self.folder, it))
            .collect();
        let parts = stream::iter(keys).map(|key| async move { self.storage.get(&key).await });
        let parts: Vec<_> = parts.buffered(READ_AHEAD).try_collect().await?;
        let Some(parts) = parts.into_iter().collect::<Option<Vec<_>>>() else {
            return Ok(Err(Broken::new("all its chunks", "fewer")));
        };
        let Snapshot { seq, hash, state } = snapshot;
        Ok(F::restore(state, &parts).map(|state| Head { seq, hash, state }))
    }

    /// A snapshot's parts go before it: there is never one that names what is not there.
    async fn save(&self, head: &Head<F>) -> Result<()> {
        for Part { digest, bytes, saved } in head.state.unsaved() {
            self.storage.hint(&part_key(&self.folder, &digest), bytes).await?;
            saved.store(true, Ordering::Release);
        }
        let (seq, hash, state) = (head.seq, head.hash, head.state.root());
        let key = format!("{}/snap/{seq:020}.json", self.folder);
        self.storage.hint(&key, seal(&Snapshot { seq, hash, state }).1).await
    }

    /// Hints may be lost without harm, so their failure is not the commit's.
    async fn leave_hints(&self, head: &Head<F>, txid: TxId) {
        if head.seq.is_multiple_of(SNAPSHOT_EVERY)
            && let Err(error) = self.save(head).await
        {
            tracing::warn!(%error, log = self.folder, "snapshot not written, readers will read the log");
        }
        let hint = HeadHint {
            log: self.folder.clone(),
            seq: head.seq,
            sha256: head.hash,
            txid,
        };
        if let Err(error) = self.storage.hint(HEAD, seal(&hint).1).await {
            tracing::warn!(%error, "hint not written, watchers will find the commit a little later");
        }
    }
}

/// The record that a plan makes of a state, and the state after it; `None`: there is nothing to do.
fn next<F: Fold, P>(head: &Head<F>, draft: &Draft<'_>, plan: &mut P) -> Result<Option<(Record<F::Op>, F)>>
where
    P: FnMut(&F) -> Result<Vec<F::Op>>,
{
    let ops = plan(&head.state)?;
    if ops.is_empty() {
        return Ok(None);
    }
    let record = head.next_record(draft, ops);
    let mut state = head.state.clone();
    state.apply(draft.subject, &record)?;
    Ok(Some((record, state)))
}

/// Up to 64 ms, at random, growing with the losses.
async fn pause(attempt: u32) {
    let draw = u64::from_str_radix(&random_id()[..8], 16).expect("an id is hex digits");
    let most = 1 << attempt.min(6);
    tokio::time::sleep(Duration::from_millis(draw % most)).await;
}
