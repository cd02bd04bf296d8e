//! Nelder and Mead's simplex (1965), for the few numbers of a smoothing model.

/// Evaluations per free number, at most.
const EVALUATIONS: usize = 40;
/// The search ends when the best and the worst corner are this close, relatively.
const TOLERANCE: f64 = 1e-6;

/// The point with the least `cost` that was found from `start`. Deterministic.
pub(super) fn minimise(start: &[f64], cost: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let n = start.len();
    let mut corners: Vec<(f64, Vec<f64>)> = vec![(cost(start), start.to_vec())];
    for at in 0..n {
        let mut corner = start.to_vec();
        corner[at] += 1.5;
        corners.push((cost(&corner), corner));
    }
    for _ in 0..EVALUATIONS * n {
        corners.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (best, worst) = (corners[0].0, corners[n].0);
        if worst - best <= TOLERANCE * (best.abs() + 1e-12) {
            break;
        }
        step(&mut corners, &cost);
    }
    corners.sort_by(|a, b| a.0.total_cmp(&b.0));
    corners.swap_remove(0).1
}

/// Moves the worst of the sorted corners, or draws all towards the best.
fn step(corners: &mut [(f64, Vec<f64>)], cost: &impl Fn(&[f64]) -> f64) {
    let n = corners.len() - 1;
    let centre: Vec<f64> = (0..n)
        .map(|at| corners[..n].iter().map(|it| it.1[at]).sum::<f64>() / n as f64)
        .collect();
    let towards = |worst: &[f64], factor: f64| {
        let point: Vec<f64> = centre.iter().zip(worst).map(|(c, w)| c + factor * (w - c)).collect();
        (cost(&point), point)
    };
    let reflected = towards(&corners[n].1, -1.0);
    if reflected.0 < corners[0].0 {
        let expanded = towards(&corners[n].1, -2.0);
        corners[n] = if expanded.0 < reflected.0 { expanded } else { reflected };
    } else if reflected.0 < corners[n - 1].0 {
        corners[n] = reflected;
    } else {
        let factor = if reflected.0 < corners[n].0 { -0.5 } else { 0.5 };
        let contracted = towards(&corners[n].1, factor);
        if contracted.0 < corners[n].0.min(reflected.0) {
            corners[n] = contracted;
        } else {
            shrink(corners, cost);
        }
    }
}

fn shrink(corners: &mut [(f64, Vec<f64>)], cost: &impl Fn(&[f64]) -> f64) {
    let (best, others) = corners.split_first_mut().expect("a simplex has corners");
    for corner in others {
        corner
            .1
            .iter_mut()
            .zip(&best.1)
            .for_each(|(it, best)| *it = best + 0.5 * (*it - best));
        corner.0 = cost(&corner.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bottom_of_a_bowl_is_found() {
        let found = minimise(&[5.0, -3.0], |x| {
            (x[0] - 1.0).powi(2) + 3.0 * (x[1] - 2.0).powi(2) + 7.0
        });
        let close = (found[0] - 1.0).abs() < 0.01 && (found[1] - 2.0).abs() < 0.01;
        assert!(close, "{found:?}");
    }
}
