//! What can be wrong with a program.

use super::text::shown;

/// Why a packaged program cannot be installed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BinaryProblem {
    /// It is a link that leads out of the package.
    #[error("it leads out of the package")]
    OutsidePackage,
    /// It is a folder, a device or a socket.
    #[error("it is not a regular file")]
    NotAFile,
    /// No execute permission is set.
    #[error("it is not executable; `install -Dm755` makes it so")]
    NotExecutable,
    /// It would run with somebody else's rights.
    #[error("it is set-user-id or set-group-id, which a worker must not be")]
    SetUserId,
    /// It is neither a program of any known format nor a script.
    #[error("it is neither a program nor a script with `#!`")]
    UnknownFormat,
    /// It is an object file or a core dump.
    #[error("it is not a program but another kind of object file")]
    NotAProgram,
    /// It is for another operating system.
    #[error("it is a program for another operating system ({})", shown(.found))]
    OtherPlatform {
        /// The format found.
        found: String,
    },
    /// It is for another processor.
    #[error("it is for {}, and this host is {expected}", shown(.found))]
    OtherArchitecture {
        /// The architecture found.
        found: String,
        /// This host's architecture.
        expected: &'static str,
    },
}
