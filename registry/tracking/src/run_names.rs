//! A name for a run that nobody named.

const ADJECTIVES: [&str; 16] = [
    "amber", "bold", "calm", "clever", "eager", "gentle", "keen", "lively", "merry", "nimble", "polite", "quiet",
    "rapid", "sturdy", "thrifty", "vivid",
];
const NOUNS: [&str; 16] = [
    "badger", "crane", "dolphin", "falcon", "finch", "gecko", "heron", "ibex", "koala", "lynx", "otter", "panda",
    "raven", "seal", "tapir", "wren",
];

/// Three parts like `calm-otter-517`, taken from the run's random id.
pub(crate) fn made_up(run_id: &str) -> String {
    let digits = u64::from_str_radix(run_id.get(..12).unwrap_or("0"), 16).unwrap_or(0);
    let pick = |words: &'static [&str], at: u64| words[usize::try_from(at).unwrap_or(0) % words.len()];
    format!(
        "{}-{}-{}",
        pick(&ADJECTIVES, digits >> 40),
        pick(&NOUNS, digits >> 36),
        digits % 1000
    )
}
