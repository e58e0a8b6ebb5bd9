//! The command line, and how a call is understood.
//!
//! A call is understood in two steps, because each helper protocol has operations of its own:
//!
//! 1. `invocation` finds out which protocol the call speaks: by the name of the program, such as
//!    `git-credential-dd-oauth`, or by `--protocol`. Most calls are a bare operation, such as
//!    `dd-oauth get`; these take a short way around clap, whose parser costs more than the rest of a
//!    `get`.
//! 2. `args` has the verbs and flags with their help, as clap reads them. Its comments are the help
//!    text.
//!
//! A new verb is a variant of [`Verb`], with its flags beside it, and a file in `command/`. A new
//! helper protocol is a variant of [`Helper`], with a file in `command/helper/` and one in `protocol/`.
//! Flags that mean the same in several verbs are a struct of their own, which each verb flattens:
//! [`TargetFlags`] says which session is meant, [`GetFlags`] what its token has to be good for.
//!
//! Values are parsed here, so that a command never meets a site or a duration that means nothing.
//! Some commands are hidden: dd-oauth starts them itself, for a refresh or for a proxy.
//!
//! A command line that means nothing is an error in one line, with the exit code 2; docker hears of it on
//! standard output, as its protocol says.

mod args;
mod invocation;

pub use args::{
    CommandLine, EnvFlags, ExecFlags, GetFlags, HelperLine, ImportFlags, ImportSource, JsonFlag,
    LoginFlags, LogoutFlags, NewKeyPlace, ProtocolFlag, ResetFlags, SealingKeyAction, StatusFlags,
    TargetFlags, TraceFlag, VariableFlags, Verb,
};
pub use invocation::{Helper, Invocation};
