//! Parity: what was served, held value by value against what the offline join says for the same entity at the same instant.

use foretell_features::{DataType, EntityFrame, EntityKey, FeatureRef, Timestamp, Value};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::store::OfflineStore;

/// One feature as it was served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedFeature {
    /// The name that it was served under.
    pub name: String,
    /// The view.
    pub view: String,
    /// Its feature.
    pub feature: String,
}

/// What was served of one entity at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct ServedRow {
    /// Whom; a null part never had features.
    pub key: Option<EntityKey>,
    /// The instant that counted as now.
    pub at: Timestamp,
    /// One value per feature, in their order.
    pub values: Vec<Value>,
}

/// What came of the comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParityReport {
    /// Entities at instants.
    pub rows: u64,
    /// One per feature, in the order asked for.
    pub features: Vec<FeatureParity>,
}

/// One feature. Every row is counted once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureParity {
    /// The name that it was served under.
    pub feature: String,
    /// Both null or both the same: numbers to 1e-9 of the greater, all else exactly.
    pub equal: u64,
    /// Two values that differ.
    pub mismatch: u64,
    /// Served as null where the files have a value.
    pub missing: u64,
    /// Served with a value where the files have none.
    pub extra: u64,
    /// Some rows that are not equal.
    pub examples: Vec<ParityExample>,
}

/// One value that is not equal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParityExample {
    /// Row of the comparison, from 0.
    pub row: u64,
    /// The instant.
    pub at: Timestamp,
    /// As served.
    pub online: Value,
    /// As the files say.
    pub offline: Value,
}

const EXAMPLES: usize = 3;

impl ParityReport {
    /// Values compared.
    pub fn values(&self) -> u64 {
        self.features.iter().map(|it| it.equal).sum::<u64>() + self.unequal()
    }

    /// Values that are not equal.
    pub fn unequal(&self) -> u64 {
        self.features.iter().map(|it| it.mismatch + it.missing + it.extra).sum()
    }

    /// The share of values that are equal, 0 to 1; NaN where nothing was compared, so that no gate takes it for perfect.
    pub fn share(&self) -> f64 {
        (self.values() - self.unequal()) as f64 / self.values() as f64
    }
}

impl OfflineStore {
    /// Joins the rows' entities at their instants and compares.
    ///
    /// # Errors
    /// An unknown view or feature, an unreadable source.
    pub fn parity(&self, features: &[ServedFeature], rows: &[ServedRow]) -> Result<ParityReport> {
        let mut report = ParityReport {
            rows: rows.len() as u64,
            features: Vec::new(),
        };
        let frame = EntityFrame::new(
            rows.iter().map(|it| it.key.clone()).collect(),
            rows.iter().map(|it| it.at).collect(),
        );
        for (position, it) in features.iter().enumerate() {
            let reference = FeatureRef::One(it.view.clone(), it.feature.clone());
            let joined = self.historical(&frame, &[reference], &[])?;
            let (_, column) = joined.iter().next().expect("one feature was asked for");
            let mut parity = FeatureParity::of(&it.name);
            for (row, served) in rows.iter().enumerate() {
                let online = served.values.get(position).cloned().unwrap_or_default();
                parity.add(row, served.at, online, column.value(row), column.data_type());
            }
            report.features.push(parity);
        }
        Ok(report)
    }
}

impl FeatureParity {
    fn of(feature: &str) -> Self {
        Self {
            feature: feature.to_owned(),
            equal: 0,
            mismatch: 0,
            missing: 0,
            extra: 0,
            examples: Vec::new(),
        }
    }

    fn add(&mut self, row: usize, at: Timestamp, online: Value, offline: Value, data_type: DataType) {
        // A log has numbers and texts only; what is of no use as the feature's type stays as it is, and differs.
        let online = online.clone().cast(data_type).unwrap_or(online);
        match (online.is_null(), offline.is_null()) {
            (true, true) => self.equal += 1,
            (false, false) if same(&online, &offline) => self.equal += 1,
            (true, false) => self.missing += 1,
            (false, true) => self.extra += 1,
            (false, false) => self.mismatch += 1,
        }
        let unequal = self.mismatch + self.missing + self.extra;
        let differs = online.is_null() != offline.is_null() || !(online.is_null() || same(&online, &offline));
        if differs && unequal <= EXAMPLES as u64 {
            self.examples.push(ParityExample {
                row: row as u64,
                at,
                online,
                offline,
            });
        }
    }
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => a == b || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()),
        _ => a == b,
    }
}
