//! How servers are reached, and what recipes may fetch beyond the rules, as switches.

use std::path::PathBuf;

use network_policy::HostRule;

/// The switches of commands that ask servers.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct NetworkSwitches {
    /// A PEM file of authorities that TLS trusts beside those of the host, or of `$SSL_CERT_FILE` and
    /// `$SSL_CERT_DIR` in their place; may be repeated.
    #[arg(long = "ca-file", value_name = "FILE")]
    pub(crate) ca_files: Vec<PathBuf>,
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
    /// Fetch over ssh too, with your own keys and agent.
    #[arg(long)]
    pub(crate) allow_ssh_sources: bool,
}
