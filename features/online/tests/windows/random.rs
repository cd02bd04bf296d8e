//! Random plans, events and instants from one seed.

use foretell_features::{
    Aggregation, DataType, Span, Timestamp, Value, Window, WindowEvent, WindowFeature, WindowPlan,
};

/// SplitMix64.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        it ^ (it >> 31)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

const MINUTE: i64 = 60 * Span::SECOND.0;
const HOUR: i64 = Span::HOUR.0;
const DAY: i64 = Span::DAY.0;
/// 2026-03-01.
const BEGIN: i64 = 1_772_323_200_000_000;

pub(crate) fn plan(random: &mut Random) -> WindowPlan {
    use DataType::{Boolean, Double, Int64, String, Timestamp};
    let types = [
        None,
        Some(Boolean),
        Some(Int64),
        Some(Double),
        Some(Double),
        Some(String),
        Some(Timestamp),
    ];
    let streams: Vec<Option<DataType>> = (0..1 + random.below(3)).map(|_| random.one(&types)).collect();
    let windows: Vec<Option<Window>> = (0..1 + random.below(4)).map(|_| window(random)).collect();
    let mut feature = || {
        let stream = random.below(streams.len());
        WindowFeature {
            stream,
            aggregation: aggregation(streams[stream], random),
            window: random.one(&windows),
        }
    };
    let features = (0..12).map(|_| feature()).collect();
    WindowPlan::new(streams, features)
}

fn window(random: &mut Random) -> Option<Window> {
    let length = Span(random.one(&[10 * MINUTE, 61 * MINUTE, 12 * HOUR, 3 * DAY, 12 * DAY, 40 * DAY]));
    match random.below(8) {
        0 => None,
        1 => Some(Window::exact(length)),
        _ => Some(Window::of(length)),
    }
}

fn aggregation(data_type: Option<DataType>, random: &mut Random) -> Aggregation {
    use Aggregation as A;
    let unit = Span(random.one(&[HOUR, DAY]));
    let rows = [A::Count, A::SinceLast { unit }, A::SinceFirst { unit }];
    let values = [A::Min, A::Max, A::CountDistinct, A::First, A::Last];
    let numbers = [A::Sum, A::Mean, A::Std, A::Trend { unit }];
    match (data_type, random.below(4)) {
        (None, _) | (_, 0) => random.one(&rows),
        (Some(DataType::Int64 | DataType::Double), 1 | 2) => random.one(&numbers),
        _ => random.one(&values),
    }
}

/// The events of one entity.
pub(crate) struct Feed {
    /// In the order in which they are pushed.
    pub(crate) pushed: Vec<WindowEvent>,
    /// Before all of them, in the files only.
    pub(crate) history: Vec<WindowEvent>,
    /// The newest of all.
    pub(crate) newest: Timestamp,
    /// Whether nothing keeps old events from being folded at the end.
    pub(crate) settled: bool,
    known: bool,
    late_clock: bool,
    span: i64,
}

impl Feed {
    pub(crate) fn new(plan: &WindowPlan, random: &mut Random) -> Self {
        let span = random.one(&[2 * MINUTE, 3 * HOUR, 2 * DAY, 20 * DAY, 100 * DAY]);
        let known = random.below(4) == 0;
        let n = random.one(&[3, 40, 300, 700]);
        let infinite = random.below(10) == 0;
        let mut event = |from: i64, span: i64, id: usize| {
            let time = time(from, span, random);
            WindowEvent {
                time,
                known: (known && random.below(5) > 0).then(|| time.plus(Span(random.below(7200) as i64 * 1_000_000))),
                id: id as u64 * 7919,
                values: plan
                    .streams()
                    .iter()
                    .map(|it| cell(it.data_type, infinite, random))
                    .collect(),
            }
        };
        let mut pushed: Vec<WindowEvent> = (0..n).map(|id| event(BEGIN, span, id)).collect();
        let history: Vec<WindowEvent> = (0..n / 2).map(|id| event(BEGIN - span - DAY, span, n + id)).collect();
        let mixed = random.below(3);
        // In order, nearly in order, or in no order at all.
        pushed.sort_by_cached_key(|it| match mixed {
            0 => it.time.0,
            1 => it.time.0 + (random.below(1000) as i64) * (span / 5000),
            _ => random.next() as i64 >> 1,
        });
        let newest = pushed.iter().map(|it| it.time).max().expect("there are events");
        let late_clock = random.below(5) == 0;
        Self {
            pushed,
            history,
            newest,
            settled: !known && !late_clock && span >= 3 * HOUR,
            known,
            late_clock,
            span,
        }
    }

    /// A clock: at the newest event, long after it, or behind it. Where known times count it is never ahead of the events, so
    /// that the readers of this test are never behind what was folded.
    pub(crate) fn now(&self, newest: Option<Timestamp>, random: &mut Random) -> Timestamp {
        let newest = newest.unwrap_or(Timestamp(BEGIN));
        match random.below(3) {
            _ if self.late_clock => newest.minus(Span(random.below(self.span as usize) as i64)),
            0 if !self.known => newest.plus(Span(400 * DAY)),
            _ => newest,
        }
    }

    /// Up to when files are taken.
    pub(crate) fn through(&self, random: &mut Random) -> Timestamp {
        time(BEGIN - DAY / 2, self.span * 2 + DAY / 2, random)
    }

    /// When to ask: at and after the newest event, at hops, and a few times before.
    pub(crate) fn instants(&self, random: &mut Random) -> Vec<Timestamp> {
        let newest = self.newest.0;
        let border = |hop: i64| (newest.div_euclid(hop) + 1) * hop;
        let mut instants = vec![
            newest,
            newest + 1,
            border(5 * MINUTE),
            border(HOUR),
            border(DAY),
            border(DAY) - 1,
        ];
        instants.extend((0..6).map(|_| time(newest, 60 * DAY, random).0.max(newest)));
        instants.extend((0..6).map(|_| time(BEGIN, self.span, random).0));
        instants.into_iter().map(Timestamp).collect()
    }
}

/// Often on a hop, so that times are equal and windows begin at events.
fn time(from: i64, span: i64, random: &mut Random) -> Timestamp {
    let time = from + (random.next() % span as u64) as i64;
    let grid = random.one(&[1, 1, 1_000_000, 5 * MINUTE, HOUR]);
    Timestamp((time.div_euclid(grid) * grid).max(from))
}

fn cell(data_type: Option<DataType>, infinite: bool, random: &mut Random) -> Option<Value> {
    match (random.below(10), data_type) {
        (0 | 1, _) => None,
        (_, None) | (2, _) => Some(Value::Null),
        (_, Some(it)) => Some(value(it, infinite, random)),
    }
}

fn value(data_type: DataType, infinite: bool, random: &mut Random) -> Value {
    match data_type {
        DataType::Boolean => Value::Bool(random.below(2) == 0),
        DataType::Int64 => Value::Int(match random.below(50) {
            0 => random.one(&[i64::MAX, i64::MIN]),
            _ => random.below(2000) as i64 - 1000,
        }),
        DataType::Double => Value::Float(float(infinite, random)),
        DataType::String => Value::text(random.one(&["", "paid", "open", "größer", "a longer text than others"])),
        DataType::Timestamp => Value::Time(Timestamp(BEGIN + random.below(50) as i64)),
    }
}

fn float(infinite: bool, random: &mut Random) -> f64 {
    match random.below(60) {
        0 => random.one(&[1e200, -1e200]),
        1 => random.one(&[1e16, -1e16, 1e-300]),
        2 if infinite => random.one(&[f64::INFINITY, f64::NEG_INFINITY]),
        3 => f64::NAN,
        4 => random.one(&[0.0, -0.0]),
        5..20 => 1e9 + random.below(1000) as f64 / 1000.0,
        _ => random.below(200_000) as f64 / 100.0 - 1000.0,
    }
}
