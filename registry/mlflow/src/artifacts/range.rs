//! `Range` of a download: one range of bytes, which is all that clients ask for.

use std::ops::Range;

/// What of a file of `size` bytes is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Everything: nothing was asked, or several ranges, which may be answered so.
    All,
    Part(Range<u64>),
    /// Nothing that is there.
    Nothing,
}

impl Wanted {
    pub(crate) fn of(header: Option<&str>, size: u64) -> Self {
        let Some((first, last)) = header.and_then(bounds) else {
            return Self::All;
        };
        let range = match (first, last) {
            (Some(first), last) => first..last.map_or(size, |it| it.saturating_add(1).min(size)),
            (None, Some(count)) => size.saturating_sub(count)..size,
            (None, None) => return Self::All,
        };
        if range.is_empty() {
            Self::Nothing
        } else {
            Self::Part(range)
        }
    }
}

/// `bytes=1-2`, `bytes=1-`, `bytes=-2`; a range that ends before it starts is none.
fn bounds(header: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (first, last) = header.strip_prefix("bytes=")?.trim().split_once('-')?;
    let number = |text: &str| match text {
        "" => Some(None),
        digits if digits.bytes().all(|it| it.is_ascii_digit()) => digits.parse().ok().map(Some),
        _ => None,
    };
    let (first, last) = (number(first)?, number(last)?);
    let backwards = matches!((first, last), (Some(first), Some(last)) if last < first);
    (!backwards).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_to_the_file() {
        for (header, expected) in [
            ("bytes=0-4", Wanted::Part(0..5)),
            ("bytes=3-", Wanted::Part(3..10)),
            ("bytes=3-99", Wanted::Part(3..10)),
            ("bytes=-4", Wanted::Part(6..10)),
            ("bytes=-99", Wanted::Part(0..10)),
            ("bytes=9-9", Wanted::Part(9..10)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=5-2", Wanted::All),
            ("bytes=0-1,3-4", Wanted::All),
            ("bytes=-", Wanted::All),
            ("items=0-1", Wanted::All),
            ("bytes=+1-2", Wanted::All),
            ("bytes=0-99999999999999999999", Wanted::All),
        ] {
            assert_eq!(Wanted::of(Some(header), 10), expected, "{header}");
        }
        assert_eq!(Wanted::of(None, 10), Wanted::All);
        assert_eq!(Wanted::of(Some("bytes=0-"), 0), Wanted::Nothing);
    }
}
