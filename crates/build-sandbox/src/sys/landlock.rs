//! Landlock by its three system calls.
//!
//! Source: the kernel's `Documentation/userspace-api/landlock.rst`.

use nix::libc;

use super::call::{self, Result, raw};
use super::plan::{LandlockPlan, Right};

const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const TRUNCATE: u64 = 1 << 14;
const IOCTL_DEV: u64 = 1 << 15;
const FILE: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV;
const BIND_AND_CONNECT_TCP: u64 = 3;
const SCOPE_ABSTRACT_SOCKETS: u64 = 1;
const SCOPE_SIGNALS: u64 = 2;
const CREATE_VERSION: u32 = 1;
const RULE_PATH_BENEATH: i32 = 1;

#[repr(C)]
struct Attributes {
    files: u64,
    network: u64,
    scopes: u64,
}

#[repr(C, packed)]
struct PathBeneath {
    allowed: u64,
    parent: i32,
}

/// The version of the kernel's interface; 0 if it has none or it is switched off.
pub(crate) fn abi() -> u32 {
    u32::try_from(raw!(
        libc::SYS_landlock_create_ruleset,
        0usize,
        0usize,
        CREATE_VERSION
    ))
    .unwrap_or(0)
}

fn file_rights(abi: u32) -> u64 {
    match abi {
        0 => 0,
        1 => (1 << 13) - 1,
        2 => (1 << 14) - 1,
        3 | 4 => (1 << 15) - 1,
        _ => (1 << 16) - 1,
    }
}

/// Restricts this process for good. Needs `no_new_privs`.
pub(super) fn restrict(plan: &LandlockPlan) -> Result<()> {
    let files = if plan.files { file_rights(plan.abi) } else { 0 };
    let attributes = Attributes {
        files,
        network: if plan.refuse_tcp && plan.abi >= 4 {
            BIND_AND_CONNECT_TCP
        } else {
            0
        },
        scopes: if plan.abi >= 6 {
            SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS
        } else {
            0
        },
    };
    if attributes.files == 0 && attributes.network == 0 && attributes.scopes == 0 {
        return Ok(());
    }
    let size = match plan.abi {
        0..=3 => 8usize,
        4 | 5 => 16,
        _ => 24,
    };
    let ruleset = raw!(
        libc::SYS_landlock_create_ruleset,
        &raw const attributes,
        size,
        0u32
    );
    let ruleset = i32::try_from(ruleset)
        .ok()
        .filter(|fd| *fd >= 0)
        .ok_or(libc::ENOSYS)?;
    if plan.files {
        for rule in &plan.rules {
            let flags = libc::O_PATH | libc::O_CLOEXEC;
            let Ok(parent) = call::open_at(libc::AT_FDCWD, &rule.path, flags, 0) else {
                continue;
            };
            let wanted = match rule.right {
                Right::Write => files,
                Right::Read => (EXECUTE | READ_FILE | READ_DIR) & files,
                Right::List => READ_DIR & files,
            };
            let mut beneath = PathBeneath {
                allowed: wanted,
                parent,
            };
            let mut added = raw!(
                libc::SYS_landlock_add_rule,
                ruleset,
                RULE_PATH_BENEATH,
                &raw const beneath,
                0u32
            );
            if added != 0 {
                // A file takes fewer rights than a directory; the kernel refuses the others.
                beneath.allowed = wanted & FILE;
                added = raw!(
                    libc::SYS_landlock_add_rule,
                    ruleset,
                    RULE_PATH_BENEATH,
                    &raw const beneath,
                    0u32
                );
            }
            call::close(parent);
            if added != 0 {
                return Err(libc::EINVAL);
            }
        }
    }
    let restricted = raw!(libc::SYS_landlock_restrict_self, ruleset, 0u32);
    call::close(ruleset);
    if restricted == 0 {
        Ok(())
    } else {
        Err(libc::EPERM)
    }
}
