//! How long 50 windows of one entity take from stored bytes: 5 streams, 10 lengths each, 300 events.
//!
//! `cargo run --release -p foretell-features-online --example window_reads`

use std::hint::black_box;
use std::time::Instant;

use foretell_features::{
    Aggregation, DataType, Span, Timestamp, Value, Window, WindowEvent, WindowFeature, WindowPlan,
};
use foretell_features_online::WindowState;
use foretell_features_online::windows::evaluate;

const HOURS: [i64; 10] = [1, 6, 12, 24, 72, 168, 336, 720, 1440, 2160];
const READS: usize = 20_000;

fn main() {
    let (plan, bytes, at) = (plan(), Vec::new(), Timestamp(400 * Span::DAY.0));
    let bytes = stored(&plan, at, bytes);
    let all: Vec<usize> = (0..plan.features().len()).collect();
    let mut out = Vec::with_capacity(all.len());
    let mut micros: Vec<f64> = Vec::with_capacity(READS);
    for read in 0..READS {
        out.clear();
        let at = at.plus(Span(read as i64 * 1000));
        let begin = Instant::now();
        evaluate(&plan, Some(black_box(&bytes)), &all, at, &mut out).expect("the instant is after every event");
        micros.push(begin.elapsed().as_secs_f64() * 1e6);
        black_box(&out);
    }
    micros.sort_by(f64::total_cmp);
    let at = |share: f64| micros[(share * (READS - 1) as f64) as usize];
    let state = WindowState::decode(&plan, &bytes).expect("it was encoded just now");
    println!(
        "{} windows from {} events and {} tiles in {} bytes: p50 {:.1} us, p99 {:.1} us, max {:.1} us",
        all.len(),
        state.raw_events(),
        state.tiles(),
        bytes.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
    println!("last answer: {:?}", out.last());
}

/// count of rows; sum, mean, least and spread of numbers.
fn plan() -> WindowPlan {
    let asked = [
        Aggregation::Count,
        Aggregation::Sum,
        Aggregation::Mean,
        Aggregation::Min,
        Aggregation::Std,
    ];
    let types = [
        None,
        Some(DataType::Double),
        Some(DataType::Double),
        Some(DataType::Int64),
        Some(DataType::Double),
    ];
    let feature = |(stream, aggregation): (usize, Aggregation), hours: i64| WindowFeature {
        stream,
        aggregation,
        window: Some(Window::of(Span(hours * Span::HOUR.0))),
    };
    let streams = || asked.into_iter().enumerate();
    let features = streams().flat_map(|it| HOURS.map(|hours| feature(it, hours)));
    WindowPlan::new(types.to_vec(), features.collect())
}

/// 300 events over the last 90 days, pushed one by one.
fn stored(plan: &WindowPlan, now: Timestamp, mut bytes: Vec<u8>) -> Vec<u8> {
    let begin = Instant::now();
    for n in 0..300i64 {
        let mut state = match bytes.is_empty() {
            true => WindowState::default(),
            false => WindowState::decode(plan, &bytes).expect("it was encoded just now"),
        };
        let time = now.minus(Span((300 - n) * 2160 * Span::HOUR.0 / 300));
        state.add(plan, event(n, time));
        state.compact(plan, now);
        bytes = state.encode(plan);
    }
    println!(
        "300 pushes, each decoding and encoding: {:.1} us each",
        begin.elapsed().as_secs_f64() * 1e6 / 300.0
    );
    bytes
}

fn event(n: i64, time: Timestamp) -> WindowEvent {
    let number = |of: i64| (n * 7919 % of) as f64 / 100.0;
    let values = [
        Value::Null,
        Value::Float(number(1000)),
        Value::Float(number(777)),
        Value::Int(n * 31 % 97),
        Value::Float(number(12_345)),
    ];
    WindowEvent {
        time,
        known: None,
        id: n as u64,
        values: values.map(Some).to_vec(),
    }
}
