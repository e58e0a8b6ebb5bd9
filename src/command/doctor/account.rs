//! The installation, its key and the session that is meant.

use std::path::Path;

use super::finding::{Finding, Verdict};
use crate::broker::{self, BrokerError, Context, Standing};
use crate::config::KEYCHAIN_LIMIT;
use crate::error::Error;
use crate::exit::ExitKind;
use crate::lock::Lock;
use crate::names::SessionName;
use crate::platform::kernel_keyring;
use crate::session::{
    Access, Installation, InstallationPaths, KeyCopies, KeyHome, KeyPlace, KeySettings,
    KeyStanding, Keychain, KeychainError, KeychainTimeout, Session, SessionStore, StorageError,
};
use crate::site::{self, Site, SiteName};

/// What there is of this account.
pub struct Account<'a> {
    context: &'a Context<'a>,
    paths: InstallationPaths,
    installation: Result<Option<Installation>, StorageError>,
    /// The session that is meant, if there is one.
    chosen: Result<Option<SessionName>, BrokerError>,
    /// Whether the kernel has the key, whatever the keychain does.
    copy_in_kernel: bool,
}

impl<'a> Account<'a> {
    pub fn of(context: &'a Context<'a>, paths: &InstallationPaths) -> Self {
        let mut paths = paths.clone();
        // Also where a person could unlock it: that it is locked is what they want to know.
        paths.key.timeout = KeychainTimeout { limit: KEYCHAIN_LIMIT, notice: None };
        let installation = Installation::open(&paths)
            .map(|installation| installation.map(Installation::without_new_copies));
        let opened = installation.as_ref().ok().and_then(Option::as_ref);
        let chosen = opened.map_or(Ok(None), |installation| broker::chosen(context, installation));
        let copy_in_kernel = opened.is_some_and(Installation::has_copy_in_kernel);
        Self { context, paths, installation, chosen, copy_in_kernel }
    }

    /// The site that is meant.
    pub fn site(&self) -> Site {
        match (&self.chosen, &self.context.config.site) {
            (Ok(Some(name)), _) => name.site.clone(),
            (_, Some(setting)) => match &setting.value {
                SiteName::Site(site) => site.clone(),
                SiteName::Vanity(vanity) => Site::Datadog(vanity.region),
            },
            (_, None) => site::us1(),
        }
    }

    pub fn has_session(&self) -> bool {
        matches!(self.chosen, Ok(Some(_)))
    }

    pub fn look(&self) -> Vec<Finding> {
        let mut findings = vec![self.state_directory(), self.locks()];
        let copies = KeyCopies::find(&self.paths);
        let unseen = copies.as_ref().ok().and_then(|copies| copies.keychain.as_ref());
        findings.push(self.keychain(unseen));
        findings.push(self.kernel_keyring());
        let key = self.sealing_key(unseen);
        let has_key = key.verdict == Verdict::Ok;
        findings.push(key);
        findings.extend(orphans(&copies));
        findings.push(self.session(has_key));
        findings
    }

    fn opened(&self) -> Option<&Installation> {
        self.installation.as_ref().ok()?.as_ref()
    }

    /// Whether the key rests in the keychain, or a new one would.
    fn needs_keychain(&self) -> bool {
        let KeySettings { place, named_file, .. } = &self.paths.key;
        match self.opened().map(Installation::key_home) {
            Some(home) => matches!(home, Ok(KeyHome::Keychain { .. })),
            None => named_file.is_none() && *place != Some(KeyPlace::File),
        }
    }

    fn state_directory(&self) -> Finding {
        let directory = self.paths.state_directory.display();
        match &self.installation {
            Err(error) => told("state_directory", error),
            Ok(None) => match self.paths.check() {
                Ok(()) => Finding::ok(
                    "state_directory",
                    format!("{directory}, without an installation: the first login makes it"),
                ),
                Err(error) => told("state_directory", &error),
            },
            Ok(Some(_)) => Finding::ok("state_directory", directory.to_string()),
        }
    }

    fn locks(&self) -> Finding {
        let directory = nearest(&self.paths.state_directory);
        match Lock::probe(directory) {
            Err(error) => Finding::problem("locks", error).remedy(
                "set DD_OAUTH_STATE_DIR to a directory of yours on a local disk, and log in there",
            ),
            Ok(()) => Finding::ok(
                "locks",
                format!("a lock was taken and let go in {}", directory.display()),
            ),
        }
    }

    fn keychain(&self, unseen: Option<&KeychainError>) -> Finding {
        let check = "keychain";
        let name = Keychain::NAME;
        let Some(error) = unseen else {
            let answers = Finding::ok(check, format!("{name} answers, and is unlocked"));
            return if self.opened().is_some() && self.needs_keychain() {
                answers.remedy("where ssh or cron cannot reach it: `dd-oauth key move file`")
            } else {
                answers
            };
        };
        let text = format!("{name}: {error}");
        let insists = self.paths.key.place == Some(KeyPlace::Keychain);
        match (self.needs_keychain(), self.opened()) {
            (false, _) if error.is_absence() => {
                Finding::ok(check, format!("{text}; none is needed, the key rests elsewhere"))
            }
            (false, _) => Finding::note(check, format!("{text}; the key rests elsewhere")),
            (true, Some(_)) if self.copy_in_kernel => {
                Finding::note(check, format!("{text}; the kernel's copy of the key stands in"))
                    .remedy("move the key where it is unlocked: `dd-oauth key move file`")
            }
            (true, None) if !insists => {
                Finding::note(check, format!("{text}; the first login keeps its key in a file"))
                    .remedy("DD_TOKEN_STORAGE=file chooses that without a warning")
            }
            (true, installation) => {
                let remedy = if installation.is_some() {
                    "unlock it; for ssh and cron, run `dd-oauth key move file` where it is unlocked"
                } else {
                    "unlock it, or set DD_TOKEN_STORAGE=file"
                };
                let verdict = Verdict::Problem(ExitKind::Storage);
                Finding::new(check, verdict, text).remedy(remedy)
            }
        }
    }

    fn kernel_keyring(&self) -> Finding {
        let check = "kernel_keyring";
        if self.paths.key.kernel_stay.is_none() {
            Finding::ok(check, "off, as DD_OAUTH_KERNEL_KEYRING says")
        } else if !kernel_keyring::EXISTS {
            Finding::ok(check, "this system has none; each command asks the keychain")
        } else if !kernel_keyring::is_open() {
            Finding::note(check, "the kernel refuses it; each command asks the keychain")
        } else if self.copy_in_kernel {
            Finding::ok(check, "has a copy of the key")
        } else {
            Finding::ok(check, "open, without a copy of the key")
        }
    }

    fn sealing_key(&self, unseen: Option<&KeychainError>) -> Finding {
        let check = "sealing_key";
        let Some(installation) = self.opened() else {
            return Finding::ok(check, "none yet: the first login makes it");
        };
        if unseen.is_some() && self.needs_keychain() && !self.copy_in_kernel {
            return Finding::note(check, "not looked at, as the keychain cannot be");
        }
        let readable = SessionStore::of(installation).ensure_key();
        match readable.and_then(|()| installation.key_home()) {
            Ok(home) => Finding::ok(check, home.to_string()),
            Err(error) => told(check, &error),
        }
    }

    fn session(&self, has_key: bool) -> Finding {
        let check = "session";
        let (name, installation) = match (&self.chosen, self.opened()) {
            (Err(error), _) => {
                let verdict = Verdict::Problem(error.kind());
                return Finding::new(check, verdict, error.to_string());
            }
            (Ok(Some(name)), Some(installation)) => (name, installation),
            _ => return self.no_session(),
        };
        if !has_key {
            return Finding::note(check, format!("{name}: not opened, as there is no key for it"));
        }
        match self.open(installation, name) {
            Ok(Some((session, standing))) => self.standing(&session, &standing),
            Ok(None) => self.no_session(),
            Err(error) => Finding::problem(check, error),
        }
    }

    fn no_session(&self) -> Finding {
        let none = Finding::problem("session", broker::not_logged_in(self.context));
        Finding { verdict: Verdict::Note, ..none }
    }

    fn open(
        &self,
        installation: &Installation,
        name: &SessionName,
    ) -> Result<Option<(Session, Standing)>, Error> {
        let Some(session) = SessionStore::of(installation).load(name)? else { return Ok(None) };
        let standing = broker::standing_of(self.context, installation, &session)?;
        Ok(Some((session, standing)))
    }

    fn standing(&self, session: &Session, standing: &Standing) -> Finding {
        let (check, name) = ("session", &session.name);
        if let Err(error) = broker::ensure_obtainable(self.context, session, standing.clone()) {
            return Finding::problem(check, error);
        }
        let token = match &session.access {
            Access::Held { lifetime, .. } if lifetime.expires > self.context.clock.now() => {
                format!("its token expires {}", lifetime.expires)
            }
            _ => "the next request renews its token".into(),
        };
        match standing {
            Standing::Live => Finding::ok(check, format!("{name}: {token}")),
            Standing::NotRenewable => {
                Finding::note(check, format!("{name}: {token}, and cannot be renewed"))
                    .remedy("log in before then")
            }
            Standing::Waiting { .. } | Standing::Ended { .. } => {
                let why = standing.explain(name, self.context.clock.now());
                Finding::note(check, format!("{why}; {token}")).remedy("log in before then")
            }
        }
    }
}

fn orphans(copies: &Result<KeyCopies, StorageError>) -> Vec<Finding> {
    let check = "orphans";
    let copies = match copies {
        Ok(copies) => copies,
        Err(error) => return vec![told(check, error)],
    };
    let left = copies.copies.iter().filter(|copy| !matches!(copy.standing, KeyStanding::Used(_)));
    let found: Vec<_> = left
        .map(|copy| {
            let text = format!("key {} ({}): {}", copy.id, copy.place, copy.standing);
            let remedy = match copy.standing {
                KeyStanding::Spare(_) => {
                    "`dd-oauth key move` to where the key is removes it".into()
                }
                _ => format!("`dd-oauth key forget {}` removes it", copy.id),
            };
            Finding::note(check, text).remedy(remedy)
        })
        .collect();
    if !found.is_empty() {
        return found;
    }
    let unseen = if copies.keychain.is_some() { ", as far as can be seen" } else { "" };
    vec![Finding::ok(check, format!("no sealing key was left behind{unseen}"))]
}

/// The directory itself, or the one in which it would be made.
fn nearest(directory: &Path) -> &Path {
    directory.ancestors().find(|ancestor| ancestor.is_dir()).unwrap_or(directory)
}

/// An error that stays where it is.
fn told(check: &'static str, error: &StorageError) -> Finding {
    Finding::new(check, Verdict::Problem(error.kind()), error.to_string())
}
