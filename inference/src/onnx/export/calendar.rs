//! The calendar of the steps ahead, in whole numbers; days to dates as in Hinnant, "chrono-compatible low-level date
//! algorithms": <https://howardhinnant.github.io/date_algorithms.html>.

use foretell_features::Span;

use super::super::graph::{Graph, Tensor};
use super::super::proto::ElementType;
use super::lags::side_by_side;
use crate::forecast::LagLayout;

const HOUR: i64 = 3_600_000_000;
const MINUTE: i64 = 60_000_000;

/// Phase, hour and weekday for steps shorter than a day, day of the month, month, day of the year: `[n, horizon, k]`.
pub(super) fn columns(graph: &mut Graph, layout: &LagLayout, last_time: &Tensor, horizon: usize) -> Tensor {
    let steps: Vec<i64> = (1..=horizon as i64).map(|it| it * layout.step.0).collect();
    let steps = graph.ints(&[1, horizon], &steps);
    let time = graph.add(last_time, &steps);
    let step_number = floor_div(graph, &time, layout.step.0);
    let phase = modulo(graph, &step_number, layout.seasons.short as i64);
    let days = floor_div(graph, &time, Span::DAY.0);
    let mut columns = vec![graph.cast(&phase, ElementType::Double)];
    if layout.step < Span::DAY {
        columns.push(hours(graph, &time));
        // 1970 began on a Thursday.
        let from_monday = plus(graph, &days, 3);
        let weekday = modulo(graph, &from_monday, 7);
        columns.push(graph.cast(&weekday, ElementType::Double));
    }
    for part in date(graph, &days) {
        columns.push(graph.cast(&part, ElementType::Double));
    }
    side_by_side(graph, &columns)
}

/// Hours since midnight, in whole minutes.
fn hours(graph: &mut Graph, time: &Tensor) -> Tensor {
    let of_day = modulo(graph, time, Span::DAY.0);
    let hour = floor_div(graph, &of_day, HOUR);
    let of_hour = modulo(graph, &of_day, HOUR);
    let minute = floor_div(graph, &of_hour, MINUTE);
    let (hour, minute) = (
        graph.cast(&hour, ElementType::Double),
        graph.cast(&minute, ElementType::Double),
    );
    let sixty = graph.number(60.0);
    let part = graph.div(&minute, &sixty);
    graph.add(&hour, &part)
}

/// Day of the month, month, day of the year. Years begin in March, so that the leap day is their last.
fn date(graph: &mut Graph, days: &Tensor) -> [Tensor; 3] {
    let since_0 = plus(graph, days, 719_468);
    let of_era = modulo(graph, &since_0, 146_097);
    let mut quotient = |by: i64| floor_div(graph, &of_era, by);
    let (fours, centuries, eras) = (quotient(1460), quotient(36_524), quotient(146_096));
    let whole = graph.sub(&of_era, &fours);
    let whole = graph.add(&whole, &centuries);
    let whole = graph.sub(&whole, &eras);
    let year = floor_div(graph, &whole, 365);
    let year_days = times(graph, &year, 365);
    let leap_days = floor_div(graph, &year, 4);
    let century_days = floor_div(graph, &year, 100);
    let of_year = graph.sub(&of_era, &year_days);
    let of_year = graph.sub(&of_year, &leap_days);
    let of_year = graph.add(&of_year, &century_days);
    let fifths = times(graph, &of_year, 5);
    let fifths = plus(graph, &fifths, 2);
    let month = floor_div(graph, &fifths, 153);
    let month_days = times(graph, &month, 153);
    let month_days = plus(graph, &month_days, 2);
    let month_days = floor_div(graph, &month_days, 5);
    let day = graph.sub(&of_year, &month_days);
    let day = plus(graph, &day, 1);
    let ten = graph.ints(&[], &[10]);
    let is_same_year = graph.op("Less", &[&month, &ten]);
    let (from_march, from_january) = (plus(graph, &month, 3), plus(graph, &month, -9));
    let calendar_month = graph.choose(&is_same_year, &from_march, &from_january);
    let leap = is_leap(graph, &year);
    let after = plus(graph, &of_year, 60);
    let after = graph.add(&after, &leap);
    let before = plus(graph, &of_year, -305);
    let ordinal = graph.choose(&is_same_year, &after, &before);
    [day, calendar_month, ordinal]
}

/// 1 in a leap year, by the year of its 400 years.
fn is_leap(graph: &mut Graph, year: &Tensor) -> Tensor {
    let zero = graph.ints(&[], &[0]);
    let mut divides = |by: i64| {
        let rest = modulo(graph, year, by);
        graph.op("Equal", &[&rest, &zero])
    };
    let (by_4, by_100, by_400) = (divides(4), divides(100), divides(400));
    let not_century = graph.op("Not", &[&by_100]);
    let counts = graph.op("Or", &[&not_century, &by_400]);
    let is_leap = graph.op("And", &[&by_4, &counts]);
    graph.cast(&is_leap, ElementType::Int64)
}

/// Division of integers rounds towards zero; what is left over is never negative.
fn floor_div(graph: &mut Graph, it: &Tensor, by: i64) -> Tensor {
    let rest = modulo(graph, it, by);
    let whole = graph.sub(it, &rest);
    let by = graph.ints(&[], &[by]);
    graph.div(&whole, &by)
}

fn modulo(graph: &mut Graph, it: &Tensor, by: i64) -> Tensor {
    let by = graph.ints(&[], &[by]);
    graph.op("Mod", &[it, &by])
}

fn plus(graph: &mut Graph, it: &Tensor, by: i64) -> Tensor {
    let by = graph.ints(&[], &[by]);
    graph.add(it, &by)
}

fn times(graph: &mut Graph, it: &Tensor, by: i64) -> Tensor {
    let by = graph.ints(&[], &[by]);
    graph.mul(it, &by)
}
