//! Finds out which tiers work, by setting each up completely.

use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::config::Config;
use crate::isolation::{Capabilities, Isolation, TierStatus};
use crate::prepare;
use crate::sys;
use crate::sys::status::{Message, SIZE};

/// Older versions do not restrict truncation of files that may be written.
const LANDLOCK_NEEDED: u32 = 3;

pub(crate) fn capabilities(config: &Config) -> Capabilities {
    let landlock_abi = sys::landlock_abi();
    let tiers = Isolation::ALL
        .map(|tier| (tier, status(config, tier, landlock_abi)))
        .to_vec();
    Capabilities {
        tiers,
        landlock_abi,
        seccomp: sys::seccomp_works(),
    }
}

fn status(config: &Config, tier: Isolation, landlock_abi: u32) -> TierStatus {
    let unavailable = |reason: String| TierStatus::Unavailable { reason };
    if tier > config.ceiling {
        return unavailable(format!(
            "the configuration allows no more than `{}`",
            config.ceiling
        ));
    }
    if tier == Isolation::Landlock && landlock_abi < LANDLOCK_NEEDED {
        return unavailable(format!(
            "the kernel offers Landlock version {landlock_abi}, and {LANDLOCK_NEEDED} is needed (Linux 6.2)"
        ));
    }
    let planned = prepare::probe(config, tier, landlock_abi);
    if tier == Isolation::Group && planned.is_ok() {
        return TierStatus::Works;
    }
    let plan = match planned {
        Ok(plan) => plan,
        Err(error) => return unavailable(error.to_string()),
    };
    match sys::spawn(&plan) {
        Err((step, error)) => unavailable(format!("failed to {step}: {error}")),
        Ok(running) => {
            let status = first_message(&running.status);
            running.supervisor.wait();
            match status {
                Some(Message::Exited { status: 0 }) => TierStatus::Works,
                Some(Message::SetupFailed { step, errno, .. }) => unavailable(format!(
                    "failed to {step}: {}",
                    std::io::Error::from_raw_os_error(errno)
                )),
                _ => unavailable("the trial run gave no answer".to_owned()),
            }
        }
    }
}

fn first_message(status: &impl AsFd) -> Option<Message> {
    let mut ready = [PollFd::new(status.as_fd(), PollFlags::POLLIN)];
    poll(&mut ready, PollTimeout::from(10_000u16)).ok()?;
    let mut bytes = [0; SIZE];
    let count = nix::unistd::read(status, &mut bytes).ok()?;
    (count == SIZE).then(|| Message::decode(&bytes)).flatten()
}
