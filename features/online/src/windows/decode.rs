//! From bytes to the state, and from a tile's bytes into a partial.

use foretell_features::aggregate::{CoMoments, Dd, Moments, Parts, Placed, StreamPlan};
use foretell_features::{DataType, Partial, Timestamp, Value, WindowEvent, WindowPlan};

use super::section::{
    ABSENT, NULL, SLOT, Section, VALUE, WIDTHS, slot_at, stream_offset, tile_parts, time_at, value_of,
};
use super::{Tile, WindowState, place};

pub(super) fn section(plan: &WindowPlan, bytes: &[u8]) -> Result<WindowState, String> {
    let section = Section::of(plan, bytes)?;
    let text = section.text()?;
    let raw = events(plan, &section, text)?;
    let tiles = (0..section.n_tiles).map(|it| tile(plan, &section, it, text));
    let tiles = tiles.collect::<Result<Vec<Tile>, String>>()?;
    if !raw.is_sorted_by(|a, b| place(a) < place(b)) {
        return Err("its events are not in order".to_owned());
    }
    if !tiles.is_sorted_by(|a, b| (a.from, a.length) < (b.from, b.length) && a.last < b.first) {
        return Err("its tiles are not in order".to_owned());
    }
    Ok(WindowState {
        through: section.through(),
        watermark: section.watermark(),
        known_through: section.known_through(),
        dropped_before: section.dropped_before(),
        raw,
        tiles,
    })
}

fn events(plan: &WindowPlan, section: &Section<'_>, text: &str) -> Result<Vec<WindowEvent>, String> {
    let event = |at: usize| WindowEvent {
        time: section.time(at),
        known: section.known(at),
        id: u64::from_le_bytes(slot_at(section.ids, at * 8)),
        values: Vec::with_capacity(plan.streams().len()),
    };
    let mut events: Vec<WindowEvent> = (0..section.n_events).map(event).collect();
    for (stream, it) in plan.streams().iter().enumerate() {
        let (states, slots) = section.column(plan, stream);
        for (at, event) in events.iter_mut().enumerate() {
            event.values.push(match (states[at], it.data_type) {
                (ABSENT, _) => None,
                (NULL, _) => Some(Value::Null),
                (VALUE, Some(_)) => Some(value_of(it.data_type, slot_at(slots, at * SLOT), text)?),
                (state, _) => return Err(format!("an event stands in a stream as {state}")),
            });
        }
    }
    Ok(events)
}

fn tile(plan: &WindowPlan, section: &Section<'_>, tile: usize, text: &str) -> Result<Tile, String> {
    let head = section.tile(tile);
    if head.first > head.last || head.length.0 < 0 {
        return Err("a tile ends before it begins".to_owned());
    }
    let partial = |(stream, it): (usize, &StreamPlan)| {
        let kept = tile_parts(it, head.length);
        let mut partial = Partial::new(it.data_type, kept);
        let bytes = section.tile_stream(tile, stream_offset(plan, stream));
        merge(&mut partial, it.parts, kept, bytes, section, || Ok(text))?;
        Ok(partial)
    };
    Ok(Tile {
        from: head.from,
        length: head.length,
        first: head.first,
        last: head.last,
        events: head.events,
        streams: plan
            .streams()
            .iter()
            .enumerate()
            .map(partial)
            .collect::<Result<_, String>>()?,
    })
}

/// Adds a stream of a tile to a partial: of the parts in the bytes (`stored`) those that are true there (`kept`) and wanted.
#[inline]
pub(super) fn merge<'a>(
    partial: &mut Partial,
    stored: Parts,
    kept: Parts,
    bytes: &[u8],
    section: &Section<'_>,
    text: impl Fn() -> Result<&'a str, String>,
) -> Result<(), String> {
    let count = time_at(bytes, 0).0 as u64;
    if count == 0 {
        return Ok(());
    }
    let wanted = partial.parts.common(kept);
    let mut at = 8;
    for (part, width) in WIDTHS {
        if !stored.has(part) {
            continue;
        }
        if wanted.has(part) {
            merge_part(partial, part, count, &bytes[at..at + width], section, &text)?;
        }
        at += width;
    }
    partial.count = partial.count.saturating_add(count);
    Ok(())
}

fn merge_part<'a>(
    partial: &mut Partial,
    part: Parts,
    count: u64,
    bytes: &[u8],
    section: &Section<'_>,
    text: &impl Fn() -> Result<&'a str, String>,
) -> Result<(), String> {
    let data_type = partial.data_type;
    let value = |at: usize| value_of(data_type, slot_at(bytes, at), text_for(data_type, text)?);
    let placed = || -> Result<Placed, String> {
        Ok(Placed {
            time: time_at(bytes, 0),
            known: Some(time_at(bytes, 8)).filter(|it| it.0 != i64::MIN),
            value: value(16)?,
        })
    };
    match part {
        Parts::INTEGERS => {
            let sum = i128::from_le_bytes(bytes.try_into().expect("a sum has 16 bytes"));
            partial.integers = partial.integers.saturating_add(sum);
        }
        Parts::FLOATS => partial.merge_floats(double_at(bytes, 0)),
        Parts::MOMENTS => {
            let (mean, m2) = (double_at(bytes, 0), double_at(bytes, 16));
            partial.moments = partial.moments.merged(partial.count, Moments { mean, m2 }, count);
        }
        Parts::CO_MOMENTS => {
            let other = CoMoments {
                mean_x: double_at(bytes, 0),
                mean_y: double_at(bytes, 16),
                sxx: double_at(bytes, 32),
                sxy: double_at(bytes, 48),
            };
            partial.co_moments = partial.co_moments.merged(partial.count, other, count);
        }
        Parts::MIN => partial.offer_min(&value(0)?),
        Parts::MAX => partial.offer_max(&value(0)?),
        Parts::FIRST => partial.offer_first(&placed()?),
        Parts::LAST => partial.offer_last(&placed()?),
        Parts::FIRST_TIME => partial.merge_first_time(time_at(bytes, 0)),
        Parts::LAST_TIME => partial.merge_last_time(time_at(bytes, 0)),
        _ => merge_keys(partial, slot_at(bytes, 0), section)?,
    }
    Ok(())
}

fn merge_keys(partial: &mut Partial, slot: [u8; SLOT], section: &Section<'_>) -> Result<(), String> {
    let number = u64::from_le_bytes(slot);
    let (begin, n) = (number as u32 as usize, (number >> 32) as usize);
    let keys = section
        .keys
        .get(begin * 8..(begin + n) * 8)
        .ok_or("distinct keys are missing")?;
    let keys = keys.chunks_exact(8).map(|it| u64::from_le_bytes(slot_at(it, 0)));
    partial.keys.extend(keys);
    Ok(())
}

/// Texts are only looked at where values are texts.
fn text_for<'a>(data_type: Option<DataType>, text: &impl Fn() -> Result<&'a str, String>) -> Result<&'a str, String> {
    if data_type == Some(DataType::String) {
        text()
    } else {
        Ok("")
    }
}

fn double_at(bytes: &[u8], at: usize) -> Dd {
    let float = |at: usize| f64::from_le_bytes(slot_at(bytes, at));
    Dd {
        hi: float(at),
        lo: float(at + 8),
    }
}

/// The instant in a slot of an event.
pub(super) fn time_in(slot: [u8; SLOT]) -> Timestamp {
    Timestamp(i64::from_le_bytes(slot))
}
