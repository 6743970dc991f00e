use std::path::PathBuf;

use crate::isolation::Isolation;

/// What is the same for all builds of a program.
#[derive(Clone, Debug)]
pub struct Config {
    /// The bash that runs recipes. Default `/bin/bash`.
    pub shell: PathBuf,
    /// Directories that [`Isolation::Namespaces`] covers with an empty one; missing ones are
    /// skipped. Default: `/home`, `/root`, `/run`, `/tmp`, `/var/tmp` and the home directory of
    /// the caller's user. Build directories and mounts below them stay visible.
    pub hidden: Vec<PathBuf>,
    /// The user and group that builds run as if the caller is root. Default 65534, `nobody`.
    pub build_user: (u32, u32),
    /// Stronger tiers than this are treated as unavailable. Default [`Isolation::Namespaces`].
    pub ceiling: Isolation,
}

impl Default for Config {
    fn default() -> Self {
        let mut hidden: Vec<PathBuf> = ["/home", "/root", "/run", "/tmp", "/var/tmp"]
            .map(PathBuf::from)
            .to_vec();
        if let Ok(Some(user)) = nix::unistd::User::from_uid(nix::unistd::Uid::effective())
            && user.dir.parent().is_some()
        {
            hidden.push(user.dir);
        }
        Self {
            shell: "/bin/bash".into(),
            hidden,
            build_user: (65534, 65534),
            ceiling: Isolation::Namespaces,
        }
    }
}
