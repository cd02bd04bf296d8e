//! The project that `demo` runs and `init` writes: the catalogue's models over the demo company's files.

use std::path::Path;

use anyhow::Result;
use foretell_models::CATALOGUE;

/// Path in the project and text; the models come from the catalogue.
const FILES: [(&str, &str); 4] = [
    ("foretell.toml", include_str!("project/foretell.toml")),
    ("features/customer.toml", include_str!("project/features/customer.toml")),
    ("features/lead.toml", include_str!("project/features/lead.toml")),
    ("features/shop.toml", include_str!("project/features/shop.toml")),
];

/// Writes the project's files and an empty `data/`; says which.
pub(crate) fn write(dir: &Path) -> Result<Vec<String>> {
    std::fs::create_dir_all(dir.join("data"))?;
    std::fs::write(dir.join(".gitignore"), ".foretell/\n")?;
    let mut files: Vec<(String, &str)> = FILES.iter().map(|(path, text)| ((*path).to_owned(), *text)).collect();
    for model in CATALOGUE {
        files.push((format!("models/{}/model.toml", model.name), model.toml));
        files.push((format!("models/{}/README.md", model.name), model.readme));
    }
    for (path, text) in &files {
        let file = dir.join(path);
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(file, text)?;
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}
