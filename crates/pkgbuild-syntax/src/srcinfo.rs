//! `.SRCINFO`: the fields of a recipe as makepkg prints them.

mod print;
mod read;
mod write;

pub use self::print::{PrintError, printsrcinfo};
pub use self::read::SrcinfoError;
pub(crate) use self::read::read;
pub(crate) use self::write::write;
use crate::package::{Package, PackageError};

impl Package {
    /// The `.SRCINFO`, byte for byte what `makepkg --printsrcinfo` of pacman 6.0.2 prints for a
    /// recipe that passes its lints.
    ///
    /// # Errors
    /// [`PackageError::Dynamic`] with all reasons when a value that stands in it is not known.
    pub fn srcinfo(&self) -> Result<String, PackageError> {
        write(self)
    }

    /// Reads a `.SRCINFO`.
    ///
    /// A list that one package empties and a list of one empty element look the same in a
    /// `.SRCINFO`; it is read as the former. [`functions`](Self::functions) stays empty.
    ///
    /// # Errors
    /// The first line that is not of the format.
    pub fn from_srcinfo(text: &str) -> Result<Self, SrcinfoError> {
        read(text)
    }
}
