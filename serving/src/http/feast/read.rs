//! `/get-online-features`: columns in, columns out, with statuses and event times.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::answer;
use super::refusal::{self, Refusal};
use crate::features::{Asked, online_features};
use crate::http::App;
use crate::http::body::Body;

pub(crate) async fn get_online_features(State(app): State<App>, body: Body) -> Result<impl IntoResponse, Refusal> {
    let asked: Asked = refusal::body(&body)?;
    let answer = online_features(&app.service, &asked).await?;
    let views = asked
        .include_feature_view_version_metadata
        .then_some(answer.views.as_slice());
    let json = answer::json(&answer.columns, views);
    Ok(([(header::CONTENT_TYPE, "application/json")], json))
}
