//! What the usual packages bring, and what they are called elsewhere.

/// The package managers a person may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manager {
    Pacman,
    Apt,
    Dnf,
    Zypper,
    Apk,
    Brew,
}

impl Manager {
    /// The host's, by `ID` and `ID_LIKE` of its os-release(5).
    pub(crate) fn of(os_release: Option<&str>) -> Option<Self> {
        if cfg!(target_os = "macos") {
            return Some(Self::Brew);
        }
        let value = |name: &str| {
            let mut lines = os_release.unwrap_or_default().lines();
            let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            value.unwrap_or_default().trim_matches(['"', '\''])
        };
        let (id, like) = (value("ID"), value("ID_LIKE"));
        std::iter::once(id)
            .chain(like.split_whitespace())
            .find_map(|name| {
                Some(match name {
                    "arch" | "archlinux" | "manjaro" | "artix" => Self::Pacman,
                    "debian" | "ubuntu" => Self::Apt,
                    "fedora" | "rhel" | "centos" => Self::Dnf,
                    "suse" | "opensuse" | "sles" => Self::Zypper,
                    "alpine" => Self::Apk,
                    _ => return None,
                })
            })
    }

    /// The command that installs packages.
    pub(crate) fn command(self) -> &'static str {
        match self {
            Self::Pacman => "pacman -S --needed",
            Self::Apt => "apt-get install",
            Self::Dnf => "dnf install",
            Self::Zypper => "zypper install",
            Self::Apk => "apk add",
            Self::Brew => "brew install",
        }
    }
}

/// A package of the recipes' distribution: any one of what it brings shows that it is there.
#[derive(Debug)]
pub(crate) struct Known {
    name: &'static str,
    pub(crate) programs: &'static [&'static str],
    pub(crate) libraries: &'static [&'static str],
    pub(crate) files: &'static [&'static str],
    /// Its name for pacman, apt, dnf, zypper, apk and brew; empty where there is none.
    packages: [&'static str; 6],
}

impl Known {
    /// The package of this name, if it is a usual one.
    pub(crate) fn of(name: &str) -> Option<&'static Self> {
        TABLE.iter().find(|known| known.name == name)
    }

    /// What it is called by a package manager.
    pub(crate) fn package(&self, manager: Manager) -> Option<&'static str> {
        let name = self.packages[manager as usize];
        (!name.is_empty()).then_some(name)
    }
}

const fn program(
    name: &'static str,
    programs: &'static [&'static str],
    packages: [&'static str; 6],
) -> Known {
    Known {
        name,
        programs,
        libraries: &[],
        files: &[],
        packages,
    }
}

const fn library(
    name: &'static str,
    libraries: &'static [&'static str],
    packages: [&'static str; 6],
) -> Known {
    Known {
        name,
        programs: &[],
        libraries,
        files: &[],
        packages,
    }
}

const fn same(name: &'static str) -> [&'static str; 6] {
    [name; 6]
}

/// The C library belongs to the system itself, so there is nothing to install it with.
const SYSTEM: [&str; 6] = [""; 6];

const CUDA_FILES: &[&str] = &["/opt/cuda/bin/nvcc", "/usr/local/cuda/bin/nvcc"];
const ROCM_FILES: &[&str] = &["/opt/rocm/bin/hipcc", "/opt/rocm/bin/rocminfo"];

const fn rocm(name: &'static str, packages: [&'static str; 6]) -> Known {
    Known {
        name,
        programs: &["hipcc", "rocminfo"],
        libraries: &["libamdhip64.so"],
        files: ROCM_FILES,
        packages,
    }
}

#[rustfmt::skip]
static TABLE: [Known; 48] = [
    program("cargo", &["cargo"], ["rust", "cargo", "cargo", "cargo", "cargo", "rust"]),
    program("rust", &["rustc"], ["rust", "rustc", "rust", "rust", "rust", "rust"]),
    program("rustup", &["rustup"], ["rustup", "rustup", "rustup", "rustup", "rustup", "rustup"]),
    program("gcc", &["gcc", "cc"], ["gcc", "gcc", "gcc", "gcc", "gcc", "gcc"]),
    program("gcc-fortran", &["gfortran"], ["gcc-fortran", "gfortran", "gcc-gfortran", "gcc-fortran", "gfortran", "gcc"]),
    program("clang", &["clang"], ["clang", "clang", "clang", "clang", "clang", "llvm"]),
    program("llvm", &["llvm-config"], ["llvm", "llvm-dev", "llvm-devel", "llvm-devel", "llvm-dev", "llvm"]),
    program("lld", &["ld.lld", "lld"], same("lld")),
    program("mold", &["mold"], same("mold")),
    program("binutils", &["ld"], same("binutils")),
    program("base-devel", &["make"], ["base-devel", "build-essential", "make", "make", "build-base", "make"]),
    program("make", &["make", "gmake"], same("make")),
    program("cmake", &["cmake"], same("cmake")),
    program("ninja", &["ninja", "ninja-build"], ["ninja", "ninja-build", "ninja-build", "ninja", "ninja", "ninja"]),
    program("meson", &["meson"], same("meson")),
    program("nasm", &["nasm"], same("nasm")),
    program("patch", &["patch"], same("patch")),
    program("pkgconf", &["pkgconf", "pkg-config"], ["pkgconf", "pkg-config", "pkgconf", "pkgconf", "pkgconf", "pkgconf"]),
    program("pkg-config", &["pkg-config", "pkgconf"], ["pkgconf", "pkg-config", "pkgconf", "pkgconf", "pkgconf", "pkgconf"]),
    program("protobuf", &["protoc"], ["protobuf", "protobuf-compiler", "protobuf-compiler", "protobuf-devel", "protoc", "protobuf"]),
    program("git", &["git"], same("git")),
    program("git-lfs", &["git-lfs"], same("git-lfs")),
    program("curl", &["curl"], same("curl")),
    program("wget", &["wget"], same("wget")),
    program("jq", &["jq"], same("jq")),
    program("unzip", &["unzip"], same("unzip")),
    program("tar", &["tar", "bsdtar"], same("tar")),
    program("bash", &["bash"], same("bash")),
    program("coreutils", &["install"], same("coreutils")),
    program("python", &["python3", "python"], ["python", "python3", "python3", "python3", "python3", "python"]),
    program("python-pip", &["pip3", "pip"], ["python-pip", "python3-pip", "python3-pip", "python3-pip", "py3-pip", "python"]),
    program("uv", &["uv"], ["uv", "", "uv", "uv", "uv", "uv"]),
    program("go", &["go"], ["go", "golang-go", "golang", "go", "go", "go"]),
    program("nodejs", &["node", "nodejs"], ["nodejs", "nodejs", "nodejs", "nodejs", "nodejs", "node"]),
    program("npm", &["npm"], ["npm", "npm", "npm", "npm", "npm", "node"]),
    program("ffmpeg", &["ffmpeg"], same("ffmpeg")),
    library("glibc", &["libc.so.6", "ld-musl-x86_64.so.1", "ld-musl-aarch64.so.1"], SYSTEM),
    library("gcc-libs", &["libgcc_s.so.1"], ["gcc-libs", "libgcc-s1", "libgcc", "libgcc_s1", "libgcc", "gcc"]),
    library("zlib", &["libz.so.1"], ["zlib", "zlib1g-dev", "zlib-devel", "zlib-devel", "zlib-dev", "zlib"]),
    library("zstd", &["libzstd.so.1"], ["zstd", "libzstd-dev", "libzstd-devel", "libzstd-devel", "zstd-dev", "zstd"]),
    library("openssl", &["libssl.so.3", "libssl.so.1.1"], ["openssl", "libssl-dev", "openssl-devel", "libopenssl-devel", "openssl-dev", "openssl"]),
    library("openblas", &["libopenblas.so.0", "libopenblas.so"], ["openblas", "libopenblas-dev", "openblas-devel", "openblas-devel", "openblas-dev", "openblas"]),
    library("vulkan-icd-loader", &["libvulkan.so.1"], ["vulkan-icd-loader", "libvulkan1", "vulkan-loader", "libvulkan1", "vulkan-loader", "vulkan-loader"]),
    Known { name: "cuda", programs: &["nvcc"], libraries: &["libcudart.so", "libcudart.so.11.0", "libcudart.so.12", "libcudart.so.13"], files: CUDA_FILES, packages: ["cuda", "nvidia-cuda-toolkit", "cuda", "cuda", "", ""] },
    Known { name: "nvidia-utils", programs: &["nvidia-smi"], libraries: &["libcuda.so.1"], files: &[], packages: ["nvidia-utils", "nvidia-smi", "xorg-x11-drv-nvidia-cuda", "nvidia-compute-utils-G06", "", ""] },
    rocm("rocm-hip-sdk", ["rocm-hip-sdk", "hipcc", "rocm-hip-devel", "rocm-hip-devel", "", ""]),
    rocm("rocm-hip-runtime", ["rocm-hip-runtime", "libamdhip64-5", "rocm-hip", "rocm-hip", "", ""]),
    rocm("rocm", ["rocm-hip-sdk", "hipcc", "rocm-hip-devel", "rocm-hip-devel", "", ""]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_stands_twice_and_everything_can_be_found() {
        let mut names = std::collections::BTreeSet::new();
        for known in &TABLE {
            assert!(names.insert(known.name), "`{}` stands twice", known.name);
            let signs = known.programs.len() + known.libraries.len() + known.files.len();
            assert!(signs > 0, "`{}` can never be found", known.name);
        }
    }

    #[cfg(not(target_os = "macos"))]
    #[test]
    fn the_manager_follows_from_the_distribution_or_its_parent() {
        for (text, expected) in [
            ("ID=arch", Some(Manager::Pacman)),
            (
                "NAME=x\nID=\"opensuse-tumbleweed\"\nID_LIKE=\"opensuse suse\"",
                Some(Manager::Zypper),
            ),
            ("ID=linuxmint\nID_LIKE='ubuntu debian'", Some(Manager::Apt)),
            (
                "ID=rocky\nID_LIKE=\"rhel centos fedora\"",
                Some(Manager::Dnf),
            ),
            ("ID=alpine", Some(Manager::Apk)),
            ("ID=nixos", None),
            ("", None),
        ] {
            assert_eq!(Manager::of(Some(text)), expected, "{text}");
        }
    }
}
