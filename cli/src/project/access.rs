//! `[access]`: tokens by the name of their holder.

use std::collections::BTreeSet;
use std::sync::Arc;

use foretell_features::document::Section;
use foretell_serving::{Access, AccessToken, Role, TokenHash};

/// `[access.tokens.NAME]` with `sha256` and `roles`; `None` where the project has no `[access]`.
pub(super) fn access_of(document: &Section<'_>) -> Option<Arc<Access>> {
    let access = document.table("access")?;
    let tokens = access.table("tokens");
    access.refuse_unknown();
    let holders = tokens.as_ref().map_or(&[][..], |it| it.entries());
    if holders.is_empty() {
        let advice = "nobody has a token; `foretell access token NAME --role admin` prints one and what to write here";
        document.problem("access", advice);
    }
    let mut read = Vec::new();
    for entry in holders {
        let section = tokens.as_ref().and_then(|it| it.section_of(entry));
        match section {
            Some(section) => read.extend(token_of(&entry.name, &section)),
            None => document.problem("access", format!("`tokens.{}` is not a table", entry.name)),
        }
    }
    match Access::new(read) {
        Ok(access) => Some(Arc::new(access)),
        Err(reason) => {
            document.problem("access", reason);
            None
        }
    }
}

fn token_of(actor: &str, section: &Section<'_>) -> Option<AccessToken> {
    let sha256 = section.need::<String>("sha256");
    let roles = section.need::<Vec<String>>("roles");
    section.refuse_unknown();
    let sha256 = sha256.and_then(|text| match text.parse::<TokenHash>() {
        Ok(sha256) => Some(sha256),
        Err(reason) => {
            section.problem("sha256", reason);
            None
        }
    });
    let roles = roles.map(|it| roles_of(&it, section))?;
    if roles.is_empty() {
        section.problem(
            "roles",
            format!("names no role; there are {}", Role::ALL.map(Role::as_str).join(", ")),
        );
    }
    Some(AccessToken {
        actor: actor.to_owned(),
        sha256: sha256?,
        roles,
    })
}

fn roles_of(names: &[String], section: &Section<'_>) -> BTreeSet<Role> {
    let mut roles = BTreeSet::new();
    for name in names {
        match name.parse::<Role>() {
            Ok(role) => drop(roles.insert(role)),
            Err(reason) => section.problem_in_list("roles", name, reason),
        }
    }
    roles
}
