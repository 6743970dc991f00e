//! What is told: one event type with a versioned serialised form.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The version of [`ProvisionEvent`]'s serialised form.
pub const EVENT_VERSION: u32 = 1;

/// The steps of a provision, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProvisionPhase {
    /// Waiting for another provision of the same worker, or for a free build slot.
    Wait,
    /// Asking the catalog for the worker's entry.
    Metadata,
    /// Choosing the backend and checking operating system and architecture.
    Platform,
    /// Fetching the recipe's text.
    Recipe,
    /// Parsing and evaluating the recipe, and checking its own `arch`.
    Evaluate,
    /// Looking on the host for what the recipe depends on.
    Dependencies,
    /// Checking that the binary could be installed, before the long work.
    Preflight,
    /// Creating the private build folders.
    Workspace,
    /// Fetching and verifying the sources.
    Sources,
    /// Running the recipe's `verify()`, and unpacking the sources that it accepts.
    Verify,
    /// Running the recipe's `prepare()`.
    Prepare,
    /// Running the recipe's `pkgver()`.
    Pkgver,
    /// Running the recipe's `build()`.
    Build,
    /// Running the recipe's `check()`.
    Check,
    /// Running the recipe's `package()`.
    Package,
    /// Finding and checking the packaged binary, and storing its tree.
    Binary,
    /// Removing everything temporary.
    Cleanup,
    /// Starting the new program where it is stored, to see whether it works.
    Trial,
    /// Putting the binary in place.
    Install,
    /// Making the artifact.
    Artifact,
}

impl ProvisionPhase {
    /// A few words for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Wait => "waiting",
            Self::Metadata => "catalog entry",
            Self::Platform => "platform",
            Self::Recipe => "recipe",
            Self::Evaluate => "evaluate",
            Self::Dependencies => "dependencies",
            Self::Workspace => "workspace",
            Self::Preflight => "preflight",
            Self::Sources => "sources",
            Self::Verify => "verify()",
            Self::Prepare => "prepare()",
            Self::Pkgver => "pkgver()",
            Self::Build => "build()",
            Self::Check => "check()",
            Self::Package => "package()",
            Self::Binary => "binary",
            Self::Trial => "trial",
            Self::Install => "install",
            Self::Artifact => "artifact",
            Self::Cleanup => "clean-up",
        }
    }
}

/// What progress is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Git objects.
    Objects,
    /// Archive members.
    Files,
}

/// Which stream of a phase an output line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Happening {
    /// The phase began.
    Started,
    /// The phase found out something worth telling.
    Note {
        /// One line for people.
        text: String,
    },
    /// The phase got on; `done` never falls for the same subject and never passes `total`.
    Progress {
        /// What is being worked on, such as a source's name.
        subject: String,
        /// How much is done, in `unit`.
        done: u64,
        /// How much there is in all, when that is known.
        total: Option<u64>,
        /// What is counted.
        unit: Unit,
    },
    /// A line of a recipe function's output, without its line end.
    Output {
        /// Where it was written.
        stream: OutputStream,
        /// The line; bytes that are not UTF-8 are replaced.
        line: String,
    },
    /// Something is not as it should be, but the provision goes on.
    Warning {
        /// One line for people.
        text: String,
    },
    /// The phase ended well.
    Finished {
        /// How long it took, in milliseconds.
        elapsed_ms: u64,
    },
    /// The provision failed in this phase; nothing follows but clean-up.
    Failed {
        /// The error and its causes, joined by `: `.
        error: String,
    },
    /// The provision was cancelled in this phase; nothing follows but clean-up.
    Cancelled,
}

/// One thing that happened in one provision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProvisionEvent {
    /// [`EVENT_VERSION`].
    pub version: u32,
    /// The job on whose behalf the provision runs.
    pub job_id: String,
    /// The worker's id, as it was asked for.
    pub worker_id: String,
    /// Counts up from 0 without gaps within a provision.
    pub sequence: u64,
    /// When it happened.
    pub time: Timestamp,
    /// The step it happened in.
    pub phase: ProvisionPhase,
    /// What happened.
    #[serde(flatten)]
    pub happening: Happening,
}

impl ProvisionEvent {
    /// How many bytes of text it holds.
    pub(super) fn text_len(&self) -> usize {
        let text = match &self.happening {
            Happening::Note { text } | Happening::Warning { text } => text,
            Happening::Progress { subject, .. } => subject,
            Happening::Output { line, .. } => line,
            Happening::Failed { error } => error,
            Happening::Started | Happening::Finished { .. } | Happening::Cancelled => "",
        };
        self.job_id.len() + self.worker_id.len() + text.len()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_event_keeps_its_serialised_form() {
        let event = ProvisionEvent {
            version: EVENT_VERSION,
            job_id: "job-1".to_owned(),
            worker_id: "sample".to_owned(),
            sequence: 3,
            time: Timestamp::from_second(1_700_000_000).unwrap(),
            phase: ProvisionPhase::Sources,
            happening: Happening::Progress {
                subject: "a.tar.gz".to_owned(),
                done: 1,
                total: Some(2),
                unit: Unit::Bytes,
            },
        };
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(
            text,
            r#"{"version":1,"job_id":"job-1","worker_id":"sample","sequence":3,"time":"2023-11-14T22:13:20Z","phase":"sources","kind":"progress","subject":"a.tar.gz","done":1,"total":2,"unit":"bytes"}"#
        );
        assert_eq!(
            serde_json::from_str::<ProvisionEvent>(&text).unwrap(),
            event
        );
    }
}
