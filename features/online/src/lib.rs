//! The online store: what each entity's features are now, read in microseconds.
//!
//! [`OnlineFeatures`] is what the rest of the house uses: views in versions, latest values, windows that slide, writes that
//! are monotone in event time, erasure. Below it an [`OnlineStore`] keeps bytes: [`FjallStore`] on disk in this process,
//! [`MemoryStore`] as long as the process lives, Redis for many processes (cargo feature `redis`). All pass
//! [`conformance::check_online_store`], and so must any further store. What is written is the offline engine's and the
//! pushing application's business.

mod admit;
mod catalog;
pub mod codec;
pub mod conformance;
mod erased;
mod fjall_store;
mod ingest;
#[cfg(feature = "kafka")]
mod kafka;
mod memory;
mod online_features;
mod place;
pub mod record;
#[cfg(feature = "redis")]
mod redis_store;
pub mod store;
pub mod windows;
mod write;

pub use catalog::OnlineView;
pub use erased::Erasure;
pub use fjall_store::{Durability, FjallStore};
pub use ingest::{IngestReport, RefusedRow};
#[cfg(feature = "kafka")]
pub use kafka::{KafkaCounts, KafkaIngest, KafkaSettings};
pub use memory::MemoryStore;
pub use online_features::{EraseReport, OnlineFeatures, Projection, ViewReads};
pub use place::StorePlace;
#[cfg(feature = "redis")]
pub use redis_store::RedisStore;
pub use store::{OnlineError, OnlineStore, PutReport};
pub use windows::{WindowError, WindowState};
pub use write::{MaterializedEntity, SourceRows};
