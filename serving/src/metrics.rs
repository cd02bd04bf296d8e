//! Numbers for `/metrics`, in Prometheus' text form. Counting never takes a lock.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::StatusCode;

use crate::response::{PredictResponse, RowStatus};
use crate::service::PredictService;
use crate::snapshot::RefreshReport;

/// What a request is counted under. Names of models and entities are no label: their number has no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Predict,
    Endpoint,
    Infer,
    OpenInference,
    OnlineFeatures,
    Push,
    Materialize,
    Operations,
    Other,
    GrpcPredict,
    GrpcInfer,
    GrpcFeatures,
    GrpcPush,
}

const ROUTES: [(Route, &str); 13] = [
    (Route::Predict, "predict"),
    (Route::Endpoint, "endpoint"),
    (Route::Infer, "infer"),
    (Route::OpenInference, "open_inference"),
    (Route::OnlineFeatures, "online_features"),
    (Route::Push, "push"),
    (Route::Materialize, "materialize"),
    (Route::Operations, "operations"),
    (Route::Other, "other"),
    (Route::GrpcPredict, "grpc_predict"),
    (Route::GrpcInfer, "grpc_infer"),
    (Route::GrpcFeatures, "grpc_features"),
    (Route::GrpcPush, "grpc_push"),
];

/// Statuses that this server gives; all others are counted as 500, 400 or 200 by their class.
const STATUSES: [u16; 13] = [200, 202, 400, 404, 405, 408, 413, 415, 422, 500, 501, 503, 504];

/// Upper edges in microseconds.
const EDGES: [u64; 16] = [
    50, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 102_400, 204_800, 819_200, 3_276_800,
    13_107_200,
];

/// All counters of a server.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: [[AtomicU64; STATUSES.len()]; ROUTES.len()],
    latency: [Histogram; ROUTES.len()],
    rows_scored: AtomicU64,
    rows_not_found: AtomicU64,
    rows_invalid: AtomicU64,
    swaps: AtomicU64,
    refused: AtomicU64,
}

#[derive(Debug, Default)]
struct Histogram {
    buckets: [AtomicU64; EDGES.len()],
    count: AtomicU64,
    micros: AtomicU64,
}

impl Metrics {
    pub(crate) fn request(&self, route: Route, status: StatusCode, took: Duration) {
        let route = route as usize;
        add(&self.requests[route][status_position(status)], 1);
        self.latency[route].observe(took);
    }

    pub(crate) fn predicted(&self, response: &PredictResponse) {
        let count = |status| response.predictions.iter().filter(|it| it.status == status).count() as u64;
        add(&self.rows_scored, count(RowStatus::Ok));
        add(&self.rows_not_found, count(RowStatus::NotFound));
        add(&self.rows_invalid, count(RowStatus::Invalid));
    }

    pub(crate) fn refreshed(&self, report: &RefreshReport) {
        add(&self.swaps, report.swapped.len() as u64);
        add(&self.refused, report.refused.len() as u64);
    }
}

impl Histogram {
    fn observe(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(at) = EDGES.iter().position(|edge| micros <= *edge) {
            add(&self.buckets[at], 1);
        }
        add(&self.count, 1);
        add(&self.micros, micros);
    }
}

/// The text of `/metrics`.
pub(crate) fn render(service: &PredictService) -> String {
    let metrics = service.metrics();
    let mut out = String::with_capacity(8 * 1024);
    requests(&mut out, metrics);
    latencies(&mut out, metrics);
    family(&mut out, "foretell_rows_total", "counter", "Rows by how they fared.");
    for (status, count) in [
        ("ok", &metrics.rows_scored),
        ("not_found", &metrics.rows_not_found),
        ("invalid", &metrics.rows_invalid),
    ] {
        line(
            &mut out,
            "foretell_rows_total",
            &format!("status=\"{status}\""),
            read(count),
        );
    }
    let snapshot = service.snapshot();
    let loaded = snapshot.models.values().filter(|it| it.champion.is_some()).count() as u64;
    let problems = snapshot.models.values().filter(|it| it.problem.is_some()).count() as u64;
    let log = service.dependencies().request_log.as_ref();
    let singles = [
        ("foretell_models_loaded", "gauge", "Champions that answer.", loaded),
        (
            "foretell_models_with_problem",
            "gauge",
            "Models whose registered champion cannot be loaded.",
            problems,
        ),
        (
            "foretell_swaps_total",
            "counter",
            "Champions swapped in.",
            read(&metrics.swaps),
        ),
        (
            "foretell_swaps_refused_total",
            "counter",
            "Champions that could not be loaded.",
            read(&metrics.refused),
        ),
        (
            "foretell_request_log_rows_total",
            "counter",
            "Rows written to the request log.",
            log.map_or(0, |it| it.written()),
        ),
        (
            "foretell_request_log_dropped_total",
            "counter",
            "Rows the request log had no room for.",
            log.map_or(0, |it| it.dropped()),
        ),
    ];
    for (name, kind, help, value) in singles {
        family(&mut out, name, kind, help);
        line(&mut out, name, "", value);
    }
    out
}

fn requests(out: &mut String, metrics: &Metrics) {
    let name = "foretell_requests_total";
    family(out, name, "counter", "Requests by route and status.");
    for ((_, route), counts) in ROUTES.iter().zip(&metrics.requests) {
        for (status, count) in STATUSES.iter().zip(counts).filter(|it| read(it.1) > 0) {
            line(
                out,
                name,
                &format!("route=\"{route}\",status=\"{status}\""),
                read(count),
            );
        }
    }
}

fn latencies(out: &mut String, metrics: &Metrics) {
    let name = "foretell_request_seconds";
    family(
        out,
        name,
        "histogram",
        "Time from the request's head to the response's head.",
    );
    for ((_, route), histogram) in ROUTES.iter().zip(&metrics.latency).filter(|it| read(&it.1.count) > 0) {
        let mut below = 0;
        for (edge, bucket) in EDGES.iter().zip(&histogram.buckets) {
            below += read(bucket);
            let labels = format!("route=\"{route}\",le=\"{}\"", *edge as f64 / 1e6);
            line(out, &format!("{name}_bucket"), &labels, below);
        }
        // A request that is counted right now may be in one number and not yet in the other.
        let count = read(&histogram.count).max(below);
        line(
            out,
            &format!("{name}_bucket"),
            &format!("route=\"{route}\",le=\"+Inf\""),
            count,
        );
        let seconds = read(&histogram.micros) as f64 / 1e6;
        writeln!(out, "{name}_sum{{route=\"{route}\"}} {seconds}").expect("a String can be written to");
        line(out, &format!("{name}_count"), &format!("route=\"{route}\""), count);
    }
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("a String can be written to");
}

fn line(out: &mut String, name: &str, labels: &str, value: u64) {
    let labels = if labels.is_empty() {
        String::new()
    } else {
        format!("{{{labels}}}")
    };
    writeln!(out, "{name}{labels} {value}").expect("a String can be written to");
}

fn status_position(status: StatusCode) -> usize {
    let code = status.as_u16();
    let class = match code {
        500.. => 500,
        400.. => 400,
        _ => 200,
    };
    let position = |code| STATUSES.iter().position(|it| *it == code);
    position(code)
        .or_else(|| position(class))
        .expect("200, 400 and 500 are in the list")
}

fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
