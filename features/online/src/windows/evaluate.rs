//! Windows answered straight from the bytes.
//!
//! All windows end at the instant asked about, so those of a stream nest: from the shortest to the longest, each event and
//! each tile is folded once.

use std::cell::Cell as Flag;
use std::cmp::Reverse;
use std::ops::Range;

use foretell_features::aggregate::{Cell, Parts, Reading, Row};
use foretell_features::{Aggregation, DataType, Partial, Span, Timestamp, Value, WindowPlan};

use super::WindowError;
use super::decode::{merge, time_in};
use super::section::{ABSENT, SLOT, Section, VALUE, slot_at, stream_offset, text_of, tile_parts};

/// One feature asked for.
struct Asked {
    stream: usize,
    aggregation: Aggregation,
    /// The first instant that counts; the beginning of time without a window.
    start: Timestamp,
    windowed: bool,
    /// Its place in the answer.
    place: usize,
}

/// The values of window features (positions in [`WindowPlan::features`]) at an instant, appended to `out` in their order;
/// without bytes over no events. Events learned of only after the instant do not count.
///
/// # Errors
/// [`WindowError::Corrupt`] when the bytes are not a window section of this plan, [`WindowError::Folded`] when the instant is
/// so far back that a window would cut what was folded. `out` is as it was then.
///
/// # Panics
/// If the plan has no such feature.
pub fn evaluate(
    plan: &WindowPlan,
    bytes: Option<&[u8]>,
    features: &[usize],
    at: Timestamp,
    out: &mut Vec<Value>,
) -> Result<(), WindowError> {
    let section = bytes.map_or(Ok(Section::default()), |it| Section::of(plan, it));
    let section = section.map_err(WindowError::Corrupt)?;
    let asked = asked(plan, features, at);
    answerable(&section, &asked, at)?;
    let begin = out.len();
    out.resize(begin + features.len(), Value::Null);
    for of_stream in asked.chunk_by(|a, b| a.stream == b.stream) {
        if let Err(reason) = answer(plan, &section, of_stream, at, &mut out[begin..]) {
            out.truncate(begin);
            return Err(WindowError::Corrupt(reason));
        }
    }
    Ok(())
}

/// Up to when a section knows of events: what the files said, or the newest event pushed since.
///
/// # Errors
/// In what way the bytes are not a window section of this plan.
pub fn as_of(plan: &WindowPlan, bytes: &[u8]) -> Result<Timestamp, String> {
    let section = Section::of(plan, bytes)?;
    let from_files = section.through().map(|it| it.minus(Span(1)));
    let newest = section.n_events.checked_sub(1).map(|it| section.time(it));
    let folded = section.n_tiles.checked_sub(1).map(|it| section.tile_last(it));
    Ok(from_files.max(newest).max(folded).unwrap_or_default())
}

/// By stream, the shortest window first.
fn asked(plan: &WindowPlan, features: &[usize], at: Timestamp) -> Vec<Asked> {
    let one = |(place, feature): (usize, &usize)| {
        let it = &plan.features()[*feature];
        Asked {
            stream: it.stream,
            aggregation: it.aggregation,
            start: it.window.map_or(Timestamp(i64::MIN), |it| it.start(at)),
            windowed: it.window.is_some(),
            place,
        }
    };
    let mut asked: Vec<Asked> = features.iter().enumerate().map(one).collect();
    asked.sort_unstable_by_key(|it| (it.stream, Reverse(it.start), Reverse(it.windowed), it.place));
    asked
}

/// Whether no window cuts through folded events. Always so at the latest instant they were folded for, and after.
fn answerable(section: &Section<'_>, asked: &[Asked], at: Timestamp) -> Result<(), WindowError> {
    let since = section.watermark().max(section.known_through());
    if at >= since {
        return Ok(());
    }
    let dropped = |it: &Asked| it.windowed && it.start < section.dropped_before();
    let cut = |tile: usize| {
        let head = section.tile(tile);
        let cuts = |it: &Asked| match head.length.0 {
            0 => it.windowed && it.start <= head.last && head.first < at,
            _ => head.first < it.start && it.start <= head.last,
        };
        (head.first < at && at <= head.last) || asked.iter().any(cuts)
    };
    let unknown = at < section.known_through();
    if unknown || asked.iter().any(dropped) || (0..section.n_tiles).any(cut) {
        return Err(WindowError::Folded { at, since });
    }
    Ok(())
}

/// The answers of one stream's features.
fn answer(
    plan: &WindowPlan,
    section: &Section<'_>,
    asked: &[Asked],
    at: Timestamp,
    out: &mut [Value],
) -> Result<(), String> {
    let stream = asked[0].stream;
    let stored = &plan.streams()[stream];
    let parts = asked.iter().map(|it| Parts::of(stored.data_type, it.aggregation));
    let mut partial = Partial::new(stored.data_type, parts.fold(Parts::NONE, Parts::and));
    let column = Column::of(plan, section, stream, at)?;
    let offset = stream_offset(plan, stream);
    let mut events = first(section.n_events, |it| section.time(it) >= at);
    let mut tiles = first(section.n_tiles, |it| section.tile_last(it) >= at);
    for it in asked {
        let from = first(events, |event| section.time(event) >= it.start);
        column.fold(from..events, &mut partial)?;
        events = from;
        let from = first(tiles, |tile| section.tile_last(tile) >= it.start);
        for tile in (from..tiles).rev() {
            let kept = tile_parts(stored, section.tile(tile).length);
            let bytes = section.tile_stream(tile, offset);
            merge(&mut partial, stored.parts, kept, bytes, section, || section.text())?;
        }
        tiles = from;
        out[it.place] = partial.finish(it.aggregation, at);
    }
    Ok(())
}

/// The first of `n` ordered things from which on something holds.
fn first(n: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, n);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) { high = middle } else { low = middle + 1 }
    }
    low
}

/// The events of one stream.
struct Column<'a> {
    section: &'a Section<'a>,
    data_type: Option<DataType>,
    states: &'a [u8],
    slots: &'a [u8],
    text: &'a str,
    at: Timestamp,
}

impl<'a> Column<'a> {
    fn of(plan: &WindowPlan, section: &'a Section<'a>, stream: usize, at: Timestamp) -> Result<Self, String> {
        let data_type = plan.streams()[stream].data_type;
        let (states, slots) = section.column(plan, stream);
        let text = if data_type == Some(DataType::String) {
            section.text()?
        } else {
            ""
        };
        Ok(Self {
            section,
            data_type,
            states,
            slots,
            text,
            at,
        })
    }

    fn fold(&self, events: Range<usize>, partial: &mut Partial) -> Result<(), String> {
        match self.data_type {
            None => partial.fold(self.readings(events, |_| Some(Row))),
            Some(DataType::Boolean) => partial.fold(self.readings(events, |it| Some(u64::from_le_bytes(it) == 1))),
            Some(DataType::Int64) => partial.fold(self.readings(events, |it| Some(i64::from_le_bytes(it)))),
            Some(DataType::Double) => partial.fold(self.readings(events, |it| Some(f64::from_le_bytes(it)))),
            Some(DataType::Timestamp) => partial.fold(self.readings(events, |it| Some(time_in(it)))),
            Some(DataType::String) => {
                let lost = Flag::new(false);
                partial.fold(self.readings(events, |it| {
                    let text = text_of(it, self.text);
                    lost.set(lost.get() || text.is_none());
                    text
                }));
                if lost.get() {
                    return Err("a text is not among the texts".to_owned());
                }
            }
        }
        Ok(())
    }

    /// The events that count and were known.
    fn readings<C: Cell>(
        &self,
        events: Range<usize>,
        cell: impl Fn([u8; SLOT]) -> Option<C> + Copy,
    ) -> impl Iterator<Item = Reading<C>> + Clone {
        let counts = if self.data_type.is_some() { VALUE } else { ABSENT + 1 };
        events.filter_map(move |event| {
            let known = self.section.known(event);
            if self.states[event] < counts || known.is_some_and(|it| it > self.at) {
                return None;
            }
            let slot = if self.slots.is_empty() {
                [0; SLOT]
            } else {
                slot_at(self.slots, event * SLOT)
            };
            Some(Reading {
                time: self.section.time(event),
                known,
                cell: cell(slot)?,
            })
        })
    }
}
