//! Every conversion between the leaves: they know nothing of one another.

mod network;
mod sources;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use build_sandbox::{
    BuildFlags, BuildSpec, Declarations, Isolation, Mount, NetworkPolicy, Phase, Sandbox,
};
use catalog_client::{Answer, Architecture, Freshness};
use pkgbuild_syntax::{Environment, Uname};
use source_fetch::{Checksum, Source, SourceRequest};

use crate::activate;
use crate::backend::Kernel;
use crate::concession;
use crate::config::{CheckPolicy, Config, EvaluationPolicy, TransportPolicy};
use crate::error::ProvisionError;
use crate::history_policy::HistoryPolicy;
use crate::package::{Declared, EvaluatedPackage, line_of};
use crate::progress::{Happening, OutputStream, ProvisionPhase};
use crate::receipt::{self, Receipt, SourceRecord, Verification};
use crate::steps::Choice;
use crate::view::HostView;
use crate::workspace::Workspace;

pub(crate) use network::{access, catalog_config, credentials, source_policy};
use sources::note;
pub(crate) use sources::{directories, fetch_happening, fetch_policy, source_record};

/// The optimisation that makepkg.conf(5) ships with, without the processor it is tuned for.
const C_FLAGS: &str = "-O2 -pipe";

/// A line for people when an answer is older than the service allows.
pub(crate) fn staleness<T>(answer: &Answer<T>) -> Option<String> {
    let Freshness::Stale { age } = answer.freshness else {
        return None;
    };
    let cause = answer
        .cause
        .as_ref()
        .map(|cause| format!(" ({cause})"))
        .unwrap_or_default();
    Some(format!(
        "using a copy from {} minutes ago{cause}",
        age.as_secs() / 60
    ))
}

/// What the recipe may know of its surroundings; its functions will see the same.
pub(crate) fn environment(config: &Config, choice: &Choice) -> Environment {
    let variables = recipe_variables(config, choice);
    let kernel = choice.kernel.as_ref();
    facts(config, choice.architecture, kernel, &variables).with_commands(Arc::clone(&choice.shown))
}

/// What is known of the shell that reads a recipe in the sandbox. Each variable that the sandbox sets
/// has its value here or is unknown; a test compares them all.
fn facts(
    config: &Config,
    architecture: Architecture,
    kernel: Option<&Kernel>,
    variables: &BTreeMap<String, String>,
) -> Environment {
    let machine = architecture.to_string();
    let system = if cfg!(target_os = "macos") {
        "Darwin"
    } else {
        "Linux"
    };
    let mut environment = Environment::default();
    let mut spec = BuildSpec::new("/", "undecided");
    values(&mut spec, config, architecture, variables.clone());
    let exported = build_sandbox::recipe_environment(&spec).unwrap_or_default();
    let names = exported
        .into_keys()
        .chain(build_sandbox::recipe_variables(&spec).into_keys());
    for name in names.filter(|name| !MADE_BY_MAKEPKG.contains(&name.as_str())) {
        environment = environment.with_unknown_variable(name);
    }
    environment = environment
        .with_carch(&machine)
        .with_chost(chost(architecture))
        .with_variable("LC_ALL", "C.UTF-8")
        .with_nproc(jobs(config));
    if let Some(kernel) = kernel {
        environment = environment.with_uname(Uname {
            system: system.to_owned(),
            // It differs between the tiers of isolation.
            node: None,
            release: kernel.release.clone(),
            version: kernel.version.clone(),
            operating_system: if cfg!(target_os = "macos") {
                "Darwin"
            } else {
                "GNU/Linux"
            }
            .to_owned(),
            machine,
        });
    }
    for (name, value) in [
        ("CFLAGS", C_FLAGS),
        ("CXXFLAGS", C_FLAGS),
        ("CPPFLAGS", ""),
        ("LDFLAGS", ""),
    ] {
        environment = environment.with_variable(name, value);
    }
    for (name, value) in variables {
        environment = environment.with_variable(name, value);
    }
    environment
}

/// What the evaluator knows of makepkg by itself.
const MADE_BY_MAKEPKG: [&str; 3] = ["BUILDSCRIPT", "COMMAND_MODE", "TEXTDOMAIN"];

/// The variable that names the chosen backend, and the one that may name what is built in.
pub(crate) const BACKEND_VARIABLE: &str = "RBEE_BACKEND";
pub(crate) const FEATURES_VARIABLE: &str = "RBEE_FEATURES";

/// The configured variables, `RBEE_BACKEND`, and `RBEE_FEATURES` for the chosen backend unless it is
/// configured.
fn recipe_variables(config: &Config, choice: &Choice) -> BTreeMap<String, String> {
    let mut variables = config.recipe_env.clone();
    let backend = choice.backend.backend.to_string();
    variables
        .entry(FEATURES_VARIABLE.to_owned())
        .or_insert_with(|| backend.clone());
    variables.insert(BACKEND_VARIABLE.to_owned(), backend);
    variables
}

fn chost(architecture: Architecture) -> String {
    let system = if cfg!(target_os = "macos") {
        "apple-darwin"
    } else {
        "pc-linux-gnu"
    };
    format!("{architecture}-{system}")
}

fn jobs(config: &Config) -> u32 {
    config.jobs.unwrap_or_else(|| {
        std::thread::available_parallelism()
            .ok()
            .and_then(|count| u32::try_from(count.get()).ok())
            .unwrap_or(1)
    })
}

impl EvaluatedPackage {
    /// The functions to run, in makepkg's order; absent ones are left out.
    pub(crate) fn phases(&self) -> Vec<(ProvisionPhase, Phase)> {
        let optional = [
            ("prepare", ProvisionPhase::Prepare, Phase::Prepare),
            ("pkgver", ProvisionPhase::Pkgver, Phase::Pkgver),
            ("build", ProvisionPhase::Build, Phase::Build),
            ("check", ProvisionPhase::Check, Phase::Check),
        ];
        let mut phases: Vec<_> = optional
            .into_iter()
            .filter(|(name, ..)| self.package.has_function(name))
            .map(|(_, step, phase)| (step, phase))
            .collect();
        for name in self.pkgnames() {
            phases.push((ProvisionPhase::Package, Phase::Package(name.clone())));
        }
        phases
    }

    /// The sources with what verifies them; a bad one is told with its line.
    pub(crate) fn source_requests(
        &self,
        id: &str,
        history: &HistoryPolicy,
    ) -> Result<Vec<SourceRequest>, ProvisionError> {
        let line =
            |span: Option<pkgbuild_syntax::Span>| span.map_or(0, |span| line_of(&self.text, span));
        let needs_history = self.needs_history();
        let mut requests = Vec::new();
        for declared in &self.resolved.sources {
            let bad = |source, span| ProvisionError::Source {
                id: id.to_owned(),
                line: line(span),
                source: Arc::new(source),
            };
            let source: Source = declared
                .source
                .parse()
                .map_err(|error| bad(error, declared.span))?;
            let mut request = SourceRequest::new(source);
            for sum in &declared.checksums {
                let checksum = Checksum::parse(sum.algorithm.name(), &sum.digest)
                    .map_err(|error| bad(error, sum.span))?;
                request = request.with_checksum(checksum);
            }
            request.no_extract = self
                .resolved
                .noextract
                .iter()
                .any(|name| name == request.source.file_name());
            request.needs_history = needs_history || history.is_full(request.source.file_name());
            requests.push(request);
        }
        Ok(requests)
    }
}

/// The sha256 of everything that decides what a recipe builds here.
pub(crate) fn build_key(config: &Config, recipe: &str, choice: &Choice) -> String {
    let backend = choice.backend.backend.to_string();
    let machine = format!("{}-{}", choice.platform, choice.architecture);
    let variables = recipe_variables(config, choice);
    let variables = variables
        .iter()
        .flat_map(|(name, value)| [name.as_str(), value.as_str()]);
    activate::digest([recipe, &backend, &machine].into_iter().chain(variables))
}

/// Whether what a receipt tells is as good as the policy demands.
pub(crate) fn meets(config: &Config, receipt: &Receipt) -> bool {
    let isolation = Isolation::ALL
        .into_iter()
        .find(|tier| tier.name() == receipt.isolation);
    // The keys that count may be others than when it was built.
    let signers_are_accepted = receipt
        .sources
        .iter()
        .filter_map(|source| source.signed_by.as_deref())
        .all(|by| config.accepts_signer(by));
    receipt::weakest(&receipt.sources, config.expired_signatures) >= config.minimum_verification
        && (signers_are_accepted || config.minimum_verification < Verification::Signature)
        && (config.catalog_transport == TransportPolicy::Any
            || receipt.catalog_tls && receipt.sources.iter().all(SourceRecord::came_over_tls))
        && (config.evaluation != EvaluationPolicy::Static || receipt.sandbox_evaluated.is_empty())
        && concession::are_made_by(config, receipt.concessions.as_ref())
        && isolation >= Some(config.minimum_isolation)
}

/// The sandbox; the caller's home is hidden wherever it is.
pub(crate) fn sandbox(config: &Config) -> Sandbox {
    let mut sandbox = build_sandbox::Config::default();
    sandbox.hidden.extend(config.home.clone());
    Sandbox::new(sandbox)
}

/// What the phases of one build share.
pub(crate) fn build_spec(
    config: &Config,
    package: &EvaluatedPackage,
    workspace: &Workspace,
    choice: &Choice,
    view: &HostView,
) -> BuildSpec {
    let resolved = &package.resolved;
    let name = resolved.pkgname.first().unwrap_or(&resolved.pkgbase);
    let mut spec = BuildSpec::new(workspace.startdir(), name);
    spec.startdir_is_enclosed = true;
    spec.recipe = workspace.recipe();
    spec.srcdir = workspace.srcdir();
    spec.pkgdir = workspace.pkgdir(name);
    spec.pkgbase.clone_from(&resolved.pkgbase);
    spec.pkgname.clone_from(&resolved.pkgname);
    surroundings(&mut spec, config, choice, view);
    spec.check = match config.check {
        CheckPolicy::Run => build_sandbox::CheckPolicy::Run,
        CheckPolicy::Warn => build_sandbox::CheckPolicy::Warn,
        CheckPolicy::Skip => build_sandbox::CheckPolicy::Skip,
    };
    spec
}

/// What every function of a recipe finds around it.
fn surroundings(spec: &mut BuildSpec, config: &Config, choice: &Choice, view: &HostView) {
    values(
        spec,
        config,
        choice.architecture,
        recipe_variables(config, choice),
    );
    spec.path.clone_from(&view.path);
    spec.mounts = tool_mounts(config);
    spec.mounts.extend(view.covers.iter().cloned());
    if !config.build_network {
        spec.network = NetworkPolicy::NONE;
    }
    spec.grace = config.grace;
    spec.limits.wall = config.phase_timeout;
    spec.limits.memory = config.memory_limit;
    spec.limits.disk = config.disk_limit;
    spec.limits.processes = config.process_limit;
    spec.isolation = config.isolation;
    spec.minimum = config.minimum_isolation;
}

/// What of the variables of a build does not depend on where it happens.
fn values(
    spec: &mut BuildSpec,
    config: &Config,
    architecture: Architecture,
    variables: BTreeMap<String, String>,
) {
    spec.carch = architecture.to_string();
    spec.chost = chost(architecture);
    spec.flags = BuildFlags {
        cflags: C_FLAGS.to_owned(),
        cxxflags: C_FLAGS.to_owned(),
        ..BuildFlags::default()
    };
    spec.makeflags = format!("-j{}", jobs(config));
    spec.environment = variables;
}

fn tool_mounts(config: &Config) -> Vec<Mount> {
    let folders = config.tool_dirs.iter().filter(|folder| folder.is_dir());
    folders.map(Mount::read_only).collect()
}

/// What trying a finished program needs: the host as it will meet it, and its tree.
pub(crate) fn trial_spec(
    config: &Config,
    workspace: &Workspace,
    choice: &Choice,
    tree: PathBuf,
) -> BuildSpec {
    let mut spec = BuildSpec::new(workspace.startdir(), "trial");
    spec.startdir_is_enclosed = true;
    let view = HostView {
        path: search_path(config),
        covers: vec![Mount::read_only(tree)],
    };
    surroundings(&mut spec, config, choice, &view);
    spec
}

/// What sourcing a recipe to learn its values needs.
pub(crate) fn evaluation_spec(
    config: &Config,
    workspace: &Workspace,
    choice: &Choice,
    view: &HostView,
) -> BuildSpec {
    // The names are not known yet; nothing is installed below this one.
    let mut spec = BuildSpec::new(workspace.startdir(), "undecided");
    spec.startdir_is_enclosed = true;
    spec.recipe = workspace.recipe();
    spec.srcdir = workspace.srcdir();
    surroundings(&mut spec, config, choice, view);
    if config.evaluation != EvaluationPolicy::AnyTier {
        spec.minimum = spec.minimum.max(Isolation::Landlock);
    }
    spec
}

/// What a recipe declared when the sandbox sourced it.
pub(crate) fn declared(declarations: Declarations) -> Declared {
    let variables = declarations.variables.into_iter();
    variables
        .filter_map(|(name, value)| match value {
            build_sandbox::Value::Scalar(text) => Some((name, vec![text])),
            build_sandbox::Value::Array(elements) => Some((name, elements)),
            // None of PKGBUILD(5)'s variables is one.
            build_sandbox::Value::Map(_) => None,
        })
        .collect()
}

/// A text as a word of a recipe.
pub(crate) fn quoted(text: &str) -> String {
    String::from_utf8_lossy(&build_sandbox::quote(text.as_bytes())).into_owned()
}

/// Folders whose names would break the `PATH` are left out, as the shell would.
pub(crate) fn search_path(config: &Config) -> Vec<PathBuf> {
    let usable = |folder: &&PathBuf| {
        folder.is_absolute() && !folder.as_os_str().as_encoded_bytes().contains(&b':')
    };
    config.search_path.iter().filter(usable).cloned().collect()
}

/// What is told of a running function.
pub(crate) fn sandbox_happening(event: &build_sandbox::Event<'_>) -> Option<Happening> {
    use build_sandbox::{Event, Stream};
    Some(match event {
        Event::Output { stream, text, .. } => Happening::Output {
            stream: match stream {
                Stream::Stdout => OutputStream::Stdout,
                Stream::Stderr => OutputStream::Stderr,
            },
            line: text.to_string(),
        },
        Event::Warning { text } => Happening::Warning {
            text: text.to_string(),
        },
        Event::Started { isolation, .. } => note(format!("isolation: {isolation}")),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
