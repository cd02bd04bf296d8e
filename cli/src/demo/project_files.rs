//! The project that `demo` runs and `init` writes: the catalogue's models over the demo company's files.

use std::path::Path;

use anyhow::Result;

macro_rules! catalogue {
    ($model:literal) => {
        (
            concat!("models/", $model, "/model.toml"),
            include_str!(concat!("../../../models/", $model, "/model.toml")),
        )
    };
}

/// Path in the project and text.
const FILES: [(&str, &str); 9] = [
    ("foretell.toml", include_str!("project/foretell.toml")),
    ("features/customer.toml", include_str!("project/features/customer.toml")),
    ("features/lead.toml", include_str!("project/features/lead.toml")),
    ("features/shop.toml", include_str!("project/features/shop.toml")),
    catalogue!("churn"),
    catalogue!("ltv"),
    catalogue!("conversion"),
    catalogue!("demand"),
    catalogue!("revenue"),
];

/// Writes the project's files and an empty `data/`; says which.
pub(crate) fn write(dir: &Path) -> Result<Vec<String>> {
    std::fs::create_dir_all(dir.join("data"))?;
    std::fs::write(dir.join(".gitignore"), ".foretell/\n")?;
    for (path, text) in FILES {
        let file = dir.join(path);
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(file, text)?;
    }
    Ok(FILES.iter().map(|(path, _)| (*path).to_owned()).collect())
}
