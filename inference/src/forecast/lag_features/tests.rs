use super::*;

fn layout() -> LagLayout {
    let known = |name: &str, usual| KnownColumn {
        name: name.to_owned(),
        kind: ColumnKind::Numeric,
        usual,
    };
    LagLayout {
        step: Span::DAY,
        horizon: 10,
        seasons: Seasons {
            short: 7,
            long: Some(364),
        },
        years: 1,
        scale_window: 28,
        nonnegative: true,
        skip_zeros: true,
        known: vec![known("promo", Some(0.0)), known("price", None)],
        statics: vec![("store".to_owned(), ColumnKind::Category { cardinality: 3 })],
    }
}

/// Value `i` is `10 + i mod 7`, on promotion every tenth day twice as much; the price is 5.
fn history(n: usize) -> (Vec<f64>, Vec<f64>) {
    let promo = |at: usize| if at.is_multiple_of(10) { 1.0 } else { 0.0 };
    let values = (0..n).map(|at| (10.0 + (at % 7) as f64) * (1.0 + promo(at))).collect();
    let known = (0..n).flat_map(|at| [promo(at), 5.0]).collect();
    (values, known)
}

fn named(
    layout: &LagLayout,
    origin: &Origin<'_>,
    step: usize,
    future: &Future,
) -> std::collections::BTreeMap<String, f64> {
    let mut row = Vec::new();
    origin.row_into(step, future, &mut row);
    let columns = layout.columns();
    assert_eq!(columns.len(), row.len(), "one number per column");
    columns.into_iter().map(|it| it.name).zip(row).collect()
}

#[test]
fn every_feature_is_what_its_name_says() {
    let layout = layout();
    let n = 420;
    let (values, known) = history(n + 20);
    let future = Future {
        n_columns: 2,
        values: known[n * 2..(n + 10) * 2].to_vec(),
    };
    let origin = layout.origin_of(&values[..n], &known[..n * 2], &[2.0], Timestamp(0));
    let row = named(&layout, &origin, 3, &future);
    let scale = values[n - 28..n].iter().sum::<f64>() / 28.0;
    let at = n + 2;
    let cases = [
        ("step", 3.0),
        ("last", values[n - 1] / scale),
        ("mean_4", 1.0),
        ("year_1_value", values[at - 364] / scale),
        (
            "phase_mean_4",
            (1..=4).map(|it| values[at - 7 * it]).sum::<f64>() / 4.0 / scale,
        ),
        ("day_of_month", 4.0),
        ("promo", 0.0),
        ("promo_since", 2.0),
        ("promo_until", 8.0 - 14.0 * 0.0),
        ("price_relative", 1.0),
        ("alike_phase_mean", (10.0 + (at % 7) as f64) / scale),
        ("store", 2.0),
    ];
    for (name, expected) in cases {
        // The next promotion is eight days after step 3, beyond the horizon of ten days: unknown.
        let expected = if name == "promo_until" { f64::NAN } else { expected };
        let got = row[name];
        let same = (got.is_nan() && expected.is_nan()) || (got - expected).abs() < 1e-9;
        assert!(same, "{name}: {got}, not {expected}");
    }
}

#[test]
fn a_state_and_the_whole_history_give_the_same_row() {
    let layout = layout();
    let (values, known) = history(900);
    let future = Future {
        n_columns: 2,
        values: vec![1.0, 4.0],
    };
    let kept = &values[900 - layout.memory()..];
    let kept_known = &known[(900 - layout.known_memory()) * 2..];
    let whole = layout.origin_of(&values, &known, &[0.0], Timestamp(0));
    let state = layout.origin_of(kept, kept_known, &[0.0], Timestamp(0));
    for step in 1..=10 {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        whole.row_into(step, &future, &mut a);
        state.row_into(step, &future, &mut b);
        assert_eq!(format!("{a:?}"), format!("{b:?}"));
    }
}

#[test]
fn short_and_empty_histories_give_missing_values_and_a_scale() {
    let layout = layout();
    for history in [vec![], vec![f64::NAN; 3], vec![0.0; 40], vec![2.0; 5]] {
        let origin = layout.origin_of(&history, &[], &[0.0], Timestamp(0));
        assert!(origin.scale() > 0.0);
        named(&layout, &origin, 10, &Future::unknown(2));
    }
}

#[test]
fn idle_days_do_not_shrink_the_means() {
    let layout = layout();
    let values: Vec<f64> = (0..60).map(|at| if at % 7 == 6 { 0.0 } else { 12.0 }).collect();
    let origin = layout.origin_of(&values, &[], &[0.0], Timestamp(0));
    assert_eq!(origin.scale(), 12.0);
    let shares: Vec<f64> = (1..=7)
        .map(|it| named(&layout, &origin, it, &Future::unknown(2))["phase_zero_share"])
        .collect();
    assert_eq!(shares.iter().filter(|it| **it == 1.0).count(), 1);
}
