//! What bounds an evaluation: steps, output and depth.

use super::environment::Budget;

/// A budget that ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exhausted {
    Steps,
    Memory,
    Depth,
}

/// The steps and bytes that are left, and how deep the evaluation is.
#[derive(Debug, Clone)]
pub(crate) struct Fuel {
    steps: u64,
    bytes: u64,
    depth: u32,
    deepest: u32,
}

impl Fuel {
    pub(crate) fn new(budget: Budget) -> Self {
        Self {
            steps: budget.steps,
            bytes: budget.bytes,
            depth: 0,
            deepest: budget.depth,
        }
    }

    /// Goes one level deeper, so that no input can exhaust the stack.
    pub(crate) fn deepen(&mut self) -> Result<(), Exhausted> {
        if self.depth >= self.deepest {
            return Err(Exhausted::Depth);
        }
        self.depth += 1;
        Ok(())
    }

    pub(crate) fn rise(&mut self) {
        self.depth -= 1;
    }

    pub(crate) fn spend(&mut self, steps: u64) -> Result<(), Exhausted> {
        if let Some(left) = self.steps.checked_sub(steps) {
            self.steps = left;
            Ok(())
        } else {
            self.steps = 0;
            Err(Exhausted::Steps)
        }
    }

    /// Whether so many bytes could still be charged.
    pub(crate) fn allows(&self, bytes: usize) -> bool {
        bytes as u64 <= self.bytes
    }

    /// Charges bytes that the evaluation keeps or copies; they are never given back, so this
    /// bounds both memory and copying.
    pub(crate) fn store(&mut self, bytes: usize) -> Result<(), Exhausted> {
        if let Some(left) = self.bytes.checked_sub(bytes as u64) {
            self.bytes = left;
            Ok(())
        } else {
            self.bytes = 0;
            Err(Exhausted::Memory)
        }
    }
}
