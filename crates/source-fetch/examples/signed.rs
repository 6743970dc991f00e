//! Fetches one file with its detached signature and tells who has signed it.
//!
//! ```text
//! gpg --export 0123456789ABCDEF0123456789ABCDEF01234567 > keys.gpg
//! cargo run -p source-fetch --example signed -- \
//!     https://example.org/foo-1.0.tar.xz .sig keys.gpg 0123456789ABCDEF0123456789ABCDEF01234567 src
//! ```

use std::error::Error;
use std::path::PathBuf;

use source_fetch::{Checksum, Directories, Event, Policy, SourceRequest, fetch_all};
use tokio_util::sync::CancellationToken;

#[tokio::main]
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, ending, keyring, fingerprint, srcdir] = &arguments[..] else {
        return Err("usage: signed URL ENDING KEYRING FINGERPRINT SRCDIR".into());
    };
    let mut sources = Vec::new();
    for text in [url.clone(), format!("{url}{ending}")] {
        let skip = Checksum::parse("sha256sums", "SKIP")?;
        sources.push(SourceRequest::new(text.parse()?).with_checksum(skip));
    }
    let directories = Directories {
        srcdir: PathBuf::from(srcdir),
        cache: std::env::temp_dir().join("source-fetch-example"),
        startdir: std::env::current_dir()?,
    };
    let policy = Policy {
        keyring: Some(keyring.into()),
        valid_pgp_keys: vec![fingerprint.clone()],
        ..Policy::default()
    };
    let reporter = |event: Event| {
        if let Event::SignatureVerified { source, signed_by } = event {
            println!("{} is signed by {}", source.name, signed_by.fingerprint);
            if let Some(expired) = signed_by.expired {
                eprintln!("warning: the {expired:?} has expired");
            }
        }
    };
    let token = CancellationToken::new();
    for fetched in fetch_all(&sources, &directories, &policy, &token, &reporter).await? {
        println!("{}", fetched.path.display());
    }
    Ok(())
}
