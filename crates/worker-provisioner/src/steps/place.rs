//! From a package tree to an installed binary.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use catalog_client::WorkerEntry;
use jiff::Timestamp;
use source_fetch::Fetched;

use super::{Built, Choice, Recipe, Run};
use crate::accelerator;
use crate::activate::{self, Target};
use crate::artifact::{WorkerBinary, artifact_id};
use crate::binary;
use crate::blocking::blocking;
use crate::concession;
use crate::contract::Artifact as _;
use crate::error::ProvisionError;
use crate::fit;
use crate::install::BinDir;
use crate::names::{self, Names, Place};
use crate::package::EvaluatedPackage;
use crate::plan;
use crate::progress::{Happening, ProvisionPhase};
use crate::provisioner::Provisioned;
use crate::receipt::{RECEIPT_VERSION, Receipt};
use crate::relocation::{self, Relocation};
use crate::store::{Change, Version};
use crate::version::FullVersion;
use crate::workspace::{self, Workspace};

impl Run {
    /// Finds and checks the program, and keeps the package tree with its receipt.
    pub(crate) async fn store(
        &self,
        recipe: &Recipe,
        choice: &Choice,
        built: Built,
        sources: &[Fetched],
        workspace: &Workspace,
    ) -> Result<Version, ProvisionError> {
        let config = &self.shared.config;
        let package = Arc::clone(&built.package);
        self.judge_version(&package.full_version(), choice).await?;
        let binary_name = choice.variant.binary_name.clone();
        let mut receipt = Receipt {
            receipt_version: RECEIPT_VERSION,
            worker_id: self.request.worker_id.clone(),
            backend: choice.backend.backend,
            flavor: choice.flavor,
            epoch: package.full_version().epoch,
            pkgver: package.pkgver().to_owned(),
            pkgrel: package.pkgrel().to_owned(),
            recipe_sha256: activate::digest([recipe.text.as_str()]),
            build_key: plan::build_key(config, &recipe.text, choice),
            sources: sources.iter().map(plan::source_record).collect(),
            catalog_tls: recipe.tls,
            sandbox_evaluated: package.from_sandbox.clone(),
            concessions: Some(concession::made(config, &package)),
            isolation: built.isolation.name().to_owned(),
            program: PathBuf::new(),
            relocation: Relocation::default(),
            answered: None,
            binary_name: None,
            files: Vec::new(),
            stored_at: Timestamp::now(),
            artifact: None,
            installed_sha256: None,
        };
        let verified = receipt.verification();
        let name_policy = config.program_name;
        let store = self.shared.store.clone();
        let (worker_id, backend) = (receipt.worker_id.clone(), receipt.backend);
        let startdir = workspace.startdir().to_owned();
        // A dropped future ends the copying too.
        let cancel = self.cancel.child_token();
        let _guard = cancel.clone().drop_guard();
        let token = cancel.clone();
        // Nothing of the build is alive, and what is stored from here on is out of its reach.
        let (staged, receipt, warnings) = blocking(move || {
            let cancelled = || token.is_cancelled();
            let packages = workspace::packages(&startdir, package.pkgnames())?;
            let staged = store.stage(&packages, &worker_id, backend, &cancelled)?;
            let packaged = package.pkgnames().iter().map(String::as_str);
            let names = binary::candidate_names(
                binary_name
                    .iter()
                    .map(String::as_str)
                    .chain(packaged)
                    .chain(package.provides()),
            );
            let program = binary::find(staged.tree(), &names)?;
            let home = store.place(&mut receipt)?.join("tree");
            let (relocation, warnings) = relocation::relocate(
                relocation::Staged {
                    id: &worker_id,
                    root: staged.tree(),
                    home: &home,
                    program: &program,
                    startdir: &startdir,
                },
                &cancelled,
            )?;
            binary::check(&binary::open(staged.tree(), &program)?, &program)?;
            let packaged = program.file_name().and_then(|name| name.to_str());
            names::judge_name(
                name_policy,
                &worker_id,
                binary_name.as_deref().or(packaged).unwrap_or_default(),
            )?;
            receipt.relocation = relocation;
            receipt.program = program;
            Ok((staged, receipt, warnings))
        })
        .await?;
        for warning in warnings {
            self.emitter.warn(ProvisionPhase::Binary, warning);
        }
        let root = staged.tree().to_owned();
        let program = root.join(&receipt.program);
        self.judge_program(&built.package, choice, root, program)
            .await?;
        let store = self.shared.store.clone();
        let token = cancel.clone();
        let version =
            blocking(move || store.add(staged, receipt, &|| token.is_cancelled())).await?;
        let text = format!(
            "found `{}`, verified by {verified}",
            version.receipt.program.display()
        );
        self.emitter.note(ProvisionPhase::Binary, text);
        Ok(version)
    }

    /// Refuses or tells of a program for another backend than the one asked for.
    async fn judge_program(
        &self,
        package: &Arc<EvaluatedPackage>,
        choice: &Choice,
        tree: PathBuf,
        program: PathBuf,
    ) -> Result<(), ProvisionError> {
        let named = fit::named_sources(package);
        // A dropped future ends the reading too.
        let cancel = self.cancel.child_token();
        let _guard = cancel.clone().drop_guard();
        let backend = choice.backend.backend;
        let found =
            blocking(move || accelerator::look(&[tree], &program, backend, &cancel)).await?;
        let fit = fit::judge_program(backend, &named, &found);
        self.judge_fit(ProvisionPhase::Binary, choice, fit)
    }

    /// Refuses to replace a newer version that nobody has asked to go back from.
    pub(crate) async fn judge_version(
        &self,
        found: &FullVersion,
        choice: &Choice,
    ) -> Result<(), ProvisionError> {
        if self.shared.config.allow_downgrade || self.request.allow_downgrade {
            return Ok(());
        }
        let store = self.shared.store.clone();
        let id = self.request.worker_id.clone();
        let backend = choice.backend.backend;
        let installed = blocking(move || match store.installed(&id, backend) {
            Ok(version) => Ok(Some(FullVersion::of(&version.receipt))),
            Err(ProvisionError::NotInstalled { .. }) => Ok(None),
            Err(error) => Err(error),
        })
        .await?;
        match installed {
            Some(installed) if found.compare(&installed).is_lt() => {
                Err(ProvisionError::Downgrade {
                    id: self.request.worker_id.clone(),
                    found: found.to_string(),
                    installed: installed.to_string(),
                })
            }
            _ => Ok(()),
        }
    }

    /// Puts the stored program in place.
    pub(crate) async fn install(
        &self,
        version: Version,
        choice: &Choice,
        entry: &WorkerEntry,
        bin_dir: &BinDir,
    ) -> Result<Version, ProvisionError> {
        let found = FullVersion::of(&version.receipt);
        self.judge_version(&found, choice).await?;
        let store = self.shared.store.clone();
        let folder = bin_dir.path.clone();
        let force = self.request.may_replace();
        let name = self.program_name(choice, &version.receipt);
        self.judge_name(&name)?;
        let shared = Arc::clone(&self.shared);
        let worker_id = self.request.worker_id.clone();
        let backend = choice.backend.backend;
        let pkgver = version.receipt.pkgver.clone();
        let id = artifact_id(&self.request.worker_id, backend, &pkgver, choice.platform);
        let platform = choice.platform;
        let capabilities = entry.capabilities.clone();
        let artifact = move |path: PathBuf, size: u64| {
            let binary = WorkerBinary::new(id, backend, platform, path, size, pkgver);
            let context = capabilities
                .max_context_length
                .unwrap_or(binary.max_context_length());
            binary.with_capabilities(
                Vec::new(),
                capabilities.supported_formats,
                context,
                capabilities.supports_streaming,
                capabilities.supports_batching,
            )
        };
        let activate = move || {
            let place = Place {
                store: &store,
                worker_id: &worker_id,
                backend,
                bin_dir: &folder,
                names: &Names::of(&name, backend),
                force,
            };
            place.judge_shadows(&shared.config.search_path)?;
            let target = Target {
                bin_dir: &folder,
                name: &name,
                force,
                change: Change::Install,
            };
            activate::activate(&store, version, target, artifact)
        };
        let version = blocking(activate).await?;
        if let Some(binary) = &version.receipt.artifact {
            let plain = self.shared.store.plain_name(&version.receipt);
            // In the same directory.
            let plain = plain.as_deref().and_then(Path::file_name);
            let plain = plain.map(|name| format!(", also as `{}`", name.display()));
            let text = format!(
                "installed `{}`{}",
                binary.path().display(),
                plain.unwrap_or_default()
            );
            self.emitter.note(ProvisionPhase::Install, text);
        }
        Ok(version)
    }

    /// Refuses a name that no program, or not this worker's, may have.
    pub(crate) fn judge_name(&self, name: &str) -> Result<(), ProvisionError> {
        let policy = self.shared.config.program_name;
        names::judge_name(policy, &self.request.worker_id, name)
    }

    /// What the program is called, as the catalog has it, without the backend.
    pub(crate) fn program_name(&self, choice: &Choice, receipt: &Receipt) -> String {
        let named = choice.variant.binary_name.clone();
        named
            .or_else(|| Some(receipt.program.file_name()?.to_str()?.to_owned()))
            .unwrap_or_else(|| self.request.worker_id.clone())
    }

    /// The outcome. The worker is in place by now, so a cancellation comes too late.
    pub(crate) fn artifact(
        &self,
        version: Version,
        choice: &Choice,
    ) -> Result<Provisioned, ProvisionError> {
        let phase = ProvisionPhase::Artifact;
        self.emitter.emit(phase, Happening::Started);
        let lost = || ProvisionError::Lost {
            id: self.request.worker_id.clone(),
        };
        let binary = version.receipt.artifact.clone().ok_or_else(lost)?;
        self.emitter
            .emit(phase, Happening::Finished { elapsed_ms: 0 });
        Ok(Provisioned {
            binary,
            backend: choice.backend.clone(),
            receipt: version.receipt,
            reused: false,
        })
    }
}
