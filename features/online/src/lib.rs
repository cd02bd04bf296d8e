//! The online store: the newest row per entity and view, read in microseconds.
//!
//! [`FjallStore`] keeps rows on disk in process, [`MemoryStore`] forgets them with the process; both pass
//! [`conformance::check_online_store`], and so must any further store. Which rows to write is the offline engine's business.

mod admit;
pub mod codec;
pub mod conformance;
mod fjall_store;
mod memory;
pub mod store;
pub mod windows;

pub use fjall_store::FjallStore;
pub use memory::MemoryStore;
pub use store::{OnlineError, OnlineStore, PutReport, ViewRows, ViewSchema};
pub use windows::{WindowError, WindowState};
