//! The window section of a stored record: one entity's recent events one by one and its older ones in tiles, from which every
//! window of a view is answered at the instant of the read.
//!
//! [`WindowState`] is the decoded form that writers change, [`evaluate`] answers straight from the bytes. Tiles are cut so that
//! no window that is read at the newest event or later is cut through ([`foretell_features::aggregate::Ageing`]); what was
//! folded cannot be asked about its own past, and says so ([`WindowError::Folded`]). Which events are the entity's, and when to
//! write, is not decided here.

mod compact;
mod decode;
mod encode;
mod evaluate;
mod section;

use foretell_features::{Partial, Span, Timestamp, Value, WindowEvent, WindowPlan};

pub use evaluate::{as_of, evaluate};

/// More events than this are not kept one by one.
pub const RAW_MAX: usize = 256;
/// How many are left of them when the older are folded into tiles.
pub const RAW_KEEP: usize = 128;

/// What the windows of one entity are made of.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowState {
    /// Everything before this came from the files.
    through: Option<Timestamp>,
    /// The latest instant that events were folded or dropped for; windows read then or later are not cut.
    watermark: Timestamp,
    /// The latest known time among folded events.
    known_through: Timestamp,
    /// Events before this may have been dropped.
    dropped_before: Timestamp,
    /// By time, known time (none first) and id.
    raw: Vec<WindowEvent>,
    /// Oldest first, disjoint.
    tiles: Vec<Tile>,
}

/// The events of a stretch of time, folded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tile {
    /// Its beginning, a multiple of its length; the beginning of time for the tile of everything that no window reaches.
    from: Timestamp,
    /// Its length; 0 for the tile of everything that no window reaches.
    length: Span,
    /// Its first event.
    first: Timestamp,
    /// Its last event.
    last: Timestamp,
    /// How many events.
    events: u64,
    /// What they come to, by stream.
    streams: Vec<Partial>,
}

/// Windows that could not be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// The bytes are not a window section of this plan.
    #[error("the stored windows cannot be read: {0}")]
    Corrupt(String),
    /// The events of that time have been folded, and a window would cut through them.
    #[error("events of that time are folded already; ask at or after {since}. at=`{at}`")]
    Folded {
        /// What was asked.
        at: Timestamp,
        /// From when on all windows are exact.
        since: Timestamp,
    },
}

impl Default for WindowState {
    fn default() -> Self {
        let never = Timestamp(i64::MIN);
        Self {
            through: None,
            watermark: never,
            known_through: never,
            dropped_before: never,
            raw: Vec::new(),
            tiles: Vec::new(),
        }
    }
}

impl WindowState {
    /// Up to when the files were taken: everything before is what they said.
    pub fn through(&self) -> Option<Timestamp> {
        self.through
    }

    /// The newest event.
    pub fn newest(&self) -> Option<Timestamp> {
        let tile = self.tiles.last().map(|it| it.last);
        self.raw.last().map(|it| it.time).max(tile)
    }

    /// How many events are kept one by one.
    pub fn raw_events(&self) -> usize {
        self.raw.len()
    }

    /// How many tiles the others are in.
    pub fn tiles(&self) -> usize {
        self.tiles.len()
    }

    /// Whether there is nothing to remember.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty() && self.tiles.is_empty() && self.through.is_none()
    }

    /// Adds an event, however late; `false`: an event of this time and id is among those kept one by one, and counts once.
    ///
    /// # Panics
    /// If the event does not fit the plan ([`WindowPlan::fits`]): cast first.
    pub fn add(&mut self, plan: &WindowPlan, event: WindowEvent) -> bool {
        let event = normal(plan, event);
        let same_time = self.raw.partition_point(|it| it.time < event.time);
        let mut same_time = self.raw[same_time..].iter().take_while(|it| it.time == event.time);
        if same_time.any(|it| it.id == event.id) {
            return false;
        }
        let at = self.raw.partition_point(|it| place(it) <= place(&event));
        self.raw.insert(at, event);
        true
    }

    /// Takes what the files say about everything before `through`; what was pushed at or after it stays. A tile that holds
    /// events of both stays whole, and the files are taken up to its first event. An older `through` than the last changes
    /// nothing.
    ///
    /// # Panics
    /// If an event does not fit the plan.
    pub fn replace(&mut self, plan: &WindowPlan, from_files: Vec<WindowEvent>, through: Timestamp) {
        if self.through.is_some_and(|last| through < last) {
            return;
        }
        let straddling = self.tiles.iter().filter(|it| it.first < through && through <= it.last);
        let until = straddling.map(|it| it.first).min().unwrap_or(through);
        self.tiles.retain(|it| it.last >= until);
        self.raw.retain(|it| it.time >= until);
        let taken = from_files.into_iter().filter(|it| it.time < until);
        self.raw.extend(taken.map(|it| normal(plan, it)));
        self.raw.sort_by_key(place);
        self.raw.dedup_by(|a, b| place(a) == place(b));
        self.through = Some(through);
    }

    /// The bytes of the section.
    pub fn encode(&self, plan: &WindowPlan) -> Vec<u8> {
        encode::section(self, plan)
    }

    /// The state in the bytes.
    ///
    /// # Errors
    /// In what way the bytes are not a window section of this plan.
    pub fn decode(plan: &WindowPlan, bytes: &[u8]) -> Result<Self, String> {
        decode::section(plan, bytes)
    }

    /// From when on all windows are exact; before, those that need what was folded are an error.
    pub fn exact_since(&self) -> Timestamp {
        self.watermark.max(self.known_through)
    }
}

/// The order of events, whatever the order in which they came.
fn place(event: &WindowEvent) -> (Timestamp, Option<Timestamp>, u64) {
    (event.time, event.known, event.id)
}

/// The event as it is stored: no NaN, no value for `*`, no known time at the beginning of time (it stands for none).
fn normal(plan: &WindowPlan, mut event: WindowEvent) -> WindowEvent {
    assert!(
        plan.fits(&event),
        "an event does not fit the streams of its view: cast first. {event:?}"
    );
    event.known = event.known.filter(|it| it.0 != i64::MIN);
    for (stream, value) in plan.streams().iter().zip(&mut event.values) {
        let nothing = matches!(value, Some(Value::Float(it)) if it.is_nan());
        if nothing || (stream.data_type.is_none() && value.is_some()) {
            *value = Some(Value::Null);
        }
    }
    event
}
