//! `declare`, `local`, `export`, `readonly` and `unset`.

mod print;
mod unset;

use self::print::{functions, print};
pub(super) use self::unset::unset;
use super::{Arg, Call, Outcome};
use crate::evaluate::assign::{Declaration, DeclaredValue};
use crate::evaluate::assoc::Assoc;
use crate::evaluate::dynamic::{Field, Stop};
use crate::evaluate::scope::{Array, Attributes, Content, Variable};
use crate::evaluate::shell::{Shell, is_name, split_subscript};
use crate::tree::Command;

#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag of declare")]
struct Flags {
    set: Attributes,
    clear: Attributes,
    array: bool,
    /// `-a` was given.
    insists: bool,
    assoc: bool,
    functions: bool,
    names_only: bool,
    global: bool,
    print: bool,
}

/// Where a declaration goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The innermost function, else the global scope.
    Function,
    /// Where the variable is, else the global scope.
    Visible,
}

pub(super) fn declare(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    run(shell, call, Place::Function, Attributes::default())
}

pub(super) fn local(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    run(shell, call, Place::Function, Attributes::default())
}

pub(super) fn export(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    let exported = Attributes {
        exported: true,
        ..Attributes::default()
    };
    run(shell, call, Place::Visible, exported)
}

pub(super) fn readonly(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    let readonly = Attributes {
        readonly: true,
        ..Attributes::default()
    };
    run(shell, call, Place::Visible, readonly)
}

fn run(
    shell: &mut Shell,
    call: &Call<'_>,
    place: Place,
    implied: Attributes,
) -> Result<Outcome, Stop> {
    if let Some(reason) = &call.unknown {
        shell.forget_everything(reason);
        return Err(reason.clone().into());
    }
    let mut flags = Flags {
        set: implied,
        ..Flags::default()
    };
    let mut args = call.args.as_slice();
    while let Some((Arg::Field(Ok(flag)), rest)) = args.split_first() {
        if !flag.starts_with(['-', '+']) || flag.len() < 2 {
            break;
        }
        args = rest;
        if flag == "--" {
            break;
        }
        let on = flag.starts_with('-');
        for letter in flag[1..].chars() {
            let known = match call.name {
                "export" => "fnp",
                "readonly" => "aAfp",
                _ => "aAfFgiIlnprtux",
            };
            if !known.contains(letter) {
                return Ok(2.into());
            }
            let target = if on { &mut flags.set } else { &mut flags.clear };
            match letter {
                'r' => target.readonly = true,
                'x' => target.exported = true,
                'i' => target.integer = true,
                'l' => target.lower = true,
                'u' => target.upper = true,
                'n' if call.name == "export" => {
                    flags.set.exported = false;
                    flags.clear.exported = true;
                }
                'n' => target.reference = true,
                'a' => (flags.array, flags.insists) = (on, on),
                'A' => flags.assoc = on,
                'f' => flags.functions = true,
                'F' => flags.names_only = true,
                'g' => flags.global = true,
                'p' => flags.print = true,
                't' | 'I' => {}
                _ => return Ok(2.into()),
            }
        }
    }
    if flags.functions || flags.names_only {
        return functions(shell, call, args, flags);
    }
    if flags.print {
        return print(shell, args);
    }
    if args.is_empty() {
        return Err(shell.unsupported(call.name, "it lists all variables"));
    }
    let mut status = Ok(0);
    for arg in args {
        match one(shell, call, arg, place, flags) {
            Ok(()) => {}
            Err(Stop::Dynamic(reason)) => {
                shell.forget_everything(&reason);
                status = Err(reason);
            }
            Err(Stop::Failed {
                message,
                fatal: false,
            }) if matches!(arg, Arg::Field(_)) || fails_alone(&message) => {
                shell.complain();
                status = status.and(Ok(1));
            }
            Err(stop) => return Err(stop),
        }
    }
    Ok(status.into())
}

/// How the message ends about a value that is no variable's name.
const NO_REFERENCE: &str = "invalid variable name for name reference";

/// Whether a failure is the status of the builtin and no error of an expansion.
fn fails_alone(message: &str) -> bool {
    [
        "readonly variable",
        "cannot convert associative array",
        "cannot convert indexed array",
        NO_REFERENCE,
    ]
    .iter()
    .any(|end| message.ends_with(end))
}

/// One operand: `name`, `name=value`, an array assignment, or text that holds one of them.
fn one(
    shell: &mut Shell,
    call: &Call<'_>,
    arg: &Arg<'_>,
    place: Place,
    flags: Flags,
) -> Result<(), Stop> {
    match arg {
        Arg::Assignment(_) => Err(shell.unsupported(call.name, "an assignment as text")),
        Arg::Declaration(declaration) => {
            declaration_operand(shell, call, declaration, place, flags)
        }
        Arg::Field(Err(reason)) => Err(reason.clone().into()),
        Arg::Field(Ok(text)) => {
            let (head, value) = match text.split_once('=') {
                Some((head, value)) => (head, Some(value)),
                None => (text.as_str(), None),
            };
            let (head, append) = match head.strip_suffix('+') {
                Some(head) if value.is_some() => (head, true),
                _ => (head, false),
            };
            let (name, subscript) = match split_subscript(head) {
                Some((name, subscript)) => (name, Some(subscript)),
                None => (head, None),
            };
            if !is_name(name) {
                return Err(Stop::failed(format!("`{text}': not a valid identifier")));
            }
            let Some(value) = value else {
                let flags = Flags {
                    array: flags.array || subscript.is_some(),
                    ..flags
                };
                return declared(shell, name, place, flags, |_| Ok(()));
            };
            let existing = shell.variable(name).is_some_and(|variable| {
                matches!(variable.content, Content::Array(_) | Content::Assoc(_))
            });
            let reread = value.starts_with('(')
                && value.ends_with(')')
                && subscript.is_none()
                && (flags.array || flags.assoc || existing);
            if reread {
                // The text is read again as an array literal.
                let parse = crate::parse(text);
                let statement = parse.file.commands().statements.first();
                if let Some(Command::Simple(simple)) = statement.map(|s| &s.command)
                    && let [assignment] = simple.assignments.as_slice()
                    && parse.errors.is_empty()
                    && simple.arguments.is_empty()
                {
                    let anchor = shell.place.pin_here();
                    let result = declared(shell, name, place, flags, |shell| {
                        shell.deeper(|shell| shell.assignment(&parse.file, assignment))
                    });
                    shell.place.unpin(anchor);
                    return result;
                }
                return Err(shell.unsupported(call.name, "the array in its argument"));
            }
            let value: Field = Ok(value.to_owned());
            let flags = Flags {
                array: flags.array || subscript.is_some(),
                ..flags
            };
            declared(shell, name, place, flags, |shell| match subscript {
                Some(subscript) => {
                    let subscript = shell.expand_subscript(name, subscript)?;
                    shell.assign_element(name, &subscript, value, append)
                }
                None => shell.assign(name, value, append),
            })
        }
    }
}

/// `name=value`, `name[subscript]=value` or `name=(…)`, all expanded before anything is declared.
fn declaration_operand(
    shell: &mut Shell,
    call: &Call<'_>,
    declaration: &Declaration,
    place: Place,
    flags: Flags,
) -> Result<(), Stop> {
    let Declaration {
        name,
        subscript,
        append,
        value,
    } = declaration;
    let as_array = Flags {
        array: flags.array || !flags.assoc,
        ..flags
    };
    let value = match value {
        DeclaredValue::Array(elements) => {
            return declared(shell, name, place, as_array, |shell| {
                let name = shell.referent(name)?;
                shell.assign_elements(&name, elements.clone(), *append)
            });
        }
        DeclaredValue::Scalar(value) => value.clone(),
    };
    if let Some(subscript) = subscript {
        return declared(shell, name, place, as_array, |shell| {
            shell.assign_element(name, subscript, value, *append)
        });
    }
    if let Ok(text) = &value
        && text.starts_with('(')
        && text.ends_with(')')
        && (flags.array || flags.assoc)
    {
        let append = if *append { "+" } else { "" };
        let arg = Arg::Field(Ok(format!("{name}{append}={text}")));
        return one(shell, call, &arg, place, flags);
    }
    if flags.global && (flags.array || flags.assoc) && shell.state.scopes.hides(name) {
        return Err(shell.unsupported("-g", "an array that a local variable hides"));
    }
    declared(shell, name, place, flags, |shell| {
        shell.assign(name, value, *append)
    })
}

/// Declares a name, assigns, then makes it readonly if asked to.
fn declared(
    shell: &mut Shell,
    name: &str,
    place: Place,
    flags: Flags,
    assign: impl FnOnce(&mut Shell) -> Result<(), Stop>,
) -> Result<(), Stop> {
    // A global declaration must not see the locals that hide the name.
    let hidden = if flags.global {
        shell.state.scopes.hide()
    } else {
        Vec::new()
    };
    let result = declared_here(shell, name, place, flags, assign);
    shell.state.scopes.show(hidden);
    result
}

fn declared_here(
    shell: &mut Shell,
    name: &str,
    place: Place,
    flags: Flags,
    assign: impl FnOnce(&mut Shell) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let at = match place {
        Place::Function => shell.function_scope(),
        Place::Visible => shell.locate(name).unwrap_or(0),
    };
    if at > 0
        && shell.locate(name) == Some(0)
        && shell
            .variable(name)
            .is_some_and(|global| global.attributes.readonly)
    {
        // A readonly global variable cannot be hidden, one of a calling function can.
        return Err(Stop::failed(format!("{name}: readonly variable")));
    }
    let doubt = shell.doubt.reason().cloned();
    if let Some(reason) = &doubt
        && place == Place::Function
    {
        // Whether a later assignment means this scope or an outer one is unknown.
        let outer = shell.slot(name);
        outer.content = Content::Dynamic(reason.clone());
        outer.attributes.unsure = true;
    }
    if at == 0 {
        shell.locate(name);
    }
    let variable = shell
        .state
        .scopes
        .at_mut(at)
        .variables
        .entry(name.into())
        .or_insert_with(|| Variable {
            attributes: Attributes {
                exported: false,
                ..Attributes::default()
            },
            ..Variable::default()
        });
    if variable.attributes.readonly && (flags.array || flags.assoc || flags.clear.readonly) {
        return Err(Stop::failed(format!("{name}: readonly variable")));
    }
    if let Some(reason) = doubt {
        variable.content = Content::Dynamic(reason);
        variable.attributes.unsure = true;
    }
    if flags.assoc {
        match &variable.content {
            Content::Unset => variable.content = Content::Assoc(Assoc::default()),
            Content::Assoc(_) | Content::Dynamic(_) => {}
            Content::Scalar(value) => {
                let mut assoc = Assoc::default();
                assoc.insert("0".to_owned(), value.clone());
                variable.content = Content::Assoc(assoc);
            }
            Content::Array(_) => {
                return Err(Stop::failed(format!(
                    "{name}: cannot convert indexed array"
                )));
            }
        }
    } else if flags.array {
        match &variable.content {
            Content::Unset => variable.content = Content::Array(Array::default()),
            Content::Scalar(value) => {
                variable.content = Content::Array([value.clone()].into_iter().collect());
            }
            // `name=(…)` fits both kinds, and only `-a` insists.
            Content::Assoc(_) if flags.insists => {
                return Err(Stop::failed(format!(
                    "{name}: cannot convert associative array"
                )));
            }
            _ => {}
        }
    }
    let attributes = &mut variable.attributes;
    let (set, clear) = (flags.set, flags.clear);
    attributes.exported = (attributes.exported || set.exported) && !clear.exported;
    attributes.integer = (attributes.integer || set.integer) && !clear.integer;
    attributes.reference = attributes.reference && !clear.reference;
    if set.lower || set.upper {
        attributes.lower = set.lower;
        attributes.upper = set.upper;
    }
    attributes.lower &= !clear.lower;
    attributes.upper &= !clear.upper;
    assign(shell)?;
    if set.reference
        && let Some(Ok(target)) = shell.scalar(name)
        && !is_name(split_subscript(&target).map_or(&target, |(name, _)| name))
    {
        let message = format!("`{target}': {NO_REFERENCE}");
        return Err(Stop::failed(message));
    }
    if let Some(variable) = shell.state.scopes.at_mut(at).variables.get_mut(name) {
        variable.attributes.readonly |= set.readonly;
        variable.attributes.reference |= set.reference;
    }
    Ok(())
}
