//! Redirections and here-documents as `declare -f` prints them.

use super::Printer;
use super::word::word_text;
use crate::evaluate::quote;
use crate::tree::{Descriptor, Redirect, RedirectOperator, RedirectTarget};

impl Printer<'_> {
    pub(super) fn redirects(&mut self, redirects: &[Redirect]) {
        self.was_document &= redirects.is_empty();
        for redirect in redirects {
            self.out.push(' ');
            let text = self.redirect(redirect);
            self.out.push_str(&text);
        }
    }

    pub(super) fn redirect(&mut self, redirect: &Redirect) -> String {
        let (number, variable) = match redirect.descriptor {
            None => (None, None),
            Some(Descriptor::Number(number)) => (Some(number), None),
            Some(Descriptor::Variable(span)) => {
                (None, Some(self.file.text_lossy(span).into_owned()))
            }
        };
        let prefix = |default: u32| match (&variable, number) {
            (Some(name), _) => format!("{{{name}}}"),
            (None, Some(number)) if number != default => number.to_string(),
            _ => String::new(),
        };
        let target = match &redirect.target {
            RedirectTarget::Word(word) => word_text(self.file, word),
            RedirectTarget::HereDocument(id) => {
                let Some(document) = self.file.here_document(*id) else {
                    return String::new();
                };
                let delimiter = document
                    .delimiter
                    .static_text(self.file)
                    .unwrap_or_default();
                let delimiter = String::from_utf8_lossy(&delimiter).into_owned();
                let mut body = String::new();
                if document.strip_tabs {
                    let raw = self.file.text_lossy(document.span);
                    for line in raw.split_inclusive('\n') {
                        body.push_str(line.trim_start_matches('\t'));
                    }
                } else {
                    body.push_str(&self.file.text_lossy(document.span));
                }
                body.push_str(&delimiter);
                body.push('\n');
                self.deferred.push(body);
                let quoted = if document.quoted {
                    quote::single(&delimiter)
                } else {
                    delimiter
                };
                let dash = if document.strip_tabs { "-" } else { "" };
                return format!("{}<<{dash}{quoted}", prefix(0));
            }
        };
        let is_number = !target.is_empty() && target.bytes().all(|byte| byte.is_ascii_digit());
        match redirect.operator {
            RedirectOperator::Read => format!("{}< {target}", prefix(0)),
            RedirectOperator::Write => format!("{}> {target}", prefix(1)),
            RedirectOperator::Append => format!("{}>> {target}", prefix(1)),
            RedirectOperator::Clobber => format!("{}>| {target}", prefix(1)),
            RedirectOperator::ReadWrite => format!("{}<> {target}", prefix(0)),
            RedirectOperator::HereString => format!("{}<<< {target}", prefix(0)),
            RedirectOperator::HereDocument => String::new(),
            RedirectOperator::WriteBoth => format!("&> {target}"),
            RedirectOperator::AppendBoth => format!("&>> {target}"),
            RedirectOperator::DuplicateOutput => match variable {
                Some(name) => format!("{{{name}}}>&{target}"),
                None if target == "-" => format!("{}>&-", number.unwrap_or(1)),
                None if is_number => format!("{}>&{target}", number.unwrap_or(1)),
                None if number.is_none() && !target.contains('$') => format!("&> {target}"),
                None => format!("{}>&{target}", prefix(1)),
            },
            RedirectOperator::DuplicateInput => match variable {
                Some(name) => format!("{{{name}}}<&{target}"),
                None if target == "-" => format!("{}>&-", number.unwrap_or(0)),
                None if is_number => format!("{}<&{target}", number.unwrap_or(0)),
                None => format!("{}<&{target}", prefix(0)),
            },
        }
    }
}
