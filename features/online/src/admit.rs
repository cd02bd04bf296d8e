//! What every store asks of a row before it is kept, so that no two stores differ in it.

use std::collections::BTreeMap;

use foretell_features::{DataType, EntityKey, FeatureRow, Timestamp, Value};

use crate::store::OnlineError;

/// Longer keys do not fit the embedded store, so no store takes them.
const MAX_KEY_BYTES: usize = 16 * 1024;

/// When a row holds: event time, then known time (a row that does not say comes first).
pub(crate) type RowTime = (Timestamp, Option<Timestamp>);

/// The time by which rows of one key are ordered.
pub(crate) fn time(row: &FeatureRow) -> RowTime {
    (row.event_time, row.known_time)
}

/// Whether a row may replace what is stored: an earlier one never, one of the same time does. The same time again is a retry,
/// which brings the same row, or a correction (a changed definition materialized at the same instant), which must count.
pub(crate) fn replaces(new: RowTime, stored: Option<RowTime>) -> bool {
    stored.is_none_or(|stored| new >= stored)
}

/// Rows by key with one row each, the newest; of equals the last. All are checked before any is written.
pub(crate) fn newest_by_key(
    view: &str,
    columns: &[(String, DataType)],
    rows: Vec<(EntityKey, FeatureRow)>,
) -> Result<BTreeMap<EntityKey, FeatureRow>, OnlineError> {
    let mut newest: BTreeMap<EntityKey, FeatureRow> = BTreeMap::new();
    for (key, row) in rows {
        check_key(view, &key)?;
        let row = checked(view, columns, row)?;
        if replaces(time(&row), newest.get(&key).map(time)) {
            newest.insert(key, row);
        }
    }
    Ok(newest)
}

pub(crate) fn check_key(view: &str, key: &EntityKey) -> Result<(), OnlineError> {
    let bytes = key.encode().len();
    if bytes <= MAX_KEY_BYTES {
        return Ok(());
    }
    let reason = format!("its key has {bytes} bytes, at most {MAX_KEY_BYTES} are stored");
    Err(OnlineError::Schema {
        view: view.to_owned(),
        reason,
    })
}

/// The row with NaN made null, if it fits the columns.
pub(crate) fn checked(
    view: &str,
    columns: &[(String, DataType)],
    mut row: FeatureRow,
) -> Result<FeatureRow, OnlineError> {
    let refuse = |reason| OnlineError::Schema {
        view: view.to_owned(),
        reason,
    };
    if row.values.len() != columns.len() {
        return Err(refuse(format!(
            "it has {} values, the view has {} columns",
            row.values.len(),
            columns.len()
        )));
    }
    for (value, (name, data_type)) in row.values.iter_mut().zip(columns) {
        if matches!(value, Value::Float(it) if it.is_nan()) {
            *value = Value::Null;
        }
        if !fits(value, *data_type) {
            return Err(refuse(format!("column `{name}` is {data_type}. got=`{value}`")));
        }
    }
    Ok(row)
}

fn fits(value: &Value, data_type: DataType) -> bool {
    matches!(
        (value, data_type),
        (Value::Null, _)
            | (Value::Bool(_), DataType::Boolean)
            | (Value::Int(_), DataType::Int64)
            | (Value::Float(_), DataType::Double)
            | (Value::Str(_), DataType::String)
            | (Value::Time(_), DataType::Timestamp)
    )
}
