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
    /// A control group (cgroup v2) that is delegated to the caller, as a path of the host below
    /// the mounted hierarchy. Each build then gets one of its own in it, which holds the limits of
    /// [`LimitKind::Memory`](crate::LimitKind::Memory), if set, and of
    /// [`LimitKind::Processes`](crate::LimitKind::Processes) as far as its controllers allow, and
    /// ends all members at once. It must hold no process itself if it is to have controllers.
    /// Default `None`: no group is looked for, since one that is not delegated has another owner.
    pub control_group: Option<PathBuf>,
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
            control_group: None,
            ceiling: Isolation::Namespaces,
        }
    }
}
