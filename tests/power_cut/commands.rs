//! The commands that write, each with the home that it begins in and what it promises.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::person;
use crate::support::earlier_tools::{Tokens, leave, leave_pup, pup_tokens};
use crate::support::home::{Home, free_port};
use crate::support::keyring::Keyring;
use crate::support::peers::{Kind, Peer};

/// A home, the server that its sessions are at, and what was answered there.
pub struct Stage {
    pub home: Home,
    pub peer: Peer,
    /// Of the session that the command is about.
    pub subject: Answered,
    /// Of the other one.
    pub other: Answered,
    /// Where the sealing key may be, if not on the disk. It is no part of the home that is cut.
    pub keychain: Option<Keychain>,
}

/// A keychain in a home of its own.
pub struct Keychain {
    _keyring: Keyring,
    _home: Home,
}

/// What requests for one session are answered.
#[derive(Default)]
pub struct Answered {
    /// What they ask, besides `get`.
    pub request: &'static str,
    /// The access token before the command, and the consent that it came out of.
    pub earlier: Option<String>,
    pub earlier_consent: Option<String>,
    /// The same after the command.
    pub later: Option<String>,
    pub later_consent: Option<String>,
}

/// What a request may be answered after a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    LoginRequired,
    /// The access token before the command.
    Earlier,
    /// One that the server takes, out of the same consent.
    EarlierConsent,
    /// The access token after the command.
    Later,
    /// One that the server takes, out of that consent.
    LaterConsent,
}

use Answer::{Earlier, EarlierConsent, Later, LaterConsent, LoginRequired};

/// What becomes of a session that the command does not name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Other {
    /// There is none.
    Missing,
    /// It is answered as before.
    Stays,
    /// The same as of the one that it is about.
    Shares,
}

/// A command whose every cut is tried.
pub struct Command {
    pub name: &'static str,
    pub set_up: fn() -> Stage,
    pub action: Action,
    /// The answers after a cut before it reported its success.
    pub before: &'static [Answer],
    /// The answers after a cut at any time later.
    pub after: &'static [Answer],
    pub other: Other,
    /// Whether a session that answers can be renewed.
    pub renewable: bool,
    /// What brings the session back if a login is required, before the command reported.
    pub again: Option<&'static [&'static str]>,
    /// What undoes what it does elsewhere than on the disk, where no cut reaches it. That is done at its
    /// end, after all on the disk is.
    pub undo: Option<&'static [&'static str]>,
    /// A variable that is not needed any more once it reported.
    pub dispensable: Option<&'static str>,
}

/// What is done.
pub enum Action {
    /// A login, with a person.
    Login,
    Run {
        arguments: &'static [&'static str],
        input: &'static str,
    },
}

const IMPORT: [&str; 5] = ["import", "--from", "file", "--yes", "--remove-original"];

const NOTHING_SPECIAL: Command = Command {
    name: "",
    set_up: two_sessions,
    action: Action::Login,
    before: &[],
    after: &[],
    other: Other::Stays,
    renewable: true,
    again: None,
    undo: None,
    dispensable: None,
};

/// Those with most states come first.
pub const COMMANDS: [Command; 13] = [
    Command {
        name: "import",
        set_up: sessions_of_pup,
        action: Action::Run { arguments: &IMPORT, input: "" },
        before: &[LoginRequired, EarlierConsent],
        after: &[EarlierConsent],
        other: Other::Shares,
        again: Some(&IMPORT),
        ..NOTHING_SPECIAL
    },
    Command {
        name: "login in an empty home",
        set_up: empty_home,
        before: &[LoginRequired, LaterConsent],
        after: &[LaterConsent],
        other: Other::Missing,
        ..NOTHING_SPECIAL
    },
    Command {
        name: "login over a session",
        before: &[Earlier, LaterConsent],
        after: &[LaterConsent],
        ..NOTHING_SPECIAL
    },
    Command {
        name: "get that refreshes",
        set_up: stale_session,
        action: Action::Run { arguments: &["get"], input: "" },
        before: &[EarlierConsent],
        after: &[EarlierConsent],
        ..NOTHING_SPECIAL
    },
    Command {
        name: "second refresh",
        set_up: refreshed_session,
        action: Action::Run { arguments: &["refresh"], input: "" },
        before: &[EarlierConsent],
        after: &[LaterConsent],
        ..NOTHING_SPECIAL
    },
    Command {
        name: "logout --all",
        action: Action::Run { arguments: &["logout", "--all"], input: "" },
        before: &[Earlier, LoginRequired],
        after: &[LoginRequired],
        other: Other::Shares,
        renewable: false,
        ..NOTHING_SPECIAL
    },
    Command {
        name: "store in an empty home",
        set_up: empty_home_for_store,
        action: Action::Run {
            arguments: &["store"],
            input: "site=eu1\naccess_token=stored\nexpires_in=3600\n",
        },
        before: &[LoginRequired, Later],
        after: &[Later],
        other: Other::Missing,
        renewable: false,
        ..NOTHING_SPECIAL
    },
    Command {
        name: "store",
        action: Action::Run {
            arguments: &["store"],
            input: "access_token=stored\nexpires_in=3600\n",
        },
        before: &[Earlier, Later],
        after: &[Later],
        ..NOTHING_SPECIAL
    },
    Command {
        name: "erase of an access token",
        set_up: session_with_old_token,
        action: Action::Run { arguments: &["erase"], input: "access_token=old\n" },
        before: &[Earlier, LaterConsent],
        after: &[LaterConsent],
        ..NOTHING_SPECIAL
    },
    Command {
        name: "key move from a named file",
        set_up: session_with_named_key,
        action: Action::Run { arguments: &["key", "move", "file"], input: "" },
        before: &[Earlier],
        after: &[Earlier],
        dispensable: Some("DD_OAUTH_KEY_FILE"),
        ..NOTHING_SPECIAL
    },
    Command {
        name: "key move to the keychain",
        set_up: session_with_key_in_file,
        action: Action::Run { arguments: &["key", "move", "keychain"], input: "" },
        before: &[Earlier],
        after: &[Earlier],
        ..NOTHING_SPECIAL
    },
    Command {
        name: "key move from the keychain",
        set_up: session_with_key_in_keychain,
        action: Action::Run { arguments: &["key", "move", "file"], input: "" },
        before: &[Earlier],
        after: &[Earlier],
        undo: Some(&["key", "move", "keychain"]),
        ..NOTHING_SPECIAL
    },
    Command {
        name: "logout",
        action: Action::Run { arguments: &["logout"], input: "" },
        before: &[Earlier, LoginRequired],
        after: &[LoginRequired],
        renewable: false,
        ..NOTHING_SPECIAL
    },
];

impl Stage {
    /// What `get` answers now: the token, and its consent.
    fn answered(&self, of: &Answered) -> (Option<String>, Option<String>) {
        let run = self.home.run(&["get"], of.request);
        let token = (run.code == Some(0)).then(|| run.value("access_token"));
        let consent = token.as_ref().and_then(|token| self.peer.whose(token).family);
        (token, consent)
    }

    fn note_earlier(&mut self) {
        (self.subject.earlier, self.subject.earlier_consent) = self.answered(&self.subject);
        (self.other.earlier, self.other.earlier_consent) = self.answered(&self.other);
    }

    /// Takes note of what is answered after the command.
    pub fn note_later(&mut self) {
        (self.subject.later, self.subject.later_consent) = self.answered(&self.subject);
        (self.other.later, self.other.later_consent) = self.answered(&self.other);
    }
}

fn empty_home() -> Stage {
    let peer = Peer::start(Kind::Demo);
    let mut home = Home::at(&peer);
    home.set("DD_ORG", "Demo");
    let other = Answered { request: "org=other\n", ..Answered::default() };
    Stage { home, peer, subject: Answered::default(), other, keychain: None }
}

fn empty_home_for_store() -> Stage {
    let mut stage = empty_home();
    stage.subject.request = "site=eu1\n";
    stage
}

fn log_in(stage: &Stage) {
    let run = person::log_in(&stage.home);
    assert_eq!(run.code, Some(0), "{run:?}");
}

fn store_other(stage: &Stage) {
    let other = "org=other\naccess_token=other\nexpires_in=3600\n";
    stage.home.run(&["store"], other).succeeds_quietly();
}

fn two_sessions() -> Stage {
    with_two_sessions(empty_home())
}

fn with_two_sessions(mut stage: Stage) -> Stage {
    log_in(&stage);
    store_other(&stage);
    stage.note_earlier();
    stage
}

fn stale_session() -> Stage {
    let stage = two_sessions();
    stage.home.make_stale();
    stage
}

/// One that has a journal already.
fn refreshed_session() -> Stage {
    let mut stage = two_sessions();
    let run = stage.home.run(&["refresh"], "");
    assert_eq!(run.code, Some(0), "{run:?}");
    stage.note_earlier();
    stage
}

/// A session whose access token was issued so long ago that it can be rejected.
fn session_with_old_token() -> Stage {
    let mut stage = empty_home();
    let mut tokens = Tokens::of_login(&stage.home, &stage.peer, free_port());
    tokens.access = "old".into();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
    leave_pup(&stage.home, &stage.peer.origin, &[("Demo", &tokens)]);
    let mut written = tokens.of_pup();
    written["issued_at"] = json!(now - 3600);
    written["expires_in"] = json!(7200);
    leave(&pup_tokens(&stage.home, &stage.peer.origin), &json!({"Demo": written}).to_string());
    let run = stage.home.run(&IMPORT, "");
    assert_eq!(run.code, Some(0), "{run:?}");
    store_other(&stage);
    stage.note_earlier();
    stage
}

fn session_with_named_key() -> Stage {
    let mut stage = empty_home();
    let key = stage.home.path().join("own.key");
    leave(&key, &"0f".repeat(32));
    stage.home.set("DD_OAUTH_KEY_FILE", key.to_str().expect("it is text"));
    with_two_sessions(stage)
}

fn session_with_key_in_file() -> Stage {
    let stage = session_with_key_in_keychain();
    let run = stage.home.run(&["key", "move", "file"], "");
    assert_eq!(run.code, Some(0), "{run:?}");
    stage
}

fn session_with_key_in_keychain() -> Stage {
    let mut stage = empty_home();
    let mut service = Home::new();
    let keyring = Keyring::start(&mut service);
    for name in ["DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"] {
        let value = service.run_program("printenv", &[name]).stdout;
        stage.home.set(name, value.trim_end());
    }
    stage.home.unset("DD_TOKEN_STORAGE").set("DD_OAUTH_KERNEL_KEYRING", "off");
    stage.keychain = Some(Keychain { _keyring: keyring, _home: service });
    with_two_sessions(stage)
}

fn sessions_of_pup() -> Stage {
    let mut stage = empty_home();
    let [subject, other] =
        [(); 2].map(|()| Tokens::of_login(&stage.home, &stage.peer, free_port()));
    leave_pup(&stage.home, &stage.peer.origin, &[("Demo", &subject), ("other", &other)]);
    stage.subject.earlier_consent = stage.peer.whose(&subject.access).family;
    stage.other.earlier_consent = stage.peer.whose(&other.access).family;
    stage
}
