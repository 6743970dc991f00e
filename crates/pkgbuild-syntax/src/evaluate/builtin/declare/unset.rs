//! `unset` of variables, elements and functions.

use crate::evaluate::builtin::{Call, Outcome};
use crate::evaluate::dynamic::Stop;
use crate::evaluate::scope::Content;
use crate::evaluate::shell::{Shell, is_name, split_subscript};

pub(in crate::evaluate::builtin) fn unset(
    shell: &mut Shell,
    call: &Call<'_>,
) -> Result<Outcome, Stop> {
    let args = match call.texts() {
        Ok(args) => args,
        Err(Stop::Dynamic(reason)) => {
            shell.forget_everything(&reason);
            return Err(reason.into());
        }
        Err(stop) => return Err(stop),
    };
    let (mut functions, mut variables, mut reference) = (false, false, false);
    let mut status = 0;
    let mut flags = true;
    for arg in args {
        match arg {
            "-f" if flags => functions = true,
            "-v" if flags => variables = true,
            "-n" if flags => reference = true,
            "--" if flags => flags = false,
            name => {
                flags = false;
                if functions {
                    shell.unset_function(name);
                } else if let Some((array, subscript)) = split_subscript(name) {
                    status |= shell.unset_element(array, subscript)?;
                } else if is_name(name) {
                    let target = if reference {
                        name.to_owned()
                    } else {
                        shell.referent(name)?
                    };
                    if !variables && shell.locate(&target).is_none() {
                        shell.unset_function(name);
                    } else {
                        match shell.unset(&target) {
                            Ok(()) => {}
                            Err(Stop::Failed { .. }) => {
                                shell.complain();
                                status = 1;
                            }
                            Err(stop) => return Err(stop),
                        }
                    }
                } else if !variables {
                    shell.unset_function(name);
                }
            }
        }
    }
    Ok(status.into())
}

impl Shell {
    fn unset_function(&mut self, name: &str) {
        match self.doubt.reason().cloned() {
            Some(reason) => {
                if let Some(function) = self.state.functions.get_mut(name) {
                    *function = Err(reason);
                }
            }
            None => {
                self.state.functions.remove(name);
            }
        }
    }

    /// The status is 1 for an element before the first.
    fn unset_element(&mut self, name: &str, subscript: &str) -> Result<i32, Stop> {
        let name = self.referent(name)?;
        let assoc = self.is_assoc(&name)?;
        if !assoc && matches!(subscript, "@" | "*") {
            return self.unset(&name).map(|()| 0);
        }
        let key = self.expand_subscript(&name, subscript)?;
        let index = if assoc { 0 } else { self.index(&key)? };
        let doubt = self.doubt.reason().cloned();
        let variable = self.slot(&name);
        if let Some(reason) = doubt {
            variable.content = Content::Dynamic(reason);
            return Ok(0);
        }
        match &mut variable.content {
            Content::Assoc(assoc) => assoc.remove(&key),
            Content::Array(array) => {
                let index = array.counted(index);
                if index < 0 {
                    self.complain();
                    return Ok(1);
                }
                array.remove(index);
            }
            Content::Scalar(_) if index == 0 => variable.content = Content::Unset,
            _ => {}
        }
        Ok(0)
    }
}
