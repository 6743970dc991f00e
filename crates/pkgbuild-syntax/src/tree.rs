//! The syntax tree.
//!
//! Nodes hold spans, never text: [`File::text`] gives the exact bytes of any of them. A [`File`] is
//! a handle that is cheap to clone, and so is every [`Function`] in it (behind an `Arc`), hence an
//! interpreter can keep `(File, Arc<Function>)` for each function it has met, also for those that
//! came from a string it parsed at run time.

mod command;
mod few;
mod file;
mod leaf;
mod redirect;
mod visit;
mod word;

pub use command::{
    AndOr, AndOrOperator, Argument, ArrayElement, ArrayLiteral, Assignment, BinaryOperator,
    CaseArm, CaseEnd, Command, Compound, CompoundCommand, Condition, ConditionKind, Coprocess,
    Function, IfArm, List, Pipeline, SimpleCommand, Stage, Statement, Terminator, UnaryOperator,
    Value,
};
pub(crate) use few::Few;
pub use file::File;
pub(crate) use file::FileParts;
pub(crate) use leaf::LeafList;
pub use leaf::{Leaf, LeafKind};
pub use redirect::{
    Descriptor, HereDocument, HereDocumentId, Redirect, RedirectOperator, RedirectTarget,
};
pub use visit::{Visitor, walk};
pub use word::{
    Anchor, Arithmetic, ArithmeticExpansion, CaseChange, CommandSubstitution, DoubleQuoted,
    Operation, Parameter, ParameterExpansion, ProcessSubstitution, Special, Subscript,
    SubstitutionBody, Transformation, Word, WordPart,
};
