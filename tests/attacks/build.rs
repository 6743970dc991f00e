//! Recipes whose functions reach for what is not theirs: files, processes and memory of the caller.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::harness::{Attack, PRIVATE_VARIABLE, SECRET_VARIABLE, Tiers, Verdict};
use crate::scene::{self, PROGRAM, Place, found_in, recipe};
use crate::server::Host;

const KIND: &str = "build";

/// A reach for a secret: `@SECRET@` is the path of a private file.
const READS: [(&str, &str); 7] = [
    ("a private file of the caller is read", "cat @SECRET@"),
    (
        "a private file is read through the root of process 1",
        "cat /proc/1/root@SECRET@ /proc/$PPID/root@SECRET@",
    ),
    (
        "a private file is read through a link that build() left for package()",
        "cat ../way",
    ),
    (
        "a private file is copied into the package by a link that is followed",
        "cp -L ../way \"$pkgdir/loot\"",
    ),
    (
        "a private file is read through the folders of the provisioning process",
        "cat /proc/[0-9]*/cwd/key /proc/[0-9]*/root@SECRET@",
    ),
    (
        "a private file is hard-linked into the package",
        "ln @SECRET@ \"$pkgdir/loot\"; cat \"$pkgdir/loot\"",
    ),
    (
        "a private file is read through descriptors that a process left open",
        "for f in /proc/[0-9]*/fd/*; do [ -f $f ] && head -c 200 $f; done",
    ),
];

/// A reach for the folder `@VICTIM@`, which holds the file `mine`.
const WRITES: [(&str, &str); 8] = [
    (
        "a file of the caller is written",
        "echo evil > @VICTIM@/mine",
    ),
    (
        "a file is made in a folder of the caller",
        "echo evil > @VICTIM@/new",
    ),
    (
        "a file is written through a link in srcdir",
        "ln -s @VICTIM@ way-in; echo evil > way-in/mine",
    ),
    (
        "a file is written through a link in pkgdir",
        "ln -s @VICTIM@/mine \"$pkgdir/out\"; echo evil > \"$pkgdir/out\"",
    ),
    ("a file of the caller is removed", "rm -f @VICTIM@/mine"),
    (
        "a folder of the caller is renamed",
        "mv @VICTIM@/inner @VICTIM@/evil",
    ),
    (
        "a file is written through the root of process 1",
        "for p in /proc/[0-9]*; do echo evil > $p/root@VICTIM@/mine; done",
    ),
    (
        "a file is cut short through a hard link",
        "ln @VICTIM@/mine own && : > own",
    ),
];

pub(crate) fn attacks() -> Vec<Attack> {
    let reads = READS.iter().map(|&(name, lines)| {
        Attack::new(KIND, name, move |place| reads(place, lines)).in_tiers(Tiers::Walled)
    });
    let writes = WRITES.iter().map(|&(name, lines)| {
        Attack::new(KIND, name, move |place| writes(place, lines)).in_tiers(Tiers::Walled)
    });
    let others = [
        Attack::new(
            KIND,
            "a service's private file in /var/lib is read",
            service_file,
        )
        .in_tiers(Tiers::Walled),
        Attack::new(
            KIND,
            "the environment of the provisioner is read",
            environment,
        )
        .in_tiers(Tiers::Each),
        Attack::new(
            KIND,
            "the command line of another process is read",
            command_line,
        ),
        Attack::new(KIND, "a process of the caller is killed", kills).in_tiers(Tiers::Walled),
        Attack::new(KIND, "a process of the caller is made slow", renices).in_tiers(Tiers::Walled),
        Attack::new(
            KIND,
            "a root that closes its folders makes the build root",
            closed_folders,
        )
        .in_tiers(Tiers::Each)
        .on_root(),
        Attack::new(KIND, "a store of another worker is overwritten", store)
            .in_tiers(Tiers::Walled),
        Attack::new(
            KIND,
            "a set-user-id program is left in the package",
            set_user_id,
        )
        .in_tiers(Tiers::Each),
    ];
    reads.chain(writes).chain(others).collect()
}

/// Runs lines in `build()` and once more in `package()`, each line allowed to fail.
fn in_both(before: &str, lines: &str) -> String {
    recipe(&format!(
        "build() {{\n{before}\n( {lines} ) || true\n}}\npackage() {{\n( {lines} ) || true\n{PROGRAM}\n}}"
    ))
}

async fn reads(place: Place, lines: &'static str) -> Verdict {
    let private = place.folder("private");
    std::fs::write(private.join("ordinary"), "").unwrap();
    let (path, secret) = place.secret("private/key");
    let path = path.display().to_string();
    let lines = lines.replace("@SECRET@", &path);
    let before = format!("ln -s {path} ../way 2>&1 || true");
    let host = Host::with_recipe(&in_both(&before, &lines)).await;
    let outcome = place.provision(&host).await;
    let won = place.leaked(&secret, &outcome, &host);
    // What goes by the caller's own processes is tried from a process that stands there.
    let stand = format!(
        "cd {}; {before}; (sleep 5 <key) & {lines}; kill %1",
        private.display()
    );
    let control = place.plainly_gets(&stand, &secret);
    outcome.judged(control, won)
}

async fn writes(place: Place, lines: &'static str) -> Verdict {
    let [attacked, plain] = ["victim", "unprotected"].map(|name| {
        let folder = place.folder(name);
        std::fs::create_dir(folder.join("inner")).unwrap();
        std::fs::write(folder.join("mine"), "mine").unwrap();
        folder
    });
    let at = |folder: &Path| lines.replace("@VICTIM@", &folder.display().to_string());
    let host = Host::with_recipe(&in_both("", &at(&attacked))).await;
    let outcome = place.provision(&host).await;
    place.plain_bash(&at(&plain));
    outcome.judged(!untouched(&plain), !untouched(&attacked))
}

fn untouched(folder: &Path) -> bool {
    let mut names: Vec<_> = folder
        .read_dir()
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    names.sort();
    let mine = std::fs::read_to_string(folder.join("mine"));
    names == ["inner", "mine"] && mine.is_ok_and(|text| text == "mine")
}

async fn service_file(place: Place) -> Verdict {
    let Some(private) = std::env::var_os(PRIVATE_VARIABLE) else {
        return Verdict::Skipped("no folder below /var/lib can be made here".to_owned());
    };
    let folder = tempfile::tempdir_in(private).unwrap();
    crate::harness::open_to_all(folder.path());
    let (path, secret) = scene::secret_at(&folder.path().join("token"));
    let lines = format!("cat {}", path.display());
    let host = Host::with_recipe(&in_both("", &lines)).await;
    let outcome = place.provision(&host).await;
    let control = place.plainly_gets(&lines, &secret);
    outcome.judged(control, place.leaked(&secret, &outcome, &host))
}

async fn environment(place: Place) -> Verdict {
    let secret = std::env::var(SECRET_VARIABLE).unwrap();
    let lines = "cat /proc/[0-9]*/environ; env";
    let host = Host::with_recipe(&in_both("", lines)).await;
    let outcome = place.provision(&host).await;
    let control = place.plainly_gets(lines, &secret);
    outcome.judged(control, place.leaked(&secret, &outcome, &host))
}

/// Only `namespaces` hides them.
async fn command_line(place: Place) -> Verdict {
    let secret = format!("none-{}", std::env::var(SECRET_VARIABLE).unwrap());
    if place.tier != worker_provisioner::Isolation::Namespaces {
        return Verdict::Skipped("no tier of this host hides processes".to_owned());
    }
    let lines = "cat /proc/[0-9]*/cmdline";
    let host = Host::with_recipe(&in_both("", lines)).await;
    let outcome = place.provision(&host).await;
    let control = place.plainly_gets(lines, &secret);
    outcome.judged(control, place.leaked(&secret, &outcome, &host))
}

/// A process of the attacked user that does nothing; ended when dropped.
struct Bystander(Child);

impl Bystander {
    fn start() -> Self {
        let mut command = Command::new("sleep");
        Self(command.arg("300").stdin(Stdio::null()).spawn().unwrap())
    }

    fn is_alive(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// proc(5), "stat", field 19.
    fn niceness(&self) -> Option<i32> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).ok()?;
        let after_name = stat.rsplit_once(')')?.1;
        after_name.split_whitespace().nth(16)?.parse().ok()
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn kills(place: Place) -> Verdict {
    let (mut attacked, mut plain) = (Bystander::start(), Bystander::start());
    let lines = |victim: &Bystander| format!("kill -9 {}", victim.0.id());
    let host = Host::with_recipe(&in_both("", &lines(&attacked))).await;
    let outcome = place.provision(&host).await;
    place.plain_bash(&lines(&plain));
    let mut control = false;
    for _ in 0..500 {
        control = !plain.is_alive();
        if control {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    outcome.judged(control, !attacked.is_alive())
}

async fn renices(place: Place) -> Verdict {
    let (attacked, plain) = (Bystander::start(), Bystander::start());
    let before = attacked.niceness();
    let lines = |victim: &Bystander| format!("renice -n 15 -p {}", victim.0.id());
    let host = Host::with_recipe(&in_both("", &lines(&attacked))).await;
    let outcome = place.provision(&host).await;
    place.plain_bash(&lines(&plain));
    outcome.judged(plain.niceness() != before, attacked.niceness() != before)
}

async fn closed_folders(place: Place) -> Verdict {
    use std::os::unix::fs::PermissionsExt as _;
    // As every folder below `/root` is.
    std::fs::set_permissions(place.root(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let other = tempfile::tempdir_in("/var/tmp").unwrap();
    crate::harness::open_to_all(other.path());
    let (path, secret) = scene::secret_at(&other.path().join("key"));
    let lines = format!(
        "cat {0}; echo evil > {1}/made",
        path.display(),
        other.path().display()
    );
    let host = Host::with_recipe(&in_both("", &lines)).await;
    let outcome = place.provision(&host).await;
    let won = place.leaked(&secret, &outcome, &host) || other.path().join("made").exists();
    outcome.judged(place.plainly_gets(&lines, &secret), won)
}

async fn store(place: Place) -> Verdict {
    let host = Host::with_recipe(&crate::scene::packaging("")).await;
    let first = place.provision(&host).await;
    if !first.installed() {
        return first.judged(false, false);
    }
    let lines = format!(
        "for each in {0}/bin {0}/data {0}/cache; do for file in $(find $each -type f); do \
         chmod u+w $file; echo evil-line >> $file; done; done",
        place.root().display()
    );
    host.offer(&in_both("", &lines).replace("pkgrel=1", "pkgrel=2"));
    let outcome = place.provision(&host).await;
    let evil = |place: &Place| {
        ["bin", "data"].iter().any(|folder| {
            let lines = "\nevil-line\n";
            found_in(&place.path(folder), lines)
        })
    };
    let won = evil(&place);
    place.plain_bash(&lines);
    outcome.judged(evil(&place), won)
}

async fn set_user_id(place: Place) -> Verdict {
    let lines = "mkdir -p $pkgdir/usr/bin; cp /bin/sh \"$pkgdir/usr/bin/helper\"; \
                 chmod 4755 \"$pkgdir/usr/bin/helper\"; chmod 2755 \"$pkgdir/usr/bin/helper\"";
    let host = Host::with_recipe(&in_both("", lines)).await;
    let outcome = place.provision(&host).await;
    place.plain_bash(lines);
    let control = has_set_id(&place.path("plain"));
    outcome.judged(control, has_set_id(&place.path("data")))
}

fn has_set_id(folder: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    let entries = folder.read_dir().into_iter().flatten().flatten();
    entries.into_iter().any(|entry| {
        let metadata = entry.path().symlink_metadata().unwrap();
        let set = metadata.is_file() && metadata.permissions().mode() & 0o6000 != 0;
        set || metadata.is_dir() && has_set_id(&entry.path())
    })
}
