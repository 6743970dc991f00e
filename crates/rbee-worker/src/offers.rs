//! `rbee-worker search|show`: what a catalog offers, and what of it fits this host.

use std::error::Error as _;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use catalog_client::{
    Answer, CatalogClient, CatalogConfig, CatalogError, Flavor, Freshness, Host, WorkerEntry,
    WorkerList, select,
};
use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Value, json};
use worker_provisioner::Config;

use crate::outcome::SCHEMA;
use crate::sources::NetworkSwitches;

use printable::say_error;

/// List the workers of the catalog, those alone that have all of the words somewhere.
#[derive(Debug, Args)]
pub(crate) struct Search {
    /// Words of an id, a name, a description, a backend or a format.
    words: Vec<String>,
    #[command(flatten)]
    from: From,
}

/// Show one worker of the catalog, with its variants and what of them fits this host.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The worker's id.
    id: String,
    #[command(flatten)]
    from: From,
}

/// Which catalog, and how to print.
#[derive(Debug, Args)]
struct From {
    /// The catalog's base URL [default: `$WORKER_CATALOG_URL`, else `http://localhost:8787`].
    #[arg(long, value_name = "URL")]
    catalog: Option<String>,
    /// Downloaded sources and catalog answers [default: the user's cache folder].
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    /// Ask nobody; show what was kept from the last time.
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    network: NetworkSwitches,
    /// Ask the catalog, whatever time its kept answers still have.
    #[arg(long)]
    refresh: bool,
    /// Print one JSON document instead of a table.
    #[arg(long)]
    json: bool,
}

impl Search {
    /// Runs the command.
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let cancel = interrupt::token()?;
        let text = async {
            let mut answer = self.from.client()?.list(&cancel).await?;
            let words: Vec<_> = self.words.iter().map(|word| word.to_lowercase()).collect();
            let has_all = |entry: &WorkerEntry| {
                let text = searchable(entry);
                words.iter().all(|word| text.contains(word))
            };
            answer.value.workers.retain(has_all);
            Ok(all(self.from.json, &answer, Host::detect().as_ref()))
        };
        Ok(self.from.print(text.await))
    }
}

impl Show {
    /// Runs the command.
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let cancel = interrupt::token()?;
        let text = async {
            let answer = self.from.client()?.get(&self.id.parse()?, &cancel).await?;
            Ok(one(self.from.json, &answer, Host::detect().as_ref()))
        };
        Ok(self.from.print(text.await))
    }
}

impl From {
    fn client(&self) -> Result<CatalogClient, CatalogError> {
        let settings = Config::from_env();
        let urls = match &self.catalog {
            Some(url) => vec![url.clone()],
            None => settings.catalog_urls,
        };
        let cache = self.cache_dir.as_ref().unwrap_or(&settings.cache_dir);
        let mut config = CatalogConfig::new(urls);
        let access = self.network.access();
        let access = access.map_err(|error| CatalogError::Config {
            setting: "access",
            problem: format!("{:#}", anyhow::Error::from(error)),
        })?;
        config.access = Some(access);
        config.token = settings.catalog_token;
        config.cache_dir = Some(cache.join("catalog"));
        config.offline = self.offline;
        concat!("rbee-worker/", env!("CARGO_PKG_VERSION")).clone_into(&mut config.user_agent);
        let client = CatalogClient::new(config)?;
        Ok(if self.refresh {
            client.refreshing()
        } else {
            client
        })
    }

    fn print(&self, text: Result<String, CatalogError>) -> ExitCode {
        match text {
            Ok(text) => {
                let text = if self.json {
                    text.into()
                } else {
                    printable::text(&text)
                };
                // A reader that has gone away, such as `head`, has seen enough.
                let _ = writeln!(std::io::stdout(), "{text}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                let text = chain(&error);
                if self.json {
                    println!("{}", json!({ "schema": SCHEMA, "error": text }));
                } else {
                    say_error!("error: {text}");
                }
                match error {
                    CatalogError::Cancelled => ExitCode::from(130),
                    CatalogError::InvalidId { .. } | CatalogError::Config { .. } => {
                        ExitCode::from(2)
                    }
                    CatalogError::NotFound { .. } => ExitCode::from(3),
                    _ => ExitCode::FAILURE,
                }
            }
        }
    }
}

/// What the words of a search are looked for in.
fn searchable(entry: &WorkerEntry) -> String {
    let mut text = format!("{} {}", entry.id, entry.name);
    for more in entry.description.iter().chain(&entry.license) {
        text.push(' ');
        text.push_str(more);
    }
    for format in &entry.capabilities.supported_formats {
        text.push(' ');
        text.push_str(format);
    }
    for backend in entry.backends() {
        let _ = write!(text, " {backend}");
    }
    text.to_lowercase()
}

fn all(as_json: bool, answer: &Answer<WorkerList>, host: Option<&Host>) -> String {
    let list = &answer.value;
    if as_json {
        let workers: Vec<Value> = list
            .workers
            .iter()
            .map(|entry| describe(entry, host))
            .collect();
        let rejected: Vec<String> = list.rejected.iter().map(ToString::to_string).collect();
        let document = json!({
            "schema": SCHEMA,
            "url": answer.url,
            "stale": answer.freshness.is_stale(),
            "host": host,
            "workers": workers,
            "rejected": rejected,
        });
        return format!("{document:#}");
    }
    let mut table = table(&[
        "worker",
        "version",
        "backends",
        "platforms",
        "formats",
        "this host",
    ]);
    for entry in &list.workers {
        table.add_row([
            entry.id.to_string(),
            clean(entry.version.as_deref().unwrap_or("-")),
            join(entry.backends()),
            or_any(join(entry.platforms())),
            clean(&or_dash(entry.capabilities.supported_formats.join(", "))),
            fit(entry, host),
        ]);
    }
    let mut text = format!(
        "{}\n{}",
        table.trim_fmt(),
        origin(&answer.url, answer.freshness, answer.cause.as_ref())
    );
    for error in &list.rejected {
        text.push_str("\nleft out: ");
        text.push_str(&clean(&error.to_string()));
    }
    text
}

fn one(as_json: bool, answer: &Answer<WorkerEntry>, host: Option<&Host>) -> String {
    let entry = &answer.value;
    if as_json {
        let mut document = describe(entry, host);
        document["url"] = json!(answer.url);
        document["stale"] = json!(answer.freshness.is_stale());
        return format!("{document:#}");
    }
    let mut facts = Table::new();
    facts.load_style(presets::NOTHING);
    let capabilities = &entry.capabilities;
    let context = capabilities
        .max_context_length
        .map(|tokens| format!("{tokens} tokens"));
    let source = entry.source.as_ref();
    let facts_of: [(&str, Option<String>); 9] = [
        ("worker", Some(entry.id.to_string())),
        ("name", Some(entry.name.clone())),
        ("version", entry.version.clone()),
        ("description", entry.description.clone()),
        ("license", entry.license.clone()),
        ("source", source.and_then(|source| source.url.clone())),
        ("formats", Some(capabilities.supported_formats.join(", "))),
        ("context", context),
        ("this host", Some(fit(entry, host))),
    ];
    for (name, value) in facts_of {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            facts.add_row([name.to_owned(), clean(&value)]);
        }
    }
    let mut variants = table(&[
        "backend",
        "platforms",
        "architectures",
        "recipes",
        "binary",
        "depends",
    ]);
    for variant in &entry.variants {
        let recipes = [Flavor::Binary, Flavor::Source];
        variants.add_row([
            variant.backend.to_string(),
            or_any(join(&variant.platforms)),
            or_any(join(&variant.architectures)),
            join(recipes.into_iter().filter(|flavor| variant.offers(*flavor))),
            clean(variant.binary_name.as_deref().unwrap_or("-")),
            clean(&or_dash(variant.depends.join(", "))),
        ]);
    }
    let from = origin(&answer.url, answer.freshness, answer.cause.as_ref());
    format!("{}\n\n{}\n{from}", facts.trim_fmt(), variants.trim_fmt())
}

fn describe(entry: &WorkerEntry, host: Option<&Host>) -> Value {
    let mut value = serde_json::to_value(entry).unwrap_or_default();
    let fitting = host.and_then(|host| select(entry, host).ok());
    value["fitsHostWith"] = json!(fitting.map(|variant| variant.backend.to_string()));
    value
}

fn fit(entry: &WorkerEntry, host: Option<&Host>) -> String {
    match host.map(|host| select(entry, host)) {
        Some(Ok(variant)) => format!("yes, {}", variant.backend),
        Some(Err(CatalogError::NoVariant { fitting, .. })) if !fitting.is_empty() => {
            format!("no device for {}", fitting.join(", "))
        }
        _ => "no".to_owned(),
    }
}

fn origin(url: &str, freshness: Freshness, cause: Option<&CatalogError>) -> String {
    let mut text = format!("from {url}");
    let _ = match freshness {
        Freshness::Live => Ok(()),
        Freshness::Fresh { age } => write!(text, ", kept for {} s", age.as_secs()),
        Freshness::Stale { age } => write!(text, ", stale: {} s old", age.as_secs()),
    };
    if let Some(cause) = cause {
        let _ = write!(text, "; {}", chain(cause));
    }
    text
}

/// The error and its causes.
fn chain(error: &CatalogError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header.to_vec());
    table
}

fn join<T: ToString>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<_> = names.into_iter().map(|name| name.to_string()).collect();
    names.join(", ")
}

fn or_any(text: String) -> String {
    if text.is_empty() {
        "any".to_owned()
    } else {
        text
    }
}

fn or_dash(text: String) -> String {
    if text.is_empty() {
        "-".to_owned()
    } else {
        text
    }
}

/// A catalog's text must not steer the terminal, nor fill it.
fn clean(text: &str) -> String {
    let shown: String = text.chars().take(200).collect();
    printable::text(&shown).into_owned()
}
