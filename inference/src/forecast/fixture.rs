//! A small valid forecast package for tests here and in other crates: two series, seasonal naive.

use foretell_features::row::KeyPart;
use foretell_features::{DataType, EntityKey, Span, Timestamp};

use super::loaded::ForecastParts;
use super::{
    Bucket, ForecastIntervals, ForecastState, Future, LoadedForecast, SeasonalNaive, SeriesEncoders, SeriesSignature,
};
use crate::endpoint::AnswerField;
use crate::manifest::{FORMAT, FeaturePlan, Input, Lineage, MANIFEST_FILE, Manifest, Output, PackageFiles, Task};
use crate::preprocessing::{Encoder, InputEncoding};

/// The package `demand`: series `store` = north (1, 2, 3) and south (10, 20, 30), the last on 1970-01-11; steps of a day, a
/// season of three, horizon 5; covariate `promo` (boolean), known to the package for south alone.
pub fn tiny_forecast_package() -> PackageFiles {
    let manifest = manifest(parts().signature);
    let loaded = LoadedForecast::assemble(parts()).expect("the parts fit each other");
    let mut files = loaded.to_files().expect("the forecaster knows its states");
    files.insert(MANIFEST_FILE.to_owned(), manifest.to_bytes());
    files
}

pub(super) fn parts() -> ForecastParts {
    let promo = Input {
        name: "promo".to_owned(),
        data_type: DataType::Boolean,
    };
    let numeric = |n: usize| Encoder {
        inputs: vec![InputEncoding::Numeric; n],
    };
    let stores = InputEncoding::Category {
        categories: vec!["north".to_owned(), "south".to_owned()],
    };
    let scores: Vec<f64> = (-50..=50).map(|it| f64::from(it) / 100.0).collect();
    let totals = scores.iter().map(|it| it / 2.0).collect();
    let buckets = vec![Bucket {
        last_step: 5,
        steps: scores,
        totals,
    }];
    ForecastParts {
        signature: SeriesSignature {
            key: vec![("store".to_owned(), DataType::String)],
            step: Span::DAY,
            horizon: 5,
            known: vec![promo],
            statics: Vec::new(),
        },
        encoders: SeriesEncoders {
            key: Encoder { inputs: vec![stores] },
            known: numeric(1),
            statics: numeric(0),
        },
        forecaster: Box::new(SeasonalNaive {
            step: Span::DAY,
            season: 3,
            horizon: 5,
            nonnegative: true,
        }),
        intervals: ForecastIntervals {
            exponent: 1.0,
            floor: 0.1,
            level_window: 3,
            buckets,
            lower_bound: Some(0.0),
        },
        states: vec![state("north", &[1.0, 2.0, 3.0]), state("south", &[10.0, 20.0, 30.0])],
        futures: vec![
            Future::unknown(1),
            Future {
                n_columns: 1,
                values: vec![1.0; 5],
            },
        ],
    }
}

/// A state with these recent values, the last of 1970-01-11.
pub(super) fn state(store: &str, recent: &[f64]) -> ForecastState {
    ForecastState {
        key: EntityKey(vec![KeyPart::Str(store.into())]),
        last_time: Timestamp(10 * Span::DAY.0),
        recent: recent.to_vec(),
        recent_known: Vec::new(),
        statics: Vec::new(),
        numbers: Vec::new(),
        spread: 1.0,
    }
}

pub(super) fn manifest(series: SeriesSignature) -> Manifest {
    Manifest {
        format: FORMAT,
        model: "demand".to_owned(),
        task: Task::Forecast,
        classes: Vec::new(),
        algorithm: "seasonal_naive".to_owned(),
        inputs: Vec::new(),
        outputs: vec![Output {
            name: "value".to_owned(),
            field: AnswerField::Value,
        }],
        plan: FeaturePlan::default(),
        encoder: Encoder::default(),
        calibration: crate::calibration::Calibration::Identity,
        conformal: None,
        decision: None,
        endpoints: Vec::new(),
        series: Some(series),
        predictor: super::FORECASTER_FILE.to_owned(),
        metrics: std::collections::BTreeMap::new(),
        parameters: std::collections::BTreeMap::new(),
        lineage: Lineage {
            data: "sha256:0".to_owned(),
            definitions: "sha256:0".to_owned(),
            code: "foretell".to_owned(),
            seed: 1,
            as_of: Timestamp(0),
            n_train: 6,
            n_test: 0,
            reproducible: true,
            imported: None,
        },
    }
}
