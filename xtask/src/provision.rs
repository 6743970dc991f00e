//! `cargo xtask provision`: one worker from any catalog.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use catalog_client::WorkerType;
use clap::{Args, ValueEnum};
use worker_provisioner::{
    BackendPolicy, Config, DependencyPolicy, EvaluationPolicy, FlavorPreference, Isolation,
    IsolationChoice, ProvisionError, ProvisionRequest, SignaturePolicy, TransportPolicy,
    Verification, WorkerProvisioner,
};

use crate::sources::SourceSwitches;
use crate::{display, interrupt};

/// The exit codes, as `--help` tells them.
const EXIT_CODES: &str = "\
Exit codes:
  0    the worker is installed
  1    the provision failed
  2    wrong usage
  3    the worker does not run on this host, or the catalog does not have it
  130  cancelled by Ctrl-C or SIGTERM; nothing is left behind";

/// Provision one worker: fetch, verify, build, install.
#[derive(Debug, Args)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Provision {
    /// The worker's id in the catalog.
    worker_id: String,
    /// The catalog's base URL [default: `$WORKER_CATALOG_URL`, else `http://localhost:8787`].
    #[arg(long, value_name = "URL")]
    catalog: Option<String>,
    /// The backend to provide [default: what the host shows signs of].
    #[arg(long)]
    backend: Option<BackendArg>,
    /// Which recipe to use [default: binary where the catalog offers it, else source].
    #[arg(long)]
    from: Option<FlavorArg>,
    /// Where the binary goes [default: `$WORKER_BIN_DIR`, else /usr/local/bin if writable, else
    /// ~/.local/bin].
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
    /// Downloaded sources and catalog answers [default: the user's cache folder].
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    /// What is installed [default: the user's data folder].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// A variable the recipe sees, such as `RBEE_FEATURES=cpu`; may be repeated.
    #[arg(long, value_name = "K=V", value_parser = variable)]
    set_env: Vec<(String, String)>,
    /// Public keys to verify signatures with, as `gpg --export` writes them [default:
    /// `$WORKER_KEYRING`].
    #[arg(long, value_name = "FILE")]
    keyring: Option<PathBuf>,
    /// Verify no signature, as makepkg does when told so.
    #[arg(long)]
    skippgpcheck: bool,
    /// What to do about a recipe some of whose values only a shell can tell.
    #[arg(long, default_value = "isolated")]
    evaluation: EvaluationArg,
    /// What to do when the host lacks what the recipe depends on.
    #[arg(long, default_value = "require")]
    dependencies: DependenciesArg,
    /// What to do when the recipe's sources or program are for another backend than the one
    /// asked for.
    #[arg(long, default_value = "require")]
    backend_check: BackendCheckArg,
    /// How strongly the build is isolated.
    #[arg(long, default_value = "auto")]
    isolation: IsolationArg,
    /// The weakest isolation to build in; where the host allows less, nothing runs.
    #[arg(long, value_name = "TIER", default_value = "group")]
    min_isolation: TierArg,
    /// The least verification of every source, below which nothing is installed.
    #[arg(long, value_name = "LEVEL", default_value = "nothing")]
    min_verification: VerificationArg,
    /// Use nothing that the catalog does not send over TLS.
    #[arg(long)]
    require_tls: bool,
    /// Give `prepare()` and `build()` no network.
    #[arg(long)]
    no_build_network: bool,
    /// Ask the catalog, whatever time its kept answers still have.
    #[arg(long)]
    refresh: bool,
    /// Replace a file of the program's name that this program has not installed; nothing is built for
    /// it that is stored already.
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    sources: SourceSwitches,
    /// Build again although nothing has changed, and replace a foreign file of that name; implies
    /// --refresh.
    #[arg(long)]
    force: bool,
    /// One JSON event a line on standard output; the last line is the artifact or the error.
    #[arg(long)]
    json: bool,
    /// Show everything, with the libraries' own log.
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum BackendArg {
    Cpu,
    Cuda,
    Metal,
    Rocm,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FlavorArg {
    Source,
    Binary,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum EvaluationArg {
    /// Refuse it.
    Static,
    /// Source it in the sandbox, in tier landlock or better.
    Isolated,
    /// Source it in whatever tier the host allows.
    AnyTier,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DependenciesArg {
    /// Fail before anything is downloaded.
    Require,
    /// Warn and go on.
    Warn,
    /// Look for nothing.
    Ignore,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum BackendCheckArg {
    Require,
    Warn,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum IsolationArg {
    Auto,
    Namespaces,
    Landlock,
    Group,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum TierArg {
    Namespaces,
    Landlock,
    Group,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum VerificationArg {
    Nothing,
    Checksum,
    Signature,
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not of the form NAME=VALUE")),
    }
}

impl Provision {
    fn config(&self) -> Config {
        let mut config = Config::from_env();
        if let Some(url) = &self.catalog {
            config.catalog_urls = vec![url.clone()];
        }
        config.backend = self.backend.map(|backend| match backend {
            BackendArg::Cpu => WorkerType::Cpu,
            BackendArg::Cuda => WorkerType::Cuda,
            BackendArg::Metal => WorkerType::Metal,
            BackendArg::Rocm => WorkerType::Rocm,
        });
        config.flavor = match self.from {
            None => FlavorPreference::Any,
            Some(FlavorArg::Binary) => FlavorPreference::Binary,
            Some(FlavorArg::Source) => FlavorPreference::Source,
        };
        config.evaluation = match self.evaluation {
            EvaluationArg::Static => EvaluationPolicy::Static,
            EvaluationArg::Isolated => EvaluationPolicy::Isolated,
            EvaluationArg::AnyTier => EvaluationPolicy::AnyTier,
        };
        config.dependencies = match self.dependencies {
            DependenciesArg::Require => DependencyPolicy::Require,
            DependenciesArg::Warn => DependencyPolicy::Warn,
            DependenciesArg::Ignore => DependencyPolicy::Ignore,
        };
        config.backend_check = match self.backend_check {
            BackendCheckArg::Require => BackendPolicy::Require,
            BackendCheckArg::Warn => BackendPolicy::Warn,
        };
        config.isolation = match self.isolation {
            IsolationArg::Auto => IsolationChoice::Auto,
            IsolationArg::Namespaces => IsolationChoice::Exactly(Isolation::Namespaces),
            IsolationArg::Landlock => IsolationChoice::Exactly(Isolation::Landlock),
            IsolationArg::Group => IsolationChoice::Exactly(Isolation::Group),
        };
        config.minimum_isolation = match self.min_isolation {
            TierArg::Namespaces => Isolation::Namespaces,
            TierArg::Landlock => Isolation::Landlock,
            TierArg::Group => Isolation::Group,
        };
        config.minimum_verification = match self.min_verification {
            VerificationArg::Nothing => Verification::Nothing,
            VerificationArg::Checksum => Verification::Checksum,
            VerificationArg::Signature => Verification::Signature,
        };
        if self.require_tls {
            config.catalog_transport = TransportPolicy::Tls;
        }
        config.build_network = !self.no_build_network;
        if self.bin_dir.is_some() {
            config.bin_dir.clone_from(&self.bin_dir);
        }
        if let Some(folder) = &self.cache_dir {
            config.cache_dir.clone_from(folder);
        }
        if let Some(folder) = &self.data_dir {
            config.data_dir.clone_from(folder);
        }
        if self.keyring.is_some() {
            config.keyring.clone_from(&self.keyring);
        }
        if self.skippgpcheck {
            config.signatures = SignaturePolicy::Skip;
        }
        config
            .source_hosts
            .clone_from(&self.sources.allow_source_host);
        config.insecure_sources = self.sources.allow_insecure_sources;
        config.ssh_sources = self.sources.allow_ssh_sources;
        config.recipe_env.extend(self.set_env.iter().cloned());
        config
    }

    /// Runs the command.
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let cancel = interrupt::token()?;
        let provisioner = WorkerProvisioner::new(self.config())?;
        let reporter = if self.json {
            Arc::new(display::Json)
        } else {
            display::for_stderr(self.verbose)
        };
        let provisioner = provisioner.with_reporter(reporter);
        let mut request = ProvisionRequest::new(&self.worker_id)
            .with_job_id(format!("cli-{}", std::process::id()));
        request.force = self.force;
        request.replace = self.replace;
        request.refresh = self.refresh;
        match provisioner.provision_request(&request, cancel).await {
            Ok(provisioned) => {
                let text = if self.json {
                    serde_json::to_string(&provisioned.binary)
                } else {
                    serde_json::to_string_pretty(&provisioned.binary)
                };
                println!("{}", text.context("the artifact cannot be printed")?);
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => {
                if self.json {
                    println!("{}", serde_json::json!({ "error": error.chain() }));
                } else {
                    eprintln!("error: {}", error.chain());
                }
                Ok(exit_code(&error))
            }
        }
    }
}

fn exit_code(error: &ProvisionError) -> ExitCode {
    match error {
        ProvisionError::Cancelled => ExitCode::from(130),
        ProvisionError::Unsupported { .. }
        | ProvisionError::UnknownWorker { .. }
        | ProvisionError::UnknownHost { .. }
        | ProvisionError::RecipeArchitecture { .. } => ExitCode::from(3),
        _ => ExitCode::FAILURE,
    }
}
