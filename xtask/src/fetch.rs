//! `cargo xtask fetch`: the sources of a recipe, verified, in a directory.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;

use anyhow::{Context as _, Result, bail};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use pkgbuild_syntax::{Arch, Environment, Package, evaluate, parse};
use serde_json::{Value, json};
use source_fetch::{
    Checksum, Directories, Event, Expired, FetchError, Policy, Reporter, Signer, Source,
    SourceRequest, fetch_all,
    git::{History, required_history},
};

use crate::sources::{NetworkSwitches, SourceSwitches, cache, policy};
use crate::srcinfo::{folder_of, with_files};
use printable::say_error;

/// Fetch, verify and extract the sources of a recipe.
///
/// Exit status: 0 when all of them are in the directory, 1 when one could not be had, 130 when
/// cancelled; nothing is in the directory then.
#[derive(Debug, clap::Args)]
pub(crate) struct Fetch {
    /// The recipe.
    file: PathBuf,
    /// Where the sources appear; must not exist or be empty.
    #[arg(long, value_name = "DIR")]
    srcdir: PathBuf,
    /// The architecture to build for, as `CARCH` in makepkg.conf.
    #[arg(long, value_name = "ARCH", default_value = "x86_64")]
    carch: String,
    /// Downloads kept between runs [default: the user's cache folder].
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    /// Public keys to verify signatures with, as `gpg --export` writes them.
    #[arg(long, value_name = "FILE")]
    keyring: Option<PathBuf>,
    /// Verify no signature, as makepkg does when told so.
    #[arg(long)]
    skippgpcheck: bool,
    /// Use the cache alone.
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    network: NetworkSwitches,
    #[command(flatten)]
    sources: SourceSwitches,
    /// One JSON event a line on standard output; the last line is the result or the error.
    #[arg(long)]
    json: bool,
}

impl Fetch {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let token = interrupt::token()?;
        let (requests, valid_pgp_keys) = self.requests()?;
        let directories = Directories {
            srcdir: self.srcdir.clone(),
            cache: cache(self.cache_dir.as_deref())?,
            startdir: folder_of(&self.file).to_owned(),
        };
        let policy = Policy {
            offline: self.offline,
            keyring: self.keyring.clone(),
            valid_pgp_keys,
            skip_pgp_check: self.skippgpcheck,
            ..policy(&self.network, &self.sources)?
        };
        let bars = Bars::default();
        let reporter: &dyn Reporter = if self.json { &Json } else { &bars };
        match fetch_all(&requests, &directories, &policy, &token, reporter).await {
            Ok(fetched) => {
                if self.json {
                    let sources: Vec<_> = fetched.iter().map(result).collect();
                    println!("{}", json!({ "event": "done", "sources": sources }));
                }
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => {
                let cancelled = matches!(error, FetchError::Cancelled);
                let error = anyhow::Error::from(error);
                if self.json {
                    println!(
                        "{}",
                        json!({ "event": "error", "message": format!("{error:#}") })
                    );
                } else {
                    say_error!("error: {error:#}");
                }
                Ok(ExitCode::from(if cancelled { 130 } else { 1 }))
            }
        }
    }

    fn requests(&self) -> Result<(Vec<SourceRequest>, Vec<String>)> {
        let file = &self.file;
        let text =
            fs::read(file).with_context(|| format!("failed to read `{}`", file.display()))?;
        let parsed = parse(&text);
        if let Some(error) = parsed.errors.first() {
            bail!("{}: {error:#}", file.display());
        }
        let environment = Environment::default().with_carch(&self.carch);
        let evaluation = with_files(folder_of(file), &environment, |environment| {
            evaluate(&parsed.file, environment)
        });
        let package = Package::from_evaluation(&evaluation)?;
        if package.has_function("verify") {
            say_error!("warning: what the recipe's `verify()` would judge is not judged here");
        }
        let resolved = package.resolve(&self.carch.parse::<Arch>()?)?;
        let history = evaluation
            .functions()
            .into_iter()
            .filter_map(|name| evaluation.declare_f(name))
            .map(|body| match body.known() {
                Some(text) => required_history([text.as_str()]),
                None => History::Full,
            })
            .max();
        let mut requests = Vec::new();
        for declared in &resolved.sources {
            let source: Source = declared.source.parse()?;
            let mut request = SourceRequest::new(source);
            for sum in &declared.checksums {
                request =
                    request.with_checksum(Checksum::parse(sum.algorithm.name(), &sum.digest)?);
            }
            let name = request.source.file_name();
            request.no_extract = resolved.noextract.iter().any(|kept| kept == name);
            request.needs_history =
                history == Some(History::Full) || self.sources.wants_history(name);
            requests.push(request);
        }
        Ok((requests, resolved.validpgpkeys.clone()))
    }
}

fn result(fetched: &source_fetch::Fetched) -> Value {
    let digests: Vec<_> = fetched
        .verification
        .digests
        .iter()
        .map(|kind| kind.name())
        .collect();
    json!({
        "source": fetched.source.label(),
        "path": fetched.path,
        "bytes": fetched.bytes,
        "from_cache": fetched.from_cache,
        "digests": digests,
        "skipped": fetched.verification.skipped,
        "signed_by": fetched.verification.signed_by.as_ref().map(signer),
        "extracted": fetched.extracted,
    })
}

fn signer(signer: &Signer) -> Value {
    let expired = signer.expired.map(|expired| match expired {
        Expired::Signature => "signature",
        Expired::Key => "key",
    });
    json!({ "fingerprint": signer.fingerprint, "expired": expired })
}

/// One JSON object a line on standard output.
#[derive(Debug)]
struct Json;

impl Reporter for Json {
    fn report(&self, event: Event) {
        let (kind, mut value) = match &event {
            Event::Started { .. } => ("started", json!({})),
            Event::Bytes {
                received, total, ..
            } => ("bytes", json!({ "received": received, "total": total })),
            Event::Retrying {
                attempt,
                delay,
                reason,
                ..
            } => (
                "retrying",
                json!({ "attempt": attempt, "delay_ms": delay.as_millis(), "reason": reason }),
            ),
            Event::CredentialWithheld { host, .. } => {
                ("credential_withheld", json!({ "host": host }))
            }
            Event::FromCache { .. } => ("from_cache", json!({})),
            Event::Verified { digests, .. } => {
                let digests: Vec<_> = digests.iter().map(|kind| kind.name()).collect();
                ("verified", json!({ "digests": digests }))
            }
            Event::SignatureVerified { signed_by, .. } => ("signature_verified", signer(signed_by)),
            Event::SignatureSkipped { .. } => ("signature_skipped", json!({})),
            Event::Extracted { entries, bytes, .. } => {
                ("extracted", json!({ "entries": entries, "bytes": bytes }))
            }
            Event::Finished { .. } => ("finished", json!({})),
            _ => return,
        };
        value["event"] = kind.into();
        value["source"] = (*event.source().name).into();
        println!("{value}");
    }
}

/// One bar a source on standard error.
#[derive(Debug, Default)]
struct Bars {
    all: MultiProgress,
    each: Mutex<HashMap<usize, ProgressBar>>,
}

impl Reporter for Bars {
    fn report(&self, event: Event) {
        let source = event.source().clone();
        let Ok(mut each) = self.each.lock() else {
            return;
        };
        let bar = each.entry(source.index).or_insert_with(|| {
            let bar = self.all.add(ProgressBar::new_spinner());
            bar.set_prefix(printable::text(&source.name).into_owned());
            bar.set_style(style("{spinner} {prefix} {bytes} {bytes_per_sec} {msg}"));
            bar
        });
        match event {
            Event::Bytes {
                received, total, ..
            } => {
                if let (Some(total), None) = (total, bar.length()) {
                    bar.set_length(total);
                    bar.set_style(style(
                        "{bar:24} {prefix} {bytes}/{total_bytes} {bytes_per_sec} {msg}",
                    ));
                }
                bar.set_position(received);
            }
            Event::Retrying { reason, delay, .. } => {
                let text = format!("{reason}; again in {delay:.1?}");
                bar.set_message(printable::text(&text).into_owned());
            }
            Event::CredentialWithheld { host, .. } => {
                let text = format!("no secret for `{host}` without encryption");
                bar.set_message(printable::text(&text).into_owned());
            }
            Event::FromCache { .. } => bar.set_message("from the cache"),
            Event::Verified { .. } => bar.set_message("verified"),
            Event::SignatureVerified { signed_by, .. } => {
                bar.set_message(match signed_by.expired {
                    None => "signature verified",
                    Some(Expired::Signature) => "signature verified, which has expired",
                    Some(Expired::Key) => "signature verified, of a key that has expired",
                });
            }
            Event::SignatureSkipped { .. } => bar.set_message("signature not verified"),
            Event::Extracted { entries, .. } => bar.set_message(format!("{entries} members")),
            Event::Finished { .. } => bar.finish(),
            _ => {}
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
