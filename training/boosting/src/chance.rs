//! Chance without state: a number for (seed, round, item), so that any thread can ask for any item.

/// 64 well-mixed bits (SplitMix64's finaliser over the parts).
pub(crate) fn hash(seed: u64, round: u64, item: u64) -> u64 {
    mix(mix(mix(seed) ^ round) ^ item)
}

/// A number in `[0, 1)`.
pub(crate) fn fraction(seed: u64, round: u64, item: u64) -> f64 {
    (hash(seed, round, item) >> 11) as f64 / (1_u64 << 53) as f64
}

/// The `count` of `items` that the round draws, in their order.
pub(crate) fn draw(seed: u64, round: u64, items: &[usize], count: usize) -> Vec<usize> {
    let mut drawn = items.to_vec();
    drawn.sort_by_key(|&item| (hash(seed, round, item as u64), item));
    drawn.truncate(count);
    drawn.sort_unstable();
    drawn
}

fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_even_and_rounds_differ() {
        let mean = |round| (0..10_000).map(|it| fraction(7, round, it)).sum::<f64>() / 10_000.0;
        assert!((mean(1) - 0.5).abs() < 0.01 && (mean(2) - 0.5).abs() < 0.01);
        assert_ne!(fraction(7, 1, 3), fraction(7, 2, 3));
        assert_ne!(fraction(7, 1, 3), fraction(8, 1, 3));
    }

    #[test]
    fn a_draw_has_the_asked_number_in_order_and_covers_all_in_time() {
        let items: Vec<usize> = (0..10).map(|it| it * 3).collect();
        let mut seen = std::collections::BTreeSet::new();
        for round in 0..20 {
            let drawn = draw(1, round, &items, 4);
            assert!(drawn.len() == 4 && drawn.is_sorted());
            seen.extend(drawn);
        }
        assert_eq!(seen.len(), items.len());
    }
}
