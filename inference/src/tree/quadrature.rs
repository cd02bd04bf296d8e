//! Points and weights at which a polynomial is integrated exactly.

/// The Gauss-Legendre rule of `n` points on [0, 1], exact up to degree `2n - 1`: points with their weights. The points are the
/// roots of the Legendre polynomial, found by Newton's method from Chebyshev's (Abramowitz and Stegun 25.4.29).
pub(super) fn gauss_legendre(n: usize) -> Vec<(f64, f64)> {
    let point = |at: usize| {
        let mut x = (std::f64::consts::PI * (at as f64 + 0.75) / (n as f64 + 0.5)).cos();
        for _ in 0..100 {
            let (value, slope) = legendre(n, x);
            let step = value / slope;
            x -= step;
            if step.abs() < 1e-16 {
                break;
            }
        }
        let slope = legendre(n, x).1;
        // From [-1, 1] to [0, 1]: half of the weight `2 / ((1 - x^2) slope^2)`.
        (0.5 - 0.5 * x, 1.0 / ((1.0 - x * x) * slope * slope))
    };
    (0..n).map(point).collect()
}

/// The Legendre polynomial of degree `n` at `x`, and its derivative.
fn legendre(n: usize, x: f64) -> (f64, f64) {
    let (mut before, mut here) = (1.0, x);
    for k in 2..=n {
        let k = k as f64;
        (before, here) = (here, ((2.0 * k - 1.0) * x * here - (k - 1.0) * before) / k);
    }
    (here, n as f64 * (x * here - before) / (x * x - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_up_to_twice_the_points_are_integrated_exactly() {
        for n in [1, 3, 4, 8, 16, 64, 128] {
            let rule = gauss_legendre(n);
            for degree in [0, 1, n, 2 * n - 1] {
                let got: f64 = rule.iter().map(|(at, weight)| weight * at.powi(degree as i32)).sum();
                let expected = 1.0 / (degree as f64 + 1.0);
                assert!(
                    (got - expected).abs() < 1e-14,
                    "{n} points, degree {degree}: {got} for {expected}"
                );
            }
        }
    }
}
