//! The model registry: immutable versions of packages, aliases that move, and the log that says who moved them and why.
//!
//! Everything is an object in one [`object_store::ObjectStore`]: a folder, memory, or a bucket. There is no database and
//! no lock. A record that is *created* (never overwritten) at the next free number of a log is one commit; readers fold
//! the log. Each record carries the hash of the one before it, so the log is also the audit trail.
//!
//! ```text
//! blobs/sha256/ab/<hash>                      package files by content
//! manifests/sha256/<hash>.json                a package's file list; its hash is the package digest
//! catalog/log/<20-digit seq>.json             model names -> ids: create, rename, delete
//! models/<id>/log/<20-digit seq>.json         versions, aliases, tags of one model
//! models/<id>/snap/<20-digit seq>.json        folded state: a hint, checked before use
//! models/<id>/chunks/<hash>.json              versions of a folded state, 256 at a time: shared by snapshots
//! catalog/head                                rewritten by every commit: a hint for watchers
//! leases/{servers,uploads}/<id>.json           what a garbage collection must leave alone
//! gc/<20-digit seq>.json                      the mark of a garbage collection at work
//! catalog/create-only                         shows that the store creates nothing twice
//! ```
//!
//! Writes go blobs, manifest, record, hints, in that order, so a crash at any point leaves the old or the new state.
//! The registry never interprets the bytes of a package, never reads the clock ([`Stamp`] brings the time), and leaves
//! access control to its caller.

mod actor;
mod archive;
mod audit;
mod change;
pub mod conformance;
mod digest;
mod error;
mod files;
mod gc;
mod head;
mod lease;
mod log;
mod names;
mod naming;
mod open;
mod package;
mod publish;
mod record;
mod reference;
mod registry;
mod seal;
mod sign;
mod state;
mod storage;
mod streams;
mod verify;
mod view;
mod watch;

pub use actor::Actor;
pub use archive::ImportRequest;
pub use audit::{AuditEntry, AuditReport};
pub use change::{AliasMove, ChangeRequest, PromoteRequest, RollbackRequest};
pub use digest::{Digest, TxId};
pub use error::{Nearest, RegistryError, Result};
pub use gc::{GcReport, GcRequest};
pub use lease::LEASE_LIFE;
pub use names::{check_alias, check_model_name, check_tag};
pub use naming::CreateModelRequest;
pub use open::open_store;
pub use package::{Manifest, ManifestFile, PackageFile};
pub use publish::PublishRequest;
pub use record::{CatalogOp, Expected, ModelOp, Record, Stamp};
pub use reference::{ModelRef, VersionRef};
pub use registry::Registry;
pub use sign::{PublicKey, Signature, SigningKey};
pub use streams::{StreamedFile, chunks};
pub use verify::VerifyReport;
pub use view::{ModelState, ModelVersion, VersionRow};
pub use watch::Watcher;
