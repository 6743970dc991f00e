//! Builds that leave trees which are hard to copy, to measure or to remove.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::harness::{Attack, Tiers, Verdict};
use crate::scene::{PROGRAM, Place, packaging, recipe};
use crate::server::Host;

const KIND: &str = "tree";

/// What a naive copy of a package trips over, and the lines that make it.
const ODD: [(&str, &str); 8] = [
    ("a pipe in the package", "mkfifo \"$pkgdir/pipe\""),
    (
        "a socket in the package",
        "perl -MSocket -e 'socket(S, PF_UNIX, SOCK_STREAM, 0); chdir $ENV{pkgdir}; bind(S, sockaddr_un(\"s\")) or die'",
    ),
    (
        "names with line ends, escapes and bytes that are no text",
        "touch \"$pkgdir\"/$'a\\nb' \"$pkgdir\"/$'\\e]0;x\\a' \"$pkgdir\"/$'\\xff' \"$pkgdir/-rf\" \"$pkgdir/\u{202e}txt\"",
    ),
    (
        "folders that nobody may enter",
        "mkdir -p \"$pkgdir/shut/in\"; touch \"$pkgdir/shut/in/file\"; chmod 0 \"$pkgdir/shut\"",
    ),
    (
        "a file that nobody may read",
        "echo x > \"$pkgdir/shut\"; chmod 0 \"$pkgdir/shut\"",
    ),
    (
        "links in a ring",
        "ln -s b \"$pkgdir/a\"; ln -s a \"$pkgdir/b\"; ln -s . \"$pkgdir/self\"",
    ),
    (
        "a link whose target fills its file system block",
        "perl -e 'symlink(\"x/\" x 2047, \"$ENV{pkgdir}/long\") or die'",
    ),
    (
        "two thousand files",
        "cd \"$pkgdir\"; mkdir many; cd many; seq 2000 | xargs touch",
    ),
];

pub(crate) fn attacks() -> Vec<Attack> {
    let odd = ODD
        .iter()
        .map(|&(name, lines)| Attack::new(KIND, name, move |place| leftover(place, lines)));
    let others = [
        Attack::new(
            KIND,
            "2,500 folders in one another in the package",
            |place| deep(place, "\"$pkgdir\"", 2_500),
        ),
        Attack::new(
            KIND,
            "a sparse file becomes real bytes in the store",
            sparse,
        ),
        Attack::new(KIND, "folders that are shut stay behind", shut).in_tiers(Tiers::Each),
        Attack::new(
            KIND,
            "a link to a huge folder is measured or removed",
            linked,
        ),
    ];
    odd.chain(others).collect()
}

fn is_clean(place: &Place) -> bool {
    place.path("tmp").read_dir().unwrap().next().is_none()
}

/// Wins when something stays behind, or when the next provision fails.
async fn aftermath(place: &Place, host: &Host) -> bool {
    let clean = is_clean(place);
    host.offer(&packaging("true").replace("pkgrel=1", "pkgrel=2"));
    let next = place.provision(host).await;
    !clean || !next.installed() || !is_clean(place)
}

async fn leftover(place: Place, lines: &'static str) -> Verdict {
    let host = Host::with_recipe(&packaging(&format!("( {lines} ) || true"))).await;
    let outcome = place.provision(&host).await;
    let won = aftermath(&place, &host).await;
    // What bash says of them: they can be made, and a copy by name does not bring them over.
    place.plain_bash(lines);
    let made = place.path("plain/pkg").read_dir().unwrap().count() > 0;
    place.plain_bash("chmod -R u+rwx \"$pkgdir\"");
    outcome.judged(made, won)
}

async fn deep(place: Place, folder: &'static str, levels: u32) -> Verdict {
    let lines =
        format!("cd {folder} && perl -e 'for (1..{levels}) {{ mkdir \"d\"; chdir \"d\" or die }}'");
    let host = Host::with_recipe(&recipe(&format!(
        "build() {{\n( {lines} ) || true\n}}\npackage() {{\n( {} ) || true\n{PROGRAM}\n}}",
        if folder.contains("pkgdir") {
            &lines
        } else {
            "true"
        }
    )))
    .await;
    let outcome = place.provision(&host).await;
    let won = aftermath(&place, &host).await;
    place.plain_bash(&lines);
    // A path to the innermost one is longer than any system call takes.
    let start = place.path(if folder.contains("pkgdir") {
        "plain/pkg"
    } else {
        "plain/src"
    });
    let innermost = start.join("d/".repeat(levels as usize));
    let control = start.join("d/d").is_dir() && innermost.metadata().is_err();
    place.plain_bash("cd ..; rm -rf src pkg");
    outcome.judged(control, won)
}

/// Bytes on the disk below `folder`.
fn allocated(folder: &Path) -> u64 {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    entries
        .map(|entry| {
            let metadata = entry.path().symlink_metadata().unwrap();
            let below = if metadata.is_dir() {
                allocated(&entry.path())
            } else {
                0
            };
            metadata.blocks() * 512 + below
        })
        .sum()
}

async fn sparse(place: Place) -> Verdict {
    let lines = "truncate -s 256M \"$pkgdir/sparse\"";
    let host = Host::with_recipe(&packaging(lines)).await;
    let outcome = place.provision(&host).await;
    let won = allocated(&place.path("data")) > 32 << 20 || !outcome.installed();
    place.plain_bash(lines);
    let bytes = std::fs::read(place.path("plain/pkg/sparse")).unwrap();
    std::fs::write(place.folder("naive").join("sparse"), bytes).unwrap();
    let control = allocated(&place.path("naive")) > 32 << 20;
    outcome.judged(control, won)
}

async fn shut(place: Place) -> Verdict {
    let lines = "mkdir -p shut/in; touch shut/in/file; chmod 0 shut/in shut";
    let host = Host::with_recipe(&recipe(&format!(
        "build() {{\n{lines}\nexit 1\n}}\npackage() {{\n{PROGRAM}\n}}"
    )))
    .await;
    let outcome = place.provision(&host).await;
    let won = aftermath(&place, &host).await;
    place.plain_bash(lines);
    let plain = place.path("plain/src");
    // Root enters them all the same.
    let control = crate::harness::is_root() || std::fs::remove_dir_all(&plain).is_err();
    place.plain_bash("chmod u+rwx shut shut/in");
    outcome.judged(control, won)
}

async fn linked(place: Place) -> Verdict {
    let victim = place.folder("victim");
    std::fs::write(victim.join("mine"), "mine").unwrap();
    let lines = format!(
        "ln -s {} \"$srcdir/way\"; ln -s / \"$srcdir/root\"",
        victim.display()
    );
    let host = Host::with_recipe(&packaging(&lines)).await;
    let outcome = place.provision(&host).await;
    let won = !victim.join("mine").exists() || aftermath(&place, &host).await;
    place.plain_bash(&lines);
    // Removal that asks what a name leads to takes the link for a folder.
    let way = place.path("plain/src/way");
    let control = way.is_dir() && std::fs::remove_file(way.join("mine")).is_ok();
    outcome.judged(control, won)
}
