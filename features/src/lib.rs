//! The vocabulary of Foretell: entities, sources, views, expressions, windows, rows and matrices.
//!
//! No I/O happens here. The offline engine (polars), the online store, training and serving all speak in
//! these types, so that a feature means the same thing wherever it is computed.

pub mod about;
pub mod aggregate;
pub mod definition;
mod definition_parse;
pub mod document;
pub mod erasure;
pub mod expectation;
pub mod expression;
pub mod label;
pub mod matrix;
pub mod offline;
pub mod row;
pub mod series;
pub mod service;
pub mod spelling;
pub mod table;
pub mod time;
pub mod training_set;
pub mod value;
pub mod view_definition;
pub mod view_plan;
pub mod window;

pub use about::About;
pub use aggregate::{Partial, WindowEvent, WindowFeature, WindowPlan};
pub use definition::{
    Aggregation, Definitions, DerivedFeature, Entity, EntityName, Feature, FeatureKind, FeatureRef, Format,
    RequestColumn, Source, SourceKey, SourceName, View, ViewName, WideColumns,
};
pub use document::{Document, Problem, Problems};
pub use erasure::{ErasedFile, ErasedView, ErasurePattern, ErasureReceipt, ErasureRequest};
pub use expectation::{Bounds, Check, Expectation, OnFailure, Rule};
pub use expression::{Expression, ExpressionError};
pub use label::{Ahead, Cutoffs, LabelSpec, Population};
pub use matrix::{ColumnKind, FeatureMatrix, MISSING_CATEGORY};
pub use offline::{MaterializeReport, MaterializeRequest, Offline, OfflineError};
pub use row::{EntityKey, FeatureRead, FeatureRow, Status};
pub use series::{ForecastTest, Series, SeriesSet, SeriesSpec};
pub use service::{Found, ReferenceError, Service, ServiceFeature, ServiceName};
pub use table::{Column, Table};
pub use time::{Span, Timestamp};
pub use training_set::{EntityFrame, TrainingSet, TrainingSetSpec};
pub use value::{DataType, Value};
pub use view_definition::{FeatureChange, ViewDefinition, ViewId};
pub use view_plan::{SourceEvent, ViewPlan};
pub use window::Window;
