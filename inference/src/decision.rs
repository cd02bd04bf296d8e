//! From a number to what to do.

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
        let reached = self.levels.iter().find(|(_, least)| value >= *least);
        let (level, _) = reached.or(self.levels.last())?;
        let advice = self.recommendations.iter().find(|(name, _)| name == level);
        let recommendations = advice.map(|(_, it)| it.clone()).unwrap_or_default();
        Some(Decision {
            level: level.clone(),
            recommendations,
        })
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
