//! Finds out which tiers work, by setting each up completely.

use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::config::Config;
use crate::isolation::{Capabilities, Isolation, TierStatus};
use crate::prepare::{self, Offer, Roots};
use crate::sys;
use crate::sys::plan::Plan;
use crate::sys::status::{Message, SIZE};

/// Older versions do not restrict truncation of files that may be written.
const LANDLOCK_NEEDED: u32 = 3;

pub(crate) fn capabilities(config: &Config, roots: &Roots) -> Capabilities {
    let landlock_abi = sys::landlock_abi();
    let tiers = Isolation::ALL
        .map(|tier| (tier, status(config, tier, landlock_abi)))
        .to_vec();
    if tiers.contains(&(Isolation::Namespaces, TierStatus::Works)) {
        roots.allow(roots_work(config, landlock_abi));
    }
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
    let planned = prepare::probe(config, tier, landlock_abi, None);
    if tier == Isolation::Group && planned.is_ok() {
        return TierStatus::Works;
    }
    match planned.map(|plan| attempt(&plan)) {
        Ok(Ok(())) => TierStatus::Works,
        Ok(Err(reason)) => unavailable(reason),
        Err(error) => unavailable(error.to_string()),
    }
}

/// Whether a run can have a copy of a prepared root; without it each makes its own.
fn roots_work(config: &Config, landlock_abi: u32) -> bool {
    let roots = Roots::default();
    roots.allow(true);
    let offer = Offer {
        roots: &roots,
        config,
        cancelled: &|| false,
    };
    let planned = prepare::probe(config, Isolation::Namespaces, landlock_abi, Some(offer));
    let tried = planned.map_err(|error| error.to_string()).and_then(|plan| {
        let prepared = plan
            .namespaces
            .as_ref()
            .is_some_and(|view| view.prepared.is_some());
        if !prepared {
            return Err("none could be made".to_owned());
        }
        attempt(&plan)
    });
    if let Err(reason) = &tried {
        tracing::debug!(reason, "each run makes a root of its own");
    }
    tried.is_ok()
}

/// Sets a tier up completely.
fn attempt(plan: &Plan) -> Result<(), String> {
    let running = sys::spawn(plan).map_err(|(step, error)| format!("failed to {step}: {error}"))?;
    let status = first_message(&running.status);
    running.supervisor.wait();
    match status {
        Some(Message::Exited { status: 0 }) => Ok(()),
        Some(Message::SetupFailed { step, errno, .. }) => Err(format!(
            "failed to {step}: {}",
            std::io::Error::from_raw_os_error(errno)
        )),
        _ => Err("the trial run gave no answer".to_owned()),
    }
}

fn first_message(status: &impl AsFd) -> Option<Message> {
    let mut ready = [PollFd::new(status.as_fd(), PollFlags::POLLIN)];
    poll(&mut ready, PollTimeout::from(10_000u16)).ok()?;
    let mut bytes = [0; SIZE];
    let count = nix::unistd::read(status, &mut bytes).ok()?;
    (count == SIZE).then(|| Message::decode(&bytes)).flatten()
}
