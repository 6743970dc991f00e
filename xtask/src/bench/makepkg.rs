//! makepkg as an ordinary user, in folders of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::meter::WRAPPER;

/// How makepkg is run.
pub(crate) struct Makepkg {
    folder: PathBuf,
}

impl Makepkg {
    /// `None` where it is not installed or cannot be run as an ordinary user.
    ///
    /// # Errors
    /// When its configuration cannot be copied.
    pub(crate) fn find(folder: &Path) -> Result<Option<Self>> {
        let mut tried = Command::new("setpriv");
        tried.args(ordinary_user()).args(["makepkg", "--version"]);
        if !tried.output().is_ok_and(|output| output.status.success()) {
            return Ok(None);
        }
        open_to_all(folder)?;
        let config = fs::read_to_string("/etc/makepkg.conf")?;
        fs::write(
            folder.join("makepkg.conf"),
            format!("{config}\nCHOST=x86_64-pc-linux-gnu\n"),
        )?;
        Ok(Some(Self {
            folder: folder.to_owned(),
        }))
    }

    /// makepkg over a copy of `recipe/PKGBUILD` in the fresh folder `work`, measured; its standard
    /// output goes to `output`.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub(crate) fn command(
        &self,
        work: &Path,
        recipe: &Path,
        arguments: &[&str],
        output: Option<&Path>,
    ) -> Result<Command> {
        fs::create_dir_all(work)?;
        open_to_all(work)?;
        fs::copy(recipe.join("PKGBUILD"), work.join("PKGBUILD"))?;
        fs::set_permissions(work.join("PKGBUILD"), fs::Permissions::from_mode(0o666))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(WRAPPER);
        if let Some(output) = output {
            command.arg("--output").arg(output);
        }
        command.args(["--", "setpriv"]).args(ordinary_user());
        command.arg("makepkg").args(arguments);
        let home = std::env::var_os("HOME").context("`HOME` is not set")?;
        let rustup = std::env::var_os("RUSTUP_HOME")
            .unwrap_or_else(|| Path::new(&home).join(".rustup").into());
        let path = std::env::var_os("PATH").unwrap_or_default();
        command
            .current_dir(work)
            .env_clear()
            .env("PATH", path)
            .env("LC_ALL", "C.UTF-8")
            .env("CARCH", "x86_64")
            .env("CHOST", "x86_64-pc-linux-gnu")
            .env("SOURCE_DATE_EPOCH", "1700000000")
            .env("MAKEPKG_CONF", self.folder.join("makepkg.conf"))
            .env("RUSTUP_HOME", rustup)
            .env("CARGO_HOME", work.join("cargo"))
            .env("PACKAGER", "Bench <bench@samples.invalid>")
            // Any program that exists will do; with `--nodeps` it is not called.
            .env("PACMAN", "true");
        for name in [
            "HOME",
            "BUILDDIR",
            "PKGDEST",
            "SRCDEST",
            "SRCPKGDEST",
            "LOGDEST",
        ] {
            command.env(name, work);
        }
        Ok(command)
    }
}

/// The arguments with which setpriv(1) runs a program as an ordinary user, as makepkg insists on.
fn ordinary_user() -> &'static [&'static str] {
    if nix::unistd::geteuid().is_root() {
        &[
            // A user that owns nothing. Reading everywhere lets it use a toolchain in root's home.
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "--inh-caps=-all,+dac_read_search",
            "--ambient-caps=+dac_read_search",
            // access(2) asks for the real user's rights unless this is set; the linker uses it.
            "--securebits=+no_setuid_fixup",
            "--",
        ]
    } else {
        &["--"]
    }
}

fn open_to_all(folder: &Path) -> Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777))?;
    Ok(())
}
