//! What the windows of a view need of an entity's events, and for how long.

use crate::aggregate::{Parts, aggregate_type};
use crate::definition::{Aggregation, Feature, FeatureKind};
use crate::expression::Expression;
use crate::time::{Span, Timestamp};
use crate::value::{DataType, Value};
use crate::window::Window;

/// Tile lengths, coarse to fine. They nest, and they are the usual hops of windows.
const LENGTHS: [Span; 3] = [Span::DAY, Span::HOUR, Span(5 * 60 * Span::SECOND.0)];

/// What the next materialization can be up to: events since the last one stay in tiles of a day at most for so long.
const REPLACEABLE: Span = Span(32 * Span::DAY.0);

/// The streams of a view and the window features over them.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowPlan {
    streams: Vec<StreamPlan>,
    features: Vec<WindowFeature>,
    /// The different windows.
    windows: Vec<Window>,
}

/// One stream: a distinct pair of value expression and `where` of a view's aggregates.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamPlan {
    /// The type of its values; `None` is `*`.
    pub data_type: Option<DataType>,
    /// What is asked of it.
    pub aggregations: Vec<Aggregation>,
    /// What tiles keep of it.
    pub parts: Parts,
    /// What is kept of it beyond the reach of every window, for features without one.
    pub ever: Parts,
}

/// One window feature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WindowFeature {
    /// Position of its stream.
    pub stream: usize,
    /// What it asks.
    pub aggregation: Aggregation,
    /// Over how long; `None` is all history.
    pub window: Option<Window>,
}

/// Where the values of a stream come from.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamSource {
    /// The value; `None` is `*`.
    pub value: Option<Expression>,
    /// Rows that count.
    pub filter: Option<Expression>,
}

/// One source row as the streams of a view see it.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowEvent {
    /// When it happened.
    pub time: Timestamp,
    /// When it was learned of, where the source says.
    pub known: Option<Timestamp>,
    /// What makes it this event: the same for a retry.
    pub id: u64,
    /// By stream: `None` where its `where` is not true, else the value; with a null the row counts for `*` only.
    pub values: Vec<Option<Value>>,
}

/// Where an event of some age belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// Among the events kept one by one.
    Raw,
    /// In the tile `[from, from + length)`.
    Tile {
        /// Its beginning, a multiple of its length.
        from: Timestamp,
        /// Its length.
        length: Span,
    },
    /// With all that no window reaches any more, for features without window.
    Ever,
    /// Nowhere: no feature reaches it any more.
    Beyond,
}

/// How old events have become at an instant: which tile no window boundary will cut any more, then or later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ageing {
    /// Tiles of each length end by then.
    ends: [Timestamp; LENGTHS.len()],
    /// No window reaches what is before.
    reach: Timestamp,
    /// Where that goes.
    beyond: Bucket,
}

impl WindowPlan {
    /// The plan of streams of these types (`None` is `*`) and the features over them.
    pub fn new(streams: Vec<Option<DataType>>, features: Vec<WindowFeature>) -> Self {
        let stream = |(at, data_type): (usize, Option<DataType>)| {
            let asked = || features.iter().filter(|it| it.stream == at);
            let parts = |parts: Parts, it: &WindowFeature| parts.and(Parts::of(data_type, it.aggregation));
            StreamPlan {
                data_type,
                aggregations: asked().map(|it| it.aggregation).collect(),
                parts: asked().fold(Parts::NONE, parts),
                ever: asked().filter(|it| it.window.is_none()).fold(Parts::NONE, parts),
            }
        };
        let mut windows: Vec<Window> = Vec::new();
        for window in features.iter().filter_map(|it| it.window) {
            if !windows.contains(&window) {
                windows.push(window);
            }
        }
        Self {
            streams: streams.into_iter().enumerate().map(stream).collect(),
            features,
            windows,
        }
    }

    /// The plan of a view's aggregates, in their order, and where its streams come from. `type_of` types an expression.
    ///
    /// # Errors
    /// Which feature cannot be, and why.
    pub fn of(
        features: &[Feature],
        mut type_of: impl FnMut(&Expression) -> Result<DataType, String>,
    ) -> Result<(Self, Vec<StreamSource>), String> {
        let (mut sources, mut types, mut asked) = (Vec::new(), Vec::new(), Vec::new());
        for feature in features {
            let FeatureKind::Aggregate {
                aggregation,
                value,
                filter,
                window,
            } = &feature.kind
            else {
                continue;
            };
            let source = StreamSource {
                value: value.clone(),
                filter: filter.clone(),
            };
            let in_feature = |reason: String| format!("feature `{}`: {reason}", feature.name);
            let stream = match sources.iter().position(|it| *it == source) {
                Some(at) => at,
                None => {
                    types.push(value.as_ref().map(&mut type_of).transpose().map_err(in_feature)?);
                    sources.push(source);
                    sources.len() - 1
                }
            };
            aggregate_type(*aggregation, types[stream]).map_err(in_feature)?;
            asked.push(WindowFeature {
                stream,
                aggregation: *aggregation,
                window: *window,
            });
        }
        Ok((Self::new(types, asked), sources))
    }

    /// Its streams.
    pub fn streams(&self) -> &[StreamPlan] {
        &self.streams
    }

    /// Its features.
    pub fn features(&self) -> &[WindowFeature] {
        &self.features
    }

    /// Whether an event has a value of the right type, null or none at all for each stream.
    pub fn fits(&self, event: &WindowEvent) -> bool {
        let fits = |(stream, value): (&StreamPlan, &Option<Value>)| match (stream.data_type, value) {
            (None, _) | (_, None | Some(Value::Null)) => true,
            (Some(data_type), Some(value)) => value.data_type() == Some(data_type),
        };
        event.values.len() == self.streams.len() && self.streams.iter().zip(&event.values).all(fits)
    }

    /// How old events are for all who read at `watermark` or later, given up to when the files were taken.
    pub fn ageing(&self, watermark: Timestamp, through: Option<Timestamp>) -> Ageing {
        let end = |length: Span| {
            let cuts = |it: &&Window| it.hop.is_none_or(|hop| hop.0 <= 0 || hop.0 % length.0 != 0);
            self.earliest_start(self.windows.iter().filter(cuts), watermark)
        };
        let reach = self.earliest_start(self.windows.iter(), watermark);
        let unlimited = self.features.iter().any(|it| it.window.is_none());
        // At a border of days, so that it parts no tile.
        let replaceable = |it: Timestamp| floor(it.max(watermark.minus(REPLACEABLE)), Span::DAY);
        let replaceable = through.map_or(Timestamp(i64::MAX), replaceable);
        Ageing {
            ends: LENGTHS.map(end),
            reach: if unlimited { reach.min(replaceable) } else { reach },
            beyond: if unlimited { Bucket::Ever } else { Bucket::Beyond },
        }
    }

    fn earliest_start<'a>(&self, windows: impl Iterator<Item = &'a Window>, at: Timestamp) -> Timestamp {
        windows.map(|it| it.start(at)).min().unwrap_or(Timestamp(i64::MAX))
    }
}

impl Ageing {
    /// Where an event belongs.
    pub fn bucket(&self, time: Timestamp) -> Bucket {
        if time < self.reach {
            return self.beyond;
        }
        self.tile(time, Span(0)).unwrap_or(Bucket::Raw)
    }

    /// Where a tile belongs that has become old: a longer tile around it, or beyond the reach of windows. `None`: it stays.
    pub fn coarser(&self, from: Timestamp, length: Span, last: Timestamp) -> Option<Bucket> {
        if last < self.reach {
            return Some(self.beyond);
        }
        self.tile(from, length)
    }

    /// What is before is in no tile and not among the events.
    pub fn dropped_before(&self) -> Option<Timestamp> {
        (self.beyond == Bucket::Beyond).then_some(self.reach)
    }

    /// The longest tile around an instant that is longer than `length`.
    fn tile(&self, time: Timestamp, length: Span) -> Option<Bucket> {
        let longer = LENGTHS.into_iter().zip(self.ends).filter(|it| it.0 > length);
        let mut fitting = longer.map(|(length, end)| (floor(time, length), length, end));
        let (from, length, _) = fitting.find(|(from, length, end)| from.plus(*length) <= *end)?;
        Some(Bucket::Tile { from, length })
    }
}

fn floor(time: Timestamp, length: Span) -> Timestamp {
    Timestamp(time.0.div_euclid(length.0).saturating_mul(length.0))
}
