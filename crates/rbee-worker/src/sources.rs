//! How servers are reached, and what recipes may fetch beyond the rules, as switches.

use std::path::PathBuf;

use network_policy::{Access, AccessError, Crowd, HostRule};
use worker_provisioner::{Credentials, HistoryPolicy};

/// The switches of commands that ask servers.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct NetworkSwitches {
    /// A PEM file of authorities that TLS trusts beside those of the host, or of `$SSL_CERT_FILE` and
    /// `$SSL_CERT_DIR` in their place; may be repeated.
    #[arg(long = "ca-file", value_name = "FILE")]
    pub(crate) ca_files: Vec<PathBuf>,
    /// How much is asked of one host at once [default: 4].
    #[arg(long, value_name = "COUNT", value_parser = at_once)]
    pub(crate) connections_per_host: Option<usize>,
}

fn at_once(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=256) => Ok(count),
        _ => Err("it is no number from 1 to 256".to_owned()),
    }
}

impl NetworkSwitches {
    /// How servers are reached.
    pub(crate) fn access(&self) -> Result<Access, AccessError> {
        let mut access = Access::from_env()?.trusting(&self.ca_files)?;
        if let Some(count) = self.connections_per_host {
            access.crowd = Crowd::new(count);
        }
        Ok(access)
    }
}

/// The switches of commands that fetch sources.
#[derive(Debug, Clone, clap::Args)]
#[allow(
    clippy::struct_field_names,
    reason = "they are the names of the switches"
)]
pub(crate) struct SourceSwitches {
    /// A host that sources may come from whatever its address is, such as 127.0.0.1:8080; may be
    /// repeated.
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) allow_source_host: Vec<HostRule>,
    /// Fetch over http and git too what no sha2 or blake2 digest and no full commit id pins.
    #[arg(long)]
    pub(crate) allow_insecure_sources: bool,
    /// Fetch the whole history of every git source, or of the one with this name in `srcdir`; may be
    /// repeated. Without it history is fetched where the recipe or a file that builds the source
    /// asks git for it.
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub(crate) full_history: Vec<String>,
    /// Fetch over ssh too, with your own keys and agent.
    #[arg(long)]
    pub(crate) allow_ssh_sources: bool,
    /// A netrc file, whose logins go to hosts of --allow-source-host, over TLS or to this machine
    /// [default: `$WORKER_NETRC`].
    #[arg(long, value_name = "FILE")]
    pub(crate) netrc_file: Option<PathBuf>,
    /// A host and the variable of the environment that holds its bearer token, which goes there over
    /// TLS or to this machine; may be repeated.
    #[arg(long = "source-token", value_name = "HOST[:PORT]=VARIABLE", value_parser = token)]
    pub(crate) source_tokens: Vec<(HostRule, String)>,
}

impl SourceSwitches {
    /// The tokens beside those that there are.
    pub(crate) fn tokens(&self, credentials: Credentials) -> Credentials {
        let tokens = self.source_tokens.iter();
        tokens.fold(credentials, |credentials, (host, variable)| {
            credentials.with_bearer_variable(host.to_string(), variable)
        })
    }
}

fn token(text: &str) -> Result<(HostRule, String), String> {
    let (host, variable) = text
        .split_once('=')
        .filter(|(_, variable)| !variable.is_empty())
        .ok_or("it is not of the form HOST[:PORT]=VARIABLE")?;
    let host = host
        .parse::<HostRule>()
        .map_err(|error| error.to_string())?;
    Ok((host, variable.to_owned()))
}

impl SourceSwitches {
    /// Which git sources are to have their whole history.
    pub(crate) fn history(&self) -> HistoryPolicy {
        match self.full_history.as_slice() {
            [] => HistoryPolicy::WhereAsked,
            names if names.iter().any(String::is_empty) => HistoryPolicy::Everywhere,
            names => HistoryPolicy::Of(names.to_vec()),
        }
    }
}
