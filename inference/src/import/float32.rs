//! Thresholds of libraries that compare in single precision, made exact for rows in double precision.
//!
//! XGBoost, CatBoost, scikit-learn and ONNX round a value to float32 before they compare it. Rounding never changes the order
//! of two numbers, so the doubles that pass such a comparison are all those up to some greatest one; that one is found here and
//! becomes the threshold. So a row is rounded nowhere, and still takes the same path.

/// The greatest double `x` for which `x as f32 <= threshold`; NaN for NaN.
pub fn at_most(threshold: f32) -> f64 {
    if threshold == f32::INFINITY {
        return f64::INFINITY;
    }
    let middle = f64::midpoint(widened(threshold), widened(threshold.next_up()));
    // A double half-way between two floats becomes the one with the even significand.
    let rounds_down = threshold.to_bits() & 1 == 0;
    if rounds_down { middle } else { middle.next_down() }
}

/// The greatest double `x` for which `(x as f32) < threshold`; `None` where no number passes, which is below minus infinity.
pub fn below(threshold: f32) -> Option<f64> {
    (threshold != f32::NEG_INFINITY).then(|| at_most(threshold.next_down()))
}

/// The float as a double; infinity as the float that would follow the greatest one, which is where rounding starts to reach it.
fn widened(it: f32) -> f64 {
    if it.is_infinite() {
        2_f64.powi(128).copysign(f64::from(it))
    } else {
        f64::from(it)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whether both ways to compare agree, on each side of the threshold and wherever rounding could turn.
    fn check(threshold: f32, x: f64) {
        let near = [
            at_most(threshold),
            below(threshold).unwrap_or(f64::NEG_INFINITY),
            f64::from(threshold),
            x,
        ];
        for x in near.into_iter().flat_map(|it| [it.next_down(), it, it.next_up(), -it]) {
            let rounded = x as f32;
            assert_eq!(rounded <= threshold, x <= at_most(threshold), "{x:e} <= {threshold:e}");
            let passes = below(threshold).is_some_and(|it| x <= it);
            assert_eq!(rounded < threshold, passes, "{x:e} < {threshold:e}");
        }
    }

    #[test]
    fn zeros_the_least_the_greatest_and_the_infinite_numbers_are_no_exception() {
        let least = f32::from_bits(1);
        let edges = [0.0, least, f32::MIN_POSITIVE, 1.0, f32::MAX, f32::INFINITY];
        for threshold in edges.into_iter().flat_map(|it| [it, -it, it.next_up(), it.next_down()]) {
            for x in [0.0, -0.0, 5e-324, 1e-46, 1e39, 1e300, f64::INFINITY, f64::NEG_INFINITY] {
                if !threshold.is_nan() {
                    check(threshold, x);
                }
            }
        }
    }

    #[test]
    fn nothing_is_below_minus_infinity_and_no_number_stands_for_nan() {
        assert_eq!(below(f32::NEG_INFINITY), None);
        assert!(at_most(f32::NAN).is_nan());
        assert!(below(f32::NAN).is_some_and(f64::is_nan));
    }

    proptest! {
        #[test]
        fn any_double_takes_the_side_of_its_rounded_self(bits in any::<u32>(), x in any::<f64>(), step in -3_i32..4) {
            let threshold = f32::from_bits(bits);
            prop_assume!(!threshold.is_nan() && !x.is_nan());
            check(threshold, x);
            // Doubles just beside the threshold, where rounding decides.
            check(threshold, f64::from(threshold) * (1.0 + f64::from(step) * 2_f64.powi(-26)));
        }
    }
}
