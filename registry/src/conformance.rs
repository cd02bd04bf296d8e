//! What the registry does over every object store, as one suite: a new kind of store is one call away from being tested.
//!
//! The functions panic on the first difference, like any test. They use models of their own (`conformance-..`) and leave
//! them behind, so give them a store of its own. [`Between`] is the store that errs on purpose, for tests of callers.

use std::sync::Arc;

use object_store::ObjectStore;

use crate::{ModelState, ModelVersion, PackageFile, PublishRequest, Registry, Stamp};

mod between;
mod broken;
mod commits;
mod models;

pub use between::{Between, Call, Fate, Verb};

type Store = Arc<dyn ObjectStore>;

/// Every promise of [`Registry`] that rests on its store.
///
/// # Panics
/// On the first promise that does not hold.
pub async fn check_registry(store: Arc<dyn ObjectStore>) {
    let registry = Registry::new(store.clone());
    models::names_are_unique_and_reusable(&registry).await;
    models::versions_are_numbered_and_never_reused(&registry).await;
    models::files_come_back_as_they_were(&registry).await;
    models::equal_files_are_stored_once(&store, &registry).await;
    models::aliases_move_and_roll_back(&registry).await;
    models::the_history_is_a_chain(&registry).await;
    models::bad_names_are_refused_and_leave_nothing(&registry).await;
    commits::a_swap_needs_the_expected_state(&registry).await;
    commits::concurrent_writers_lose_nothing(&store).await;
    commits::one_of_many_founders_wins(&store).await;
    commits::readers_see_whole_states(&store).await;
    commits::a_watcher_notices_each_commit_once(&store).await;
    commits::many_commits_read_back(&store).await;
    broken::lost_replies_are_settled(&store).await;
    broken::a_refused_write_changes_nothing(&store).await;
    broken::damage_is_named(&store).await;
    broken::a_store_without_conditions_is_refused(&store).await;
    assert_sound(&store).await;
}

/// A new reader, which knows nothing yet.
fn reader(store: &Store) -> Registry {
    Registry::new(store.clone())
}

fn ann(time: i64) -> Stamp {
    Stamp::new("ann", time)
}

/// A file that differs with `content` and one that never does.
fn package(content: &str) -> Vec<PackageFile> {
    let card = PackageFile::new("docs/card.md", "# conformance");
    vec![card, PackageFile::new("model.bin", content.as_bytes().to_vec())]
}

fn request(model: &str, content: &str) -> PublishRequest {
    PublishRequest::new(model, package(content), ann(1))
}

async fn publish(registry: &Registry, model: &str, content: &str) -> ModelVersion {
    let published = registry.publish(request(model, content)).await;
    published.expect("a version can be published")
}

async fn state(registry: &Registry, model: &str) -> ModelState {
    registry.model(model).await.expect("the model can be read")
}

fn numbers(model: &ModelState) -> Vec<u64> {
    model.versions().map(|it| it.version).collect()
}

async fn assert_sound(store: &Store) {
    let report = reader(store).verify().await.expect("the store can be read");
    assert!(report.is_ok(), "{report}");
}
