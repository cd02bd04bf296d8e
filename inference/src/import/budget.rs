//! What a file may ask for beyond its bytes: counts and category codes are cheap to write and dear to hold.

/// Grants memory in proportion to a file's length.
pub(super) struct Budget {
    n_bytes: usize,
    /// Words of category sets that are left.
    words: usize,
}

impl Budget {
    /// For a file of so many bytes.
    pub(super) fn of(n_bytes: usize) -> Self {
        Self {
            n_bytes,
            words: n_bytes.saturating_add(16_384),
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
