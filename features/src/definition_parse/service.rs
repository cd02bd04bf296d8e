//! `[service.X]`.

use super::{Listed, about};
use crate::definition::FeatureRef;
use crate::document::{Item, ListItem, Section};
use crate::service::Service;

pub(super) fn service(name: &str, section: &Section<'_>) -> Service {
    let features = references(section, "features");
    if features.is_empty() && section.need::<Vec<String>>("features").is_some() {
        section.problem("features", "a service needs features; write features = [\"view:*\"]");
    }
    let service = Service {
        name: name.to_owned(),
        features,
        except: references(section, "except"),
        about: about::about(section),
    };
    section.refuse_unknown();
    service
}

/// Every reference with its place.
pub(super) fn listed(section: &Section<'_>) -> Vec<Listed> {
    let of = |key: &'static str| {
        let texts = texts(section, key).into_iter();
        texts.map(move |text| Listed {
            place: section.place_in_list(key, &text),
            reference: reference(&text),
        })
    };
    of("features").chain(of("except")).collect()
}

fn references(section: &Section<'_>, key: &str) -> Vec<FeatureRef> {
    let texts = section.get::<Vec<String>>(key).unwrap_or_default();
    texts.iter().map(|it| reference(it)).collect()
}

/// What is in the list, as far as it is text; what is not was told when it was read.
fn texts(section: &Section<'_>, key: &str) -> Vec<String> {
    match section.item(key) {
        Some(Item::List(items)) => {
            let text = |it: &ListItem| match &it.item {
                Item::Text(text) => Some(text.clone()),
                _ => None,
            };
            items.iter().filter_map(text).collect()
        }
        _ => Vec::new(),
    }
}

fn reference(text: &str) -> FeatureRef {
    text.parse().expect("every text is a reference")
}
