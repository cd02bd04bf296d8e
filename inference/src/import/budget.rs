//! What a file may ask for beyond its bytes: counts and category codes are cheap to write and dear to hold.

/// Grants memory in proportion to a file's length.
pub(super) struct Budget {
    n_bytes: usize,
    /// Words of category sets that are left.
    words: usize,
    /// Nodes that are left, where a file does not list them one by one.
    nodes: usize,
}

impl Budget {
    /// For a file of so many bytes.
    pub(super) fn of(n_bytes: usize) -> Self {
        Self {
            n_bytes,
            words: n_bytes.saturating_add(16_384),
            nodes: n_bytes / 8 + 2_048,
        }
    }

    /// Whether a count that has no list behind it may be believed.
    pub(super) fn check(&self, what: &str, count: usize) -> Result<(), String> {
        let most = 8_192 + self.n_bytes / 16;
        if count <= most {
            return Ok(());
        }
        Err(format!(
            "it counts {count} {what}, more than a file of {} bytes can have",
            self.n_bytes
        ))
    }

    /// Nodes that are about to be made.
    pub(super) fn take_nodes(&mut self, count: usize) -> Result<(), String> {
        let left = self.nodes.checked_sub(count);
        self.nodes = left.ok_or_else(|| format!("more nodes than a file of {} bytes can have", self.n_bytes))?;
        Ok(())
    }

    /// Words of sets that are about to be made.
    pub(super) fn take_words(&mut self, count: usize) -> Result<(), String> {
        let left = self.words.checked_sub(count);
        self.words = left.ok_or_else(|| format!("more categories than a file of {} bytes can have", self.n_bytes))?;
        Ok(())
    }

    /// A set of codes as bits.
    pub(super) fn bits(&mut self, codes: &[u32]) -> Result<Vec<u64>, String> {
        let n_words = codes.iter().max().map_or(0, |it| (*it as usize) / 64 + 1);
        self.words = self.words.checked_sub(n_words).ok_or_else(|| {
            let greatest = codes.iter().max().copied().unwrap_or(0);
            format!("category {greatest} is too great for so short a file; number categories from 0 up")
        })?;
        let mut words = vec![0; n_words];
        for code in codes {
            words[(*code as usize) / 64] |= 1 << (code % 64);
        }
        Ok(words)
    }
}
