//! The HTTP clients a configuration asks for.

use network_policy::{Access, AccessError, HttpClients};
use reqwest::header::HeaderValue;

use crate::base::Bases;
use crate::config::CatalogConfig;
use crate::error::CatalogError;

/// Clients that ask the configured origins wherever they are, and others on the internet alone.
pub(crate) fn clients(config: &CatalogConfig, bases: &Bases) -> Result<HttpClients, CatalogError> {
    if HeaderValue::from_str(&config.user_agent).is_err() || config.user_agent.trim().is_empty() {
        return Err(CatalogError::Config {
            setting: "user_agent",
            problem: "it is empty or has characters that a header cannot carry".to_owned(),
        });
    }
    if let Some(client) = &config.http {
        return Ok(HttpClients::with_client(bases.policy(), client.clone()));
    }
    let mut access = match &config.access {
        Some(access) => access.clone(),
        None => Access::from_env().map_err(|error| refused("access", &error))?,
    };
    for pem in &config.root_certificates {
        let roots = access.roots.with_pem(pem);
        access.roots = roots.map_err(|error| refused("root_certificates", &error.into()))?;
    }
    let connect = config.limits.connect;
    Ok(HttpClients::new(bases.policy(), access, move |builder| {
        builder.connect_timeout(connect).gzip(true)
    }))
}

fn refused(setting: &'static str, error: &AccessError) -> CatalogError {
    let cause = std::error::Error::source(error);
    let cause = cause.map_or(String::new(), |cause| format!(": {cause}"));
    CatalogError::Config {
        setting,
        problem: format!("{error}{cause}"),
    }
}
