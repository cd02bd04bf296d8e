//! The five models that ship with Foretell, as the text of their files: `foretell init` and the demo write them into a project.

/// One model of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatalogueModel {
    /// The model's name and folder, `churn`.
    pub name: &'static str,
    /// `model.toml`.
    pub toml: &'static str,
    /// `README.md`.
    pub readme: &'static str,
}

macro_rules! catalogue {
    ($($name:literal),*) => {
        [$(CatalogueModel {
            name: $name,
            toml: include_str!(concat!("../", $name, "/model.toml")),
            readme: include_str!(concat!("../", $name, "/README.md")),
        }),*]
    };
}

/// All models, in the order in which a project meets them.
pub const CATALOGUE: [CatalogueModel; 5] = catalogue!["churn", "ltv", "conversion", "demand", "revenue"];
