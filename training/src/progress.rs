//! Who is told how far training is.

/// Hears what is being done; the command line draws it.
pub trait Progress: Sync {
    /// `done` of `total` steps of `what`; a `total` of 0 means that nobody knows how many there are.
    fn stage(&self, what: &str, done: u64, total: u64);
}

/// Nobody is told.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _what: &str, _done: u64, _total: u64) {}
}
