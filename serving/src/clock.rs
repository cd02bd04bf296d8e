//! The clock of the server: the real one, or the project's `as_of`.

use std::time::{SystemTime, UNIX_EPOCH};

use foretell_features::Timestamp;

/// What time it is for ages of values. The request log always uses the real time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    Real,
    /// Always this instant: a project with `as_of`.
    Fixed(Timestamp),
}

impl Clock {
    /// The project's clock: `as_of` where it has one.
    pub fn of(as_of: Option<Timestamp>) -> Self {
        as_of.map_or(Self::Real, Self::Fixed)
    }

    /// Now.
    pub fn now(self) -> Timestamp {
        match self {
            Self::Real => real_now(),
            Self::Fixed(at) => at,
        }
    }
}

/// The machine's clock.
pub(crate) fn real_now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
