//! Whom TLS trusts.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;

use crate::refusal::Refusal;

/// A bundle of every authority there is takes a quarter of a megabyte.
const LARGEST_FILE: u64 = 16 << 20;

/// The certificate authorities that TLS trusts.
///
/// Those of the host, or in their place those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name (OpenSSL,
/// `SSL_CTX_set_default_verify_paths(3)`); where the host has none, those of Mozilla as this program
/// was built with them; and whatever is added.
///
/// What is named is looked at at once, and read when TLS is first spoken, once for all clones.
#[derive(Clone, Default)]
pub struct Roots {
    named: Option<Arc<Named>>,
    more: Vec<CertificateDer<'static>>,
    tls: Arc<OnceCell<ClientConfig>>,
}

/// What counts in place of the host's.
struct Named {
    file: Option<PathBuf>,
    directories: Vec<PathBuf>,
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
    /// Blocks while they are looked at.
    ///
    /// # Errors
    /// [`RootsError`]; a directory may be empty if the bundle is named.
    pub fn named(file: Option<&Path>, directories: &[PathBuf]) -> Result<Self, RootsError> {
        if file.is_none() && directories.is_empty() {
            return Ok(Self::default());
        }
        let named = Named {
            file: file.map(Path::to_owned),
            directories: directories.to_vec(),
        };
        named.check()?;
        Ok(Self {
            named: Some(Arc::new(named)),
            ..Self::default()
        })
    }

    /// Trusts the certificates of a PEM file as well (`--ca-file`). Blocks while it is read.
    ///
    /// # Errors
    /// [`RootsError`] when it cannot be read, or one of its certificates cannot be used.
    pub fn with_file(self, path: &Path) -> Result<Self, RootsError> {
        let certificates = certificates(&read(path, SWITCH)?).collect();
        self.with(certificates, Some(path), SWITCH)
    }

    /// Trusts the certificates of a PEM text as well.
    ///
    /// # Errors
    /// [`RootsError`] when there is none, or one cannot be used.
    pub fn with_pem(self, pem: &[u8]) -> Result<Self, RootsError> {
        self.with(certificates(pem).collect(), None, SETTING)
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
        // What was read for others does not hold these.
        self.tls = Arc::default();
        Ok(self)
    }

    /// What TLS is set up with; reads what is trusted the first time.
    pub(crate) async fn tls(&self) -> Result<ClientConfig, Refusal> {
        let read = || async {
            let roots = self.clone();
            let reading = tokio::task::spawn_blocking(move || roots.read());
            reading.await.map_err(|error| Refusal::client(&error))?
        };
        self.tls.get_or_try_init(read).await.cloned()
    }

    fn read(&self) -> Result<ClientConfig, Refusal> {
        let store = match &self.named {
            // Never those built in, which somebody has replaced.
            Some(named) => self.with_more(named.read().map_err(|error| Refusal::client(&error))?),
            // What of them cannot be read is of no use to anybody here.
            None => self.store(rustls_native_certs::load_native_certs().certs),
        };
        config(store).map_err(|error| Refusal::client(&error))
    }

    fn store(&self, of_host: Vec<CertificateDer<'static>>) -> RootCertStore {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(of_host);
        if store.is_empty() {
            store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        self.with_more(store)
    }

    fn with_more(&self, mut store: RootCertStore) -> RootCertStore {
        store.add_parsable_certificates(self.more.iter().cloned());
        store
    }
}

impl Named {
    /// Looks whether there is anything to trust, and no further.
    fn check(&self) -> Result<(), RootsError> {
        let mut is_any = false;
        if let Some(file) = &self.file {
            is_any = certificates(&read(file, FILE)?).any(|found| is_usable(&found));
            if !is_any {
                return Err(self.nothing());
            }
        }
        for directory in &self.directories {
            let entries = directory.read_dir().map_err(|source| RootsError::Read {
                path: directory.clone(),
                named_by: DIRECTORY,
                source,
            })?;
            // Single files of it that are no certificates are left out, as OpenSSL does.
            let files = entries.flatten().map(|entry| entry.path());
            let mut files = files.filter(|path| path.is_file());
            let holds = |file: PathBuf| {
                read(&file, DIRECTORY)
                    .is_ok_and(|text| certificates(&text).any(|found| is_usable(&found)))
            };
            is_any = is_any || files.any(holds);
        }
        if is_any { Ok(()) } else { Err(self.nothing()) }
    }

    fn read(&self) -> Result<RootCertStore, RootsError> {
        let mut store = RootCertStore::empty();
        if let Some(file) = &self.file {
            store.add_parsable_certificates(certificates(&read(file, FILE)?));
        }
        for directory in &self.directories {
            let loaded = rustls_native_certs::load_certs_from_paths(None, Some(directory));
            store.add_parsable_certificates(loaded.certs);
        }
        if store.is_empty() {
            return Err(self.nothing());
        }
        Ok(store)
    }

    fn nothing(&self) -> RootsError {
        match &self.file {
            Some(file) => RootsError::None {
                path: Some(file.clone()),
                named_by: FILE,
            },
            None => RootsError::None {
                path: self.directories.first().cloned(),
                named_by: DIRECTORY,
            },
        }
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

fn read(path: &Path, named_by: &'static str) -> Result<Vec<u8>, RootsError> {
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
    Ok(text)
}

/// The certificates of a text; what is damaged in it is left to whoever finds too few.
fn certificates(pem: &[u8]) -> impl Iterator<Item = CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).flatten()
}

fn is_usable(certificate: &CertificateDer<'static>) -> bool {
    RootCertStore::empty().add(certificate.clone()).is_ok()
}

impl fmt::Debug for Roots {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Roots")
            .field("named", &self.named.is_some())
            .field("more", &self.more.len())
            .finish_non_exhaustive()
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
