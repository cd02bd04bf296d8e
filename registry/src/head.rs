//! The state at one record of a log, and the step to the next.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{RegistryError, Result};
use crate::log::Draft;
use crate::record::{FORMAT, Record};
use crate::seal::{Broken, unseal};

/// What a log means.
pub(crate) trait Fold: Clone + Default + Send + Sync + 'static {
    type Op: Clone + Serialize + DeserializeOwned + Send + Sync + 'static;
    /// What a snapshot says itself; what is large lies in parts, which snapshots share.
    type Root: Serialize + DeserializeOwned + Send + Sync;

    /// The state after a record; an error, worded for `subject`, if the record cannot follow this state. The same
    /// judgement accepts a draft and reads the log.
    fn apply(&mut self, subject: &str, record: &Record<Self::Op>) -> Result<()>;

    /// The state without its parts, which it names.
    fn root(&self) -> Self::Root;

    /// The parts that are not known to be in the store.
    fn unsaved(&self) -> Vec<Part> {
        Vec::new()
    }

    /// The parts that a root names.
    fn parts(_root: &Self::Root) -> &[Digest] {
        &[]
    }

    /// The state from its root and the parts that it names, in that order.
    fn restore(root: Self::Root, parts: &[Bytes]) -> Result<Self, Broken>;
}

/// A piece of a state as it is stored, addressed by content.
pub(crate) struct Part {
    pub(crate) digest: Digest,
    pub(crate) bytes: Bytes,
    /// To be set when it is in the store.
    pub(crate) saved: Arc<AtomicBool>,
}

/// The state after the record `seq`; 0 is before the first.
#[derive(Clone, Debug)]
pub(crate) struct Head<F> {
    pub(crate) seq: u64,
    pub(crate) hash: Digest,
    pub(crate) state: F,
}

/// A head as a snapshot has it, without the parts.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Snapshot<R> {
    pub(crate) seq: u64,
    pub(crate) hash: Digest,
    pub(crate) state: R,
}

impl<F: Fold> Head<F> {
    /// Before the first record. The log's name starts the chain, so that one log cannot pose as another.
    pub(crate) fn before(folder: &str) -> Self {
        Self {
            seq: 0,
            hash: Digest::of(folder.as_bytes()),
            state: F::default(),
        }
    }

    pub(crate) fn next_record(&self, draft: &Draft<'_>, ops: Vec<F::Op>) -> Record<F::Op> {
        Record {
            format: FORMAT,
            txid: draft.txid.clone(),
            seq: self.seq + 1,
            prev_hash: self.hash,
            time: draft.stamp.time,
            actor: draft.stamp.actor.clone(),
            reason: draft.stamp.reason.clone(),
            expected: draft.expected.cloned(),
            evidence: draft.evidence.cloned(),
            ops,
        }
    }

    /// Folds the next record in, after checking that it is the next.
    pub(crate) fn read(&mut self, folder: &str, bytes: &[u8]) -> Result<Record<F::Op>> {
        let seq = self.seq + 1;
        let (hash, record) = decode::<Record<F::Op>>(folder, seq, bytes)?;
        if record.prev_hash != self.hash {
            return Err(corrupt(folder, seq, Broken::new(self.hash, record.prev_hash)));
        }
        if record.seq != seq {
            return Err(corrupt(folder, seq, Broken::new(seq, record.seq)));
        }
        let applied = self.state.apply(folder, &record);
        applied.map_err(|it| corrupt(folder, seq, Broken::new("a record that can follow the one before", it)))?;
        (self.seq, self.hash) = (seq, hash);
        Ok(record)
    }
}

pub(crate) fn part_key(folder: &str, digest: &Digest) -> String {
    format!("{folder}/chunks/{}.json", digest.hex())
}

pub(crate) fn record_key(folder: &str, seq: u64) -> String {
    format!("{folder}/log/{seq:020}.json")
}

/// A record of a newer format is no damage, but nothing after it can be understood.
pub(crate) fn decode<T: DeserializeOwned>(folder: &str, seq: u64, bytes: &[u8]) -> Result<(Digest, T)> {
    #[derive(Deserialize)]
    struct AnyFormat {
        format: u32,
    }
    let known = unseal::<AnyFormat>(bytes).map_err(|it| corrupt(folder, seq, it))?.1;
    if known.format > FORMAT {
        let what = format!(
            "the registry was written by a newer release; upgrade this one. at=`{}`",
            record_key(folder, seq)
        );
        return Err(RegistryError::Unsupported { what });
    }
    unseal(bytes).map_err(|it| corrupt(folder, seq, it))
}

fn corrupt(folder: &str, seq: u64, broken: Broken) -> RegistryError {
    let Broken { expected, got } = broken;
    RegistryError::Corrupt {
        what: format!("record {seq} of {folder}"),
        at: record_key(folder, seq),
        expected,
        got,
    }
}
