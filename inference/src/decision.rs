//! From a number to what to do.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Levels by threshold on the answer, and what to do at each.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct DecisionPolicy {
    /// Name and least value, highest first; the last one catches all.
    pub levels: Vec<(String, f64)>,
    /// What to do, by level name.
    pub recommendations: Vec<(String, Vec<String>)>,
}

/// What the policy says of one value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The level's name.
    pub level: String,
    /// What to do.
    pub recommendations: Vec<String>,
}

impl DecisionPolicy {
    /// The highest level whose least value is reached, else the last; `None` where there are no levels.
    pub fn decide(&self, value: f64) -> Option<Decision> {
        Levels::of(self).decide(value).map(|it| Decision::clone(it))
    }

    fn decision(&self, level: &str) -> Decision {
        let advice = self.recommendations.iter().find(|(name, _)| name == level);
        Decision {
            level: level.to_owned(),
            recommendations: advice.map(|(_, it)| it.clone()).unwrap_or_default(),
        }
    }

    /// What is wrong with it, where it cannot be applied.
    pub(crate) fn check(&self) -> Result<(), String> {
        let falling = self.levels.windows(2).all(|it| it[0].1 > it[1].1);
        let finite = self.levels.iter().all(|(_, least)| least.is_finite());
        if falling && finite {
            Ok(())
        } else {
            Err("decision levels do not fall from first to last".to_owned())
        }
    }
}

/// A policy with every decision that it can come to made beforehand: deciding copies nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Levels(Vec<(f64, Arc<Decision>)>);

impl Levels {
    pub(crate) fn of(policy: &DecisionPolicy) -> Self {
        let level = |(level, least): &(String, f64)| (*least, Arc::new(policy.decision(level)));
        Self(policy.levels.iter().map(level).collect())
    }

    /// See [`DecisionPolicy::decide`].
    pub(crate) fn decide(&self, value: f64) -> Option<&Arc<Decision>> {
        let reached = self.0.iter().find(|it| value >= it.0);
        reached.or(self.0.last()).map(|it| &it.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_gets_the_highest_level_it_reaches_and_the_last_catches_all() {
        let policy = DecisionPolicy {
            levels: vec![("high".into(), 0.7), ("medium".into(), 0.4), ("low".into(), 0.1)],
            recommendations: vec![("high".into(), vec!["call".into()])],
        };
        for (value, level) in [
            (0.9, "high"),
            (0.7, "high"),
            (0.69, "medium"),
            (0.1, "low"),
            (0.0, "low"),
        ] {
            assert_eq!(policy.decide(value).unwrap().level, level, "{value}");
        }
        assert_eq!(policy.decide(0.8).unwrap().recommendations, ["call"]);
        assert!(policy.decide(0.5).unwrap().recommendations.is_empty());
        assert_eq!(DecisionPolicy::default().decide(0.5), None);
    }
}
