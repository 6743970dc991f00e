//! `[[ … ]]`.

use super::builtin::file_test;
use super::dynamic::{DynamicKind, Stop};
use super::pattern::Pattern;
use super::regex;
use super::scope::{Array, Content};
use super::shell::Shell;
use crate::tree::{BinaryOperator, Condition, ConditionKind, File, Word};

impl Shell {
    pub(crate) fn condition(&mut self, file: &File, condition: &Condition) -> Result<bool, Stop> {
        self.deeper(|shell| shell.condition_kind(file, &condition.kind))
    }

    fn condition_kind(&mut self, file: &File, kind: &ConditionKind) -> Result<bool, Stop> {
        self.fuel.spend(1)?;
        match kind {
            ConditionKind::Not(inner) => Ok(!self.condition(file, inner)?),
            ConditionKind::Group(inner) => self.condition(file, inner),
            ConditionKind::And(left, right) => {
                Ok(self.condition(file, left)? && self.condition(file, right)?)
            }
            ConditionKind::Or(left, right) => {
                Ok(self.condition(file, left)? || self.condition(file, right)?)
            }
            ConditionKind::Word(word) => Ok(!self.operand(file, word)?.is_empty()),
            ConditionKind::Unary { operator, operand } => {
                let operand = self.operand(file, operand)?;
                file_test(self, operator.letter(), &operand)
            }
            ConditionKind::Binary {
                left,
                operator,
                right,
            } => self.comparison(file, left, *operator, right),
        }
    }

    fn comparison(
        &mut self,
        file: &File,
        left: &Word,
        operator: BinaryOperator,
        right: &Word,
    ) -> Result<bool, Stop> {
        let left = self.operand(file, left)?;
        match operator {
            BinaryOperator::Equal | BinaryOperator::NotEqual => {
                let pattern = self.pattern_text(file, right)?;
                // Extended patterns are always on here.
                let pattern =
                    Pattern::compile(&pattern, true)?.ignoring_case(self.state.options.nocasematch);
                let matches = pattern.matches(&left, &mut self.fuel)?;
                Ok(matches == (operator == BinaryOperator::Equal))
            }
            BinaryOperator::Matches => {
                let pattern = self.regex_text(file, right)?;
                self.matches_regex(&left, &pattern)
            }
            BinaryOperator::Before => Ok(left < self.operand(file, right)?),
            BinaryOperator::After => Ok(left > self.operand(file, right)?),
            BinaryOperator::SameFile | BinaryOperator::NewerThan | BinaryOperator::OlderThan => {
                Err(self.reason(DynamicKind::File(left)).into())
            }
            _ => {
                let right = self.operand(file, right)?;
                let (left, right) = match (self.arithmetic(&left), self.arithmetic(&right)) {
                    (Ok(left), Ok(right)) => (left, right),
                    (Err(Stop::Failed { fatal: false, .. }), _)
                    | (_, Err(Stop::Failed { fatal: false, .. })) => {
                        self.complain();
                        return Ok(false);
                    }
                    (Err(stop), _) | (_, Err(stop)) => return Err(stop),
                };
                Ok(match operator {
                    BinaryOperator::NumberEqual => left == right,
                    BinaryOperator::NumberNotEqual => left != right,
                    BinaryOperator::NumberLess => left < right,
                    BinaryOperator::NumberLessEqual => left <= right,
                    BinaryOperator::NumberGreater => left > right,
                    _ => left >= right,
                })
            }
        }
    }

    fn matches_regex(&mut self, text: &str, pattern: &str) -> Result<bool, Stop> {
        let fold = self.state.options.nocasematch;
        let Some(regex) = regex::Regex::extended(pattern, fold) else {
            let stop = self.unsupported("=~", format!("the regular expression {pattern}"));
            if let Stop::Dynamic(reason) = &stop {
                self.replace("BASH_REMATCH", Content::Dynamic(reason.clone()))?;
            }
            return Err(stop);
        };
        self.fuel.spend(text.len() as u64 + pattern.len() as u64)?;
        let groups = match regex.groups(text) {
            regex::Groups::None => {
                self.replace("BASH_REMATCH", Content::Array(Array::default()))?;
                return Ok(false);
            }
            regex::Groups::Found(groups) => groups,
            regex::Groups::Ambiguous => {
                let stop = self.unsupported("BASH_REMATCH", "which of several matches POSIX takes");
                if let Stop::Dynamic(reason) = stop {
                    self.replace("BASH_REMATCH", Content::Dynamic(reason))?;
                }
                return Ok(true);
            }
        };
        let array = groups
            .into_iter()
            .map(|range| Ok(range.map_or_else(String::new, |range| text[range].to_owned())))
            .collect();
        self.replace("BASH_REMATCH", Content::Array(array))?;
        Ok(true)
    }
}
