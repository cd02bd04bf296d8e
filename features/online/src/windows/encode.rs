//! From the state to bytes.

use foretell_features::aggregate::{Dd, Parts, Placed};
use foretell_features::{Partial, Timestamp, Value, WindowPlan};

use super::section::{ABSENT, FORMAT, HAS_KNOWN, HEADER, NULL, SLOT, VALUE, WIDTHS, checksum};
use super::{Tile, WindowState};

/// The texts and keys that columns point to.
#[derive(Default)]
struct Heap {
    texts: Vec<u8>,
    keys: Vec<u64>,
}

pub(super) fn section(state: &WindowState, plan: &WindowPlan) -> Vec<u8> {
    let mut heap = Heap::default();
    let mut bytes = vec![0; HEADER];
    events(state, plan, &mut bytes, &mut heap);
    for tile in &state.tiles {
        push_tile(tile, plan, &mut bytes, &mut heap);
    }
    let known = state.raw.iter().any(|it| it.known.is_some());
    bytes[0] = FORMAT;
    bytes[1] = if known { HAS_KNOWN } else { 0 };
    let streams = u16::try_from(plan.streams().len()).expect("a view has fewer than 65536 features");
    bytes[2..4].copy_from_slice(&streams.to_le_bytes());
    let sizes = [state.raw.len(), state.tiles.len(), heap.texts.len(), heap.keys.len()];
    let sizes = sizes.map(|it| u32::try_from(it).expect("a record is shorter than 4 GiB"));
    for (at, it) in [checksum(plan)].into_iter().chain(sizes).enumerate() {
        bytes[4 + at * 4..][..4].copy_from_slice(&it.to_le_bytes());
    }
    let through = state.through.unwrap_or(Timestamp(i64::MIN));
    let times = [through, state.watermark, state.known_through, state.dropped_before];
    for (at, it) in times.into_iter().enumerate() {
        bytes[24 + at * 8..][..8].copy_from_slice(&it.0.to_le_bytes());
    }
    bytes.extend_from_slice(&heap.texts);
    heap.keys
        .iter()
        .for_each(|it| bytes.extend_from_slice(&it.to_le_bytes()));
    bytes
}

fn events(state: &WindowState, plan: &WindowPlan, bytes: &mut Vec<u8>, heap: &mut Heap) {
    let raw = &state.raw;
    raw.iter().for_each(|it| push_time(bytes, it.time));
    if raw.iter().any(|it| it.known.is_some()) {
        raw.iter().for_each(|it| push_time(bytes, known(it.known)));
    }
    raw.iter().for_each(|it| bytes.extend_from_slice(&it.id.to_le_bytes()));
    for (stream, plan) in plan.streams().iter().enumerate() {
        bytes.extend(raw.iter().map(|it| match &it.values[stream] {
            None => ABSENT,
            Some(Value::Null) => NULL,
            Some(_) => VALUE,
        }));
        if plan.data_type.is_some() {
            for event in raw {
                bytes.extend_from_slice(&heap.slot(event.values[stream].as_ref().unwrap_or(&Value::Null)));
            }
        }
    }
}

fn push_tile(tile: &Tile, plan: &WindowPlan, bytes: &mut Vec<u8>, heap: &mut Heap) {
    for it in [tile.from.0, tile.length.0, tile.first.0, tile.last.0] {
        bytes.extend_from_slice(&it.to_le_bytes());
    }
    bytes.extend_from_slice(&tile.events.to_le_bytes());
    for (partial, stream) in tile.streams.iter().zip(plan.streams()) {
        bytes.extend_from_slice(&partial.count.to_le_bytes());
        for (part, width) in WIDTHS.into_iter().filter(|it| stream.parts.has(it.0)) {
            let begin = bytes.len();
            if partial.count > 0 && partial.parts.has(part) {
                push_part(partial, part, bytes, heap);
            }
            bytes.resize(begin + width, 0);
        }
    }
}

fn push_part(partial: &Partial, part: Parts, bytes: &mut Vec<u8>, heap: &mut Heap) {
    match part {
        Parts::INTEGERS => bytes.extend_from_slice(&partial.integers.to_le_bytes()),
        Parts::FLOATS => push_doubles(bytes, &[partial.floats]),
        Parts::MOMENTS => push_doubles(bytes, &[partial.moments.mean, partial.moments.m2]),
        Parts::CO_MOMENTS => {
            let it = &partial.co_moments;
            push_doubles(bytes, &[it.mean_x, it.mean_y, it.sxx, it.sxy]);
        }
        Parts::MIN => bytes.extend_from_slice(&heap.slot(&partial.min)),
        Parts::MAX => bytes.extend_from_slice(&heap.slot(&partial.max)),
        Parts::FIRST => push_placed(bytes, heap, partial.first.as_ref()),
        Parts::LAST => push_placed(bytes, heap, partial.last.as_ref()),
        Parts::FIRST_TIME => push_time(bytes, partial.first_time),
        Parts::LAST_TIME => push_time(bytes, partial.last_time),
        _ => bytes.extend_from_slice(&heap.keys(partial)),
    }
}

fn push_doubles(bytes: &mut Vec<u8>, doubles: &[Dd]) {
    for it in doubles {
        bytes.extend_from_slice(&it.hi.to_le_bytes());
        bytes.extend_from_slice(&it.lo.to_le_bytes());
    }
}

fn push_placed(bytes: &mut Vec<u8>, heap: &mut Heap, placed: Option<&Placed>) {
    if let Some(it) = placed {
        push_time(bytes, it.time);
        push_time(bytes, known(it.known));
        bytes.extend_from_slice(&heap.slot(&it.value));
    }
}

fn push_time(bytes: &mut Vec<u8>, time: Timestamp) {
    bytes.extend_from_slice(&time.0.to_le_bytes());
}

fn known(time: Option<Timestamp>) -> Timestamp {
    time.unwrap_or(Timestamp(i64::MIN))
}

impl Heap {
    fn slot(&mut self, value: &Value) -> [u8; SLOT] {
        match value {
            Value::Null => [0; SLOT],
            Value::Bool(it) => u64::from(*it).to_le_bytes(),
            Value::Int(it) => it.to_le_bytes(),
            Value::Float(it) => it.to_le_bytes(),
            Value::Time(it) => it.0.to_le_bytes(),
            Value::Str(it) => {
                let slot = pair(self.texts.len(), it.len());
                self.texts.extend_from_slice(it.as_bytes());
                slot
            }
        }
    }

    fn keys(&mut self, partial: &Partial) -> [u8; SLOT] {
        let slot = pair(self.keys.len(), partial.keys.len());
        let begin = self.keys.len();
        self.keys.extend(&partial.keys);
        self.keys[begin..].sort_unstable();
        slot
    }
}

fn pair(offset: usize, length: usize) -> [u8; SLOT] {
    let half = |it: usize| u64::from(u32::try_from(it).expect("a record is shorter than 4 GiB"));
    (half(offset) | half(length) << 32).to_le_bytes()
}
