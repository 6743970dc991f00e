//! How much of a git source's history is fetched.

/// Which git sources come with their whole history.
///
/// Without it a source is one commit whose parents are missing, so that a build which counts or describes commits fails. It
/// takes longer to fetch and is otherwise the same.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum HistoryPolicy {
    /// Those of which a function of the recipe, or a file that builds them, may ask git more than the commit they are in.
    #[default]
    WhereAsked,
    /// Those too that have one of these names in `srcdir`.
    Of(Vec<String>),
    /// All.
    Everywhere,
}

impl HistoryPolicy {
    pub(crate) fn is_full(&self, name: &str) -> bool {
        match self {
            Self::WhereAsked => false,
            Self::Of(names) => names.iter().any(|one| one == name),
            Self::Everywhere => true,
        }
    }
}
