//! `cargo xtask workers`: what a catalog offers, and what of it fits this host.

use std::error::Error as _;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use catalog_client::{
    Answer, CatalogClient, CatalogConfig, CatalogError, Flavor, Freshness, Host, WorkerEntry,
    WorkerList, select,
};
use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};
use network_policy::Access;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use worker_provisioner::Config;

use crate::interrupt;
use crate::show::say_error;
use crate::sources::NetworkSwitches;

/// List the workers of a catalog, or show one.
#[derive(Debug, Args)]
pub(crate) struct Workers {
    /// Show this worker alone, with its variants.
    id: Option<String>,
    /// The catalog's base URL [default: `WORKER_CATALOG_URL`, else the local catalog].
    #[arg(long, value_name = "URL")]
    catalog: Option<String>,
    /// Ask nobody; show what was kept from the last time.
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    network: NetworkSwitches,
    /// Print one JSON document instead of a table.
    #[arg(long)]
    json: bool,
}

impl Workers {
    /// Runs the command: status 0, 1 when the catalog has no answer, 2 for an unusable id or
    /// setting, 3 for a worker the catalog does not have, 130 when interrupted.
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let cancel = interrupt::token()?;
        match self.ask(&cancel).await {
            Ok(text) => {
                // A reader that has gone away, such as `head`, has seen enough.
                let text = if self.json {
                    text.into()
                } else {
                    printable::text(&text)
                };
                let _ = writeln!(std::io::stdout(), "{text}");
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => {
                let text = chain(&error);
                if self.json {
                    println!("{}", json!({ "error": text }));
                } else {
                    say_error!("error: {text}");
                }
                Ok(match error {
                    CatalogError::Cancelled => ExitCode::from(130),
                    CatalogError::InvalidId { .. } | CatalogError::Config { .. } => {
                        ExitCode::from(2)
                    }
                    CatalogError::NotFound { .. } => ExitCode::from(3),
                    _ => ExitCode::FAILURE,
                })
            }
        }
    }

    async fn ask(&self, cancel: &CancellationToken) -> Result<String, CatalogError> {
        let client = CatalogClient::new(self.config()?)?;
        let host = Host::detect();
        Ok(match &self.id {
            Some(id) => one(
                self.json,
                &client.get(&id.parse()?, cancel).await?,
                host.as_ref(),
            ),
            None => all(self.json, &client.list(cancel).await?, host.as_ref()),
        })
    }

    fn config(&self) -> Result<CatalogConfig, CatalogError> {
        let settings = Config::from_env();
        let urls = match &self.catalog {
            Some(url) => vec![url.clone()],
            None => settings.catalog_urls,
        };
        let access = Access::from_env().and_then(|access| access.trusting(&self.network.ca_files));
        let access = access.map_err(|error| CatalogError::Config {
            setting: "access",
            problem: format!("{:#}", anyhow::Error::from(error)),
        })?;
        Ok(CatalogConfig {
            access: Some(access),
            token: settings.catalog_token,
            cache_dir: Some(settings.cache_dir.join("catalog")),
            offline: self.offline,
            user_agent: concat!("worker-provisioner/", env!("CARGO_PKG_VERSION")).to_owned(),
            ..CatalogConfig::new(urls)
        })
    }
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
