//! `description`, `owner` and `tags` of any definition.

use std::collections::BTreeMap;

use super::read;
use crate::about::About;
use crate::document::Section;

pub(super) fn about(section: &Section<'_>) -> About {
    About {
        description: section.get("description"),
        owner: section.get("owner"),
        tags: tags(section),
    }
}

fn tags(section: &Section<'_>) -> BTreeMap<String, String> {
    let Some(tags) = section.table("tags") else {
        return BTreeMap::new();
    };
    let named = tags
        .entries()
        .iter()
        .filter_map(|it| Some((it.name.clone(), read(&tags, it)?)));
    named.collect()
}
