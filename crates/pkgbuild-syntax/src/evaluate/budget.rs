//! What bounds an evaluation: steps, output and depth.

/// A budget that ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exhausted {
    Steps,
    Memory,
    Depth,
}

/// The steps and bytes that are left.
#[derive(Debug, Clone)]
pub(crate) struct Fuel {
    pub(crate) steps: u64,
    pub(crate) bytes: u64,
}

impl Fuel {
    pub(crate) fn spend(&mut self, steps: u64) -> Result<(), Exhausted> {
        if let Some(left) = self.steps.checked_sub(steps) {
            self.steps = left;
            Ok(())
        } else {
            self.steps = 0;
            Err(Exhausted::Steps)
        }
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
