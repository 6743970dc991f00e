//! A new program is tried where it is stored, before it replaces an old one.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use build_sandbox::{BuildSpec, Isolation};
use untrusted_tree::{Limits, Tree};

use super::{Choice, Recipe, Run};
use crate::blocking::blocking;
use crate::concession::Concession;
use crate::error::ProvisionError;
use crate::install::Launcher;
use crate::plan;
use crate::progress::ProvisionPhase;
use crate::receipt::Receipt;
use crate::store::Version;
use crate::trial::{self, Answer};
use crate::workspace::Workspace;

/// A program that has not answered by then is not going to.
const TRIAL_LIMIT: Duration = Duration::from_secs(10);

impl Run {
    /// Tries a stored program that was not tried yet. One that is refused is gone from the store, unless
    /// it is installed already.
    ///
    /// The build directory is gone by now, so that nothing of it can help the program.
    pub(crate) async fn try_out(
        &self,
        version: Version,
        choice: &Choice,
    ) -> Result<Version, ProvisionError> {
        let worked = self.worked_before(&version.receipt).await?;
        let recipe = Recipe {
            text: String::new(),
            tls: true,
        };
        let workspace = self.workspace(&recipe).await?;
        let answer = self.ask(&version, choice, &workspace).await;
        blocking(move || workspace.remove()).await?;
        let store = self.shared.store.clone();
        let mut version = version;
        let problem = match answer? {
            Answer::Given => None,
            Answer::Silent { problem, is_final } if is_final || worked => {
                // What is installed already, without a trial, stays as it is.
                blocking(move || {
                    if store.is_installed(&version) {
                        return Ok(());
                    }
                    store.withdraw(&version)
                })
                .await?;
                return Err(ProvisionError::Trial {
                    id: self.request.worker_id.clone(),
                    problem,
                });
            }
            Answer::Silent { problem, .. } => Some(problem),
        };
        version.receipt.answered = Some(problem.is_none());
        if let Some(problem) = problem {
            let text = format!("the new program starts, but {problem}");
            self.emitter.warn(ProvisionPhase::Trial, text);
        }
        if let Some(concessions) = &mut version.receipt.concessions {
            concessions.remove(&Concession::Untried);
        }
        blocking(move || store.record(&version).map(|()| version)).await
    }

    /// Whether the version that would be replaced answered.
    async fn worked_before(&self, receipt: &Receipt) -> Result<bool, ProvisionError> {
        let store = self.shared.store.clone();
        let (id, backend) = (receipt.worker_id.clone(), receipt.backend);
        blocking(move || {
            let installed = store.installed(&id, backend);
            Ok(installed.is_ok_and(|version| version.receipt.answered == Some(true)))
        })
        .await
    }

    /// Asks the program, started as it will be.
    async fn ask(
        &self,
        version: &Version,
        choice: &Choice,
        workspace: &Workspace,
    ) -> Result<Answer, ProvisionError> {
        let config = &self.shared.config;
        let (tier, _) = self.tier().await;
        let is_root = nix::unistd::geteuid().is_root();
        let is_copied = match tier {
            Isolation::Namespaces => false,
            // Nothing holds a program of the same user from what is stored.
            Isolation::Group if !is_root => true,
            // The build's user may not go where root keeps what is stored.
            _ => is_root && !is_passable(&version.tree()),
        };
        let tree = if is_copied {
            workspace.startdir().join("tree")
        } else {
            version.tree()
        };
        let mut spec = plan::trial_spec(config, workspace, choice, tree.clone());
        spec.limits.wall = TRIAL_LIMIT;
        if is_copied {
            spec.mounts.retain(|mount| mount.source != tree);
        }
        let launcher = workspace.startdir().join("launcher");
        let (stored, receipt, script) = (version.tree(), version.receipt.clone(), launcher.clone());
        let cancel = self.cancel.child_token();
        let _guard = cancel.clone().drop_guard();
        blocking(move || prepare(is_copied, &stored, &tree, &receipt, &script, &cancel)).await?;
        let answer = self.run_trial(&spec, &launcher, &version.program()).await?;
        if tier == Isolation::Group {
            let tried = version.clone();
            let problems = blocking(move || tried.tree_problems()).await?;
            if !problems.is_empty() {
                return Ok(Answer::Silent {
                    problem: format!(
                        "what is stored of it was changed while it was tried: {}",
                        problems.join(", ")
                    ),
                    is_final: true,
                });
            }
        }
        Ok(answer)
    }

    async fn run_trial(
        &self,
        spec: &BuildSpec,
        launcher: &Path,
        program: &Path,
    ) -> Result<Answer, ProvisionError> {
        let sandbox = &self.shared.sandbox;
        trial::run(
            sandbox,
            spec,
            launcher,
            program,
            &self.cancel,
            &self.emitter,
        )
        .await
    }
}

/// Writes what starts the program, and copies its tree where that is to be done.
fn prepare(
    is_copied: bool,
    stored: &Path,
    tree: &Path,
    receipt: &Receipt,
    script: &Path,
    cancel: &tokio_util::sync::CancellationToken,
) -> Result<(), ProvisionError> {
    if is_copied {
        let failed = |source| ProvisionError::tree("copy", stored, source);
        fs::create_dir(tree).map_err(|source| ProvisionError::io("create", tree, source))?;
        let (from, to) = (
            Tree::open(stored).map_err(failed)?,
            Tree::open(tree).map_err(failed)?,
        );
        untrusted_tree::copy(&[&from], &to, &Limits::default(), &|| cancel.is_cancelled())
            .map_err(failed)?;
    }
    let launcher = Launcher {
        tree,
        program: &receipt.program,
        relocation: &receipt.relocation,
    };
    let failed = |source| ProvisionError::io("write", script, source);
    fs::write(script, launcher.script()).map_err(failed)?;
    fs::set_permissions(script, Permissions::from_mode(0o755)).map_err(failed)
}

/// Whether everybody may go to a directory.
fn is_passable(path: &Path) -> bool {
    let parents: Vec<PathBuf> = path.ancestors().map(Path::to_owned).collect();
    parents
        .iter()
        .all(|parent| fs::metadata(parent).is_ok_and(|found| found.mode() & 0o001 != 0))
}
