//! Without logged requests: some entities of the files, read online as of now, and what the files say at that instant.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use anyhow::{Context as _, Result, bail};
use foretell_features::{EntityKey, Timestamp, Value};
use foretell_features_offline::{EntityBatchSpec, OfflineStore, OfflineStoreError, ServedFeature, ServedRow};
use foretell_features_online::OnlineFeatures;

use super::Sample;

/// The entities with the least hashes among those that the features' views know, as the online store answers for them.
pub(super) async fn rows(
    online: &OnlineFeatures,
    offline: &OfflineStore,
    features: &[ServedFeature],
    sample: Sample,
    now: Timestamp,
) -> Result<Vec<ServedRow>> {
    let keys = keys(offline, features, sample, now)?;
    let mut values = vec![vec![Value::Null; features.len()]; keys.len()];
    for (view, places) in by_view(features) {
        let defined = offline.view_definition(view)?;
        let global = defined.entity.is_none();
        let stored = online.view(view, Some(&defined.id().version)).await?;
        let at = |place: &usize| {
            let name = &features[*place].feature;
            stored
                .feature(name)
                .with_context(|| format!("view `{view}` has no feature `{name}` online"))
        };
        let wanted = places.iter().map(at).collect::<Result<Vec<_>>>()?;
        let wanted = stored.project(&wanted, defined.view.max_age);
        let asked: Vec<EntityKey> = match global {
            true => vec![EntityKey(Vec::new()); keys.len()],
            false => keys.clone(),
        };
        let read = online.read(&stored, &asked, &wanted, now).await?;
        for (row, values) in values.iter_mut().enumerate() {
            for (read, place) in read.row(row).iter().zip(&places) {
                values[*place] = read.clone().into_counted();
            }
        }
    }
    let row = |(key, values)| ServedRow {
        key: Some(key),
        at: now,
        values,
    };
    Ok(keys.into_iter().zip(values).map(row).collect())
}

/// The same seed takes the same entities.
fn keys(offline: &OfflineStore, features: &[ServedFeature], sample: Sample, now: Timestamp) -> Result<Vec<EntityKey>> {
    let hash = |key: &EntityKey| {
        let mut hasher = DefaultHasher::new();
        (sample.seed, key).hash(&mut hasher);
        hasher.finish()
    };
    let mut least: BTreeMap<u64, EntityKey> = BTreeMap::new();
    for view in by_view(features).into_keys() {
        if offline.view_definition(view)?.entity.is_none() {
            continue;
        }
        let spec = EntityBatchSpec {
            view,
            to: now,
            expressions: &[],
            keys: None,
            files: None,
        };
        offline.for_each_entity_batch(&spec, |batch| -> Result<(), OfflineStoreError> {
            for it in batch.entities {
                least.insert(hash(&it.key), it.key);
                if least.len() > sample.rows {
                    least.pop_last();
                }
            }
            Ok(())
        })?;
    }
    if least.is_empty() {
        bail!("the files know no entity by {now}; there is nothing to compare");
    }
    Ok(least.into_values().collect())
}

/// Views, and the places of their features.
fn by_view(features: &[ServedFeature]) -> BTreeMap<&str, Vec<usize>> {
    let mut views: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, it) in features.iter().enumerate() {
        views.entry(&it.view).or_default().push(place);
    }
    views
}
