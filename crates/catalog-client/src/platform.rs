//! Backends, operating systems and architectures.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::printable;

/// A name from a catalog: one this crate knows, or one it does not, kept as sent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Named<T> {
    /// A known name.
    Known(T),
    /// A name this crate does not know, in lower case.
    Other(String),
}

/// A variant's backend, known or not.
pub type Backend = Named<WorkerType>;

impl<T: Wire> Named<T> {
    /// The known value, if it is one.
    pub fn known(&self) -> Option<T> {
        match self {
            Self::Known(value) => Some(*value),
            Self::Other(_) => None,
        }
    }

    /// The name in its canonical spelling.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(value) => value.name(),
            Self::Other(name) => name,
        }
    }
}

impl<T: Wire> FromStr for Named<T> {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.trim().to_ascii_lowercase();
        Ok(T::find(&name).map_or(Self::Other(name), Self::Known))
    }
}

impl<T> From<T> for Named<T> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

impl<T: Wire> fmt::Display for Named<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<T: Wire> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de, T: Wire> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if name.trim().is_empty() || name.chars().any(char::is_control) {
            return Err(serde::de::Error::custom(format_args!(
                "`{}` is not a name",
                printable(&name, 40)
            )));
        }
        name.parse().map_err(serde::de::Error::custom)
    }
}

mod sealed {
    /// A closed set of names with a canonical spelling and accepted aliases.
    pub trait Wire: Copy + 'static {
        /// The canonical spelling.
        fn name(self) -> &'static str;
        /// The value a lower-case name stands for.
        fn find(name: &str) -> Option<Self>;
    }
}
pub(crate) use sealed::Wire;

macro_rules! names {
    ($(#[$doc:meta])* $type:ident { $($(#[$vdoc:meta])* $variant:ident = $name:literal $(| $alias:literal)*,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $type {
            $($(#[$vdoc])* #[serde(rename = $name)] $variant,)+
        }

        impl $type {
            /// Every value, in the order catalogs list them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name on the wire, in lower case.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// The value for a name on the wire; exact, in lower case, aliases included.
            pub fn from_wire(name: &str) -> Option<Self> {
                match name {
                    $($name $(| $alias)* => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl Wire for $type {
            fn name(self) -> &'static str {
                self.as_str()
            }
            fn find(name: &str) -> Option<Self> {
                Self::from_wire(name)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $type {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::from_wire(&text.trim().to_ascii_lowercase()).ok_or_else(|| UnknownName {
                    name: text.to_owned(),
                    expected: &[$($name),+],
                })
            }
        }
    };
}

/// A name that is not one of a closed set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not one of {}", expected.join(", "))]
pub struct UnknownName {
    /// What was given.
    pub name: String,
    /// What would have been accepted.
    pub expected: &'static [&'static str],
}

names! {
    /// What a worker computes on; a catalog's `backend` (v2) or `worker_type` (v1).
    WorkerType {
        /// The processor alone.
        Cpu = "cpu",
        /// NVIDIA CUDA.
        Cuda = "cuda",
        /// Apple Metal.
        Metal = "metal",
        /// AMD `ROCm`.
        Rocm = "rocm",
    }
}

names! {
    /// An operating system a worker runs on.
    Platform {
        /// Linux.
        Linux = "linux",
        /// macOS.
        Macos = "macos" | "darwin" | "osx",
        /// Windows.
        Windows = "windows" | "win32",
    }
}

names! {
    /// A processor architecture, in pacman's spelling (PKGBUILD(5), "arch").
    Architecture {
        /// 64-bit x86.
        X86_64 = "x86_64" | "amd64" | "x86-64",
        /// 64-bit ARM.
        Aarch64 = "aarch64" | "arm64",
    }
}

impl Platform {
    /// The operating system this program was built for; `None` on one that no catalog serves.
    pub fn current() -> Option<Self> {
        Self::from_wire(std::env::consts::OS)
    }
}

impl Architecture {
    /// The architecture this program was built for; `None` on one that no catalog serves.
    pub fn current() -> Option<Self> {
        Self::from_wire(std::env::consts::ARCH)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_lower_case_on_the_wire() {
        for (value, json) in [
            (WorkerType::Cpu, "\"cpu\""),
            (WorkerType::Cuda, "\"cuda\""),
            (WorkerType::Metal, "\"metal\""),
            (WorkerType::Rocm, "\"rocm\""),
        ] {
            assert_eq!(serde_json::to_string(&value).unwrap(), json);
            assert_eq!(serde_json::from_str::<WorkerType>(json).unwrap(), value);
        }
        assert_eq!(
            serde_json::to_string(&Architecture::X86_64).unwrap(),
            "\"x86_64\""
        );
        assert_eq!(
            serde_json::to_string(&Platform::Macos).unwrap(),
            "\"macos\""
        );
    }

    #[test]
    fn unknown_names_are_kept() {
        let backend: Backend = serde_json::from_str("\"Vulkan\"").unwrap();
        assert_eq!(backend, Named::Other("vulkan".into()));
        assert_eq!(serde_json::to_string(&backend).unwrap(), "\"vulkan\"");
        assert!(serde_json::from_str::<Backend>("\"\"").is_err());
        assert!(serde_json::from_str::<Backend>("\"a\\u001b\"").is_err());
        assert!("vulkan".parse::<WorkerType>().is_err());
    }

    #[test]
    fn aliases_are_understood() {
        assert_eq!("arm64".parse(), Ok(Architecture::Aarch64));
        assert_eq!("Darwin".parse(), Ok(Platform::Macos));
    }
}
