//! What serving must read to make the inputs from an entity key alone.

use std::collections::BTreeSet;

use foretell_features::Definitions;
use foretell_features_offline::Selection;
use foretell_inference::{FeaturePlan, Input, PlannedDerived, PlannedRead};

/// The plan for the inputs that were kept: features of inputs left out are read only where a derived feature needs them.
pub fn plan(definitions: &Definitions, entity: &str, selection: &Selection, inputs: &[Input]) -> FeaturePlan {
    let needed = needed(selection, inputs);
    let reads = selection
        .reads
        .iter()
        .filter(|it| needed.contains(it.name.as_str()))
        .map(|it| PlannedRead {
            name: it.name.clone(),
            view: it.view.clone(),
            version: Some(it.version.clone()),
            feature: it.feature.clone(),
            data_type: it.data_type,
            max_age: it.max_age,
        });
    let derived = selection
        .derived
        .iter()
        .filter(|it| needed.contains(it.name.as_str()))
        .map(|it| PlannedDerived {
            name: it.name.clone(),
            expression: it.expression.to_string(),
            data_type: it.data_type,
        });
    FeaturePlan {
        entity: entity.to_owned(),
        key: definitions
            .entities
            .get(entity)
            .map(|it| it.key.clone())
            .unwrap_or_default(),
        reads: reads.collect(),
        request: selection
            .request
            .iter()
            .filter(|it| needed.contains(it.name.as_str()))
            .cloned()
            .collect(),
        derived: derived.collect(),
    }
}

/// Names of the inputs and of all that their derived features use. Derived features come after what they use, so that one
/// walk from the last to the first finds everything.
fn needed<'a>(selection: &'a Selection, inputs: &'a [Input]) -> BTreeSet<&'a str> {
    let mut needed: BTreeSet<&str> = inputs.iter().map(|it| it.name.as_str()).collect();
    for derived in selection.derived.iter().rev() {
        if needed.contains(derived.name.as_str()) {
            needed.extend(derived.expression.columns());
        }
    }
    needed
}
