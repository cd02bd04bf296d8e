//! Which roles a route takes. What is not listed can only be read, or asked for a prediction.

use axum::http::Method;

use super::Role;

/// Who may: `None` is everybody, without a token; `Admin` may always.
pub(super) type Needs = Option<&'static [Role]>;

const OPEN: Needs = None;
/// Predictions, feature values, and what there is.
const ASK: Needs = Some(&[Role::Viewer, Role::Predictor]);
const LOOK: Needs = Some(&[Role::Viewer]);
const WRITE: Needs = Some(&[Role::Writer]);
/// The registry and the experiments: who changes something there must be able to see it.
const READ_RECORDS: Needs = Some(&[Role::Viewer, Role::Trainer, Role::Promoter]);
const TRAIN: Needs = Some(&[Role::Trainer]);
const PROMOTE: Needs = Some(&[Role::Promoter]);
const ADMIN: Needs = Some(&[]);

/// What a request over HTTP takes.
pub(super) fn http(method: &Method, path: &str) -> Needs {
    if let Some(route) = mlflow_route(path) {
        return mlflow(method, route);
    }
    match path {
        "/healthz" | "/readyz" | "/health" | "/version" | "/v2/health/live" | "/v2/health/ready" => OPEN,
        "/metrics" => LOOK,
        "/push" | "/write-to-online-store" | "/v1/ingest" => WRITE,
        "/materialize" | "/materialize-incremental" | "/v1/materialize" => WRITE,
        "/v1/erase" | "/__reset" => ADMIN,
        _ => ASK,
    }
}

/// What a call over gRPC takes.
pub(super) fn grpc(_: &Method, path: &str) -> Needs {
    match path {
        "/inference.GRPCInferenceService/ServerLive" | "/inference.GRPCInferenceService/ServerReady" => OPEN,
        "/foretell.v1.FeatureService/Push" | "/foretell.v1.FeatureService/Ingest" => WRITE,
        _ if path.starts_with("/grpc.health.v1.Health/") => OPEN,
        _ => ASK,
    }
}

/// Whether errors under this path have MLflow's shape.
pub(super) fn is_mlflow(path: &str) -> bool {
    mlflow_route(path).is_some()
}

/// `model-versions/get` of `/api/2.0/mlflow/model-versions/get`; artifacts start with `artifacts/`.
fn mlflow_route(path: &str) -> Option<&str> {
    if matches!(path, "/get-artifact" | "/model-versions/get-artifact" | "/graphql") {
        return Some(path);
    }
    let rest = path.strip_prefix("/api/").or_else(|| path.strip_prefix("/ajax-api/"))?;
    let (_, rest) = rest.split_once('/')?;
    let rest = rest
        .strip_prefix("mlflow-artifacts")
        .or_else(|| rest.strip_prefix("mlflow"))?;
    rest.strip_prefix('/')
}

fn mlflow(method: &Method, route: &str) -> Needs {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return READ_RECORDS;
    }
    match route {
        "registered-models/get-latest-versions" => READ_RECORDS,
        _ if route.ends_with("/search") => READ_RECORDS,
        "registered-models/alias" | "model-versions/transition-stage" => PROMOTE,
        "registered-models/delete" | "model-versions/delete" | "experiments/delete" => ADMIN,
        _ => TRAIN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_takes_what_its_kind_takes() {
        let http = |line: &str| {
            let (method, path) = line.split_once(' ').unwrap();
            http(&method.parse().unwrap(), path)
        };
        let cases = [
            ("GET /healthz", OPEN),
            ("GET /readyz", OPEN),
            ("GET /metrics", LOOK),
            ("POST /v1/predict/churn", ASK),
            ("POST /v2/models/churn/infer", ASK),
            ("POST /api/predict/churn", ASK),
            ("GET /v1/models", ASK),
            ("POST /get-online-features", ASK),
            ("POST /push", WRITE),
            ("POST /v1/materialize", WRITE),
            ("POST /v1/erase", ADMIN),
            ("POST /__reset", ADMIN),
            ("GET /api/2.0/mlflow/registered-models/get", READ_RECORDS),
            ("GET /ajax-api/3.0/mlflow/logged-models/m-1", READ_RECORDS),
            ("POST /api/2.0/mlflow/runs/search", READ_RECORDS),
            (
                "POST /api/2.0/mlflow/registered-models/get-latest-versions",
                READ_RECORDS,
            ),
            ("POST /api/2.0/mlflow/registered-models/create", TRAIN),
            ("POST /api/2.0/mlflow/runs/log-batch", TRAIN),
            ("POST /api/2.0/mlflow/runs/delete", TRAIN),
            ("DELETE /api/2.0/mlflow/registered-models/delete-tag", TRAIN),
            ("POST /api/2.0/mlflow/registered-models/alias", PROMOTE),
            ("DELETE /api/2.0/mlflow/registered-models/alias", PROMOTE),
            ("POST /api/2.0/mlflow/model-versions/transition-stage", PROMOTE),
            ("DELETE /api/2.0/mlflow/registered-models/delete", ADMIN),
            ("DELETE /ajax-api/2.0/mlflow/model-versions/delete", ADMIN),
            ("POST /api/2.0/mlflow/experiments/delete", ADMIN),
            ("GET /api/2.0/mlflow-artifacts/artifacts/1/a", READ_RECORDS),
            ("PUT /api/2.0/mlflow-artifacts/artifacts/1/a", TRAIN),
            ("POST /api/2.0/mlflow-artifacts/mpu/create/1/a", TRAIN),
        ];
        for (line, needs) in cases {
            assert_eq!(http(line), needs, "{line}");
        }
    }

    #[test]
    fn a_path_that_only_looks_like_mlflows_is_none() {
        for path in [
            "/api/predict/mlflow",
            "/api/2.0/mlflower/x",
            "/mlflow/registered-models/get",
        ] {
            assert!(!is_mlflow(path), "{path}");
        }
    }
}
