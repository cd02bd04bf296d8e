//! The nearest valid name, for every message about a wrong one.

/// The candidate most like `name`, where one is like enough to be meant.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    let mut best: Option<(f64, &'a str)> = None;
    for candidate in candidates {
        let likeness = likeness(&wanted, &candidate.to_lowercase());
        let better = match best {
            None => true,
            // The lesser name wins a tie, so that the answer does not depend on the order of the candidates.
            Some((top, at)) => likeness > top || (likeness == top && candidate < at),
        };
        if better {
            best = Some((likeness, candidate));
        }
    }
    best.filter(|(likeness, _)| *likeness >= 0.5)
        .map(|(_, candidate)| candidate)
}

/// `` ; did you mean `x`? `` or, when nothing is near, `` ; there is `a`, `b` `` (a few), else nothing.
pub fn hint<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let mut all: Vec<&str> = candidates.into_iter().collect();
    if let Some(nearest) = nearest(name, all.iter().copied()) {
        return format!("; did you mean `{nearest}`?");
    }
    all.sort_unstable();
    all.dedup();
    if all.is_empty() || all.len() > 12 {
        String::new()
    } else {
        format!("; there is {}", quoted(&all))
    }
}

/// `` `a`, `b` ``
pub fn quoted(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|it| format!("`{it}`")).collect();
    names.join(", ")
}

/// Edit distance as a share of the longer name; a name that contains the other is at least half like it.
fn likeness(wanted: &str, candidate: &str) -> f64 {
    let edits = strsim::normalized_damerau_levenshtein(wanted, candidate);
    let contained =
        wanted.len().min(candidate.len()) >= 4 && (wanted.contains(candidate) || candidate.contains(wanted));
    if contained { edits.max(0.5) } else { edits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_slip_is_recognised_and_a_stranger_lists_what_there_is() {
        let cases = [
            ("evnt_time", "; did you mean `event_time`?"),
            ("EVENT_TIME", "; did you mean `event_time`?"),
            ("time", "; did you mean `event_time`?"),
            ("zzz", "; there is `event_time`, `known_time`, `path`"),
        ];
        for (name, expected) in cases {
            assert_eq!(hint(name, ["path", "event_time", "known_time"]), expected, "{name}");
        }
        assert_eq!(hint("x", []), "");
    }

    #[test]
    fn the_order_of_candidates_does_not_matter() {
        assert_eq!(nearest("ab", ["ac", "ad"]), nearest("ab", ["ad", "ac"]));
    }
}
