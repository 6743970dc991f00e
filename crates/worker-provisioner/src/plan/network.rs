//! What is asked, and how.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::Arc;

use catalog_client::CatalogConfig;
use network_policy::{Access, AccessError, Crowd, Roots, SourcePolicy};
use source_fetch::Credentials;

use crate::config::{Config, TransportPolicy};
use crate::error::ProvisionError;

/// How everything is reached. Blocks while files are read.
pub(crate) fn access(config: &Config) -> Result<Access, ProvisionError> {
    let access = match &config.proxies {
        Some(proxies) => Roots::from_env()
            .map(|roots| Access {
                roots,
                proxies: proxies.clone(),
                ..Access::default()
            })
            .map_err(AccessError::from),
        None => Access::from_env(),
    };
    let mut access = access
        .and_then(|access| access.trusting(&config.ca_files))
        .map_err(|error| ProvisionError::Access(Arc::new(error)))?;
    access.crowd = Crowd::new(config.connections_per_host);
    Ok(access)
}

/// A netrc file takes no more.
const LARGEST_NETRC: u64 = 1 << 20;

/// What the hosts of sources ask for. Blocks while a file is read.
pub(crate) fn credentials(config: &Config) -> Result<Credentials, ProvisionError> {
    let Some(path) = &config.netrc_file else {
        return Ok(config.credentials.clone());
    };
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST_NETRC + 1).read_to_string(&mut text))
        .and_then(|length| match length as u64 {
            0..=LARGEST_NETRC => Ok(()),
            _ => Err(io::ErrorKind::FileTooLarge.into()),
        })
        .map_err(|error| ProvisionError::io("read the logins of", path, error))?;
    Ok(config.credentials.clone().with_netrc(&text))
}

/// What the catalog client is told.
pub(crate) fn catalog_config(config: &Config, access: &Access) -> CatalogConfig {
    let mut catalog = CatalogConfig::new(config.catalog_urls.iter().cloned());
    catalog.access = Some(access.clone());
    catalog.token.clone_from(&config.catalog_token);
    catalog.cache_dir = Some(config.cache_dir.join("catalog"));
    catalog.offline = config.offline;
    catalog.limits.longest_fresh = config.catalog_longest_fresh;
    catalog.limits.longest_stale = config.catalog_longest_stale;
    catalog
        .root_certificates
        .clone_from(&config.catalog_root_certificates);
    concat!("worker-provisioner/", env!("CARGO_PKG_VERSION")).clone_into(&mut catalog.user_agent);
    catalog
}

/// What a recipe from the catalog may make this machine ask.
pub(crate) fn source_policy(config: &Config) -> SourcePolicy {
    let mut policy = SourcePolicy::default()
        .allow_insecure(config.insecure_sources)
        .allow_ssh(config.ssh_sources)
        .require_tls(config.catalog_transport == TransportPolicy::Tls);
    for rule in &config.source_hosts {
        policy = policy.allow_host(rule.clone());
    }
    // One that is no URL is refused by the catalog's client.
    for url in config
        .catalog_urls
        .iter()
        .filter_map(|url| url.trim().parse().ok())
    {
        policy = policy.allow_origin(&url);
    }
    policy
}
