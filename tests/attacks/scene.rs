//! The folders of one attack, the provision under attack, and how its outcome is looked at.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;
use worker_provisioner::{
    Config, Isolation, IsolationChoice, ProvisionError, ProvisionEvent, ProvisionRequest,
    Provisioned, WorkerProvisioner, WorkerType,
};

use crate::harness::{self, Verdict};
use crate::server::Host;

/// Where one attack takes place.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) tier: Isolation,
    root: Arc<Root>,
}

/// Removes a folder whatever is in it.
pub(crate) fn remove(folder: &Path) {
    for command in [["chmod", "-R", "u+rwx"].as_slice(), &["rm", "-rf"]] {
        let mut remove = Command::new(command[0]);
        remove.args(&command[1..]).arg(folder);
        let _ = remove.stderr(std::process::Stdio::null()).status();
    }
}

/// A folder that is removed by a program which no depth and no mode stops.
#[derive(Debug)]
struct Root(PathBuf);

impl Drop for Root {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// What a provision gave, and all that it told.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) result: Result<Provisioned, ProvisionError>,
    pub(crate) events: Vec<ProvisionEvent>,
}

impl Place {
    pub(crate) fn new(tier: Isolation) -> Self {
        let root = tempfile::Builder::new()
            .prefix("attack-")
            .tempdir()
            .unwrap();
        let root = root.keep();
        harness::open_to_all(&root);
        std::fs::create_dir(root.join("tmp")).unwrap();
        Self {
            tier,
            root: Arc::new(Root(root)),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.0.as_path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.0.join(name)
    }

    /// A new folder of this place.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    /// A file that only the attacked user may read, and what is in it.
    pub(crate) fn secret(&self, name: &str) -> (PathBuf, String) {
        secret_at(&self.path(name))
    }

    pub(crate) fn config(&self, host: &Host) -> Config {
        let mut config = Config::new(self.root());
        config.catalog_urls = vec![host.url("")];
        config.backend = Some(WorkerType::Cpu);
        config.temp_dir = self.path("tmp");
        config.isolation = IsolationChoice::Exactly(self.tier);
        config
    }

    /// Provisions `demo` from this host.
    pub(crate) async fn provision(&self, host: &Host) -> Outcome {
        provision(self.config(host), "demo").await
    }

    /// Whether a text is in what was installed or stored.
    pub(crate) fn holds(&self, text: &str) -> bool {
        ["bin", "data"]
            .iter()
            .any(|folder| found_in(&self.path(folder), text))
    }

    /// Whether a text got out: into what is installed, into an event, or to the server.
    pub(crate) fn leaked(&self, secret: &str, outcome: &Outcome, host: &Host) -> bool {
        self.holds(secret) || outcome.tells(secret) || host.was_told(secret)
    }

    /// Runs lines of shell as the attacked user, without any sandbox, with the folders of a build.
    pub(crate) fn plain_bash(&self, lines: &str) -> String {
        let start = self.folder("plain");
        let (source, package) = (start.join("src"), start.join("pkg"));
        std::fs::create_dir_all(&source).unwrap();
        std::fs::create_dir_all(&package).unwrap();
        let output = Command::new("bash")
            .args(["-c", lines])
            .current_dir(&source)
            .env("startdir", &start)
            .env("srcdir", &source)
            .env("pkgdir", &package)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&said).into_owned()
    }

    /// Whether lines of shell, run so, lay hands on a text.
    pub(crate) fn plainly_gets(&self, lines: &str, secret: &str) -> bool {
        self.plain_bash(lines).contains(secret) || found_in(&self.path("plain"), secret)
    }
}

impl Outcome {
    pub(crate) fn tells(&self, text: &str) -> bool {
        let events = format!("{:?}", self.events);
        events.contains(text) || self.seen().contains(text)
    }

    pub(crate) fn installed(&self) -> bool {
        self.result.is_ok()
    }

    /// A few words for the table.
    pub(crate) fn seen(&self) -> String {
        match &self.result {
            Ok(done) => format!("installed {}", done.receipt.pkgver),
            Err(error) => error.chain(),
        }
    }

    pub(crate) fn judged(&self, control: bool, won: bool) -> Verdict {
        Verdict::Judged {
            control,
            won,
            seen: self.seen(),
        }
    }
}

pub(crate) async fn provision(config: Config, id: &str) -> Outcome {
    provision_request(config, ProvisionRequest::new(id)).await
}

pub(crate) async fn provision_request(config: Config, request: ProvisionRequest) -> Outcome {
    let events: Arc<Mutex<Vec<ProvisionEvent>>> = Arc::default();
    let kept = Arc::clone(&events);
    let result = match WorkerProvisioner::new(config) {
        Err(error) => Err(error),
        Ok(provisioner) => {
            let reporter = move |event: &ProvisionEvent| kept.lock().unwrap().push(event.clone());
            provisioner
                .with_reporter(Arc::new(reporter))
                .provision_request(&request, CancellationToken::new())
                .await
        }
    };
    let events = events.lock().unwrap().clone();
    Outcome { result, events }
}

pub(crate) fn secret_at(path: &Path) -> (PathBuf, String) {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::{SystemTime, UNIX_EPOCH};
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let secret = format!("secret-{:x}-{}", now.as_nanos(), std::process::id());
    std::fs::write(path, &secret).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    (path.to_owned(), secret)
}

/// Whether a regular file below `folder` holds `text`; links are not followed.
pub(crate) fn found_in(folder: &Path, text: &str) -> bool {
    let Ok(entries) = folder.read_dir() else {
        return false;
    };
    entries.flatten().any(|entry| {
        let path = entry.path();
        match path.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => found_in(&path, text),
            Ok(metadata) if metadata.is_file() && metadata.len() < 16 << 20 => {
                let content = std::fs::read(&path).unwrap_or_default();
                content
                    .windows(text.len())
                    .any(|window| window == text.as_bytes())
            }
            _ => false,
        }
    })
}

/// A recipe that installs a script `demo` that says `demo 1.0.0`, with these lines of its own.
pub(crate) fn recipe(lines: &str) -> String {
    format!(
        "pkgname=demo-bin\npkgver=1.0.0\npkgrel=1\npkgdesc='Demo'\narch=('any')\n\
         license=('GPL-3.0-or-later')\n{lines}\n"
    )
}

/// The lines of `package()` that install the script.
pub(crate) const PROGRAM: &str = "  mkdir -p \"$pkgdir/usr/bin\"\n  \
    printf '#!/bin/sh\\necho demo 1.0.0\\n' > \"$pkgdir/usr/bin/demo\"\n  \
    chmod 755 \"$pkgdir/usr/bin/demo\"";

/// A recipe with a `package()` that does these lines and then what it should.
pub(crate) fn packaging(lines: &str) -> String {
    recipe(&format!("package() {{\n{lines}\n{PROGRAM}\n}}"))
}

/// The tiers of this host, by trying each.
pub(crate) async fn tiers() -> Vec<Isolation> {
    let host = Host::with_recipe(&packaging("")).await;
    let mut found = Vec::new();
    for tier in Isolation::ALL {
        if Place::new(tier).provision(&host).await.installed() {
            found.push(tier);
        }
    }
    assert!(!found.is_empty(), "nothing can be provisioned here at all");
    found
}

pub(crate) fn user_id() -> u32 {
    // A file that was just made belongs to whoever made it.
    tempfile::tempfile().unwrap().metadata().unwrap().uid()
}
