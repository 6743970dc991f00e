//! The writer, after makepkg's `srcinfo.sh`.

use std::fmt::Write as _;

use crate::arch::Arch;
use crate::evaluate::DynamicReason;
use crate::package::{Array, ArrayField, Metadata, Package, PackageError, StringField, Value};

pub(crate) fn write(package: &Package) -> Result<String, PackageError> {
    let mut writer = Writer {
        text: String::with_capacity(1024),
        reasons: Vec::new(),
    };
    writer.reasons.extend(package.uncertain.as_ref());
    if let Some(printed) = writer.known(&package.printed) {
        writer.text.push_str(printed);
    }
    writer.header("pkgbase", &package.pkgbase);
    writer.section(&package.common, &package.common, |_| true, |_| true);
    let mut overrides = package.overrides.iter();
    for name in writer.elements(&package.pkgname) {
        writer.text.push('\n');
        writer.header("pkgname", name);
        // Only a known name has an entry.
        let Some(overrides) = name.get().ok().and_then(|_| overrides.next()) else {
            continue;
        };
        writer.section(
            &overrides.metadata,
            &package.common,
            StringField::overridable,
            ArrayField::in_package_section,
        );
    }
    if writer.reasons.is_empty() {
        Ok(writer.text)
    } else {
        Err(PackageError::dynamic(writer.reasons))
    }
}

struct Writer<'package> {
    text: String,
    reasons: Vec<&'package DynamicReason>,
}

impl<'package> Writer<'package> {
    fn known(&mut self, value: &'package Value) -> Option<&'package str> {
        value.get().map_err(|reason| self.reasons.push(reason)).ok()
    }

    fn elements(&mut self, array: &'package Array) -> &'package [Value] {
        array.elements().unwrap_or_else(|reason| {
            self.reasons.push(reason);
            &[]
        })
    }

    fn header(&mut self, name: &str, value: &'package Value) {
        if let Some(value) = self.known(value) {
            let _ = writeln!(self.text, "{name} = {value}");
        }
    }

    /// `own` is what the section is about; its architectures are those of `common` unless it has
    /// its own.
    fn section(
        &mut self,
        own: &'package Metadata,
        common: &'package Metadata,
        strings: impl Fn(StringField) -> bool,
        arrays: impl Fn(ArrayField) -> bool,
    ) {
        for field in StringField::ALL.into_iter().filter(|field| strings(*field)) {
            if let Some(value) = own.string(field).and_then(|value| self.known(value)) {
                self.attribute(field.name(), None, value);
            }
        }
        for field in ArrayField::ALL.into_iter().filter(|field| arrays(*field)) {
            if let Some(array) = own.array(field) {
                self.list(field.name(), None, array);
            }
        }
        if own.arrays.keys().all(|key| key.arch.is_none()) {
            return;
        }
        let arches = own
            .array(ArrayField::Arch)
            .or_else(|| common.array(ArrayField::Arch));
        let arches = arches.map_or(&[][..], |array| self.elements(array));
        for arch in arches {
            let Some(arch) = self.known(arch).and_then(|name| name.parse::<Arch>().ok()) else {
                continue;
            };
            for field in ArrayField::SUFFIXED {
                if let Some(array) = own.suffixed(field, &arch) {
                    self.list(field.name(), Some(&arch), array);
                }
            }
        }
    }

    fn list(&mut self, name: &str, arch: Option<&Arch>, array: &'package Array) {
        let elements = self.elements(array);
        if elements.is_empty() {
            self.attribute(name, arch, "");
        }
        for element in elements {
            if let Some(value) = self.known(element) {
                self.attribute(name, arch, value);
            }
        }
    }

    /// Runs of white space become one space; one at the start and one at the end is dropped.
    fn attribute(&mut self, name: &str, arch: Option<&Arch>, value: &str) {
        self.text.push('\t');
        self.text.push_str(name);
        if let Some(arch) = arch {
            self.text.push('_');
            self.text.push_str(arch.as_str());
        }
        self.text.push_str(" = ");
        let start = self.text.len();
        for word in value
            .split(crate::package::is_space)
            .filter(|word| !word.is_empty())
        {
            if self.text.len() > start {
                self.text.push(' ');
            }
            self.text.push_str(word);
        }
        self.text.push('\n');
    }
}
