//! One column per time step, as rows: `wide = { id = "V1", value = "value", step = "step" }`.

use foretell_features::{Column, Source, Table, WideColumns};

use crate::error::{Result, definition, missing_column};

/// A row per id and step, steps counted from 0 in file order, and the file row of each. Steps of all series up to the widest.
pub(super) fn unpivoted(source: &Source, wide: &WideColumns, table: &Table) -> Result<(Table, Vec<u64>)> {
    for id in &wide.id {
        if table.column(id).is_none() {
            return Err(missing_column(
                &source.name,
                id,
                table.names().iter().map(String::as_str),
            ));
        }
    }
    let steps: Vec<(&str, &Column)> = table
        .iter()
        .filter(|(name, _)| !wide.id.iter().any(|id| id == name))
        .collect();
    if let Some((name, column)) = steps
        .iter()
        .find(|(_, it)| !matches!(it, Column::Int(_) | Column::Float(_)))
    {
        let reason = format!(
            "column `{name}` is {}, every column beside `id` must be numbers",
            column.data_type()
        );
        return Err(definition(format!("source `{}`, wide", source.name), reason));
    }
    let rows = table.n_rows();
    let file_rows: Vec<usize> = (0..rows)
        .flat_map(|row| std::iter::repeat_n(row, steps.len()))
        .collect();
    let mut long = Table::new();
    for id in &wide.id {
        let column = table.column(id).expect("checked above");
        long.push(id, column.select(&file_rows));
    }
    let counts = (0..rows).flat_map(|_| (0..steps.len()).map(|step| Some(step as i64)));
    long.push(&wide.step, Column::Int(counts.collect()));
    let number = |row: usize, column: &Column| Some(column.number(row)).filter(|it| !it.is_nan());
    let values = (0..rows).flat_map(|row| steps.iter().map(move |(_, column)| number(row, column)));
    long.push(&wide.value, Column::Float(values.collect()));
    Ok((long, file_rows.into_iter().map(|row| row as u64).collect()))
}
