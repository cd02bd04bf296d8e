//! Noticing commits of other processes: cheaply by a hint, surely by looking.

use crate::error::Result;
use crate::log::HEAD;
use crate::registry::Registry;
use crate::storage::Changed;

/// One poll in so many looks at the logs themselves, because the hint may have been lost.
const PROBE_EVERY: u32 = 16;

/// Says whether anything was committed since it last said so. One request to the store for most polls.
#[derive(Debug)]
pub struct Watcher {
    registry: Registry,
    probe_every: u32,
    polls: u32,
    seen: Option<Seen>,
}

#[derive(Debug)]
struct Seen {
    /// Entity tag of the hint.
    hint: Option<String>,
    /// Commits in the catalog and in each of its models, by id.
    commits: Vec<(String, u64)>,
}

impl Registry {
    /// A watcher whose first poll says `true`: look at the state then.
    pub fn watcher(&self) -> Watcher {
        Watcher {
            registry: self.clone(),
            probe_every: PROBE_EVERY,
            polls: 0,
            seen: None,
        }
    }
}

impl Watcher {
    /// The same, looking at the logs themselves every so many polls; 1 is always.
    pub fn probing_every(self, polls: std::num::NonZeroU32) -> Self {
        Self {
            probe_every: polls.get(),
            ..self
        }
    }

    /// Whether anything was committed since the last poll that said so. An error changes nothing: poll again.
    pub async fn poll(&mut self) -> Result<bool> {
        self.polls = self.polls.wrapping_add(1);
        let known = self.seen.as_ref().and_then(|it| it.hint.as_deref());
        let hint = match self.registry.storage().changed(HEAD, known).await? {
            Changed::No if self.seen.is_some() && !self.polls.is_multiple_of(self.probe_every) => return Ok(false),
            Changed::No => known.map(str::to_owned),
            Changed::To(hint) => hint,
        };
        let commits = self.commits().await?;
        let changed = self.seen.as_ref().is_none_or(|it| it.commits != commits);
        self.seen = Some(Seen { hint, commits });
        Ok(changed)
    }

    async fn commits(&self) -> Result<Vec<(String, u64)>> {
        let catalog = self.registry.catalog().refresh().await?.seq;
        let models = self.registry.list_models().await?;
        let models = models.into_iter().map(|it| {
            let seq = it.seq();
            (it.id, seq)
        });
        Ok(std::iter::once(("catalog".to_owned(), catalog)).chain(models).collect())
    }
}
