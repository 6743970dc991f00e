/// What a tree may have at most.
///
/// A walk needs a few hundred bytes of memory for each level of depth and about 70 descriptors, a copy 110,
/// however large the tree is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Levels of directories below the root. Default 1,000,000.
    pub depth: u64,
    /// Directories, files, links and everything else. Default 100,000,000.
    pub entries: u64,
    /// Bytes of a path relative to the root, counted by [`copy`](crate::copy). Default 3,072, so
    /// that the copy can be named by an absolute path (limits.h, `PATH_MAX`).
    pub path: u64,
    /// Bytes of data that are written by [`copy`](crate::copy); holes do not count. Default
    /// unlimited.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 1_000_000,
            entries: 100_000_000,
            path: 3072,
            bytes: u64::MAX,
        }
    }
}

impl Limits {
    /// Allows at most this many entries.
    #[must_use]
    pub fn with_entries(mut self, entries: u64) -> Self {
        self.entries = entries;
        self
    }

    /// Allows at most this many levels below the root.
    #[must_use]
    pub fn with_depth(mut self, depth: u64) -> Self {
        self.depth = depth;
        self
    }

    /// Allows at most this many bytes of data to be written.
    #[must_use]
    pub fn with_bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }
}
