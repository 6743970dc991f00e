//! Whom TLS trusts.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// A bundle of every authority there is takes a quarter of a megabyte.
const LARGEST_FILE: u64 = 16 << 20;

/// The certificate authorities that TLS trusts.
///
/// Those of the host, or in their place those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name (OpenSSL,
/// `SSL_CTX_set_default_verify_paths(3)`); where the host has none, those of Mozilla as this program
/// was built with them; and whatever is added.
#[derive(Clone, Default)]
pub struct Roots {
    named: Option<Arc<[CertificateDer<'static>]>>,
    more: Vec<CertificateDer<'static>>,
}

/// Why certificates that were named cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootsError {
    /// A file or directory cannot be read.
    #[error("failed to read the certificates of `{}`, which {named_by} names", .path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The variable or switch.
        named_by: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// A file is larger than any bundle.
    #[error(
        "`{}`, which {named_by} names, is larger than {LARGEST_FILE} bytes; name a bundle of \
         certificates",
        .path.display()
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The variable or switch.
        named_by: &'static str,
    },
    /// There is no certificate.
    #[error(
        "{}, which {named_by} names, holds no certificate in PEM; such a file begins a certificate \
         with `-----BEGIN CERTIFICATE-----`",
        place(.path.as_ref())
    )]
    None {
        /// The file or directory; nothing for text that was given.
        path: Option<PathBuf>,
        /// The variable or switch.
        named_by: &'static str,
    },
    /// A certificate is damaged.
    #[error("{}, which {named_by} names, holds a certificate that cannot be used", place(.path.as_ref()))]
    Unusable {
        /// The file; nothing for text that was given.
        path: Option<PathBuf>,
        /// The variable or switch.
        named_by: &'static str,
        /// The cause.
        source: rustls::Error,
    },
}

fn place(path: Option<&PathBuf>) -> String {
    path.map_or_else(
        || "the text".to_owned(),
        |path| format!("`{}`", path.display()),
    )
}

const FILE: &str = "`SSL_CERT_FILE`";
const DIRECTORY: &str = "`SSL_CERT_DIR`";
const SWITCH: &str = "`--ca-file`";
const SETTING: &str = "the configuration";

impl Roots {
    /// Those that the environment names, or else the host's. Blocks while files are read.
    ///
    /// # Errors
    /// [`RootsError`] when a variable names what cannot be used.
    pub fn from_env() -> Result<Self, RootsError> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let file = set("SSL_CERT_FILE").map(PathBuf::from);
        let directories = set("SSL_CERT_DIR");
        let directories = directories.iter().flat_map(std::env::split_paths);
        Self::named(file.as_deref(), &directories.collect::<Vec<_>>())
    }

    /// Those of a bundle and of directories in place of the host's; the host's when neither is named.
    /// Blocks while files are read.
    ///
    /// # Errors
    /// [`RootsError`]; a directory may be empty if the bundle is named.
    pub fn named(file: Option<&Path>, directories: &[PathBuf]) -> Result<Self, RootsError> {
        if file.is_none() && directories.is_empty() {
            return Ok(Self::default());
        }
        let mut found = match file {
            Some(file) => usable(read(file, FILE)?),
            None => Vec::new(),
        };
        if let (Some(file), true) = (file, found.is_empty()) {
            return Err(RootsError::None {
                path: Some(file.to_owned()),
                named_by: FILE,
            });
        }
        for directory in directories {
            directory.read_dir().map_err(|source| RootsError::Read {
                path: directory.clone(),
                named_by: DIRECTORY,
                source,
            })?;
            // Single files of it that are no certificates are left out, as OpenSSL does.
            let loaded = rustls_native_certs::load_certs_from_paths(None, Some(directory));
            found.extend(usable(loaded.certs));
        }
        if found.is_empty() {
            return Err(RootsError::None {
                path: directories.first().cloned(),
                named_by: DIRECTORY,
            });
        }
        Ok(Self {
            named: Some(found.into()),
            more: Vec::new(),
        })
    }

    /// Trusts the certificates of a PEM file as well (`--ca-file`). Blocks while it is read.
    ///
    /// # Errors
    /// [`RootsError`] when it cannot be read, or one of its certificates cannot be used.
    pub fn with_file(self, path: &Path) -> Result<Self, RootsError> {
        let certificates = read(path, SWITCH)?;
        self.with(certificates, Some(path), SWITCH)
    }

    /// Trusts the certificates of a PEM text as well.
    ///
    /// # Errors
    /// [`RootsError`] when there is none, or one cannot be used.
    pub fn with_pem(self, pem: &[u8]) -> Result<Self, RootsError> {
        self.with(parse(pem), None, SETTING)
    }

    fn with(
        mut self,
        certificates: Vec<CertificateDer<'static>>,
        path: Option<&Path>,
        named_by: &'static str,
    ) -> Result<Self, RootsError> {
        let path = || path.map(Path::to_owned);
        if certificates.is_empty() {
            return Err(RootsError::None {
                path: path(),
                named_by,
            });
        }
        let mut store = RootCertStore::empty();
        for certificate in certificates {
            store
                .add(certificate.clone())
                .map_err(|source| RootsError::Unusable {
                    path: path(),
                    named_by,
                    source,
                })?;
            self.more.push(certificate);
        }
        Ok(self)
    }

    /// What TLS is set up with. Blocks while the host's certificates are read.
    pub(crate) fn tls(&self) -> Result<ClientConfig, rustls::Error> {
        config(match &self.named {
            Some(named) => self.store(named.to_vec()),
            // What of them cannot be read is of no use to anybody here.
            None => self.store(rustls_native_certs::load_native_certs().certs),
        })
    }

    fn store(&self, of_host: Vec<CertificateDer<'static>>) -> RootCertStore {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(of_host);
        if store.is_empty() {
            store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        store.add_parsable_certificates(self.more.iter().cloned());
        store
    }
}

/// TLS that trusts nobody, for what is not asked over it.
pub(crate) fn no_tls() -> Result<ClientConfig, rustls::Error> {
    config(RootCertStore::empty())
}

fn config(store: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn read(path: &Path, named_by: &'static str) -> Result<Vec<CertificateDer<'static>>, RootsError> {
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut text))
        .map_err(|source| RootsError::Read {
            path: path.to_owned(),
            named_by,
            source,
        })?;
    if text.len() as u64 > LARGEST_FILE {
        return Err(RootsError::TooLarge {
            path: path.to_owned(),
            named_by,
        });
    }
    Ok(parse(&text))
}

/// The certificates of a text; what is damaged in it is left to whoever finds too few.
fn parse(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).flatten().collect()
}

fn usable(certificates: Vec<CertificateDer<'static>>) -> Vec<CertificateDer<'static>> {
    let is_usable = |certificate: &CertificateDer<'static>| {
        RootCertStore::empty().add(certificate.clone()).is_ok()
    };
    certificates.into_iter().filter(is_usable).collect()
}

impl fmt::Debug for Roots {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Roots")
            .field("named", &self.named.as_ref().map(|named| named.len()))
            .field("more", &self.more.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_trusts_nobody_has_those_built_in() {
        let built_in = webpki_roots::TLS_SERVER_ROOTS.len();
        assert_eq!(Roots::default().store(Vec::new()).len(), built_in);
        let damaged = vec![CertificateDer::from(vec![0; 8])];
        assert_eq!(Roots::default().store(damaged).len(), built_in);
    }
}
