//! Another user of the machine, who waits in every folder that they may enter.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::archive_bytes::Tar;
use crate::harness::{Attack, Tiers, Verdict, program};
use crate::processes::{OTHER, OtherUser, Role, as_other};
use crate::scene::{Place, found_in, packaging};
use crate::server::{Answer, Host};
use crate::{archive, terminal};

const KIND: &str = "local user";

pub(crate) fn attacks() -> Vec<Attack> {
    let owned = ["data", "cache", "bin", "tmp"].iter().map(|&folder| {
        let name = format!("the folder `{folder}` belongs to another user");
        Attack::new(KIND, name, move |place| owned(place, folder)).on_root()
    });
    let open = ["data", "cache", "bin"].iter().map(|&folder| {
        let name = format!("the folder `{folder}` may be written by everybody");
        Attack::new(KIND, name, move |place| open(place, folder)).on_root()
    });
    let others = [
        Attack::new(
            KIND,
            "another user writes into the sources of a build",
            plants,
        )
        .in_tiers(Tiers::Each)
        .on_root(),
        Attack::new(KIND, "another user reads the sources of a build", spies).on_root(),
        Attack::new(
            KIND,
            "another user exchanges folders while they are handed over",
            exchanges,
        )
        .on_root(),
        Attack::new(
            KIND,
            "without a home, a store that another user made is used",
            homeless,
        )
        .on_root(),
        Attack::new(
            KIND,
            "a folder above the store belongs to another user",
            parent,
        )
        .on_root(),
    ];
    owned.chain(open).chain(others).collect()
}

fn give_away(path: &Path) {
    chown(path, Some(OTHER), Some(OTHER)).unwrap();
}

/// Whether the other user can put something else in a folder's place or into it.
fn other_can_write(folder: &Path) -> bool {
    as_other("touch", &[&folder.join("theirs")])
}

async fn owned(place: Place, name: &'static str) -> Verdict {
    let folder = place.folder(name);
    give_away(&folder);
    let host = Host::with_recipe(&packaging("")).await;
    let outcome = place.provision(&host).await;
    outcome.judged(other_can_write(&folder), outcome.installed())
}

async fn open(place: Place, name: &'static str) -> Verdict {
    let folder = place.folder(name);
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    let host = Host::with_recipe(&packaging("")).await;
    let outcome = place.provision(&host).await;
    outcome.judged(other_can_write(&folder), outcome.installed())
}

async fn parent(place: Place) -> Verdict {
    let theirs = place.folder("theirs");
    std::fs::create_dir(theirs.join("data")).unwrap();
    give_away(&theirs);
    let host = Host::with_recipe(&packaging("")).await;
    let mut config = place.config(&host);
    config.data_dir = theirs.join("data");
    let outcome = crate::scene::provision(config, "demo").await;
    let moved = [theirs.join("data"), theirs.join("moved")];
    let control = as_other("mv", &[&moved[0], &moved[1]]);
    outcome.judged(control, outcome.installed())
}

/// A folder of the other user, and a wait until something appears in it or below it.
fn theirs(place: &Place, name: &str) -> PathBuf {
    let folder = place.folder(name);
    give_away(&folder);
    folder
}

async fn wait_until(mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    done()
}

/// Lines that wait in `build()` for a while, so that nobody has to be quick.
const LINGER: &str =
    "for _ in {1..20}; do [ -e planted ] && echo was-planted && break; sleep 0.1; done";

fn lingering(lines: &str) -> String {
    packaging("").replace(
        "package()",
        &format!("build() {{\n{lines}\n{LINGER}\n}}\npackage()"),
    )
}

async fn plants(place: Place) -> Verdict {
    let host = Host::with_recipe(&lingering("")).await;
    let other = OtherUser::start(&place, Role::Plant, &place.path("tmp"), Path::new("/"));
    let outcome = place.provision(&host).await;
    drop(other);
    let won = outcome.tells("was-planted");
    let folder = theirs(&place, "theirs");
    let _other = OtherUser::start(&place, Role::Plant, &folder, Path::new("/"));
    let control = wait_until(|| folder.join("planted").exists()).await;
    outcome.judged(control, won)
}

async fn spies(place: Place) -> Verdict {
    let secret = format!("built-{}", place.root().display()).replace('/', "-");
    let host = Host::with_recipe(&lingering(&format!("echo {secret} > private-source"))).await;
    let loot = theirs(&place, "loot");
    let other = OtherUser::start(&place, Role::Read, &place.path("tmp"), &loot);
    let outcome = place.provision(&host).await;
    drop(other);
    let won = found_in(&loot, &secret);
    let (folder, plain) = (place.folder("open"), theirs(&place, "plain-loot"));
    std::fs::write(folder.join("private-source"), &secret).unwrap();
    let _other = OtherUser::start(&place, Role::Read, &folder, &plain);
    let control = wait_until(|| found_in(&plain, &secret)).await;
    outcome.judged(control && outcome.installed(), won)
}

/// A folder of root's files, which no hand-over may reach.
fn roots(place: &Place, name: &str) -> PathBuf {
    let folder = place.folder(name);
    for number in 0..4 {
        let file = folder.join(format!("f{number}"));
        std::fs::write(&file, "mine").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    folder
}

fn changed_hands(folder: &Path) -> bool {
    let entries = folder.read_dir().unwrap().flatten();
    let owner = folder.symlink_metadata().unwrap().uid();
    owner != 0
        || entries
            .into_iter()
            .any(|entry| entry.metadata().unwrap().uid() != 0)
}

async fn exchanges(place: Place) -> Verdict {
    let mut tar = Tar::new();
    for folder in 0..300 {
        tar = tar.file(&format!("d{folder}/sub/f0"), b"x");
    }
    let tar = tar.end();
    let host = Host::start().await;
    host.put("/many.tar", Answer::bytes(tar.clone()));
    let sources = archive::sources(&host, "many.tar", &tar);
    let attacked = roots(&place, "victim");
    let other = OtherUser::start(&place, Role::Exchange, &place.path("tmp"), &attacked);
    let mut outcome = None;
    for pkgrel in 1..4 {
        let text = packaging("").replace("package()", &format!("{sources}\npackage()"));
        host.offer(&text.replace("pkgrel=1", &format!("pkgrel={pkgrel}")));
        outcome = Some(place.provision(&host).await);
    }
    drop(other);
    let won = changed_hands(&attacked);

    let plain = roots(&place, "unprotected");
    let folder = theirs(&place, "theirs");
    for number in 0..20 {
        let below = folder.join(format!("d{number}"));
        std::fs::create_dir_all(&below).unwrap();
        std::fs::write(below.join("f0"), "x").unwrap();
    }
    let _other = OtherUser::start(&place, Role::Exchange, &folder, &plain);
    let control = wait_until(|| {
        let _ = hand_over_by_path(&folder);
        changed_hands(&plain)
    })
    .await;
    outcome.unwrap().judged(control, won)
}

/// A walk that asks by name what something is and then goes by the same name.
fn hand_over_by_path(folder: &Path) -> std::io::Result<()> {
    for entry in folder.read_dir()? {
        let path = entry?.path();
        if path.symlink_metadata()?.is_dir() {
            let _ = hand_over_by_path(&path);
        }
        let _ = std::os::unix::fs::lchown(&path, Some(OTHER), Some(OTHER));
    }
    Ok(())
}

async fn homeless(place: Place) -> Verdict {
    if program("env").is_none() {
        return Verdict::Skipped("`env` is not installed".to_owned());
    }
    let shared = place.folder("shared");
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o1777)).unwrap();
    let host = Host::with_recipe(&packaging("")).await;
    assert!(as_other("mkdir", &[&shared.join("rbee")]));
    let arguments = ["install", "demo", "--backend", "cpu", "--catalog"];
    let mut arguments: Vec<_> = arguments.map(str::to_owned).into();
    arguments.extend([host.url(""), "--bin-dir".to_owned()]);
    arguments.push(place.path("bin").display().to_string());
    let Some(ended_well) = terminal::command_without_home(&shared, arguments).await else {
        return Verdict::Skipped("`cargo build -p rbee-worker` has not been run".to_owned());
    };
    let used = shared.join("rbee").read_dir().unwrap().count() > 0;
    let control = other_can_write(&shared.join("rbee"));
    Verdict::Judged {
        control,
        won: used,
        seen: format!("ended well: {ended_well}"),
    }
}
