//! What can go wrong: one variant for each thing a caller could do or say differently.

mod chain;
mod code;
mod problem;
mod text;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use build_sandbox::{Isolation, SandboxError};
use catalog_client::{CatalogError, WorkerType};
use network_policy::AccessError;
use source_fetch::FetchError;

use crate::dependencies::MissingDependency;
use crate::names::MAX_NAME;
use crate::progress::ProvisionPhase;
use crate::receipt::Verification;
pub use problem::BinaryProblem;
use text::{ambiguity, each, hint, list, named_sources, place, repair, shown, unverified, values};

/// Why a worker was not provisioned, or a catalog not read.
/// Cheap to clone, since callers that join one provision share its outcome.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ProvisionError {
    /// The provision was cancelled; nothing temporary is left.
    #[error("cancelled")]
    Cancelled,

    /// The catalog did not give the entry or the recipe, or no variant fits this host.
    #[error("the worker catalog could not be used for `{id}`", id = shown(.id))]
    Catalog {
        /// The worker's id, as it was asked for.
        id: String,
        /// What the catalog client said.
        #[source]
        source: Arc<CatalogError>,
    },

    /// The catalog has no such worker.
    #[error("`{id}` is not a worker of this catalog", id = shown(.id))]
    UnknownWorker {
        /// The worker's id, as it was asked for.
        id: String,
        /// What the catalog client said.
        #[source]
        source: Arc<CatalogError>,
    },

    /// The worker does not run on this host; nothing was downloaded.
    #[error("`{id}` does not run on this host", id = shown(.id))]
    Unsupported {
        /// The worker's id, as it was asked for.
        id: String,
        /// What would have fitted.
        #[source]
        source: Arc<CatalogError>,
    },

    /// The id names a backend, and another was asked for; nothing was downloaded.
    #[error(
        "`{id}` is the worker for backend `{named}`, and backend `{asked}` was asked for; leave the backend out, or ask for the worker that has it", id = shown(.id))]
    BackendConflict {
        /// The worker's id, as it was asked for.
        id: String,
        /// The backend that the id names.
        named: WorkerType,
        /// The backend that the request or the configuration names.
        asked: WorkerType,
    },

    /// A variable that recipes go by names another backend than the chosen one.
    #[error(
        "`{variable}` is `{value}`, and the backend chosen for `{id}` is `{backend}`; unset the variable, or ask for its backend", variable = shown(.variable), value = shown(.value), id = shown(.id))]
    VariableOfOtherBackend {
        /// The worker's id, as it was asked for.
        id: String,
        /// The backend that was chosen.
        backend: WorkerType,
        /// The variable's name.
        variable: &'static str,
        /// The variable's value.
        value: String,
    },

    /// What the recipe gives is for another backend than the one asked for; nothing was installed.
    #[error(
        "`{id}` was asked for with backend `{asked}`, but its sources are {} and its program {program}; ask for the backend that it is for, have the recipe mended, or accept it with `--backend-check warn`",
        named_sources(.sources), id = shown(.id), program = shown(.program))]
    WrongBackend {
        /// The worker's id, as it was asked for.
        id: String,
        /// The backend that was asked for or detected.
        asked: WorkerType,
        /// The recipe's sources that are named after a backend.
        sources: Vec<String>,
        /// What the program is, as far as it came to that.
        program: String,
    },

    /// This build of the program is for a machine that no catalog serves.
    #[error("no catalog serves {os} on {architecture}")]
    UnknownHost {
        /// The operating system.
        os: &'static str,
        /// The architecture.
        architecture: &'static str,
    },

    /// The recipe is not valid.
    #[error("the recipe of `{id}` has {count} syntax errors; the first:\n{first}", id = shown(.id), first = shown(.first))]
    Syntax {
        /// The worker's id.
        id: String,
        /// How many errors were found.
        count: usize,
        /// The first one with its line and a caret.
        first: String,
    },

    /// The recipe's metadata cannot be determined.
    #[error("{}the recipe of `{id}` cannot be evaluated", place(*.line), id = shown(.id))]
    Evaluate {
        /// The worker's id.
        id: String,
        /// The line of the recipe, counted from 1, where one is to blame.
        line: Option<u32>,
        /// Why.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },

    /// Only a shell can tell the recipe's metadata, and the policy lets nothing of a recipe run
    /// for that.
    #[error(
        "the recipe of `{id}` can only be evaluated by running it, and the policy forbids that; allow it with `--evaluation isolated`", id = shown(.id)
    )]
    NeedsShell {
        /// The worker's id.
        id: String,
        /// What cannot be told.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },

    /// Reading the recipe and sourcing it in the sandbox give different values. One of the two is
    /// wrong, so neither is trusted.
    #[error(
        "reading the recipe of `{id}` gives `{name}` as {}, and sourcing it gives {}",
        values(.read),
        values(.sourced), id = shown(.id), name = shown(.name))]
    EvaluationsDisagree {
        /// The worker's id.
        id: String,
        /// The variable's name.
        name: String,
        /// Its value or elements by reading.
        read: Vec<String>,
        /// Its value or elements by sourcing.
        sourced: Vec<String>,
    },

    /// The host lacks what the recipe depends on.
    #[error("`{id}` needs what this host does not have: {}{}", each(.missing), hint(.install.as_deref()), id = shown(.id))]
    MissingDependencies {
        /// The worker's id.
        id: String,
        /// Everything that is missing.
        missing: Vec<MissingDependency>,
        /// The command that installs it on the host's distribution, as far as that is known.
        install: Option<String>,
    },

    /// The recipe breaks one of makepkg's rules.
    #[error("{}the recipe of `{id}` is not valid: {problem} ({code}); {fix}", place(*.line), id = shown(.id), problem = shown(.problem), code = shown(.code), fix = shown(.fix))]
    InvalidRecipe {
        /// The worker's id.
        id: String,
        /// The line of the recipe, counted from 1, where one is to blame.
        line: Option<u32>,
        /// The rule's stable code.
        code: String,
        /// What is wrong.
        problem: String,
        /// What to do about it.
        fix: String,
    },

    /// The recipe is for other architectures than this host's.
    #[error(
        "the recipe of `{id}` is for {}, and this host is `{host}`",
        list(.offered), id = shown(.id), host = shown(.host))]
    RecipeArchitecture {
        /// The worker's id.
        id: String,
        /// The recipe's `arch` (PKGBUILD(5), "arch").
        offered: Vec<String>,
        /// This host's architecture.
        host: String,
    },

    /// The recipe has no function that the work needs.
    #[error(
        "the recipe of `{id}` has no `{function}()` function (PKGBUILD(5), \"PACKAGING FUNCTIONS\")", id = shown(.id), function = shown(.function))]
    MissingFunction {
        /// The worker's id.
        id: String,
        /// The function's name.
        function: String,
    },

    /// A `source` or digest of the recipe is not one.
    #[error("line {line} of the recipe of `{id}` declares a source that cannot be used", id = shown(.id))]
    Source {
        /// The worker's id.
        id: String,
        /// The line of the recipe, counted from 1.
        line: u32,
        /// What is wrong with it.
        #[source]
        source: Arc<FetchError>,
    },

    /// A source was not fetched or not verified.
    #[error("the sources of `{id}` could not be fetched", id = shown(.id))]
    Fetch {
        /// The worker's id.
        id: String,
        /// What the fetcher said.
        #[source]
        source: Arc<FetchError>,
    },

    /// One of the recipe's functions failed.
    #[error("`{id}` failed in {}", .phase.title(), id = shown(.id))]
    Build {
        /// The worker's id.
        id: String,
        /// The phase that failed.
        phase: ProvisionPhase,
        /// What the sandbox said.
        #[source]
        source: Arc<SandboxError>,
    },

    /// The package holds no program of the expected name, or several that could be meant.
    #[error(
        "the package holds no program named {}{}",
        list(.names),
        ambiguity(.candidates))]
    BinaryNotFound {
        /// The names looked for, best first.
        names: Vec<String>,
        /// The programs there are, relative to `pkgdir`.
        candidates: Vec<PathBuf>,
    },

    /// Two packages of one recipe have the same path, and it is not a directory in both.
    #[error(
        "the packages `{first}` and `{second}` both have `{}`; let one of them leave it out",
        shown(.path.display()), first = shown(.first))]
    PackagesCollide {
        /// The package that has it first.
        first: String,
        /// The package that has it again.
        second: String,
        /// The path relative to both `pkgdir`s.
        path: PathBuf,
    },

    /// The packaged program cannot be used.
    #[error("the packaged program `{}` cannot be installed", shown(.path.display()))]
    UnusableBinary {
        /// The program, relative to `pkgdir`.
        path: PathBuf,
        /// Why.
        #[source]
        problem: BinaryProblem,
    },

    /// There is no folder the binary could be installed into.
    #[error(
        "`/usr/local/bin` is not writable and there is no home folder; name a folder for binaries"
    )]
    NoBinDir,

    /// Certificates that TLS is to trust, or proxies, cannot be used; nothing was asked.
    #[error("nothing can be reached as it was set")]
    Access(#[source] Arc<AccessError>),

    /// Nothing says where something is to be kept; nothing below a directory for temporary files is
    /// taken for it, since anybody may have made it.
    #[error("there is no home directory to keep {what} in; set {set}", what = shown(.what))]
    NoDirectory {
        /// What would be kept.
        what: &'static str,
        /// The variables and switches that say where.
        set: &'static str,
    },

    /// Somebody else could change what is kept or installed in a directory.
    #[error(
        "`{}` cannot be used: `{}` {problem}, who could change what is kept or installed there; {}, or name another directory",
        shown(.directory.display()),
        shown(.part.display()),
        repair(.part, problem), problem = shown(.problem))]
    UnsafeDirectory {
        /// The directory.
        directory: PathBuf,
        /// It, or the directory on the way to it that is to blame.
        part: PathBuf,
        /// What is wrong with that.
        problem: String,
    },

    /// The catalog's version is older than the installed one, which stays.
    #[error(
        "the catalog has `{id}` in version {found}, and the newer {installed} is installed; go back with `--allow-downgrade`, or with `rollback` to the version before", id = shown(.id), found = shown(.found), installed = shown(.installed))]
    Downgrade {
        /// The worker's id.
        id: String,
        /// The version of the recipe.
        found: String,
        /// The installed version.
        installed: String,
    },

    /// The name of the program is none that may be installed.
    #[error(
        "`{name}` is no name for a program of `{id}`: have it named in at most {MAX_NAME} characters of `a-z`, `0-9`, `.`, `_` and `-`, the first a letter or digit", name = shown(.name), id = shown(.id))]
    InvalidProgramName {
        /// The worker's id.
        id: String,
        /// The name, as the catalog or the package has it.
        name: String,
    },

    /// The policy demands a program that is called like its worker.
    #[error(
        "the program of `{id}` is called `{name}`, and the policy demands the worker's own name; allow others with `--program-name any`", id = shown(.id), name = shown(.name)
    )]
    NotNamedAfterWorker {
        /// The worker's id.
        id: String,
        /// The program's name.
        name: String,
    },

    /// A program of that name stands elsewhere on the search path, and the worker would be run in
    /// its place.
    #[error(
        "a program named `{name}` is at `{}`, which that of `{id}` would be taken for; have it named otherwise, or install it all the same with `--replace`",
        shown(.path.display()), name = shown(.name), id = shown(.id))]
    ShadowsProgram {
        /// The worker's id.
        id: String,
        /// The name.
        name: String,
        /// The program of that name.
        path: PathBuf,
    },

    /// Something that is not a regular file has the binary's name.
    #[error("`{}` is a link or a folder and is not replaced; move it away or choose another folder", shown(.path.display()))]
    TargetNotAFile {
        /// What is in the way.
        path: PathBuf,
    },

    /// A file of the binary's name is there that was not installed by this program.
    #[error("`{}` was not installed by this program and is not replaced; move it away, or have it replaced (`--replace`)", shown(.path.display()))]
    ForeignFile {
        /// The file.
        path: PathBuf,
    },

    /// The path is that of another installed worker, which is not replaced even by force.
    #[error("`{}` is the program of the worker `{worker}` for backend `{backend}` and is not replaced; remove that one, or choose another directory", shown(.path.display()), worker = shown(.worker))]
    OtherWorkersProgram {
        /// The program.
        path: PathBuf,
        /// The id of the worker that it is.
        worker: String,
        /// Its backend.
        backend: WorkerType,
    },

    /// The worker is less verified than the policy demands; it was not installed.
    #[error(
        "`{id}` is verified by {found}, and the policy demands {required}: {}; have the recipe name a stronger proof, or lower `--min-verification`",
        unverified(.sources), id = shown(.id), found = shown(.found))]
    BelowPolicy {
        /// The worker's id.
        id: String,
        /// How far it is verified.
        found: Verification,
        /// How far it would have to be.
        required: Verification,
        /// The sources that are to blame, each with what it rests on.
        sources: Vec<String>,
    },

    /// Builds would be less isolated than the policy demands; nothing of the recipe was run.
    #[error(
        "`{id}` would be built in tier `{found}`, and the policy demands `{required}` (`--min-isolation`): {reason}", id = shown(.id), found = shown(.found), reason = shown(.reason))]
    IsolationBelowPolicy {
        /// The worker's id.
        id: String,
        /// The tier there is.
        found: Isolation,
        /// The weakest tier the policy allows.
        required: Isolation,
        /// Why it is no stronger.
        reason: String,
    },

    /// The catalog's answer came without TLS, and the policy demands it; nothing was installed.
    #[error(
        "`{url}` was not read over TLS, and the policy demands that for `{id}`; use an https catalog, or allow others with `--require-tls=false`", url = shown(.url), id = shown(.id))]
    CatalogWithoutTls {
        /// The worker's id.
        id: String,
        /// Where the entry or the recipe came from, without credentials.
        url: String,
    },

    /// The new binary does not run; what was installed before stays.
    #[error("the new binary of `{id}` does not run: {problem}; `--no-trial` installs it all the same", id = shown(.id), problem = shown(.problem))]
    Trial {
        /// The worker's id.
        id: String,
        /// What is missing or wrong.
        problem: String,
    },

    /// The worker is not installed.
    #[error("`{id}` is not installed for backend `{backend}`", id = shown(.id))]
    NotInstalled {
        /// The worker's id.
        id: String,
        /// The backend.
        backend: WorkerType,
    },

    /// A version of the worker runs, or is leased.
    #[error("`{id}` for backend `{backend}` is running: stop it first", id = shown(.id))]
    InUse {
        /// The worker's id.
        id: String,
        /// The backend.
        backend: WorkerType,
    },

    /// What a package holds does not work anywhere but where it was built, or at `/`.
    #[error("`{id}` would not work once it is installed: {}", shown(problems.join("; ")), id = shown(.id))]
    NotRelocatable {
        /// The worker's id.
        id: String,
        /// What would not work and what to do about it, each in a line.
        problems: Vec<String>,
    },

    /// What the store holds of a worker was changed.
    #[error("what is stored of `{id}` was changed: {}; install it again with `--force`", shown(problems.join(", ")), id = shown(.id))]
    StoreDamaged {
        /// The worker's id.
        id: String,
        /// What differs, each in a line.
        problems: Vec<String>,
    },

    /// No older version is kept.
    #[error("no version of `{id}` for backend `{backend}` is kept from before the installed one", id = shown(.id))]
    NoPreviousVersion {
        /// The worker's id.
        id: String,
        /// The backend.
        backend: WorkerType,
    },

    /// The id cannot be the name of a folder.
    #[error("`{id}` is not a usable artifact id", id = shown(.id))]
    InvalidArtifactId {
        /// The id.
        id: String,
    },

    /// The id is already in the catalog.
    #[error("`{id}` is already in the catalog; remove it first", id = shown(.id))]
    AlreadyInCatalog {
        /// The id.
        id: String,
    },

    /// The id is not in the catalog.
    #[error("`{id}` is not in the catalog", id = shown(.id))]
    NotInCatalog {
        /// The id.
        id: String,
    },

    /// A stored artifact cannot be read.
    #[error("`{}` does not hold an artifact; move it away to go on", shown(.path.display()))]
    MalformedMetadata {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Arc<serde_json::Error>,
    },

    /// The file system refused.
    #[error("failed to {action} `{}`", shown(.path.display()), action = shown(.action))]
    Io {
        /// What was attempted.
        action: &'static str,
        /// What it was attempted on.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },

    /// The work ended without an outcome: it panicked, or the runtime is shutting down.
    #[error("the provision of `{id}` ended without an outcome", id = shown(.id))]
    Lost {
        /// The worker's id.
        id: String,
    },
}
