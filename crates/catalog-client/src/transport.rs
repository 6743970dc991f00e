//! The HTTP client a configuration asks for.

use reqwest::header::HeaderValue;
use reqwest::redirect::Policy;

use crate::config::{CatalogConfig, Proxy};
use crate::error::CatalogError;

/// The client for everywhere, and the one for this machine itself, which goes through no proxy.
pub(crate) fn clients(
    config: &CatalogConfig,
) -> Result<(reqwest::Client, reqwest::Client), CatalogError> {
    let direct = CatalogConfig {
        proxy: Proxy::None,
        ..config.clone()
    };
    Ok((client(config)?, client(&direct)?))
}

fn client(config: &CatalogConfig) -> Result<reqwest::Client, CatalogError> {
    if HeaderValue::from_str(&config.user_agent).is_err() || config.user_agent.trim().is_empty() {
        return Err(CatalogError::Config {
            setting: "user_agent",
            problem: "it is empty or has characters that a header cannot carry".to_owned(),
        });
    }
    if let Some(client) = &config.http {
        return Ok(client.clone());
    }
    let mut builder = reqwest::Client::builder()
        .connect_timeout(config.limits.connect)
        .redirect(Policy::none())
        .referer(false)
        .gzip(true);
    builder = match &config.proxy {
        Proxy::Environment => builder,
        Proxy::None => builder.no_proxy(),
        Proxy::Url(url) => {
            let proxy = reqwest::Proxy::all(url).map_err(|_| CatalogError::Config {
                setting: "proxy",
                problem: "it is no URL such as `http://proxy.example:3128`".to_owned(),
            })?;
            builder.proxy(proxy)
        }
    };
    for pem in &config.root_certificates {
        let refuse = |problem: String| CatalogError::Config {
            setting: "root_certificates",
            problem,
        };
        let certificates = reqwest::Certificate::from_pem_bundle(pem)
            .map_err(|error| refuse(format!("one is no PEM certificate ({error})")))?;
        if certificates.is_empty() {
            return Err(refuse("one holds no PEM certificate".to_owned()));
        }
        for certificate in certificates {
            builder = builder.add_root_certificate(certificate);
        }
    }
    builder.build().map_err(|error| CatalogError::Config {
        setting: "root_certificates",
        problem: format!("the HTTP client cannot be built ({})", error.without_url()),
    })
}
