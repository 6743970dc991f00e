//! `cargo xtask bump`: another version in a recipe, with the checksums of its sources.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail};
use pkgbuild_syntax::{ArrayField, ArrayKey, Document, Environment, Package};
use serde_json::json;
use source_fetch::{
    Algorithm, Directories, Event, FetchError, Fetched, Policy, Reporter, Source, SourceRequest,
    fetch_and_hold,
};
use tokio_util::sync::CancellationToken;

use crate::replace::replace;
use crate::sources::{NetworkSwitches, SourceSwitches, cache, policy};
use crate::srcinfo::{folder_of, with_files};
use printable::{say, say_error};

/// Sets a recipe's version, its release to 1, and the checksums to those of the sources, which are
/// fetched. Nothing else of the text changes.
///
/// Every kind of checksum that the recipe states is renewed, for all its architectures; `SKIP` stays.
/// Nothing is unpacked. What a checksum is made of is what the server sends now: over TLS, or with
/// `--keyring` by a signature, unless you allow more.
///
/// Exit status: 0 when the recipe is as asked, 1 when it cannot be, and is as it was, 130 when
/// cancelled.
#[derive(Debug, clap::Args)]
pub(crate) struct Bump {
    /// The recipe.
    file: PathBuf,
    /// The new `pkgver`; that of the recipe renews the checksums alone, and keeps `pkgrel`.
    version: String,
    /// Downloads kept between runs [default: the user's cache folder].
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    /// Public keys to verify signatures with, as `gpg --export` writes them; without it none is
    /// verified.
    #[arg(long, value_name = "FILE")]
    keyring: Option<PathBuf>,
    /// Use the cache alone.
    #[arg(long)]
    offline: bool,
    /// Print the new text and leave the file.
    #[arg(long, conflicts_with = "json")]
    dry_run: bool,
    /// Print what changed as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    network: NetworkSwitches,
    #[command(flatten)]
    sources: SourceSwitches,
}

/// By list of sources and place in it.
type Computed = BTreeMap<(ArrayKey, usize), Vec<(String, String)>>;

impl Bump {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let token = interrupt::token()?;
        match self.change(&token).await {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(_) if token.is_cancelled() => {
                say_error!("cancelled; `{}` is as it was", self.file.display());
                Ok(ExitCode::from(130))
            }
            Err(error) => Err(error),
        }
    }

    async fn change(&self, token: &CancellationToken) -> Result<()> {
        let file = &self.file;
        let text =
            fs::read(file).with_context(|| format!("failed to read `{}`", file.display()))?;
        let in_file = |error| anyhow!("{}: {error}", file.display());
        let mut recipe = self.document(&text)?;
        let old = Package::from_evaluation(&recipe.evaluation())?;
        let before = old.version()?;
        if old.string(pkgbuild_syntax::StringField::Pkgver)? != Some(self.version.as_str()) {
            recipe.bump(&self.version).map_err(in_file)?;
        }
        let package = Package::from_evaluation(&recipe.evaluation())?;
        let computed = self.digests(&package, token).await?;
        let lists = recipe
            .renew_sums(&mut |list, at, algorithm| {
                let digests = computed.get(&(list.clone(), at))?;
                let own = digests.iter().find(|(kind, _)| kind == algorithm.name());
                own.map(|(_, digest)| digest.clone())
            })
            .map_err(in_file)?;
        if self.dry_run {
            use std::io::Write as _;
            std::io::stdout().write_all(recipe.text())?;
            return Ok(());
        }
        if token.is_cancelled() {
            bail!("cancelled");
        }
        if recipe.text() != text {
            replace(file, recipe.text())?;
        }
        let after = Package::from_evaluation(&recipe.evaluation())?.version()?;
        let lists: Vec<String> = lists.iter().map(ToString::to_string).collect();
        if self.json {
            let told = json!({ "file": file, "before": before, "after": after, "renewed": lists });
            println!("{told}");
        } else {
            let renewed = if lists.is_empty() {
                "no checksum is another".to_owned()
            } else {
                format!("{} renewed", lists.join(", "))
            };
            say!("{}: {before} is now {after}, {renewed}", file.display());
        }
        Ok(())
    }

    fn document(&self, text: &[u8]) -> Result<Document> {
        // With the files beside the recipe, which it may read.
        let parsed = pkgbuild_syntax::parse(text);
        let environment = RefCell::new(Environment::default());
        with_files(folder_of(&self.file), &Environment::default(), |with| {
            environment.replace(with.clone());
            pkgbuild_syntax::evaluate(&parsed.file, with)
        });
        Document::with_environment(text, &environment.into_inner())
            .map_err(|error| anyhow!("{}: {error}", self.file.display()))
    }

    /// The digests of every source whose lists state one.
    async fn digests(&self, package: &Package, token: &CancellationToken) -> Result<Computed> {
        let mut computed = Computed::new();
        let arrays = &package.common.arrays;
        for (list, sources) in arrays
            .iter()
            .filter(|(key, _)| key.field == ArrayField::Source)
        {
            let texts = sources.texts().map_err(|reasons| {
                let reason = reasons.first().map_or(String::new(), ToString::to_string);
                anyhow!("`{list}` is not known: {reason}")
            })?;
            let mut requests = Vec::new();
            for text in texts {
                let mut request = SourceRequest::new(text.parse::<Source>()?);
                request.no_extract = true;
                requests.push(request);
            }
            for (key, sums) in arrays {
                let ArrayField::Checksums(kind) = key.field else {
                    continue;
                };
                if key.arch != list.arch {
                    continue;
                }
                let kind = Algorithm::from_name(kind.name())
                    .with_context(|| format!("`{key}` is of an unknown kind"))?;
                let given: Vec<Option<&str>> = sums.texts().map_or_else(
                    |_| Vec::new(),
                    |texts| texts.into_iter().map(Some).collect(),
                );
                for (at, request) in requests.iter_mut().enumerate() {
                    if given.get(at).copied().flatten() != Some("SKIP") {
                        request.wanted.push(kind);
                    }
                }
            }
            // What states no digest is not fetched: a signature is, for its file's sake.
            let signs = |request: &SourceRequest| {
                let name = request.source.file_name();
                self.keyring.is_some()
                    && [".sig", ".sign", ".asc"]
                        .iter()
                        .any(|end| name.ends_with(end))
            };
            let wanted: Vec<usize> = (0..requests.len())
                .filter(|at| !requests[*at].wanted.is_empty() || signs(&requests[*at]))
                .collect();
            let chosen: Vec<SourceRequest> =
                wanted.iter().map(|at| requests[*at].clone()).collect();
            let fetched = self.fetch(package, &chosen, token).await?;
            for (at, fetched) in wanted.into_iter().zip(fetched) {
                let digests = fetched.computed.iter();
                let digests = digests.map(|sum| (sum.algorithm.name().to_owned(), sum.to_string()));
                computed.insert((list.clone(), at), digests.collect());
            }
        }
        Ok(computed)
    }

    async fn fetch(
        &self,
        package: &Package,
        requests: &[SourceRequest],
        token: &CancellationToken,
    ) -> Result<Vec<Fetched>> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let place = tempfile::tempdir()?;
        let directories = Directories {
            srcdir: place.path().join("src"),
            cache: cache(self.cache_dir.as_deref())?,
            startdir: folder_of(&self.file).to_owned(),
        };
        let keys = package.common.array(ArrayField::Validpgpkeys);
        let keys = keys.map(|keys| keys.known().map(|(key, _)| key.to_owned()).collect());
        let policy = Policy {
            offline: self.offline,
            allow_no_digest: true,
            keyring: self.keyring.clone(),
            valid_pgp_keys: keys.unwrap_or_default(),
            skip_pgp_check: self.keyring.is_none(),
            ..policy(&self.network, &self.sources)?
        };
        let held = fetch_and_hold(requests, &directories, &policy, token, &Quiet).await;
        match held {
            Ok(held) => Ok(held.fetched().cloned().collect()),
            Err(FetchError::Cancelled) => bail!("cancelled"),
            Err(error) => Err(error.into()),
        }
    }
}

/// Tells what takes long or is not as it should be.
struct Quiet;

impl Reporter for Quiet {
    fn report(&self, event: Event) {
        match event {
            Event::Started { source } => say_error!("fetching `{}`", source.name),
            Event::Retrying { source, reason, .. } => {
                say_error!("`{}`: {reason}; trying again", source.name);
            }
            _ => {}
        }
    }
}
