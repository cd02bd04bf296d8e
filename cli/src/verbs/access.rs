//! `foretell access`: tokens for a server that others reach.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use foretell_serving::{Role, TokenHash};
use rand::TryRng as _;
use serde_json::json;

use crate::arguments::{Access, Common};
use crate::output;
use crate::project::{FILE, Project};

pub(crate) fn run(common: &Common, verb: &Access) -> Result<ExitCode> {
    match verb {
        Access::Token(verb) => token(common, &verb.name, &verb.roles),
        Access::List => list(common),
    }
}

fn token(common: &Common, name: &str, roles: &[Role]) -> Result<ExitCode> {
    if name.is_empty() || name.chars().any(char::is_control) {
        bail!(
            "a token needs the name of a person or a service, it is what the registry's records will say. got=`{name}`"
        );
    }
    // A project is not needed to make a token; where there is one, its names are taken.
    let taken = Project::find(common).ok().and_then(|it| it.settings.access);
    if taken.is_some_and(|it| it.holders().any(|it| it.actor == name)) {
        bail!(
            "{FILE} has a token of `{name}` already; take out `[access.tokens.{}]` first, or name another",
            key(name)
        );
    }
    let token = random_token()?;
    let lines = toml(name, &TokenHash::of(&token), roles);
    if common.json {
        let roles: Vec<&str> = roles.iter().map(|it| it.as_str()).collect();
        output::print_json(&json!({ "actor": name, "roles": roles, "token": token, "toml": lines }));
        return Ok(ExitCode::SUCCESS);
    }
    let text = format!(
        "token of {name}, shown only now; give it to them:\n  {token}\n\nfor {FILE}, read when the server starts:\n\n{lines}\n\
         they send it as `Authorization: Bearer ..`, the command line as FORETELL_TOKEN, MLflow's client as MLFLOW_TRACKING_TOKEN\n"
    );
    output::print_text(&text);
    Ok(ExitCode::SUCCESS)
}

fn list(common: &Common) -> Result<ExitCode> {
    let project = Project::find(common)?;
    let access = project.settings.access.unwrap_or_default();
    let mut holders: Vec<_> = access.holders().collect();
    holders.sort_by(|a, b| a.actor.cmp(&b.actor));
    if common.json {
        let holder = |it: &&foretell_serving::AccessToken| {
            let roles: Vec<&str> = it.roles.iter().map(|it| it.as_str()).collect();
            json!({ "actor": it.actor, "roles": roles, "sha256": it.sha256.to_string() })
        };
        output::print_json(&holders.iter().map(holder).collect::<Vec<_>>());
        return Ok(ExitCode::SUCCESS);
    }
    if holders.is_empty() {
        output::print_text(&format!(
            "nobody has a token: a server answers this machine only; `foretell access token NAME --role admin` starts [access] in {FILE}\n"
        ));
        return Ok(ExitCode::SUCCESS);
    }
    let heading = vec!["actor".to_owned(), "roles".to_owned()];
    let rows = holders.iter().map(|it| vec![it.actor.clone(), roles_text(&it.roles)]);
    output::print_text(&output::table(
        &std::iter::once(heading).chain(rows).collect::<Vec<_>>(),
    ));
    Ok(ExitCode::SUCCESS)
}

/// 192 bits from the operating system, as text that needs no quoting anywhere. One block of SHA-256: it is hashed with every
/// request.
fn random_token() -> Result<String> {
    let mut bytes = [0; 24];
    let drawn = rand::rngs::SysRng.try_fill_bytes(&mut bytes);
    drawn.context("the operating system gives no random numbers")?;
    let digits: String = bytes.iter().map(|it| format!("{it:02x}")).collect();
    Ok(format!("ft_{digits}"))
}

fn toml(name: &str, sha256: &TokenHash, roles: &[Role]) -> String {
    let roles: Vec<String> = roles.iter().map(|it| format!("\"{it}\"")).collect();
    format!(
        "[access.tokens.{}]\nsha256 = \"{sha256}\"\nroles = [{}]\n",
        key(name),
        roles.join(", ")
    )
}

/// The name as a TOML key, quoted where it must be.
fn key(name: &str) -> String {
    let bare = name
        .bytes()
        .all(|it| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'-'));
    match bare {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

fn roles_text<'a>(roles: impl IntoIterator<Item = &'a Role>) -> String {
    let roles: Vec<&str> = roles.into_iter().map(|it| it.as_str()).collect();
    roles.join(", ")
}
