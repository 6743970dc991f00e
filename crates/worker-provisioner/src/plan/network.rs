//! What is asked, and how.

use std::sync::Arc;

use catalog_client::CatalogConfig;
use network_policy::{Access, AccessError, Roots, SourcePolicy};

use crate::config::{Config, TransportPolicy};
use crate::error::ProvisionError;

/// How everything is reached. Blocks while files are read.
pub(crate) fn access(config: &Config) -> Result<Access, ProvisionError> {
    let access = match &config.proxies {
        Some(proxies) => Roots::from_env()
            .map(|roots| Access {
                roots,
                proxies: proxies.clone(),
            })
            .map_err(AccessError::from),
        None => Access::from_env(),
    };
    access
        .and_then(|access| access.trusting(&config.ca_files))
        .map_err(|error| ProvisionError::Access(Arc::new(error)))
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
