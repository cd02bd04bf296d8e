//! Window arithmetic, the same offline and online (DESIGN §4; Chronon's hops).

use serde::{Deserialize, Serialize};

use crate::time::{Span, Timestamp};

/// A look-back window `[start, cutoff)`: half-open, so an event at the cutoff is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Window {
    /// How far back.
    pub length: Span,
    /// The start is rounded down to this; `None` is `hop = "exact"`.
    pub hop: Option<Span>,
}

impl Window {
    /// A window with the usual hop: 1 d from 12 d, 1 h from 12 h, else 5 min.
    pub fn of(length: Span) -> Self {
        let hop = if length >= Span::days(12) {
            Span::DAY
        } else if length >= Span(12 * Span::HOUR.0) {
            Span::HOUR
        } else {
            Span(5 * 60 * Span::SECOND.0)
        };
        Self { length, hop: Some(hop) }
    }

    /// A window without rounding.
    pub fn exact(length: Span) -> Self {
        Self { length, hop: None }
    }

    /// The first instant that counts for a cutoff.
    pub fn start(&self, cutoff: Timestamp) -> Timestamp {
        let start = cutoff.minus(self.length);
        match self.hop {
            Some(hop) => Timestamp(start.0.div_euclid(hop.0).saturating_mul(hop.0)),
            None => start,
        }
    }

    /// Whether an event at `at` counts for a cutoff.
    pub fn contains(&self, at: Timestamp, cutoff: Timestamp) -> bool {
        self.start(cutoff) <= at && at < cutoff
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_rounded_down_to_the_hop_and_the_cutoff_is_outside() {
        let t = |text: &str| text.parse::<Timestamp>().unwrap();
        let cutoff = t("2026-06-30T12:34:56Z");
        assert_eq!(Window::of(Span::days(30)).start(cutoff), t("2026-05-31"));
        assert_eq!(Window::of(Span::DAY).start(cutoff), t("2026-06-29T12:00:00Z"));
        assert_eq!(Window::of(Span::HOUR).start(cutoff), t("2026-06-30T11:30:00Z"));
        assert_eq!(Window::exact(Span::HOUR).start(cutoff), t("2026-06-30T11:34:56Z"));
        assert!(!Window::of(Span::DAY).contains(cutoff, cutoff));
        assert!(Window::of(Span::days(30)).contains(t("2026-05-31"), cutoff));
    }
}
