//! All versions of a model, in chunks that states share in memory and snapshots share in the store: a commit costs the
//! same however many versions there are.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::model::VersionEntry;
use crate::digest::Digest;
use crate::head::Part;
use crate::seal::{Broken, seal, unseal};

/// Versions in one chunk: small enough to be rewritten with every snapshot, large enough that ten thousand versions are
/// a few dozen objects.
const CHUNK: usize = 256;

/// Every version that ever was, numbered from 1 without a gap; deleted ones stay, so that no number is used again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Versions {
    chunks: Vec<Arc<Chunk>>,
    deleted: usize,
}

#[derive(Clone, Debug, Default)]
struct Chunk {
    entries: Vec<Arc<VersionEntry>>,
    /// Of the bytes that stand for the entries, once they were asked for.
    digest: OnceLock<Digest>,
    /// Whether those bytes are in the store.
    saved: Arc<AtomicBool>,
    /// Where the newest live version of each stage is, once that was asked for.
    newest: OnceLock<BTreeMap<Option<String>, usize>>,
}

/// What a snapshot says of the versions: where the chunks are.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct VersionsRoot {
    pub(crate) chunks: Vec<Digest>,
}

impl Versions {
    /// How many there are, deleted ones too: the highest number.
    pub(crate) fn last(&self) -> u64 {
        let full = self.chunks.len().saturating_sub(1) * CHUNK;
        let last = self.chunks.last().map_or(0, |it| it.entries.len());
        (full + last) as u64
    }

    pub(crate) fn deleted(&self) -> usize {
        self.deleted
    }

    pub(crate) fn get(&self, version: u64) -> Option<&Arc<VersionEntry>> {
        let (chunk, at) = place(version)?;
        self.chunks.get(chunk)?.entries.get(at)
    }

    pub(crate) fn push(&mut self, entry: VersionEntry) {
        if self.chunks.last().is_none_or(|it| it.entries.len() == CHUNK) {
            self.chunks.push(Arc::default());
        }
        let last = self
            .chunks
            .last_mut()
            .expect("pushed in the lines above if there was none");
        edited(last).entries.push(Arc::new(entry));
    }

    pub(crate) fn edit(&mut self, version: u64) -> Option<&mut VersionEntry> {
        let (chunk, at) = place(version)?;
        let entry = edited(self.chunks.get_mut(chunk)?).entries.get_mut(at)?;
        Some(Arc::make_mut(entry))
    }

    /// Marks a version as deleted.
    pub(crate) fn delete(&mut self, version: u64, time: i64) {
        let Some(entry) = self.edit(version).filter(|it| !it.deleted) else {
            return;
        };
        entry.deleted = true;
        entry.updated_at = time;
        self.deleted += 1;
    }

    /// Every version by number.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, &Arc<VersionEntry>)> {
        let chunks = self.chunks.iter().enumerate();
        chunks.flat_map(|(chunk, it)| {
            let first = (chunk * CHUNK) as u64 + 1;
            let numbered = it.entries.iter().enumerate();
            numbered.map(move |(at, entry)| (first + at as u64, entry))
        })
    }

    /// The newest live version of each stage that has one, without a look at every version.
    pub(crate) fn newest_by_stage(&self) -> BTreeMap<Option<&str>, (u64, &Arc<VersionEntry>)> {
        let mut newest = BTreeMap::new();
        for (chunk, it) in self.chunks.iter().enumerate() {
            for (stage, at) in it.newest() {
                let number = (chunk * CHUNK + at) as u64 + 1;
                newest.insert(stage.as_deref(), (number, &it.entries[*at]));
            }
        }
        newest
    }

    pub(crate) fn root(&self) -> VersionsRoot {
        let chunks = self.chunks.iter().map(|it| it.digest()).collect();
        VersionsRoot { chunks }
    }

    /// The chunks that this process did not see in the store yet.
    pub(crate) fn unsaved(&self) -> Vec<Part> {
        let unsaved = self.chunks.iter().filter(|it| !it.saved.load(Ordering::Acquire));
        unsaved.map(|it| it.part()).collect()
    }

    /// The versions whose chunks were stored as these bytes, in the order of the root.
    pub(crate) fn restore(root: &VersionsRoot, chunks: &[Bytes]) -> Result<Self, Broken> {
        let chunks = root.chunks.iter().zip(chunks);
        let chunks = chunks.map(|(digest, it)| Chunk::restore(*digest, it).map(Arc::new));
        let chunks: Vec<_> = chunks.collect::<Result<_, _>>()?;
        let (last, full) = chunks
            .split_last()
            .map_or((0, &[][..]), |(it, full)| (it.entries.len(), full));
        if full.iter().any(|it| it.entries.len() != CHUNK) || last > CHUNK {
            return Err(Broken::new("full chunks", "others"));
        }
        let entries = chunks.iter().flat_map(|it| &it.entries);
        let deleted = entries.filter(|it| it.deleted).count();
        Ok(Self { chunks, deleted })
    }
}

impl Chunk {
    fn encode(&self) -> (Digest, Bytes) {
        let (digest, bytes) = seal(&self.entries);
        let _ = self.digest.set(digest);
        (digest, bytes)
    }

    fn digest(&self) -> Digest {
        self.digest.get().copied().unwrap_or_else(|| self.encode().0)
    }

    fn newest(&self) -> &BTreeMap<Option<String>, usize> {
        self.newest.get_or_init(|| {
            let live = self.entries.iter().enumerate().filter(|it| !it.1.deleted);
            live.map(|(at, it)| (it.stage.clone(), at)).collect()
        })
    }

    fn part(&self) -> Part {
        let (digest, bytes) = self.encode();
        let saved = self.saved.clone();
        Part { digest, bytes, saved }
    }

    fn restore(named: Digest, bytes: &[u8]) -> Result<Self, Broken> {
        let (digest, entries) = unseal(bytes)?;
        if digest != named {
            return Err(Broken::new(named, digest));
        }
        Ok(Self {
            entries,
            digest: digest.into(),
            saved: Arc::new(true.into()),
            newest: OnceLock::new(),
        })
    }
}

/// The chunk as one that is no longer what was stored.
fn edited(chunk: &mut Arc<Chunk>) -> &mut Chunk {
    let chunk = Arc::make_mut(chunk);
    (chunk.digest, chunk.saved) = (OnceLock::new(), Arc::default());
    chunk.newest = OnceLock::new();
    chunk
}

fn place(version: u64) -> Option<(usize, usize)> {
    let index = usize::try_from(version.checked_sub(1)?).ok()?;
    Some((index / CHUNK, index % CHUNK))
}
