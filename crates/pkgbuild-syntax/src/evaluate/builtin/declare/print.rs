//! What `declare -p` and `declare -f` print.

use super::Flags;
use crate::evaluate::builtin::{Arg, Call, Outcome};
use crate::evaluate::dynamic::{DynamicKind, Stop};
use crate::evaluate::quote;
use crate::evaluate::scope::{Attributes, Content};
use crate::evaluate::shell::Shell;
use std::fmt::Write as _;

pub(super) fn functions(
    shell: &mut Shell,
    call: &Call<'_>,
    args: &[Arg<'_>],
    flags: Flags,
) -> Result<Outcome, Stop> {
    if args.is_empty() {
        return Err(shell.unsupported(call.name, "it lists makepkg's functions too"));
    }
    let call = Call {
        file: call.file,
        name: call.name,
        args: args.to_vec(),
        unknown: None,
        placed: args.len(),
    };
    let mut status = 0;
    for name in call.texts()? {
        match shell.state.functions.get(name).cloned() {
            Some(Ok(function)) => {
                if call.name == "export" || call.name == "readonly" {
                } else if flags.names_only {
                    shell.write(&format!("{name}\n"))?;
                } else {
                    let text = crate::evaluate::declare_f::print(&function);
                    shell.write(&text)?;
                }
            }
            Some(Err(reason)) => return Err(reason.into()),
            None if crate::evaluate::builtin::MAKEPKG_FUNCTIONS.contains(&name) => {
                return Err(shell.unsupported(call.name, "a function of makepkg"));
            }
            None => status = 1,
        }
    }
    Ok(status.into())
}

pub(super) fn print(shell: &mut Shell, args: &[Arg<'_>]) -> Result<Outcome, Stop> {
    if args.is_empty() {
        return Err(shell.unsupported("declare", "it lists all variables"));
    }
    let mut status = 0;
    for arg in args {
        let Arg::Field(field) = arg else {
            return Ok(2.into());
        };
        let name = field.clone()?;
        if let Some(text) = shell.declaration(&name)? {
            shell.write(&format!("{text}\n"))?;
        } else {
            shell.complain();
            status = 1;
        }
    }
    Ok(status.into())
}

impl Shell {
    /// The letters of `${name@a}`.
    pub(crate) fn attribute_letters(&mut self, name: &str) -> Result<String, Stop> {
        let Some(variable) = self.variable(name) else {
            return Ok(String::new());
        };
        let kind = match &variable.content {
            Content::Array(_) => "a",
            Content::Assoc(_) => "A",
            Content::Dynamic(reason) => return Err(reason.clone().into()),
            _ => "",
        };
        let attributes = variable.attributes;
        let mut letters = kind.to_owned();
        for (on, letter) in [
            (attributes.integer, 'i'),
            (attributes.reference, 'n'),
            (attributes.readonly, 'r'),
            (attributes.exported, 'x'),
            (attributes.lower, 'l'),
            (attributes.upper, 'u'),
        ] {
            if on {
                letters.push(letter);
            }
        }
        Ok(letters)
    }

    /// The command that declares a variable, as `declare -p` prints it.
    pub(crate) fn declaration(&mut self, name: &str) -> Result<Option<String>, Stop> {
        if crate::evaluate::host::is_volatile(name) || name == "PIPESTATUS" {
            return Err(self.reason(DynamicKind::Host(name.to_owned())).into());
        }
        let letters = self.attribute_letters(name)?;
        let Some(variable) = self.variable(name) else {
            return Ok(None);
        };
        let flags = if letters.is_empty() {
            "--".to_owned()
        } else {
            format!("-{letters}")
        };
        let text = match &variable.content {
            Content::Unset => {
                if variable.attributes == Attributes::default() {
                    return Ok(None);
                }
                format!("declare {flags} {name}")
            }
            Content::Dynamic(reason) => return Err(reason.clone().into()),
            Content::Scalar(value) => {
                let value = value.clone()?;
                format!("declare {flags} {name}={}", quote::declared(&value))
            }
            Content::Array(array) => {
                let mut parts = Vec::new();
                for (index, value) in array.iter() {
                    parts.push(format!("[{index}]={}", quote::declared(&value.clone()?)));
                }
                format!("declare {flags} {name}=({})", parts.join(" "))
            }
            Content::Assoc(assoc) => {
                let mut parts = String::new();
                for (key, value) in assoc.iter() {
                    let value = quote::declared(&value.clone()?);
                    let _ = write!(parts, "[{}]={value} ", quote::key(key));
                }
                format!("declare {flags} {name}=({parts})")
            }
        };
        self.fuel.store(text.len())?;
        Ok(Some(text))
    }
}
