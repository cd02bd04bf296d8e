//! A small house for tests: a registry in memory, an online store with a few customers, and requests without a socket.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use foretell_features::row::KeyPart;
use foretell_features::{DataType, Definitions, EntityKey, FeatureRow, Span, Timestamp, Value, ViewDefinition};
use foretell_features_online::{MemoryStore, OnlineFeatures, OnlineView};
use foretell_inference::PackageFiles;
use foretell_inference::testing::{tiny_churn_package, tiny_churn_package_with, tiny_derived_package};
use foretell_registry::{PackageFile, PromoteRequest, PublishRequest, Registry, Stamp};
use foretell_serving::{Clock, Dependencies, Limits, PredictService, routes};
use http_body_util::BodyExt;
use serde_json::Value as Json;
use tower::ServiceExt;

/// The house's clock: 100 days after 1970.
pub(crate) const NOW: Timestamp = Timestamp(100 * 86_400_000_000);

pub(crate) struct House {
    pub(crate) registry: Arc<Registry>,
    pub(crate) online: OnlineFeatures,
    pub(crate) service: PredictService,
    router: Router,
}

impl House {
    /// `churn@1` is champion; ann (fresh), bob (nulls) and old (two years stale) are stored.
    pub(crate) async fn new() -> Self {
        Self::with(&[tiny_churn_package()]).await
    }

    /// The model with a request value and a derived input, as model `churn`.
    pub(crate) async fn derived() -> Self {
        Self::with(&[tiny_derived_package()]).await
    }

    pub(crate) async fn with(packages: &[PackageFiles]) -> Self {
        let dependencies = dependencies(packages).await;
        Self::of(dependencies.0, dependencies.1).await
    }

    pub(crate) async fn of(dependencies: Dependencies, online: OnlineFeatures) -> Self {
        let registry = Arc::clone(&dependencies.registry);
        let service = PredictService::new(dependencies).await.unwrap();
        service.refresh().await.unwrap();
        let limits = Limits {
            body: 100_000,
            time: Duration::from_secs(5),
        };
        let router = routes(service.clone(), limits, None, Router::new());
        Self {
            registry,
            online,
            service,
            router,
        }
    }

    /// The status and body of one request; what is no JSON comes as text.
    pub(crate) async fn send(&self, method: &str, path: &str, body: impl Into<Body>) -> (u16, Json) {
        let request = Request::builder().method(method).uri(path).body(body.into()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = || Json::String(String::from_utf8_lossy(&bytes).into_owned());
        (status, serde_json::from_slice(&bytes).unwrap_or_else(|_| text()))
    }

    pub(crate) async fn post(&self, path: &str, body: Json) -> (u16, Json) {
        self.send("POST", path, body.to_string()).await
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Json) {
        self.send("GET", path, "").await
    }

    /// The answer of a request that must succeed.
    pub(crate) async fn answer(&self, path: &str, body: Json) -> Json {
        let (status, answer) = self.post(path, body).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// The class and the message that Feast's client raises for a request that must fail so.
    pub(crate) async fn raised(&self, expected: u16, path: &str, body: Json) -> (String, String) {
        let (status, answer) = self.post(path, body).await;
        assert_eq!(status, expected, "{answer}");
        let raised: Json = serde_json::from_str(answer.as_str().unwrap()).unwrap();
        assert_eq!(raised["module"], "feast.errors");
        let text = |it: &Json| it.as_str().unwrap().to_owned();
        (text(&raised["class"]), text(&raised["message"]))
    }

    /// The error of a request that must fail so.
    pub(crate) async fn error(&self, expected: u16, path: &str, body: Json) -> String {
        let (status, answer) = self.post(path, body).await;
        assert_eq!(status, expected, "{answer}");
        answer["error"]
            .as_str()
            .unwrap_or_else(|| panic!("no error in {answer}"))
            .to_owned()
    }
}

/// The packages published as versions of the models they name, the first of each as champion, and a filled store.
pub(crate) async fn dependencies(packages: &[PackageFiles]) -> (Dependencies, OnlineFeatures) {
    let registry = Arc::new(Registry::open("memory:").unwrap());
    for package in packages {
        let version = publish(&registry, package.clone()).await;
        if version.1 == 1 {
            promote(&registry, &version.0, 1).await;
        }
    }
    let online = OnlineFeatures::open(Arc::new(MemoryStore::new())).await.unwrap();
    fill(&online).await;
    let dependencies = Dependencies {
        definitions: Arc::new(definitions()),
        ..Dependencies::new(registry, online.clone(), Clock::Fixed(NOW))
    };
    (dependencies, online)
}

/// A churn package that answers other numbers.
pub(crate) fn other_churn(intercept: f64) -> PackageFiles {
    tiny_churn_package_with(intercept, &format!("{intercept}"))
}

pub(crate) async fn publish(registry: &Registry, package: PackageFiles) -> (String, u64) {
    let manifest: Json = serde_json::from_slice(&package["manifest.json"]).unwrap();
    let model = manifest["model"].as_str().unwrap().to_owned();
    let files = package
        .into_iter()
        .map(|(path, bytes)| PackageFile::new(path, bytes))
        .collect();
    let version = registry
        .publish(PublishRequest::new(&model, files, stamp()))
        .await
        .unwrap();
    (model, version.version)
}

pub(crate) async fn promote(registry: &Registry, model: &str, version: u64) {
    registry
        .promote(PromoteRequest::new(model, version, "champion", stamp()))
        .await
        .unwrap();
}

pub(crate) fn stamp() -> Stamp {
    Stamp::new("test", 0)
}

pub(crate) fn key(name: &str) -> EntityKey {
    EntityKey(vec![KeyPart::Str(name.into())])
}

/// A view of the house, defined in the store.
async fn defined(online: &OnlineFeatures, view: &str, inputs: &[(&str, DataType)]) -> Arc<OnlineView> {
    let inputs = inputs.iter().map(|(name, data_type)| ((*name).to_owned(), *data_type));
    let definition = ViewDefinition::of(&definitions(), view, inputs.collect()).unwrap();
    online.define(&definition).await.unwrap()
}

/// The house's view of customers.
pub(crate) async fn purchases(online: &OnlineFeatures) -> Arc<OnlineView> {
    let inputs = [
        ("customer_id", DataType::String),
        ("seen_at", DataType::Timestamp),
        ("plan", DataType::String),
        ("amount", DataType::Double),
        ("orders", DataType::Int64),
    ];
    defined(online, "purchases", &inputs).await
}

async fn fill(online: &OnlineFeatures) {
    let (string, int, double, time) = (DataType::String, DataType::Int64, DataType::Double, DataType::Timestamp);
    defined(
        online,
        "profile",
        &[("customer_id", string), ("seen_at", time), ("plan", string)],
    )
    .await;
    let stock = [("store", string), ("item", int), ("counted_at", time), ("units", int)];
    let stock = defined(online, "stock", &stock).await;
    let rates = defined(online, "rates", &[("at", time), ("dollar", double)]).await;
    let one = |key: Vec<KeyPart>, value: Value| {
        let row = FeatureRow {
            event_time: NOW.minus(Span::days(1)),
            known_time: None,
            values: vec![value],
        };
        (EntityKey(key), row)
    };
    let stocked = |item: i64| vec![KeyPart::Str("s".into()), KeyPart::Int(item)];
    let rows = vec![one(stocked(1), Value::Int(10)), one(stocked(2), Value::Int(20))];
    online.put(&stock, rows).await.unwrap();
    online
        .put(&rates, vec![one(Vec::new(), Value::Float(1.5))])
        .await
        .unwrap();
    let view = purchases(online).await;
    let row = |days: i64, values: [Value; 3]| FeatureRow {
        event_time: NOW.minus(Span::days(days)),
        known_time: None,
        values: values.into(),
    };
    let rows = vec![
        (
            key("ann"),
            row(1, [Value::text("pro"), Value::Float(120.5), Value::Int(5)]),
        ),
        (key("bob"), row(2, [Value::Null, Value::Float(10.0), Value::Null])),
        (
            key("old"),
            row(700, [Value::text("pro"), Value::Float(120.5), Value::Int(5)]),
        ),
    ];
    online.put(&view, rows).await.unwrap();
}

fn definitions() -> Definitions {
    Definitions::parse(&[("features/house.toml".into(), DEFINITIONS.to_owned())]).unwrap()
}

const DEFINITIONS: &str = r#"
[entity.customer]
key = { customer_id = "string" }
[entity.stocked]
key = { store = "string", item = "int64" }
[source.customers]
path = "customers.parquet"
event_time = "seen_at"
columns = { spend_90d = "amount * 2" }
where = "amount > 0"
[source.accounts]
path = "accounts.parquet"
event_time = "seen_at"
[source.stocks]
path = "stocks.parquet"
event_time = "counted_at"
[source.rates]
path = "rates.parquet"
event_time = "at"
[view.purchases]
entity = "customer"
source = "customers"
max_age = "365d"
[view.purchases.features]
plan = "lower(plan)"
spend_90d = "spend_90d"
orders_90d = "orders"
[view.profile]
entity = "customer"
source = "accounts"
latest = "plan"
[view.stock]
entity = "stocked"
source = "stocks"
latest = "units"
[view.rates]
source = "rates"
latest = "dollar"
[derived.customer]
spend_and_cart = "spend_90d + cart_value"
[request.customer]
cart_value = "double"
[service.checkout]
features = ["purchases:*", "rates:dollar", "spend_and_cart"]
except = ["purchases:orders_90d"]
"#;
