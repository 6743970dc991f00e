//! What is measured: recipes made up in the shape of real ones, of which the median has 1.1 kB and
//! one in twenty 3.3 kB or more, or the real ones below a folder.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// Most recipes that are measured.
const MOST: usize = 5_000;

/// The files named `PKGBUILD` below the folder that the variable `RECIPES` names; a thousand
/// made-up recipes when it is not set.
///
/// # Panics
/// When the folder holds none, because figures of nothing would mislead.
pub fn texts() -> Vec<String> {
    let Some(folder) = std::env::var_os("RECIPES") else {
        return recipes(1_000);
    };
    let mut texts = Vec::new();
    collect(Path::new(&folder), &mut texts);
    assert!(
        !texts.is_empty(),
        "no PKGBUILD below `{}`; name another folder in RECIPES",
        folder.display()
    );
    texts
}

fn collect(folder: &Path, texts: &mut Vec<String>) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<OsString> = entries.map(|entry| entry.file_name()).collect();
    names.sort();
    for name in names {
        let path = folder.join(&name);
        let is_link = path.is_symlink();
        if path.is_dir() && !is_link {
            collect(&path, texts);
        } else if name == "PKGBUILD"
            && texts.len() < MOST
            && let Ok(text) = std::fs::read_to_string(&path)
        {
            texts.push(text);
        }
    }
}

/// The shortest of several runs: what the work takes when nothing else disturbs it.
pub fn shortest<T>(runs: usize, mut work: impl FnMut() -> T) -> Duration {
    let run = |_| {
        let start = Instant::now();
        std::hint::black_box(work());
        start.elapsed()
    };
    (0..runs).map(run).min().unwrap_or_default()
}

/// A small generator of numbers, so that every run measures the same text.
#[derive(Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// Numbers that follow from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2).wrapping_add(1))
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn pick<'text>(&mut self, from: &[&'text str]) -> &'text str {
        from[usize::try_from(self.below(from.len() as u64)).unwrap_or(0)]
    }
}

const NAMES: &[&str] = &[
    "harbor",
    "lantern",
    "quill",
    "meadow-tools",
    "copperline",
    "nightjar",
    "tessera",
    "glyphd",
    "python-thornwood",
    "lib32-marrow",
    "saltbox-git",
    "perl-cinder",
    "osprey",
    "kettle-cli",
];

const WORDS: &[&str] = &[
    "fast", "small", "library", "daemon", "for", "reading", "terminal", "images", "archives",
    "written", "in", "client", "viewer", "with", "plugins", "format", "protocol", "bindings",
];

const LICENSES: &[&str] = &[
    "MIT",
    "GPL-3.0-or-later",
    "Apache-2.0",
    "BSD-3-Clause",
    "LGPL-2.1-only",
];

/// One recipe.
pub fn recipe(seed: u64) -> String {
    let numbers = &mut Numbers::new(seed.wrapping_add(0x9e37_79b9));
    for _ in 0..8 {
        numbers.below(2);
    }
    let mut text = String::new();
    header(numbers, &mut text).expect("a string takes any text");
    let functions = match numbers.below(20) {
        0 => 14,
        1..=5 => 4,
        6..=12 => 2,
        _ => 1,
    };
    for index in 0..functions {
        function(numbers, index, &mut text).expect("a string takes any text");
    }
    text
}

/// As many recipes as asked for.
pub fn recipes(count: u64) -> Vec<String> {
    (0..count).map(recipe).collect()
}

fn list(numbers: &mut Numbers, most: u64, separator: &str) -> String {
    let count = 1 + numbers.below(most);
    let items: Vec<_> = (0..count)
        .map(|_| match numbers.below(4) {
            0 => format!(
                "'{}>={}.{}'",
                numbers.pick(NAMES),
                numbers.below(9),
                numbers.below(30)
            ),
            1 => format!("\"{}\"", numbers.pick(NAMES)),
            _ => format!("'{}'", numbers.pick(NAMES)),
        })
        .collect();
    items.join(separator)
}

fn header(numbers: &mut Numbers, text: &mut String) -> std::fmt::Result {
    let name = numbers.pick(NAMES);
    writeln!(
        text,
        "# Maintainer: A. Packager <packager at example dot org>"
    )?;
    if numbers.below(2) == 0 {
        writeln!(
            text,
            "# Contributor: {} {} <someone@example.org>",
            numbers.pick(WORDS),
            name
        )?;
    }
    let fresh = numbers.below(3) == 0;
    writeln!(text, "\npkgname={name}")?;
    if fresh {
        writeln!(
            text,
            "_name=${{pkgname#python-}}\n_commit={:040x}",
            numbers.below(u64::MAX)
        )?;
    }
    writeln!(
        text,
        "pkgver={}.{}.{}",
        numbers.below(9),
        numbers.below(40),
        numbers.below(20)
    )?;
    writeln!(text, "pkgrel={}", 1 + numbers.below(5))?;
    let described: Vec<_> = (0..4 + numbers.below(8))
        .map(|_| numbers.pick(WORDS))
        .collect();
    writeln!(text, "pkgdesc=\"{}\"", described.join(" "))?;
    writeln!(
        text,
        "arch=('x86_64'{})",
        numbers.pick(&["", " 'aarch64'", " \"armv7h\""])
    )?;
    writeln!(
        text,
        "url=\"https://example.org/{name}\"\nlicense=('{}')",
        numbers.pick(LICENSES)
    )?;
    writeln!(
        text,
        "depends=({})",
        list(numbers, 7, numbers_separator(seedless(name)))
    )?;
    writeln!(text, "makedepends=({})", list(numbers, 5, " "))?;
    if numbers.below(3) == 0 {
        writeln!(
            text,
            "optdepends=('{name}: for {}'\n            'jet: more')",
            numbers.pick(WORDS)
        )?;
    }
    if numbers.below(2) == 0 {
        writeln!(
            text,
            "conflicts=(\"${{pkgname%-git}}\")\nprovides=(\"${{pkgname%-git}}=$pkgver\")"
        )?;
    }
    writeln!(
        text,
        "source=(\"$pkgname-$pkgver.tar.gz::$url/archive/v${{pkgver}}.tar.gz\""
    )?;
    let sources = 1 + numbers.below(4);
    for index in 1..sources {
        writeln!(
            text,
            "        \"{}-{index}.patch\" # keeps it building",
            numbers.pick(WORDS)
        )?;
    }
    writeln!(text, ")\nsha256sums=(")?;
    for _ in 0..sources {
        writeln!(
            text,
            "  '{:032x}{:032x}'",
            numbers.below(u64::MAX),
            numbers.below(u64::MAX)
        )?;
    }
    writeln!(text, ")")
}

fn seedless(name: &str) -> bool {
    name.len() % 2 == 0
}

fn numbers_separator(one_line: bool) -> &'static str {
    if one_line { " " } else { "\n         " }
}

fn function(numbers: &mut Numbers, index: u64, text: &mut String) -> std::fmt::Result {
    let name = match index {
        0 => "package",
        1 => "build",
        2 => "prepare",
        3 => "check",
        _ => return part(numbers, index, text),
    };
    writeln!(text, "\n{name}() {{\n  cd \"$srcdir/${{pkgname}}-$pkgver\"")?;
    match index {
        0 => {
            writeln!(text, "  make DESTDIR=\"$pkgdir\" PREFIX=/usr install")?;
            writeln!(
                text,
                "  install -Dm644 LICENSE -t \"${{pkgdir}}/usr/share/licenses/$pkgname/\""
            )?;
        }
        1 => writeln!(
            text,
            "  cmake -B build -S . \\\n    -DCMAKE_BUILD_TYPE=None \\\n    -DCMAKE_INSTALL_PREFIX=/usr\n  cmake --build build"
        )?,
        2 => writeln!(
            text,
            "  for p in \"$srcdir\"/*.patch; do\n    [[ -f $p ]] && patch -Np1 -i \"$p\"\n  done\n  sed -i 's|/usr/local|/usr|g' Makefile"
        )?,
        _ => writeln!(
            text,
            "  make check || true # {} fail now and then",
            numbers.below(9)
        )?,
    }
    writeln!(text, "}}")
}

fn part(numbers: &mut Numbers, index: u64, text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "\npackage_{}-{index}() {{\n  pkgdesc+=\" ({})\"",
        numbers.pick(NAMES),
        numbers.pick(WORDS)
    )?;
    writeln!(
        text,
        "  depends=(\"$pkgbase=$pkgver-$pkgrel\" {})",
        list(numbers, 3, " ")
    )?;
    writeln!(
        text,
        "  if [[ \"$CARCH\" == x86_64 ]]; then\n    install -d \"$pkgdir\"/usr/{{bin,lib}}"
    )?;
    writeln!(
        text,
        "  fi\n  cp -a \"$(find . -name '*.so' | head -n1)\" \"$pkgdir/usr/lib/\"\n}}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_real_recipes() {
        let mut sizes: Vec<_> = recipes(1_000).iter().map(String::len).collect();
        sizes.sort_unstable();
        assert!((900..1_400).contains(&sizes[500]), "median {}", sizes[500]);
        assert!(
            (2_500..4_500).contains(&sizes[950]),
            "95th percentile {}",
            sizes[950]
        );
    }

    #[test]
    fn recipes_are_well_formed() {
        for text in recipes(200) {
            let errors = pkgbuild_syntax::parse(&text).errors;
            assert!(errors.is_empty(), "{errors:?}\n{text}");
        }
    }
}
