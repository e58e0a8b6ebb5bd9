//! bazel's credential helper: `dd-oauth --protocol bazel get`.

use std::time::Duration;

use crate::broker::Context;
use crate::cli::HelperLine;
use crate::clock::Deadline;
use crate::command::{get, stdio};
use crate::error::Error;
use crate::protocol::{RequestError, bazel};

/// bazel ends a helper after 10 s, and then says nothing of what it waited for.
pub const LIMIT: Duration = Duration::from_secs(8);
/// What is left of it has to do for the keychain and a refresh.
const READ_LIMIT: Duration = Duration::from_secs(4);

pub fn run(context: &Context<'_>, line: &HelperLine) -> Result<(), Error> {
    match line.operation.as_deref() {
        Some("get") => {}
        Some(_) => {
            let why = ": the bazel protocol has get alone".to_string();
            return Err(RequestError::UnknownOperation(why).into());
        }
        None => return Err(RequestError::NoOperation.into()),
    }
    let request = bazel::parse(&stdio::document(Some(Deadline::after(READ_LIMIT)))?)?;
    let Some(found) = get::at_known_host(context, request, line.min_ttl)? else {
        return Err(RequestError::BadValue { key: "uri", why: bazel::NOT_OURS.into() }.into());
    };
    let answer = bazel::render(&found.answer);
    get::print_and_renew(context, found, &answer)
}
