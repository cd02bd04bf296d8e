//! From names to positions, once per package: where every input of a row model comes from.
//!
//! A row in the making is a [`Frame`]: one slot per stored feature, per value that the caller sends, and per derived
//! feature, in this order. Inputs of the model are slots.

use std::collections::{BTreeMap, HashMap};

use foretell_features::expression::Resolved;
use foretell_features::{DataType, EntityKey, Expression, Span, Status, Timestamp, Value};
use foretell_inference::{InferenceError, Manifest, RawRow};

use crate::error::{ServeError, hint};
use crate::request::Row;

/// The compiled [`FeaturePlan`](foretell_inference::FeaturePlan) of a row model.
#[derive(Debug)]
pub(crate) struct RowPlan {
    pub(crate) key: Vec<(String, DataType)>,
    pub(crate) views: Vec<ViewReads>,
    pub(crate) n_reads: usize,
    /// Slot of each input, in signature order.
    pub(crate) inputs: Vec<usize>,
    slots: Vec<(String, DataType)>,
    positions: HashMap<String, usize>,
    derived: Vec<Derived>,
    /// Slots that the caller is asked for when asking by entity.
    asked: Vec<usize>,
    /// How many of the slots after the reads are request values, which may be left out; other inputs must be sent.
    n_request: usize,
}

/// What is read of one view.
#[derive(Debug)]
pub(crate) struct ViewReads {
    pub(crate) view: String,
    /// The version that the model was trained on; the current one where the package does not say.
    pub(crate) version: Option<String>,
    pub(crate) reads: Vec<ViewRead>,
}

/// One stored feature.
#[derive(Debug)]
pub(crate) struct ViewRead {
    pub(crate) slot: usize,
    pub(crate) feature: String,
    pub(crate) max_age: Option<Span>,
}

#[derive(Debug)]
struct Derived {
    slot: usize,
    needs: Vec<usize>,
    expression: Resolved,
}

/// A row in the making.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Frame {
    /// One per slot.
    pub(crate) values: Vec<Value>,
    /// How each stored feature was found; empty where the caller sent them.
    pub(crate) found: Vec<Found>,
    /// Request values that count but were not sent; they are null.
    pub(crate) unsent: Vec<usize>,
}

/// The inputs of a model in a frame.
pub(crate) struct Inputs<'a> {
    slots: &'a [usize],
    values: &'a [Value],
}

impl RawRow for Inputs<'_> {
    fn width(&self) -> usize {
        self.slots.len()
    }

    fn value(&self, input: usize) -> &Value {
        &self.values[self.slots[input]]
    }
}

/// How a stored feature was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Found {
    pub(crate) status: Status,
    pub(crate) event_time: Option<Timestamp>,
}

impl Found {
    pub(crate) const NOTHING: Found = Found {
        status: Status::NotFound,
        event_time: None,
    };
}

impl RowPlan {
    /// Checks the plan of a package and fixes every position.
    pub(crate) fn compile(manifest: &Manifest) -> Result<Self, ServeError> {
        let plan = &manifest.plan;
        let reads = plan.reads.iter().map(|it| (it.name.clone(), it.data_type));
        let request = plan.request.iter().map(|it| (it.name.clone(), it.data_type));
        let mut slots: Vec<(String, DataType)> = reads.chain(request).collect();
        let planned = |name: &str| plan.derived.iter().any(|it| it.name == name);
        for input in &manifest.inputs {
            if !planned(&input.name) && !slots.iter().any(|it| it.0 == input.name) {
                slots.push((input.name.clone(), input.data_type));
            }
        }
        let mut derived = Vec::new();
        for feature in &plan.derived {
            let wrong = |error: String| damaged(format!("derived feature `{}`: {error}", feature.name));
            let expression = Expression::parse(&feature.expression).map_err(|it| wrong(it.to_string()))?;
            let at = |name: &str| slots.iter().position(|it| it.0 == name);
            let needs = expression.columns().into_iter().filter_map(at).collect();
            let expression = expression.resolve(&slots).map_err(|it| wrong(it.to_string()))?;
            derived.push(Derived {
                slot: slots.len(),
                needs,
                expression,
            });
            slots.push((feature.name.clone(), feature.data_type));
        }
        let positions: HashMap<String, usize> = slots.iter().enumerate().map(|(at, it)| (it.0.clone(), at)).collect();
        if positions.len() != slots.len() {
            return Err(damaged("two values of the plan have the same name".to_owned()));
        }
        let inputs: Vec<usize> = manifest.inputs.iter().map(|it| positions[&it.name]).collect();
        let n_reads = plan.reads.len();
        let asked = asked(&inputs, &derived, n_reads);
        let (key, n_request) = (plan.key.clone(), plan.request.len());
        Ok(Self {
            key,
            views: views(manifest),
            n_reads,
            inputs,
            slots,
            positions,
            derived,
            asked,
            n_request,
        })
    }

    /// A frame with nothing in it.
    pub(crate) fn blank(&self) -> Frame {
        Frame {
            values: vec![Value::Null; self.slots.len()],
            found: vec![Found::NOTHING; self.n_reads],
            unsent: Vec::new(),
        }
    }

    /// The name and type of a slot.
    pub(crate) fn slot(&self, slot: usize) -> &(String, DataType) {
        &self.slots[slot]
    }

    /// The model's inputs where they lie in a full frame.
    pub(crate) fn inputs_of<'a>(&'a self, frame: &'a Frame) -> Inputs<'a> {
        Inputs {
            slots: &self.inputs,
            values: &frame.values,
        }
    }

    /// Whether the row is a whole key with nothing but request values beside it.
    pub(crate) fn is_entity(&self, row: &Row) -> bool {
        let is_key = |name: &str| self.key.iter().any(|it| it.0 == name);
        let is_request = |name: &str| self.request_slot(name).is_some();
        self.key.iter().all(|it| row.contains_key(&it.0)) && row.keys().all(|it| is_key(it) || is_request(it))
    }

    fn request_slot(&self, name: &str) -> Option<usize> {
        self.positions
            .get(name)
            .copied()
            .filter(|it| (self.n_reads..self.n_sent()).contains(it))
    }

    /// The key of an entity; the outer error fails the request, the inner one the row.
    pub(crate) fn entity_key(&self, at: usize, entity: &Row) -> Result<Result<EntityKey, String>, ServeError> {
        key_of(&self.key, entity)
            .map_err(|column| ServeError::request(format!("entities[{at}]: missing key column `{column}`; send it")))
    }

    /// Puts the caller's own values into an entity's frame: from `request`, and from what the entity carries beside its key.
    /// Request values that are not sent are null, and noted.
    pub(crate) fn fill_request(&self, at: usize, entity: &Row, request: &Row, frame: &mut Frame) -> RowResult {
        let is_key = |name: &str| self.key.iter().any(|it| it.0 == name);
        let beside = entity
            .iter()
            .filter(|it| !is_key(it.0))
            .map(|it| (format!("entities[{at}]"), it));
        let sent = request.iter().map(|it| ("request".to_owned(), it)).chain(beside);
        let mut seen = Vec::new();
        for (place, (name, value)) in sent {
            let slot = self
                .positions
                .get(name)
                .copied()
                .filter(|it| (self.n_reads..self.n_sent()).contains(it));
            let Some(slot) = slot else {
                return Err(self.not_a_request_value(&place, name));
            };
            seen.push(slot);
            if let Err(message) = self.put(slot, value, frame) {
                return Ok(Err(message));
            }
        }
        let unsent = self.asked.iter().filter(|it| !seen.contains(it));
        let (optional, required): (Vec<usize>, Vec<usize>) =
            unsent.partition(|it| **it < self.n_reads + self.n_request);
        frame.unsent = optional;
        match required.first() {
            None => Ok(Ok(())),
            Some(&slot) => {
                let (name, data_type) = self.slots[slot].clone();
                let missing = InferenceError::MissingInput { name, data_type };
                Err(ServeError::request(format!(
                    "entities[{at}]: {missing}; it is not in the online store"
                )))
            }
        }
    }

    /// A frame from a row of named inputs. Key columns may come along; derived values that were not sent are computed.
    pub(crate) fn frame_of_row(&self, at: usize, row: &Row) -> Result<Result<Frame, String>, ServeError> {
        let mut frame = self.blank();
        frame.found.clear();
        let mut known = vec![false; self.slots.len()];
        let mut wrong = None;
        for (name, value) in row {
            match self.positions.get(name) {
                Some(&slot) => {
                    known[slot] = true;
                    wrong = wrong.or(self.put(slot, value, &mut frame).err());
                }
                None if self.key.iter().any(|it| &it.0 == name) => {}
                None => return Err(self.unknown_input(at, name)),
            }
        }
        self.derive(&mut frame, &mut known);
        match self.inputs.iter().find(|&&slot| !known[slot]) {
            Some(&slot) => Err(self.missing_input(at, slot, &known)),
            None => Ok(wrong.map_or(Ok(frame), Err)),
        }
    }

    /// Computes the derived features of an entity's frame.
    pub(crate) fn derive_all(&self, frame: &mut Frame) {
        let mut known = vec![false; self.slots.len()];
        known[..self.n_sent()].fill(true);
        self.derive(frame, &mut known);
    }

    fn derive(&self, frame: &mut Frame, known: &mut [bool]) {
        for derived in &self.derived {
            if !known[derived.slot] && derived.needs.iter().all(|&it| known[it]) {
                let value = derived.expression.evaluate(&frame.values[..derived.slot]);
                // The declared type is what the expression gives, so that the cast is the identity or int to double.
                frame.values[derived.slot] = value.cast(self.slots[derived.slot].1).unwrap_or_default();
                known[derived.slot] = true;
            }
        }
    }

    fn put(&self, slot: usize, value: &Value, frame: &mut Frame) -> Result<(), String> {
        let (name, data_type) = &self.slots[slot];
        let wrong = |error: foretell_features::value::CastError| {
            InferenceError::Type {
                name: name.clone(),
                expected: *data_type,
                got: error.got.to_string(),
            }
            .to_string()
        };
        frame.values[slot] = value.clone().cast(*data_type).map_err(wrong)?;
        Ok(())
    }

    /// Slots before the first derived one.
    fn n_sent(&self) -> usize {
        self.slots.len() - self.derived.len()
    }

    fn unknown_input(&self, at: usize, name: &str) -> ServeError {
        let hint = hint(name, self.slots.iter().map(|it| it.0.as_str()));
        let unknown = InferenceError::UnknownInput {
            name: name.to_owned(),
            hint,
        };
        ServeError::request(format!("rows[{at}]: {unknown}"))
    }

    fn missing_input(&self, at: usize, slot: usize, known: &[bool]) -> ServeError {
        let derived = self.derived.iter().find(|it| it.slot == slot);
        let operand = derived.and_then(|it| it.needs.iter().find(|&&it| !known[it]));
        let (name, data_type) = self.slots[slot].clone();
        let missing = InferenceError::MissingInput { name, data_type };
        let or = operand.map_or(String::new(), |&it| {
            format!(", or what it is derived from: `{}`", self.slots[it].0)
        });
        ServeError::request(format!("rows[{at}]: {missing}{or}"))
    }

    fn not_a_request_value(&self, place: &str, name: &str) -> ServeError {
        let asked = self.slots[self.n_reads..self.n_sent()]
            .iter()
            .chain(&self.key)
            .map(|it| it.0.as_str());
        let hint = hint(name, asked);
        ServeError::request(format!(
            "{place}: `{name}` is neither a key column nor a request value{hint}"
        ))
    }
}

/// The outer error fails the request, the inner one the row.
pub(crate) type RowResult = Result<Result<(), String>, ServeError>;

/// A key from named values; the outer error is the absent column.
pub(crate) fn key_of<'a>(key: &'a [(String, DataType)], values: &Row) -> Result<Result<EntityKey, String>, &'a str> {
    let mut parts = Vec::with_capacity(key.len());
    for (name, data_type) in key {
        let value = values.get(name).ok_or(name.as_str())?;
        parts.push((name.as_str(), *data_type, value.clone()));
    }
    Ok(EntityKey::from_values(parts).map_err(|it| it.to_string()))
}

/// Slots of request values (and inputs without an origin) that the inputs rest on, directly or through derived features.
fn asked(inputs: &[usize], derived: &[Derived], n_reads: usize) -> Vec<usize> {
    let mut needed: Vec<usize> = inputs.to_vec();
    for derived in derived.iter().rev() {
        if needed.contains(&derived.slot) {
            needed.extend(&derived.needs);
        }
    }
    let is_derived = |slot: &usize| derived.iter().any(|it| it.slot == *slot);
    needed.retain(|it| *it >= n_reads && !is_derived(it));
    needed.sort_unstable();
    needed.dedup();
    needed
}

fn views(manifest: &Manifest) -> Vec<ViewReads> {
    let mut views: BTreeMap<(&str, Option<&str>), Vec<ViewRead>> = BTreeMap::new();
    for (slot, read) in manifest.plan.reads.iter().enumerate() {
        let one = ViewRead {
            slot,
            feature: read.feature.clone(),
            max_age: read.max_age,
        };
        views
            .entry((&read.view, read.version.as_deref()))
            .or_default()
            .push(one);
    }
    views
        .into_iter()
        .map(|((view, version), reads)| ViewReads {
            view: view.to_owned(),
            version: version.map(str::to_owned),
            reads,
        })
        .collect()
}

fn damaged(reason: String) -> ServeError {
    InferenceError::Damaged {
        file: "manifest.json".to_owned(),
        reason,
    }
    .into()
}
