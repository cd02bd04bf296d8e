//! Which seasons a series has, by its step.

use foretell_features::{Span, Timestamp};
use serde::{Deserialize, Serialize};

/// Season lengths in steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seasons {
    /// The short one: 7 for days, 24 for hours, 52 for weeks; 1 for none.
    pub short: usize,
    /// The long one, a multiple of the short one: 364 for days (a year of whole weeks), 168 for hours.
    pub long: Option<usize>,
}

impl Seasons {
    /// What was asked for, the rest by the step.
    pub fn of(step: Span, asked: &[usize]) -> Self {
        let usual = Self::usual(step);
        match asked {
            [] => usual,
            [short] => Self {
                short: (*short).max(1),
                long: usual.long.filter(|it| it % short.max(&1) == 0 && it > short),
            },
            [short, long, ..] => Self {
                short: (*short).max(1),
                long: Some(*long).filter(|it| it > short),
            },
        }
    }

    fn usual(step: Span) -> Self {
        let per_day = Span::DAY.0 / step.0.max(1);
        let whole = per_day >= 1 && step.0 * per_day == Span::DAY.0;
        match (whole, per_day) {
            (true, 1) => Self {
                short: 7,
                long: Some(364),
            },
            (true, 2..=288) => {
                let day = usize::try_from(per_day).expect("at most 288");
                Self {
                    short: day,
                    long: Some(7 * day),
                }
            }
            _ if step.0 == 7 * Span::DAY.0 => Self { short: 52, long: None },
            _ if (28..=31).contains(&(step.0 / Span::DAY.0)) => Self { short: 12, long: None },
            _ => Self { short: 1, long: None },
        }
    }

    /// The position of an instant in the short season: the same for all series, whenever they start.
    pub fn phase(&self, step: Span, time: Timestamp) -> usize {
        let short = i64::try_from(self.short).expect("a season is short");
        let phase = time.0.div_euclid(step.0).rem_euclid(short);
        usize::try_from(phase).expect("a remainder is not negative")
    }

    /// The unit in which recent levels are measured: about a week of days, a day of hours, a quarter of weeks.
    pub fn base(&self) -> usize {
        match self.short {
            1 => 4,
            2..=31 => self.short,
            longer => (longer / 13).max(4),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seasons_follow_the_step_unless_they_are_given() {
        let cases: [(&str, &[usize], usize, Option<usize>); 7] = [
            ("1d", &[], 7, Some(364)),
            ("1h", &[], 24, Some(168)),
            ("15m", &[], 96, Some(672)),
            ("7d", &[], 52, None),
            ("1s", &[], 1, None),
            ("1d", &[7], 7, Some(364)),
            ("1d", &[5, 20], 5, Some(20)),
        ];
        for (step, asked, short, long) in cases {
            assert_eq!(
                Seasons::of(step.parse().unwrap(), asked),
                Seasons { short, long },
                "{step} {asked:?}"
            );
        }
    }
}
