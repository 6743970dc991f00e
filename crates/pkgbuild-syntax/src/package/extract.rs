//! From variables and function texts to fields, as makepkg's `util/pkgbuild.sh` does it.

mod lines;

use std::collections::{BTreeSet, HashMap};

pub(crate) use self::lines::is_space;
use self::lines::{FunctionLines, Line};
use super::{
    Array, ArrayField, ArrayKey, Metadata, Overrides, Package, PackageError, StringField, Value,
};
use crate::arch::Arch;
use crate::evaluate::{DynamicKind, DynamicReason, Evaluated, Evaluation};
use crate::span::Span;
use crate::tree;

/// The variable that makepkg collects a field in while it evaluates lines of a function.
const OUTPUT: &str = "outvalue";

/// Variables that makepkg's functions have as their own, with other values from one moment to the
/// next, while they evaluate lines of a package function.
const BUSY: &[&str] = &[
    "a",
    "all_list",
    "arch_override",
    "attr",
    "attr_regex",
    "attrname",
    "backup_list",
    "bad",
    "changelog_list",
    "decl",
    "dest",
    "file",
    "func",
    "funcname",
    "i",
    "install_list",
    "isarray",
    "keys",
    "kopt",
    "list",
    "name",
    "options_list",
    "out",
    "outputvar",
    "package_arch",
    "pkg",
    "pkgname_backup",
    "r",
    "ref",
    "ret",
    "src",
    "v",
    "values",
    "ver",
];

/// A package together with what lints need beyond it.
#[derive(Debug)]
pub(crate) struct Recipe<'evaluation> {
    pub(crate) evaluation: &'evaluation Evaluation,
    pub(crate) package: Package,
    /// For each package of [`Package::overrides`].
    pub(crate) functions: Vec<FunctionLines>,
}

impl<'evaluation> Recipe<'evaluation> {
    pub(crate) fn read(evaluation: &'evaluation Evaluation) -> Result<Self, PackageError> {
        if let Some(failure) = evaluation.failure() {
            return Err(failure.clone().into());
        }
        let places = Places::of(evaluation);
        let pkgname = places.array("pkgname").unwrap_or_default();
        let pkgbase = places
            .string("pkgbase")
            .filter(|value| value.get() != Ok(""))
            .or_else(|| places.string("pkgname"))
            .unwrap_or_default();
        let common = common(&places);
        let names: Vec<String> = pkgname.known().map(|(name, _)| name.to_owned()).collect();
        let mut functions = Vec::with_capacity(names.len());
        let mut overrides = Vec::with_capacity(names.len());
        let mut scratch = Scratch::new(evaluation);
        let mut uncertain = evaluation.uncertain().cloned();
        for pkgname in names {
            let lines = FunctionLines::read(evaluation, &pkgname);
            uncertain = uncertain.or_else(|| lines.surprise().map(surprise));
            let metadata = scratch.metadata(&pkgname, &lines, &common)?;
            let keys = metadata.arrays.keys();
            let appended = keys.filter(|key| lines.only_append(&key.to_string()));
            let appended = appended.cloned().collect();
            functions.push(lines);
            overrides.push(Overrides {
                pkgname,
                metadata,
                appended,
            });
        }
        let printed = match evaluation.stdout() {
            Evaluated::Known(text) => Value::known(text),
            Evaluated::Dynamic(reason) => Value::dynamic(reason),
        };
        let package = Package {
            pkgbase,
            pkgname,
            common,
            overrides,
            functions: defined_functions(evaluation),
            printed,
            uncertain,
        };
        Ok(Self {
            evaluation,
            package,
            functions,
        })
    }
}

/// What makepkg itself sets has no place in the recipe but that of the line that uses it.
fn placed(mut reason: DynamicReason, span: Span) -> DynamicReason {
    if reason.span == Span::default() {
        reason.span = span;
    }
    reason
}

fn surprise(line: &Line) -> DynamicReason {
    DynamicReason {
        kind: DynamicKind::Unsupported {
            what: format!("{}{}", line.name, line.rest),
            detail: "the line does more than to assign the field".to_owned(),
        },
        span: line.span,
    }
}

fn defined_functions(evaluation: &Evaluation) -> BTreeSet<String> {
    let known = evaluation.functions().into_iter().filter(|name| {
        matches!(
            *name,
            "verify" | "prepare" | "pkgver" | "build" | "check" | "package"
        ) || name.starts_with("package_")
    });
    known.map(str::to_owned).collect()
}

fn common(places: &Places<'_>) -> Metadata {
    let mut metadata = Metadata::default();
    for field in StringField::ALL {
        if let Some(value) = places.string(field.name())
            && value.get() != Ok("")
        {
            metadata.strings.insert(field, value);
        }
    }
    let insert = |metadata: &mut Metadata, key: ArrayKey, name: &str| {
        if let Some(array) = places.array(name)
            && array.elements().map(<[Value]>::len) != Ok(0)
        {
            metadata.arrays.insert(key, array);
        }
    };
    for field in ArrayField::ALL {
        insert(&mut metadata, ArrayKey::common(field), field.name());
    }
    // A helper variable such as `source_url` is called like a suffixed list too.
    let arches = metadata
        .array(ArrayField::Arch)
        .cloned()
        .unwrap_or_default();
    for (name, key) in places.suffixed() {
        let listed = key
            .arch
            .as_ref()
            .is_some_and(|arch| arches.known().any(|(name, _)| name == arch.as_str()));
        if listed || places.evaluation.is_array(name) {
            insert(&mut metadata, key, name);
        }
    }
    metadata
}

/// Variables with the places where they were assigned.
struct Places<'evaluation> {
    evaluation: &'evaluation Evaluation,
    /// The element's places of the variables that only array literals at the top level assign.
    elements: HashMap<&'evaluation [u8], Option<Vec<Span>>>,
}

impl<'evaluation> Places<'evaluation> {
    fn of(evaluation: &'evaluation Evaluation) -> Self {
        let file = evaluation.file();
        let mut elements: HashMap<_, Option<Vec<Span>>> = HashMap::new();
        for statement in &file.commands().statements {
            let tree::Command::Simple(simple) = &statement.command else {
                continue;
            };
            for assignment in &simple.assignments {
                let spans = match &assignment.value {
                    tree::Value::Array(literal) if assignment.subscript.is_none() => Some(
                        literal
                            .elements
                            .iter()
                            .map(|element| element.span)
                            .collect::<Vec<_>>(),
                    ),
                    _ => None,
                };
                let known = elements
                    .entry(file.text(assignment.name))
                    .or_insert(Some(Vec::new()));
                match (known, spans) {
                    (Some(known), Some(spans)) if assignment.append => known.extend(spans),
                    (known, spans) => *known = spans,
                }
            }
        }
        Self {
            evaluation,
            elements,
        }
    }

    fn string(&self, name: &str) -> Option<Value> {
        let value = match self.evaluation.scalar(name)? {
            Evaluated::Known(text) => Value::known(text),
            Evaluated::Dynamic(reason) => Value::dynamic(reason),
        };
        Some(value.at(self.evaluation.span(name)))
    }

    fn array(&self, name: &str) -> Option<Array> {
        let span = self.evaluation.span(name);
        let elements = match self.evaluation.array(name)? {
            Evaluated::Dynamic(reason) => return Some(Array::dynamic(reason).at(span)),
            Evaluated::Known(elements) => elements,
        };
        let spans = self
            .elements
            .get(name.as_bytes())
            .and_then(Option::as_deref);
        let spans = spans.filter(|spans| spans.len() == elements.len());
        let values = elements.into_iter().enumerate().map(|(index, element)| {
            let value = match element {
                Evaluated::Known(text) => Value::known(text),
                Evaluated::Dynamic(reason) => Value::dynamic(reason),
            };
            value.at(spans.map(|spans| spans[index]).or(span))
        });
        Some(Array::new(values.collect()).at(span))
    }

    /// The variables that are called like a list with an architecture, and which list that is.
    fn suffixed(&self) -> Vec<(&'evaluation str, ArrayKey)> {
        let names = self.evaluation.variables().into_iter();
        names
            .filter(|name| name.contains('_') && !name.starts_with('_'))
            .filter_map(|name| {
                let key: ArrayKey = name.parse().ok()?;
                key.arch.as_ref()?;
                Some((name, key))
            })
            .collect()
    }
}

/// The shell in which lines of package functions are evaluated: the recipe's own variables, which
/// makepkg would let such a line change too.
struct Scratch<'evaluation> {
    evaluation: &'evaluation Evaluation,
    shell: Option<Evaluation>,
}

impl<'evaluation> Scratch<'evaluation> {
    const fn new(evaluation: &'evaluation Evaluation) -> Self {
        Self {
            evaluation,
            shell: None,
        }
    }

    fn metadata(
        &mut self,
        pkgname: &str,
        lines: &FunctionLines,
        common: &Metadata,
    ) -> Result<Metadata, PackageError> {
        let mut metadata = Metadata::default();
        if let Err(reason) = &lines.0 {
            for field in StringField::ALL {
                if field.overridable() {
                    metadata
                        .strings
                        .insert(field, Value::dynamic(reason.clone()));
                }
            }
            return Ok(metadata);
        }
        for field in StringField::ALL
            .into_iter()
            .filter(|field| field.overridable())
        {
            if let Some(span) = self.apply(pkgname, lines, field.name(), false)? {
                let value = match self.shell().scalar(OUTPUT) {
                    None => Value::default(),
                    Some(Evaluated::Known(text)) => Value::known(text),
                    Some(Evaluated::Dynamic(reason)) => Value::dynamic(placed(reason, span)),
                };
                metadata.strings.insert(field, value.at(Some(span)));
            }
        }
        let sections = ArrayField::ALL
            .into_iter()
            .filter(|field| field.in_package_section());
        for field in sections {
            if let Some(span) = self.apply(pkgname, lines, field.name(), true)? {
                let array = self.output(span);
                metadata.arrays.insert(ArrayKey::common(field), array);
            }
        }
        let arches = metadata
            .array(ArrayField::Arch)
            .or_else(|| common.array(ArrayField::Arch))
            .cloned()
            .unwrap_or_default();
        let arches: Vec<Arch> = arches
            .known()
            .filter_map(|(name, _)| name.parse().ok())
            .collect();
        for arch in arches.iter().filter(|arch| !arch.is_any()) {
            for field in ArrayField::SUFFIXED {
                let name = arch.suffixed(field.name());
                if let Some(span) = self.apply(pkgname, lines, &name, true)? {
                    let key = ArrayKey::suffixed(field, arch.clone());
                    let array = self.output(span);
                    metadata.arrays.insert(key, array);
                }
            }
        }
        Ok(metadata)
    }

    fn shell(&mut self) -> &mut Evaluation {
        let evaluation = self.evaluation;
        self.shell.get_or_insert_with(|| {
            let mut shell = evaluation.clone();
            for name in BUSY {
                let kind = DynamicKind::Unsupported {
                    what: format!("${name}"),
                    detail: "makepkg uses the variable itself while it reads package functions"
                        .to_owned(),
                };
                let span = Span::default();
                shell.forget(name, DynamicReason { kind, span });
            }
            shell
        })
    }

    fn output(&mut self, span: Span) -> Array {
        let array = match self.shell().array(OUTPUT) {
            None => Array::default(),
            Some(Evaluated::Dynamic(reason)) => Array::dynamic(placed(reason, span)),
            Some(Evaluated::Known(elements)) => Array::new(
                elements
                    .into_iter()
                    .map(|element| match element {
                        Evaluated::Known(text) => Value::known(text),
                        Evaluated::Dynamic(reason) => Value::dynamic(placed(reason, span)),
                    })
                    .map(|value| value.at(Some(span)))
                    .collect(),
            ),
        };
        array.at(Some(span))
    }

    /// makepkg's `get_pkgbuild_attribute`: the common value, then each line that assigns the
    /// field, with the field's name replaced. Gives where the
    /// last line stands; nothing when there is none.
    fn apply(
        &mut self,
        pkgname: &str,
        lines: &FunctionLines,
        name: &str,
        is_array: bool,
    ) -> Result<Option<Span>, PackageError> {
        let mut matching = lines
            .matching(name)
            .filter(|line| line.is_array == is_array)
            .peekable();
        if matching.peek().is_none() {
            return Ok(None);
        }
        let shell = self.shell();
        shell.eval("unset -v pkgname outvalue");
        shell.assign("pkgname", pkgname);
        shell.eval(&if is_array {
            format!(
                "{OUTPUT}=(); ! declare -p {name} &> /dev/null || {OUTPUT}=(\"${{{name}[@]}}\")"
            )
        } else {
            format!("{OUTPUT}=${name}")
        });
        let mut last = None;
        for line in matching {
            last = Some(line.span);
            shell.eval_at(&format!("{OUTPUT}{}", line.rest), line.span);
            if let Some(failure) = shell.failure() {
                return Err(failure.clone().into());
            }
        }
        Ok(last)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn lines_as_makepkg_greps_them() {
        let cases = [
            ("    depends=(a);", Some(("depends", true))),
            ("    depends+=(a)", Some(("depends", true))),
            ("    pkgdesc=\"a\";", Some(("pkgdesc", false))),
            (" url=;", Some(("url", false))),
            ("    url=", None),
            ("url=x;", None),
            ("\turl=x;", None),
            ("\t url=x;", Some(("url", false))),
            ("    local url=x;", None),
            ("    url[0]=x;", None),
            ("    url-=x;", None),
            ("    url+x", None),
            ("    [[ -n x ]] && url=x", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let line = Line::parse(text);
            let found = line
                .as_ref()
                .map(|line| (line.name.as_str(), line.is_array));
            assert_eq!(found, expected, "{text:?}");
        }
    }
}
