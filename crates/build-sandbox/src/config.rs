use std::ops::RangeInclusive;
use std::path::PathBuf;

use crate::isolation::Isolation;

/// What is the same for all builds of a program.
#[derive(Clone, Debug)]
pub struct Config {
    /// The bash that runs recipes. Default `/bin/bash`.
    pub shell: PathBuf,
    /// Directories of persons and of the moment: what a `PATH` names below them is shown by a mount
    /// only. Default: `/home`, `/root`, `/run`, `/tmp`, `/var/tmp` and the home directory of the
    /// caller's user. They are not shown in any case unless a mount or a directory of the build is
    /// below them.
    pub hidden: Vec<PathBuf>,
    /// The ids of users and groups for the builds of a caller that is root: each build gets one of
    /// its own, as user and as group, for as long as its [`BuildSpec::startdir`] is in use, and no
    /// process may have it already. Id 0 is never used. Default `None`: ids that neither an account
    /// nor a range of `/etc/subuid` has, from 1879048192 to 1879113727 and, where a container lacks
    /// these, from 60706 to 61183.
    ///
    /// [`BuildSpec::startdir`]: crate::BuildSpec::startdir
    pub build_users: Option<RangeInclusive<u32>>,
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
            build_users: None,
            control_group: None,
            ceiling: Isolation::Namespaces,
        }
    }
}
