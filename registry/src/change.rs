//! Changes after publishing: aliases, promotions, rollbacks, tags, tombstones. Each is one record.

use serde_json::Value;

use crate::error::{RegistryError, Result};
use crate::log::Draft;
use crate::names::{check_alias, check_tag};
use crate::record::{Expected, ModelOp, Stamp};
use crate::registry::Registry;
use crate::state::ModelLog;
use crate::view::{ModelState, ModelVersion};

/// An alias and where it is to point; `None` deletes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AliasMove {
    /// The alias.
    pub alias: String,
    /// The version.
    pub to: Option<u64>,
}

/// A version becomes what an alias stands for, with the evidence that it should.
#[derive(Clone, Debug)]
pub struct PromoteRequest {
    /// The model's name.
    pub model: String,
    /// The version.
    pub version: u64,
    /// The alias it gets, e.g. `champion`.
    pub alias: String,
    /// Aliases that move in the same commit, e.g. `previous` to the old champion.
    pub also: Vec<AliasMove>,
    /// Where aliases must point now; anything else is a [`RegistryError::Conflict`].
    pub expect: Option<Expected>,
    /// Gates, metrics, approvals: kept in the record, not interpreted.
    pub evidence: Value,
    /// Who, when, why.
    pub stamp: Stamp,
}

impl PromoteRequest {
    /// `alias` to `version`, whatever it points to now, and nothing else.
    pub fn new(model: impl Into<String>, version: u64, alias: impl Into<String>, stamp: Stamp) -> Self {
        let (model, alias) = (model.into(), alias.into());
        Self {
            model,
            version,
            alias,
            also: Vec::new(),
            expect: None,
            evidence: Value::Null,
            stamp,
        }
    }

    fn ops(&self) -> Vec<ModelOp> {
        let first = ModelOp::SetAlias {
            alias: self.alias.clone(),
            version: self.version,
        };
        let others = self.also.iter().map(|AliasMove { alias, to }| match to {
            Some(version) => ModelOp::SetAlias {
                alias: alias.clone(),
                version: *version,
            },
            None => ModelOp::DeleteAlias { alias: alias.clone() },
        });
        std::iter::once(first).chain(others).collect()
    }
}

/// An alias goes back to where it pointed before its last move.
#[derive(Clone, Debug)]
pub struct RollbackRequest {
    /// The model's name.
    pub model: String,
    /// The alias.
    pub alias: String,
    /// Where aliases must point now; anything else is a [`RegistryError::Conflict`].
    pub expect: Option<Expected>,
    /// Who, when, why.
    pub stamp: Stamp,
}

impl RollbackRequest {
    /// Rolls `alias` back, whatever it points to now.
    pub fn new(model: impl Into<String>, alias: impl Into<String>, stamp: Stamp) -> Self {
        Self {
            model: model.into(),
            alias: alias.into(),
            expect: None,
            stamp,
        }
    }
}

/// Any changes that belong together, in one commit.
#[derive(Clone, Debug)]
pub struct ChangeRequest {
    /// The model's name.
    pub model: String,
    /// What changes; versions are published and aliases rolled back elsewhere.
    pub ops: Vec<ModelOp>,
    /// Where aliases must point now; anything else is a [`RegistryError::Conflict`].
    pub expect: Option<Expected>,
    /// What justifies it.
    pub evidence: Option<Value>,
    /// Who, when, why.
    pub stamp: Stamp,
}

impl ChangeRequest {
    /// These changes, whatever the state.
    pub fn new(model: impl Into<String>, ops: Vec<ModelOp>, stamp: Stamp) -> Self {
        Self {
            model: model.into(),
            ops,
            expect: None,
            evidence: None,
            stamp,
        }
    }
}

impl Registry {
    /// Promotes a version: all alias moves and the evidence are one record. Returns the version as promoted.
    pub async fn promote(&self, request: PromoteRequest) -> Result<ModelVersion> {
        let ops = request.ops();
        let PromoteRequest {
            model,
            version,
            expect,
            evidence,
            stamp,
            ..
        } = request;
        let evidence = Some(evidence).filter(|it| !it.is_null());
        self.change(ChangeRequest {
            model,
            ops,
            expect,
            evidence,
            stamp,
        })
        .await?
        .version(version)
    }

    /// Rolls an alias back to the newest live version it pointed to before; again, one further. What it was rolled back
    /// from is not returned to.
    pub async fn rollback(&self, request: RollbackRequest) -> Result<ModelVersion> {
        let RollbackRequest {
            model,
            alias,
            expect,
            stamp,
        } = request;
        let draft = Draft {
            expected: expect.as_ref(),
            ..Draft::new(&model, &stamp)
        };
        let plan = |log: &ModelLog| {
            let version = log.before(&model, &alias)?;
            Ok(vec![ModelOp::RollBackAlias {
                alias: alias.clone(),
                version,
            }])
        };
        self.commit(&draft, plan).await?.alias(&alias)
    }

    /// Points an alias to a version. Nothing is recorded when it already points there.
    pub async fn set_alias(&self, model: &str, alias: &str, version: u64, stamp: &Stamp) -> Result<ModelState> {
        check_alias(alias)?;
        let plan = |log: &ModelLog| {
            log.version(model, version)?;
            let set = ModelOp::SetAlias {
                alias: alias.to_owned(),
                version,
            };
            let there = log.aliases.get(alias) == Some(&version);
            Ok(if there { Vec::new() } else { vec![set] })
        };
        self.commit(&Draft::new(model, stamp), plan).await
    }

    /// Deletes an alias. Nothing is recorded when there is none.
    pub async fn delete_alias(&self, model: &str, alias: &str, stamp: &Stamp) -> Result<ModelState> {
        let plan = |log: &ModelLog| {
            let delete = ModelOp::DeleteAlias {
                alias: alias.to_owned(),
            };
            let there = log.aliases.contains_key(alias);
            Ok(if there { vec![delete] } else { Vec::new() })
        };
        self.commit(&Draft::new(model, stamp), plan).await
    }

    /// Deletes a version: its number stays used, aliases to it go. Its record stays for the audit.
    pub async fn delete_version(&self, model: &str, version: u64, stamp: &Stamp) -> Result<ModelState> {
        self.commit(&Draft::new(model, stamp), |_| {
            Ok(vec![ModelOp::DeleteVersion { version }])
        })
        .await
    }

    /// Commits changes that belong together, all or none.
    pub async fn change(&self, request: ChangeRequest) -> Result<ModelState> {
        request.ops.iter().try_for_each(check_op)?;
        let ChangeRequest {
            model,
            ops,
            expect,
            evidence,
            stamp,
        } = &request;
        let draft = Draft {
            expected: expect.as_ref(),
            evidence: evidence.as_ref(),
            ..Draft::new(model, stamp)
        };
        self.commit(&draft, |_| Ok(ops.clone())).await
    }

    pub(crate) async fn commit<P>(&self, draft: &Draft<'_>, plan: P) -> Result<ModelState>
    where
        P: FnMut(&ModelLog) -> Result<Vec<ModelOp>> + Send,
    {
        let entry = self.entry(draft.subject).await?;
        let head = self.log_of(&entry.id).commit(draft, plan).await?;
        Ok(ModelState::new(draft.subject, &entry, head))
    }
}

fn check_op(op: &ModelOp) -> Result<()> {
    match op {
        ModelOp::SetAlias { alias, .. } => check_alias(alias),
        ModelOp::SetTag { key, value, .. } => check_tag(key, value),
        ModelOp::CreateVersion { .. } => Err(unsupported("publish", "a version")),
        ModelOp::AddSignature { .. } => Err(unsupported("sign", "a signature")),
        ModelOp::RollBackAlias { .. } => Err(unsupported("rollback", "an alias's past")),
        _ => Ok(()),
    }
}

fn unsupported(call: &str, what: &str) -> RegistryError {
    RegistryError::Unsupported {
        what: format!("a change cannot make up {what}; use `{call}`"),
    }
}
