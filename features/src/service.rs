//! Feature services: named lists of features, of one entity or of several, that clients ask for as one.

use crate::about::About;
use crate::definition::{Definitions, EntityName, FeatureRef, View, ViewName};
use crate::spelling;

/// Name of a service, `checkout`.
pub type ServiceName = String;

/// `[service.X]`: features that are read together.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// What it gives, in order: `view:*`, `view:feature`, or the name of a derived feature.
    pub features: Vec<FeatureRef>,
    /// What it leaves out of them.
    pub except: Vec<FeatureRef>,
    /// Description, owner, tags.
    pub about: About,
}

/// What a reference means. Views with `latest = "*"` may have features that only their files tell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Found<'a> {
    /// All features of a view.
    View(&'a View),
    /// A stored feature of a view.
    Stored(&'a View, &'a str),
    /// A derived feature of an entity.
    Derived(&'a str, &'a str),
}

/// One feature that can be asked for, by what keeps or derives it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceFeature {
    /// In the online store.
    Stored {
        /// The view.
        view: ViewName,
        /// Its feature.
        feature: String,
    },
    /// Computed on demand.
    Derived {
        /// For whom.
        entity: EntityName,
        /// Its name.
        name: String,
    },
}

/// A reference that means nothing, or two things.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// No such view (and no entity of this name with derived features).
    #[error("unknown feature view `{name}`{hint}")]
    View {
        /// As given.
        name: ViewName,
        /// The nearest name.
        hint: String,
    },
    /// The view has no such feature.
    #[error("unknown feature `{view}:{name}`{hint}")]
    Feature {
        /// The view, or the entity of derived features.
        view: ViewName,
        /// As given.
        name: String,
        /// The nearest name.
        hint: String,
    },
    /// No derived feature of this name.
    #[error("unknown derived feature `{name}`{hint}")]
    Derived {
        /// As given.
        name: String,
        /// The nearest name, or how to write what is meant.
        hint: String,
    },
    /// Several entities derive a feature of this name.
    #[error("`{name}` is derived for `{first}` and for `{second}`; write `{first}:{name}`")]
    Ambiguous {
        /// As given.
        name: String,
        /// One entity.
        first: EntityName,
        /// Another.
        second: EntityName,
    },
    /// A request value is what the caller sends, not what is read.
    #[error("`{name}` is a request value, which the caller sends; leave it out")]
    Request {
        /// As given.
        name: String,
    },
}

impl Definitions {
    /// What a reference means, whatever the entity: `view:*`, `view:feature`, a derived feature by its name or, where two
    /// entities derive one of the same name, as `entity:name`.
    ///
    /// # Errors
    /// It means nothing, or two things; the message names the nearest reference that means something.
    pub fn found<'a>(&'a self, reference: &'a FeatureRef) -> Result<Found<'a>, ReferenceError> {
        match reference {
            FeatureRef::All(view) => self.views.get(view).map(Found::View).ok_or_else(|| self.no_view(view)),
            FeatureRef::One(view, feature) => self.one(view, feature),
            FeatureRef::Bare(name) => self.bare(name),
        }
    }

    /// What a list of references gives, in order and each once, less what is left out. `columns` tells the features of a
    /// view in order.
    ///
    /// # Errors
    /// A reference that means nothing, or two things.
    pub fn expand(
        &self,
        features: &[FeatureRef],
        except: &[FeatureRef],
        columns: &dyn Fn(&View) -> Vec<String>,
    ) -> Result<Vec<ServiceFeature>, ReferenceError> {
        let left_out = self.expanded(except, columns)?;
        let mut given: Vec<ServiceFeature> = Vec::new();
        for it in self.expanded(features, columns)? {
            if !left_out.contains(&it) && !given.contains(&it) {
                given.push(it);
            }
        }
        Ok(given)
    }

    fn expanded(
        &self,
        references: &[FeatureRef],
        columns: &dyn Fn(&View) -> Vec<String>,
    ) -> Result<Vec<ServiceFeature>, ReferenceError> {
        let stored = |view: &View, feature: String| ServiceFeature::Stored {
            view: view.name.clone(),
            feature,
        };
        let mut all = Vec::new();
        for reference in references {
            match self.found(reference)? {
                Found::View(view) => all.extend(columns(view).into_iter().map(|it| stored(view, it))),
                Found::Stored(view, feature) => all.push(stored(view, feature.to_owned())),
                Found::Derived(entity, name) => all.push(ServiceFeature::Derived {
                    entity: entity.to_owned(),
                    name: name.to_owned(),
                }),
            }
        }
        Ok(all)
    }

    fn one<'a>(&'a self, view: &'a str, feature: &'a str) -> Result<Found<'a>, ReferenceError> {
        let stored = self.views.get(view);
        if let Some(it) = stored.filter(|it| it.all_columns || it.features.iter().any(|it| it.name == feature)) {
            return Ok(Found::Stored(it, feature));
        }
        let derived = || self.derived.get(view).into_iter().flatten().map(|it| it.name.as_str());
        if derived().any(|it| it == feature) {
            return Ok(Found::Derived(view, feature));
        }
        if stored.is_none() && !self.derived.contains_key(view) {
            return Err(self.no_view(view));
        }
        let there = stored
            .into_iter()
            .flat_map(|it| &it.features)
            .map(|it| it.name.as_str());
        Err(ReferenceError::Feature {
            view: view.to_owned(),
            name: feature.to_owned(),
            hint: spelling::hint(feature, there.chain(derived())),
        })
    }

    fn bare<'a>(&'a self, name: &'a str) -> Result<Found<'a>, ReferenceError> {
        let deriving = self
            .derived
            .iter()
            .filter(|(_, all)| all.iter().any(|it| it.name == name));
        let mut deriving = deriving.map(|(entity, _)| entity);
        match (deriving.next(), deriving.next()) {
            (Some(entity), None) => Ok(Found::Derived(entity, name)),
            (Some(first), Some(second)) => Err(ReferenceError::Ambiguous {
                name: name.to_owned(),
                first: first.clone(),
                second: second.clone(),
            }),
            (None, _) => Err(self.no_derived(name)),
        }
    }

    fn no_view(&self, name: &str) -> ReferenceError {
        let hint = spelling::hint(name, self.views.keys().chain(self.derived.keys()).map(String::as_str));
        let name = name.to_owned();
        ReferenceError::View { name, hint }
    }

    fn no_derived(&self, name: &str) -> ReferenceError {
        let owned = name.to_owned();
        if self.request.values().flatten().any(|it| it.name == name) {
            return ReferenceError::Request { name: owned };
        }
        let stored = self
            .views
            .values()
            .find(|view| view.features.iter().any(|it| it.name == name));
        let hint = match stored {
            Some(view) => format!("; write `{}:{name}` for the stored feature", view.name),
            None => {
                let derived = self.derived.values().flatten().map(|it| it.name.as_str());
                spelling::hint(name, derived)
            }
        };
        ReferenceError::Derived { name: owned, hint }
    }
}
