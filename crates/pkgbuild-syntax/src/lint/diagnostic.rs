//! What a lint reports.

use std::fmt;

use serde::Serialize;

use crate::span::Span;

/// One finding about a recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Which rule.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// Where in the recipe; absent when it is about something that is not there.
    pub span: Option<Span>,
    /// What is wrong.
    pub message: String,
    /// What to do about it, in one line.
    pub fix: String,
    /// Changes that do so and are safe to make by a machine; none where a person must decide.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub edits: Vec<Edit>,
}

/// A piece of the text and what takes its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Edit {
    /// What goes.
    pub span: Span,
    /// What comes.
    pub text: String,
}

/// The text with the edits of the findings made, and how many findings that mends. Of findings
/// whose edits overlap the first is mended; lint again for the others.
pub fn fixed(text: &[u8], found: &[Diagnostic]) -> (Vec<u8>, usize) {
    let mut edits: Vec<&Edit> = Vec::new();
    let mut mended = 0;
    for diagnostic in found.iter().filter(|found| !found.edits.is_empty()) {
        let apart = |edit: &Edit| {
            edits.iter().all(|made| {
                let beside = edit.span.end <= made.span.start || made.span.end <= edit.span.start;
                beside && edit.span != made.span
            })
        };
        if diagnostic.edits.iter().all(apart) {
            edits.extend(&diagnostic.edits);
            mended += 1;
        }
    }
    edits.sort_by_key(|edit| edit.span);
    let mut changed = Vec::with_capacity(text.len() + 16 * edits.len());
    let mut at = 0;
    for edit in edits {
        let end = edit.span.range().end.min(text.len());
        let start = edit.span.range().start.clamp(at, end.max(at));
        changed.extend_from_slice(&text[at..start]);
        changed.extend_from_slice(edit.text.as_bytes());
        at = end.max(at);
    }
    changed.extend_from_slice(&text[at..]);
    (changed, mended)
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} [{}]", self.message, self.code)
    }
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Severity {
    /// The recipe works, but does something its reader should know.
    Warning,
    /// makepkg refuses to read or to build the recipe.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

macro_rules! codes {
    ($($variant:ident $name:literal $severity:ident $doc:literal,)*) => {
        /// The rules. Their names, such as `pkgver-invalid`, do not change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(into = "&'static str")]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $doc] $variant,)*
        }

        impl Code {
            /// All rules.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The stable name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What the rule is about, in one sentence.
            pub const fn reason(self) -> &'static str {
                match self {
                    $(Self::$variant => $doc,)*
                }
            }

            /// How bad it is to break the rule.
            pub const fn severity(self) -> Severity {
                match self {
                    $(Self::$variant => Severity::$severity,)*
                }
            }
        }
    };
}

codes! {
    ArchAnyMixed "arch-any-mixed" Error "`any` together with other architectures (`lint_arch`).",
    ArchInvalid "arch-invalid" Error "An architecture with characters other than letters, digits and `_` (`lint_arch`).",
    ArchAnySuffix "arch-any-suffix" Error "A field for the architecture `any` only (`lint_arch_specific`).",
    ArchSuffix "arch-suffix" Error "A suffixed field that cannot have an architecture (`lint_arch_specific`).",
    BackupAbsolute "backup-absolute" Error "An entry of `backup` with a leading slash (`lint_backup`).",
    ChangelogMissing "changelog-missing" Error "A changelog file that does not exist (`lint_changelog`).",
    InstallMissing "install-missing" Error "An install file that does not exist (`lint_install`).",
    NameInvalid "name-invalid" Error "A package name that is empty or has characters it must not have (`lint_one_pkgname`).",
    EpochInvalid "epoch-invalid" Error "An epoch that is not a number (`check_epoch`).",
    PkgrelInvalid "pkgrel-invalid" Error "A release that is not of the form `integer[.integer]` (`check_pkgrel`).",
    PkgverInvalid "pkgver-invalid" Error "A version that is empty or has characters it must not have (`check_pkgver`).",
    ProvidesComparison "provides-comparison" Error "`<` or `>` in `provides` (`lint_provides`).",
    OptionUnknown "option-unknown" Error "An option that makepkg does not know (`lint_options`).",
    PackageFunctionConflict "package-function-conflict" Error "`package()` beside `package_<name>()` (`lint_package_function`).",
    PackageFunctionMissing "package-function-missing" Error "No function that makes a package (`lint_package_function`).",
    OverrideForbidden "override-forbidden" Error "A field that a package function cannot set (`lint_package_function_variable`).",
    SourceSparse "source-sparse" Error "Gaps in the indices of `source` (`lint_source`).",
    NotAnArray "not-an-array" Error "A list that is assigned one value (`lint_variable`).",
    NotAString "not-a-string" Error "A field of one value that is assigned a list (`lint_variable`).",
    ChecksumCount "checksum-count" Error "More or fewer checksums than sources; makepkg refuses to build.",
    ChecksumInvalid "checksum-invalid" Error "A checksum that is neither `SKIP` nor of the right length and digits.",
    ChecksumMissing "checksum-missing" Warning "A source without any checksum.",
    ChecksumSkipped "checksum-skipped" Warning "`SKIP` for a source that could be checked.",
    ChecksumWeak "checksum-weak" Warning "Only checksums that can be forged: CRC, MD5, SHA-1.",
    DuplicateName "duplicate-name" Warning "A package or a source file that stands in its list twice.",
    SourceUnprotected "source-unprotected" Warning "A source over `http:`, `ftp:`, `git:` or the like that nothing proves.",
    SourceMoving "source-moving" Warning "A checkout that is not fixed to a commit or tag.",
    SourceEscapes "source-escapes" Warning "A source whose file name leaves the folder.",
    PathEscapes "path-escapes" Warning "An `install` or `changelog` file outside the recipe's folder.",
    TopLevelCommand "top-level-command" Warning "A program that runs as soon as the recipe is read.",
    BlankAroundEquals "blank-around-equals" Error "Blanks round the `=` of a field, which bash takes for a command's words.",
    CommaInList "comma-in-list" Warning "A comma at the end of an element, which belongs to its text.",
    FieldMisspelt "field-misspelt" Warning "A variable that is nearly a field, and that nothing reads.",
    LinkAbsolute "link-absolute" Warning "A link in the package to a place on the host, which breaks where the package is installed elsewhere.",
    NetworkOffline "network-offline" Warning "A program that needs the network in `check()` or `package()`, which have none.",
    OutsidePkgdir "outside-pkgdir" Warning "A command that writes to the host instead of the package.",
    PipeToShell "pipe-to-shell" Warning "A program from the network that runs unseen and unverified.",
    SecretInSource "secret-in-source" Warning "A password or token in the address of a source, which every reader of the recipe has.",
    ToolMissing "tool-missing" Warning "A checkout whose program is not among the dependencies.",
    UnquotedDirectory "unquoted-directory" Warning "`$pkgdir` or `$srcdir` without quotes, which a blank in the path tears apart.",
    UserChanged "user-changed" Warning "A program such as `sudo` that becomes another user.",
    ValueUnknown "value-unknown" Warning "A field that only running the recipe would tell.",
}

impl Code {
    /// Whether the rule is one of those for which `makepkg --printsrcinfo`, and every other use of
    /// makepkg, refuses to go on.
    pub const fn is_lint_pkgbuild(self) -> bool {
        (self as u8) < Self::ChecksumCount as u8
    }

    pub(crate) fn found(
        self,
        span: Option<Span>,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic {
            code: self,
            severity: self.severity(),
            span,
            message: message.into(),
            fix: fix.into(),
            edits: Vec::new(),
        }
    }
}

impl Diagnostic {
    pub(crate) fn with_edits(mut self, edits: Vec<Edit>) -> Self {
        self.edits = edits;
        self
    }
}

impl From<Code> for &'static str {
    fn from(code: Code) -> Self {
        code.name()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
