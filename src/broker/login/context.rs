//! What every step of one login is handed.

use crate::broker::Context;
use crate::clock::Deadline;
use crate::names::OrgUuid;
use crate::session::{Installation, Session};
use crate::site::Site;

use super::options::LoginOptions;

/// A login that is under way: who asked for it, where it begins, and when it ends at the latest.
pub struct LoginContext<'a> {
    pub context: &'a Context<'a>,
    pub installation: &'a Installation,
    pub options: &'a LoginOptions,
    /// Where the login begins; a vanity host begins at its region.
    pub site: Site,
    /// The organization that has to come back, if it is known.
    pub org_uuid: Option<OrgUuid>,
    pub deadline: Deadline,
}

impl<'a> LoginContext<'a> {
    /// With `replaced`, the session in whose place the new one will come.
    pub fn new(
        context: &'a Context<'a>,
        installation: &'a Installation,
        options: &'a LoginOptions,
        replaced: Option<Session>,
        deadline: Deadline,
    ) -> Self {
        // A `get` replaces the session that ended; a person who names no organization may want any.
        let same = |session: &Session| {
            session.name.org == options.org && (options.org.is_some() || !options.typed)
        };
        let known = replaced.filter(same).and_then(|session| session.org_uuid);
        let org_uuid = options.org_uuid.clone().or(known);
        Self { context, installation, options, site: options.begins_at().0, org_uuid, deadline }
    }
}
