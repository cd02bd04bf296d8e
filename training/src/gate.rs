//! What must hold of the test metrics before `champion` moves. Every check is written so that NaN fails it.

use foretell_features::spelling::hint;
use foretell_inference::Task;
use foretell_models::GateRule;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::metrics::{Metrics, badness};

/// One rule and how it went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateResult {
    /// The metric.
    pub metric: String,
    /// The rule in words, `at least 0.75`.
    pub rule: String,
    /// The candidate's value.
    pub value: f64,
    /// Whether it holds.
    pub passed: bool,
    /// What was compared.
    pub reason: String,
}

/// What the winner is compared with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rivals<'a> {
    /// The baseline's metrics on the same test rows.
    pub baseline: Option<&'a Metrics>,
    /// The champion's metrics on the same test rows, or why there are none.
    pub champion: Option<Result<&'a Metrics, &'a str>>,
}

/// Judges every rule. Without a champion, comparisons with it hold.
///
/// # Errors
/// A rule names a metric that is not measured.
pub fn judge(
    model: &str,
    task: Task,
    rules: &[GateRule],
    metrics: &Metrics,
    rivals: Rivals<'_>,
) -> Result<Vec<GateResult>, TrainError> {
    let mut results = Vec::new();
    for rule in rules.iter().filter(|it| it.metric != GateRule::PARITY) {
        let Some(&value) = metrics.get(&rule.metric) else {
            return Err(unknown_metric(model, task, &rule.metric, metrics));
        };
        results.extend(judge_rule(rule, value, rivals));
    }
    Ok(results)
}

/// The rules that look at the version alone: what a package may say of itself, since the same data must give the same bytes
/// whoever is champion.
pub fn own_rules(rules: &[GateRule]) -> Vec<GateRule> {
    let alone = |rule: &GateRule| GateRule {
        not_worse_than_champion_by: None,
        ..rule.clone()
    };
    rules
        .iter()
        .filter(|it| it.metric != GateRule::PARITY)
        .map(alone)
        .collect()
}

/// Judges the rules about parity: the share of served values that are what the files say, or why it is not known.
pub fn judge_parity(rules: &[GateRule], measured: Option<Result<f64, &str>>) -> Vec<GateResult> {
    let rules = rules.iter().filter(|it| it.metric == GateRule::PARITY);
    let judged = |rule: &GateRule| match measured {
        Some(Ok(share)) => judge_rule(rule, share, Rivals::default()),
        unknown => {
            let why = unknown.and_then(Result::err).unwrap_or("nobody measured it");
            vec![GateResult {
                metric: rule.metric.clone(),
                rule: "measured".to_owned(),
                value: f64::NAN,
                passed: false,
                reason: format!("parity is not known: {why}"),
            }]
        }
    };
    rules.flat_map(judged).collect()
}

/// The reasons of the rules that do not hold, joined for one sentence; empty where all hold.
pub fn refusals(gates: &[GateResult]) -> String {
    let failed: Vec<&str> = gates
        .iter()
        .filter(|it| !it.passed)
        .map(|it| it.reason.as_str())
        .collect();
    failed.join("; ")
}

fn judge_rule(rule: &GateRule, value: f64, rivals: Rivals<'_>) -> Vec<GateResult> {
    let name = &rule.metric;
    let result = |rule: String, passed: bool, reason: String| GateResult {
        metric: name.clone(),
        rule,
        value,
        passed,
        reason,
    };
    let mut results = Vec::new();
    if let Some(min) = rule.min {
        results.push(result(
            format!("at least {min}"),
            value >= min,
            format!("{name} is {value:.4}, at least {min} is asked"),
        ));
    }
    if let Some(max) = rule.max {
        results.push(result(
            format!("at most {max}"),
            value <= max,
            format!("{name} is {value:.4}, at most {max} is asked"),
        ));
    }
    if rule.better_than_baseline {
        let baseline = rivals.baseline.and_then(|it| it.get(name)).copied().unwrap_or(f64::NAN);
        // A baseline may have no value of its own: a constant has no rank correlation, and any number is better than none.
        let passed = badness(name, value) < badness(name, baseline) || (baseline.is_nan() && value.is_finite());
        results.push(result(
            "better than the baseline".into(),
            passed,
            format!("{name} is {value:.4}, the baseline's {baseline:.4}"),
        ));
    }
    if let Some(margin) = rule.not_worse_than_champion_by {
        let (passed, reason) = against_champion(name, value, margin, rivals);
        results.push(result(
            format!("not worse than the champion by more than {margin}"),
            passed,
            reason,
        ));
    }
    results
}

fn against_champion(name: &str, value: f64, margin: f64, rivals: Rivals<'_>) -> (bool, String) {
    let champion = match rivals.champion {
        None => return (true, "there is no champion yet".to_owned()),
        Some(Err(why)) => return (false, format!("the champion cannot be compared on {name}: {why}")),
        Some(Ok(metrics)) => metrics.get(name).copied().unwrap_or(f64::NAN),
    };
    let passed = badness(name, value) <= badness(name, champion) + margin;
    (
        passed,
        format!("{name} is {value:.4}, the champion's {champion:.4} on the same test rows, {margin} may be lost"),
    )
}

fn unknown_metric(model: &str, task: Task, metric: &str, metrics: &Metrics) -> TrainError {
    let near = hint(metric, metrics.keys().map(String::as_str));
    let all: Vec<&str> = metrics.keys().map(String::as_str).collect();
    let hint = if near.is_empty() {
        format!("; there are {}", all.join(", "))
    } else {
        near
    };
    TrainError::UnknownMetric {
        model: model.to_owned(),
        metric: metric.to_owned(),
        task: task.to_string(),
        hint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(auc: f64, mae: f64) -> Metrics {
        [("roc_auc".to_owned(), auc), ("mae".to_owned(), mae)].into()
    }

    fn rule(metric: &str) -> GateRule {
        GateRule {
            metric: metric.to_owned(),
            min: None,
            max: None,
            not_worse_than_champion_by: None,
            better_than_baseline: false,
        }
    }

    fn passes(rule: GateRule, ours: &Metrics, rivals: Rivals<'_>) -> bool {
        judge("m", Task::Regression, &[rule], ours, rivals).unwrap()[0].passed
    }

    #[test]
    fn bounds_are_inclusive_and_nan_fails() {
        let cases = [(0.75, true), (0.7499, false), (f64::NAN, false)];
        for (value, expected) in cases {
            assert_eq!(
                passes(
                    GateRule {
                        min: Some(0.75),
                        ..rule("roc_auc")
                    },
                    &metrics(value, 0.0),
                    Rivals::default()
                ),
                expected
            );
        }
        assert!(passes(
            GateRule {
                max: Some(5.0),
                ..rule("mae")
            },
            &metrics(0.0, 5.0),
            Rivals::default()
        ));
        assert!(!passes(
            GateRule {
                max: Some(5.0),
                ..rule("mae")
            },
            &metrics(0.0, f64::NAN),
            Rivals::default()
        ));
    }

    #[test]
    fn the_champion_may_be_better_by_the_margin_whichever_way_is_better() {
        let champion = metrics(0.80, 10.0);
        let rivals = Rivals {
            baseline: None,
            champion: Some(Ok(&champion)),
        };
        let margin = |metric, margin| GateRule {
            not_worse_than_champion_by: Some(margin),
            ..rule(metric)
        };
        assert!(passes(margin("roc_auc", 0.01), &metrics(0.795, 0.0), rivals));
        assert!(!passes(margin("roc_auc", 0.01), &metrics(0.785, 0.0), rivals));
        assert!(passes(margin("mae", 1.0), &metrics(0.0, 10.5), rivals));
        assert!(!passes(margin("mae", 1.0), &metrics(0.0, 11.5), rivals));
        assert!(
            passes(margin("mae", 0.0), &metrics(0.0, 99.0), Rivals::default()),
            "no champion yet"
        );
        let unread = Rivals {
            baseline: None,
            champion: Some(Err("its input `x` is gone")),
        };
        assert!(!passes(margin("mae", 1.0), &metrics(0.0, 1.0), unread));
    }

    #[test]
    fn the_baseline_must_be_beaten() {
        let baseline = metrics(0.5, 10.0);
        let rivals = Rivals {
            baseline: Some(&baseline),
            champion: None,
        };
        let better = |metric| GateRule {
            better_than_baseline: true,
            ..rule(metric)
        };
        assert!(passes(better("mae"), &metrics(0.0, 9.0), rivals));
        assert!(!passes(better("mae"), &metrics(0.0, 10.0), rivals));
        assert!(!passes(better("roc_auc"), &metrics(f64::NAN, 10.0), rivals));
    }

    #[test]
    fn an_unmeasured_metric_is_refused_with_the_nearest() {
        let error = judge(
            "m",
            Task::Regression,
            &[rule("roc_acu")],
            &metrics(0.0, 0.0),
            Rivals::default(),
        )
        .unwrap_err();
        assert!(error.to_string().contains("did you mean `roc_auc`?"), "{error}");
    }
}
