//! The environment of a program that gets a token, and how a shell writes it.

mod program;
mod shell;

pub use program::{InheritedKeys, VariableName, Variables};
pub use shell::{NotExpressible, Shell, assignments, github_mask};
