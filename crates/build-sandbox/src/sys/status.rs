//! What the supervisor tells the host over the status pipe.

/// Bytes of one message; below `PIPE_BUF`, so each arrives whole.
pub(crate) const SIZE: usize = 32;

/// Steps that can fail, in the words of an error message. The index travels over the pipe.
pub(crate) const STEPS: &[&str] = &[
    "make mounts private",
    "take hold of a mount source",
    "make a root file system",
    "make the root file system read-only",
    "mount /tmp",
    "hide a directory",
    "mount /proc",
    "make /dev",
    "place a mount",
    "set the host name",
    "bring up the loopback interface",
    "take on the user id of the namespace",
    "fork the build process",
    "enter the working directory",
    "set resource limits",
    "drop privileges",
    "apply Landlock",
    "apply seccomp",
    "execute the program",
    "watch for ended children",
    "join the control group",
    "copy a prepared root",
];

/// Index of a step in [`STEPS`].
#[derive(Clone, Copy, Debug)]
#[repr(i64)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
pub(crate) enum Step {
    Private,
    Grab,
    Root,
    ReadOnlyRoot,
    Temporary,
    Hide,
    Proc,
    Dev,
    Place,
    HostName,
    Loopback,
    Identity,
    Fork,
    Directory,
    Limits,
    Privileges,
    Landlock,
    Seccomp,
    Execute,
    Watch,
    ControlGroup,
    Copy,
}

/// The step that fails when the program itself cannot be started.
pub(crate) const EXECUTE: &str = STEPS[Step::Execute as usize];

/// The step that fails when a run cannot have a copy of a prepared root.
pub(crate) const COPY: &str = STEPS[Step::Copy as usize];

/// A limit that the supervisor samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    Memory,
    Processes,
    OpenFiles,
}

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// A step before the shell ran failed.
    SetupFailed {
        step: &'static str,
        errno: i32,
        index: i64,
    },
    /// The phase process ended; the raw wait status.
    Exited { status: i32 },
    /// A sampled limit was passed.
    Breach { limit: Watched, used: u64 },
    /// Bytes on disk of open files without a name.
    Unlinked { bytes: u64 },
    /// No descendant is left, or as far as can be told if not proven.
    Finished { proven: bool, peak_memory: u64 },
}

impl Message {
    pub(crate) fn encode(kind: i64, fields: [i64; 3]) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        for (slot, value) in bytes
            .chunks_exact_mut(8)
            .zip([kind, fields[0], fields[1], fields[2]])
        {
            slot.copy_from_slice(&value.to_ne_bytes());
        }
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; SIZE]) -> Option<Self> {
        let mut fields = [0i64; 4];
        for (field, slot) in fields.iter_mut().zip(bytes.chunks_exact(8)) {
            *field = i64::from_ne_bytes(slot.try_into().ok()?);
        }
        let [kind, a, b, c] = fields;
        Some(match kind {
            1 => Self::SetupFailed {
                step: STEPS.get(usize::try_from(a).ok()?)?,
                errno: i32::try_from(b).ok()?,
                index: c,
            },
            2 => Self::Exited {
                status: i32::try_from(a).ok()?,
            },
            3 => Self::Breach {
                limit: match a {
                    0 => Watched::Memory,
                    1 => Watched::Processes,
                    _ => Watched::OpenFiles,
                },
                used: b.cast_unsigned(),
            },
            5 => Self::Unlinked {
                bytes: a.cast_unsigned(),
            },
            4 => Self::Finished {
                proven: a == 1,
                peak_memory: b.cast_unsigned(),
            },
            _ => return None,
        })
    }
}
