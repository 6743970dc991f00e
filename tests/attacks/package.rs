//! Recipes whose packages are not what they seem: split packages that meet in one path, package
//! folders that are exchanged, programs that change while they are tried.

use std::io;
use std::path::Path;

use crate::harness::{Attack, Tiers, Verdict};
use crate::scene::{PROGRAM, Place, found_in, packaging, recipe};
use crate::server::Host;

const KIND: &str = "package";

/// What the packages `a` and `b` leave, with `@VICTIM@` for a folder of the attacked user.
const SPLITS: [(&str, &str, &str); 7] = [
    (
        "one package links a folder, the other writes into it",
        "ln -s @VICTIM@ $pkgdir/out",
        "mkdir -p $pkgdir/out/.ssh; echo evil > $pkgdir/out/.ssh/authorized_keys",
    ),
    (
        "one package links a file, the other has a file of that name",
        "ln -s @VICTIM@/mine $pkgdir/out",
        "echo evil > $pkgdir/out",
    ),
    (
        "one package links a file that is not there, the other makes it",
        "ln -s @VICTIM@/new $pkgdir/out",
        "echo evil > $pkgdir/out",
    ),
    (
        "the folder comes through a second link",
        "ln -s @VICTIM@ $pkgdir/first; ln -s first $pkgdir/out",
        "mkdir $pkgdir/out; echo evil > $pkgdir/out/new",
    ),
    (
        "the link climbs out of the store",
        "ln -s ../../../../../../../../../../@VICTIM@ $pkgdir/out",
        "mkdir $pkgdir/out; echo evil > $pkgdir/out/mine",
    ),
    (
        "the link lies deeper than the folder",
        "mkdir -p $pkgdir/usr/share/doc; ln -s @VICTIM@ $pkgdir/usr/share/doc/out",
        "mkdir -p $pkgdir/usr/share/doc/out; echo evil > $pkgdir/usr/share/doc/out/new",
    ),
    (
        "the name of the link is no text",
        "ln -s @VICTIM@ $pkgdir/$'out\\xff\\n'",
        "mkdir $pkgdir/$'out\\xff\\n'; echo evil > $pkgdir/$'out\\xff\\n'/new",
    ),
];

/// Package folders that are replaced before they are copied.
const EXCHANGES: [(&str, &str); 6] = [
    (
        "a package function puts a link for its own folder",
        "cd \"$startdir\"; mv \"$pkgdir\" \"$startdir/old\" && ln -s @LOOT@ \"$pkgdir\"",
    ),
    (
        "a package function puts a link for another package's folder",
        "cd \"$startdir\"; other=${pkgdir%/*}/a; mv $other $startdir/old && ln -s @LOOT@ $other",
    ),
    (
        "the folder of all packages becomes a link",
        "cd \"$startdir\"; mv pkg old && mkdir elsewhere && ln -s @LOOT@ elsewhere/a && ln -s elsewhere pkg",
    ),
    (
        "the sources become a link",
        "cd \"$startdir\"; mv src old && ln -s @LOOT@ src",
    ),
    (
        "a folder of the package becomes a link",
        "mkdir -p $pkgdir/usr/share; ln -s @LOOT@ $pkgdir/usr/share/doc",
    ),
    (
        "the folder is mounted over",
        "mount --bind @LOOT@ $pkgdir || unshare -rm mount --bind @LOOT@ $pkgdir",
    ),
];

/// Programs that, when they are started, put something else in their own place.
const TRIALS: [(&str, &str); 5] = [
    (
        "by a link to a private file",
        "ln -s @SECRET@ \"$0.new\"; mv -f \"$0.new\" \"$0\"",
    ),
    (
        "by a link to the host's environment",
        "ln -s /proc/self/environ \"$0.new\"; mv -f \"$0.new\" \"$0\"",
    ),
    (
        "by other bytes, written into the file",
        "printf '#!/bin/sh\\necho evil-program\\n' > \"$0\"",
    ),
    (
        "by another file of that name",
        "printf '#!/bin/sh\\necho evil-program\\n' > \"$0.new\"; chmod 755 \"$0.new\"; mv -f \"$0.new\" \"$0\"",
    ),
    (
        "by a folder that is a link",
        "d=${0%/*}; mv $d $d.old; ln -s @LOOT@ $d",
    ),
];

pub(crate) fn attacks() -> Vec<Attack> {
    let splits = SPLITS.iter().map(|&(name, a, b)| {
        Attack::new(KIND, name, move |place| split(place, a, b)).in_tiers(Tiers::Each)
    });
    let exchanges = EXCHANGES.iter().map(|&(name, lines)| {
        Attack::new(KIND, name, move |place| exchange(place, lines)).in_tiers(Tiers::Each)
    });
    let trials = TRIALS.iter().map(|&(name, lines)| {
        let name = format!("the program replaces itself while it is tried, {name}");
        Attack::new(KIND, name, move |place| trial(place, lines)).in_tiers(Tiers::Each)
    });
    let others = [
        Attack::new(KIND, "a build changes a cached download", cached).in_tiers(Tiers::Each),
        Attack::new(KIND, "a build shares the cached file's inode", inode).in_tiers(Tiers::Each),
    ];
    splits
        .chain(exchanges)
        .chain(trials)
        .chain(others)
        .collect()
}

fn two_packages(a: &str, b: &str) -> String {
    recipe(&format!(
        "package_a() {{\n( {a} ) || true\n{PROGRAM}\n}}\npackage_b() {{\n( {b} ) || true\n}}"
    ))
    .replace("pkgname=demo-bin", "pkgbase=demo-bin\npkgname=(a b)")
}

fn victim(place: &Place, name: &str) -> std::path::PathBuf {
    let victim = place.folder(name);
    std::fs::write(victim.join("mine"), "mine").unwrap();
    victim
}

fn was_written(victim: &Path) -> bool {
    let mine = std::fs::read_to_string(victim.join("mine")).unwrap_or_default();
    mine != "mine" || victim.read_dir().unwrap().count() != 1
}

async fn split(place: Place, a: &'static str, b: &'static str) -> Verdict {
    let (attacked, plain) = (victim(&place, "victim"), victim(&place, "unprotected"));
    let at = |text: &str, victim: &Path| text.replace("@VICTIM@", &victim.display().to_string());
    // The merge is by what names come first, and either may be the first.
    let mut won = false;
    let host = Host::with_recipe(&two_packages(&at(a, &attacked), b)).await;
    let outcome = place.provision(&host).await;
    won |= was_written(&attacked);
    host.offer(&two_packages(b, &at(a, &attacked)).replace("pkgrel=1", "pkgrel=2"));
    place.provision(&host).await;
    won |= was_written(&attacked);

    for (name, lines) in [("a", at(a, &plain)), ("b", b.to_owned())] {
        let folder = place.folder(name);
        place.plain_bash(&format!("pkgdir={}; {lines}", folder.display()));
    }
    let merged = place.folder("merged");
    for name in ["a", "b"] {
        let _ = merge_by_path(&place.path(name), &merged);
    }
    outcome.judged(was_written(&plain), won)
}

/// A copy by path that takes whatever already has the name for the folder that it wants.
fn merge_by_path(from: &Path, to: &Path) -> io::Result<()> {
    for entry in from.read_dir()? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            std::os::unix::fs::symlink(entry.path().read_link()?, target)?;
        } else if kind.is_dir() {
            match std::fs::create_dir(&target) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => merge_by_path(&entry.path(), &target)?,
            }
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

async fn exchange(place: Place, lines: &'static str) -> Verdict {
    let loot = place.folder("private");
    let (_, secret) = place.secret("private/key");
    // A folder that is taken for a package must hold the program, or nothing is taken at all.
    std::fs::create_dir_all(loot.join("usr/bin")).unwrap();
    let program = loot.join("usr/bin/demo");
    std::fs::write(&program, "#!/bin/sh\necho demo\n").unwrap();
    crate::harness::open_to_all(&program);
    let lines = lines.replace("@LOOT@", &loot.display().to_string());
    let host = Host::with_recipe(&two_packages("true", &lines)).await;
    let outcome = place.provision(&host).await;
    let won = place.leaked(&secret, &outcome, &host);
    // Whoever copies what then lies below `src` and `pkg` gets the secret.
    let control = if lines.starts_with("mount") {
        crate::harness::is_root() || crate::harness::program("unshare").is_some()
    } else {
        place.plain_bash(&format!(
            "startdir={0}; pkgdir=$startdir/pkg/b; srcdir=$startdir/src; mkdir -p $pkgdir $startdir/pkg/a $srcdir; \
             {lines}; cp -rL $startdir/src $startdir/pkg {0}/copied",
            place.folder("naive").display()
        ));
        place.folder("naive/copied");
        place.plain_bash(&format!(
            "cd {0}; cp -rL src pkg copied",
            place.path("naive").display()
        ));
        found_in(&place.path("naive"), &secret)
    };
    outcome.judged(control, won)
}

async fn trial(place: Place, lines: &'static str) -> Verdict {
    let loot = place.folder("private");
    let (path, secret) = place.secret("private/demo");
    let lines = lines
        .replace("@SECRET@", &path.display().to_string())
        .replace("@LOOT@", &loot.display().to_string());
    let program = format!("#!/bin/bash\n{lines}\necho demo 1.0.0\n");
    let package = format!(
        "package() {{\nmkdir -p $pkgdir/usr/bin\ncat > $pkgdir/usr/bin/demo <<'PROGRAM'\n{program}PROGRAM\n\
         chmod 755 $pkgdir/usr/bin/demo\n}}"
    );
    let host = Host::with_recipe(&recipe(&package)).await;
    let outcome = place.provision(&host).await;
    let environment = std::env::var(crate::harness::SECRET_VARIABLE).unwrap();
    let changed = |path: &Path| {
        let bytes = std::fs::read(path).unwrap_or_default();
        path.symlink_metadata().is_ok() && bytes != program.as_bytes()
    };
    let installed = place.path("bin/demo");
    let is_other = !std::fs::read(&installed)
        .unwrap_or_default()
        .starts_with(b"#!")
        || found_in(&place.path("bin"), "echo evil-program\n#");
    let won = place.leaked(&secret, &outcome, &host)
        || place.holds(&environment)
        || outcome.installed() && (is_other || stored_otherwise(&place, &program));

    let naive = place.folder("naive/bin").join("demo");
    std::fs::write(&naive, &program).unwrap();
    crate::harness::open_to_all(&naive);
    place.plain_bash(&format!("{} --version", naive.display()));
    let taken = place.path("taken");
    let _ = std::fs::copy(&naive, &taken);
    outcome.judged(changed(&taken), won)
}

/// Whether a stored `demo` is something else than what the recipe has packaged.
fn stored_otherwise(place: &Place, program: &str) -> bool {
    fn search(folder: &Path, program: &str) -> bool {
        let entries = folder.read_dir().into_iter().flatten().flatten();
        entries.into_iter().any(|entry| {
            let path = entry.path();
            let metadata = path.symlink_metadata().unwrap();
            if path.ends_with("usr/bin/demo") {
                return !metadata.is_file()
                    || std::fs::read(&path).unwrap_or_default() != program.as_bytes();
            }
            metadata.is_dir() && search(&path, program)
        })
    }
    search(&place.path("data"), program)
}

/// A source that is offered beside its recipe, and the recipe's lines that name it.
async fn with_source(lines: &str) -> (Host, Vec<u8>) {
    let tar = crate::archive_bytes::Tar::new()
        .file("inside", b"inside")
        .end();
    let host = Host::start().await;
    host.put("/data.tar", crate::server::Answer::bytes(tar.clone()));
    let sources = crate::archive::sources(&host, "data.tar", &tar);
    host.offer(&packaging(lines).replace("package()", &format!("{sources}\npackage()")));
    (host, tar)
}

async fn cached(place: Place) -> Verdict {
    let lines = "f=$(readlink -f \"$srcdir/data.tar\"); chmod u+w \"$f\" || true; echo evil''-line >> \"$f\" || true";
    let (host, tar) = with_source(lines).await;
    let outcome = place.provision(&host).await;
    let won = found_in(&place.path("cache"), "evil-line");
    let (kept, linked) = (
        place.path("kept"),
        place.folder("plain/src").join("data.tar"),
    );
    std::fs::write(&kept, &tar).unwrap();
    std::fs::hard_link(&kept, linked).unwrap();
    place.plain_bash(lines);
    let control = std::fs::read(&kept).unwrap() != tar;
    outcome.judged(control, won || !outcome.installed())
}

async fn inode(place: Place) -> Verdict {
    let lines = "[ \"$(stat -L -c %h \"$srcdir/data.tar\")\" = 1 ] || echo shared-inode";
    let (host, tar) = with_source(lines).await;
    let outcome = place.provision(&host).await;
    let (kept, linked) = (
        place.path("kept"),
        place.folder("plain/src").join("data.tar"),
    );
    std::fs::write(&kept, &tar).unwrap();
    std::fs::hard_link(&kept, linked).unwrap();
    let control = place.plain_bash(lines).contains("shared-inode");
    let printed = outcome.events.iter().any(|event| {
        matches!(&event.happening, worker_provisioner::Happening::Output { line, .. }
            if line == "shared-inode")
    });
    outcome.judged(control, printed || !outcome.installed())
}
