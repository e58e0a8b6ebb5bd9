//! The refresh itself, done by whoever holds the session's lock: announce, send, secure, commit,
//! leave an outcome.

use std::fmt;
use std::time::{Duration, Instant};

use super::Broker;
use super::freshness::Need;
use super::traced::told;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::http_client::{Http, HttpError, Reply, block_on};
use crate::lock::Lock;
use crate::names::{ClientId, SessionName};
use crate::oauth::{self, Grant, TokenError};
use crate::secret::RefreshToken;
use crate::session::{
    Access, Announcement, Attempt, Installation, Journal, Lifetime, Outcome, Refusal,
    Registrations, Renewal, SecuredReply, Session, SessionStore, StorageError, TokenDigest,
    Verdict,
};

/// From the start to the answer; two requests with their own limits fit in.
const ANSWER_LIMIT: Duration = Duration::from_secs(45);
/// From the answer to the disk, while the answer exists nowhere else: as long as somebody may take
/// to make room.
const SECURE_LIMIT: Duration = Duration::from_mins(10);
/// For everything that the next holder of the lock can do as well, out of the secured answer.
const COMMIT_LIMIT: Duration = Duration::from_secs(1);
const DISK_PAUSE: Duration = Duration::from_millis(250);
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_mins(1);
const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(5);
/// The message of an outcome is one line; a journal's record has room for it.
const MESSAGE_LIMIT: usize = 600;

/// How a refresh came to its end.
enum Done {
    /// By an answer that an earlier worker had secured.
    RolledForward,
    /// By asking the server, as far as that was possible.
    Asked,
}

/// When a request was sent, and what came of it.
type Answered = (Timestamp, Result<Grant, TokenError>);

/// One refresh of one session.
struct Refresh<'a> {
    broker: &'a Broker<'a>,
    installation: &'a Installation,
    store: SessionStore<'a>,
    journal: Journal<'a>,
    lock: &'a Lock,
    session: Session,
    client_id: ClientId,
    refresh_token: RefreshToken,
    digest: TokenDigest,
    /// Of the last outcome, if it was a failure with this refresh token.
    failures: u32,
    /// The number of the attempt that is under way, or was the last.
    attempt: Attempt,
    /// When a request with this token was first sent whose answer nobody saw.
    unknown_since: Option<Timestamp>,
    /// An announced attempt whose outcome nobody wrote: its worker died.
    unfinished: Option<Announcement>,
}

impl Broker<'_> {
    /// Refreshes the session whose `lock` was handed to us, and leaves an outcome.
    ///
    /// # Errors
    /// Where the session cannot be read, or the disk cannot be written: then nothing was sent, or
    /// the answer is secured for the next holder of the lock.
    pub fn refresh_now(
        &self,
        installation: &Installation,
        lock: &Lock,
        name: &SessionName,
    ) -> Result<(), Error> {
        let done = self.refresh_once(installation, lock, name)?;
        if matches!(done, Done::RolledForward) {
            let session = SessionStore::of(installation).load(name)?;
            let stale = |session: &Session| {
                matches!(Need::of(&session.access, None, self.clock.now()), Need::Renewal)
            };
            // The answer was secured long ago, and the token in it has expired since.
            if session.as_ref().is_some_and(stale) {
                self.refresh_once(installation, lock, name)?;
            }
        }
        Ok(())
    }

    fn refresh_once(
        &self,
        installation: &Installation,
        lock: &Lock,
        name: &SessionName,
    ) -> Result<Done, Error> {
        let store = SessionStore::of(installation);
        let Some(session) = store.load(name)? else { return Ok(Done::Asked) };
        let Renewal::Possible { client_id, refresh_token } = session.renewal.clone() else {
            return Ok(Done::Asked);
        };
        let Some(digest) = TokenDigest::of(&session.renewal) else { return Ok(Done::Asked) };
        let mut journal = store.reserve_journal(lock, name)?;
        let (announced, concluded) = (journal.announcement()?, journal.outcome()?);
        let attempts = (announced.as_ref().map(|record| record.attempt))
            .max(concluded.as_ref().map(|record| record.attempt));
        // By refresh token and client alone: a `store` or `erase` in between raises the generation and
        // keeps the token, and the reply to it is the only copy of the next one.
        let unfinished = announced.filter(|record| record.token == digest).filter(|record| {
            concluded.as_ref().is_none_or(|outcome| outcome.attempt < record.attempt)
        });
        let last = concluded.filter(|record| record.token == digest);
        let failures = match last.as_ref().map(|record| &record.verdict) {
            Some(Verdict::Failed { failures, .. }) => *failures,
            _ => 0,
        };
        let unknown_since = match &unfinished {
            Some(record) => record.unknown_since.or(Some(record.at)),
            None => last.and_then(|record| record.unknown_since),
        };
        let refresh = Refresh {
            broker: self,
            installation,
            store,
            journal,
            lock,
            session,
            client_id,
            refresh_token,
            digest,
            failures,
            attempt: attempts.unwrap_or_default(),
            unknown_since,
            unfinished,
        };
        block_on(refresh.run())?
    }
}

/// Understands an answer that was secured before a crash.
pub(super) fn read_secured(session: &Session, secured: SecuredReply) -> Result<Grant, TokenError> {
    let Renewal::Possible { client_id, refresh_token } = &session.renewal else {
        return Err(TokenError::NotSecured);
    };
    let reply = Reply { status: secured.status, retry_after: None, date: None, body: secured.body };
    oauth::read_refresh_reply(&session.name.site, client_id, refresh_token, reply)
}

impl Refresh<'_> {
    fn trace(&self, line: impl FnOnce() -> String) {
        let (name, attempt) = (&self.session.name, self.attempt);
        self.broker.terminal.trace(|| format!("attempt {attempt} for {name}: {}", line()));
    }

    async fn run(mut self) -> Result<Done, Error> {
        if let Some((sent, result)) = self.rolled_forward()? {
            self.trace(|| "a secured answer was left in the journal".into());
            self.finish(sent, result)?;
            return Ok(Done::RolledForward);
        }
        let limit = tokio::time::Instant::now() + ANSWER_LIMIT;
        let (mut sent, mut result) = self.attempt(limit).await?;
        // The repetition of a request that a crash cut off is the one repetition it gets.
        let repeatable = self.unfinished.is_none();
        if repeatable && result.as_ref().is_err_and(|error| trouble(error) == Trouble::Unknown) {
            self.unknown_since.get_or_insert(sent);
            self.trace(|| "the answer was lost; it is asked once more".into());
            (sent, result) = self.attempt(limit).await?;
        }
        self.finish(sent, result)?;
        Ok(Done::Asked)
    }

    /// The answer to an unfinished attempt, if its worker lived to secure one that decides.
    fn rolled_forward(&mut self) -> Result<Option<Answered>, Error> {
        let Some(unfinished) = &self.unfinished else { return Ok(None) };
        let Some(secured) = self.journal.reply(unfinished.attempt)? else { return Ok(None) };
        let sent = secured.sent;
        let result = read_secured(&self.session, secured);
        if let Err(error) = &result
            && !error.is_refusal()
        {
            return Ok(None);
        }
        // It was answered, so nothing is unknown about this attempt.
        self.unknown_since = unfinished.unknown_since;
        Ok(Some((sent, result)))
    }

    /// Announces and sends one request, and secures its reply.
    async fn attempt(&mut self, limit: tokio::time::Instant) -> Result<Answered, Error> {
        let site = &self.session.name.site;
        let sent = self.broker.clock.now();
        self.attempt = self.attempt.next();
        let http = match Http::for_site(site, self.broker.environment) {
            Ok(http) => http,
            Err(error) => return Ok((sent, Err(error.into()))),
        };
        self.journal.announce(&Announcement {
            attempt: self.attempt,
            generation: self.session.generation,
            token: self.digest.clone(),
            at: sent,
            unknown_since: self.unknown_since,
        })?;
        let unknown = self.unknown_since;
        self.trace(|| {
            let lost =
                unknown.map_or_else(String::new, |at| format!(", an answer was lost at {at}"));
            format!("asks {site} for a new token{lost}")
        });
        let (journal, attempt) = (&mut self.journal, self.attempt);
        let mut status = None;
        let mut secure = |reply: &Reply| {
            status = Some(reply.status);
            let secured = SecuredReply { sent, status: reply.status, body: reply.body.clone() };
            persist(SECURE_LIMIT, || journal.secure(attempt, &secured)).is_ok()
        };
        let request =
            oauth::refresh(&http, site, &self.client_id, &self.refresh_token, &mut secure);
        let result = tokio::time::timeout_at(limit, request).await.unwrap_or_else(|_| {
            let host = site.to_string();
            Err(HttpError::NoAnswer { host, why: "the time for it is over".into() }.into())
        });
        // Not before the answer is on the disk: until then a death costs the session.
        self.trace(|| {
            let took = self.broker.clock.now().since(sent).as_millis();
            let status = status.map_or("without an answer".into(), |code| format!("status {code}"));
            match &result {
                Ok(_) => format!("{status} after {took} ms, a new token"),
                Err(error) => {
                    let trouble = trouble(error);
                    format!("{status} after {took} ms, {trouble}: {}", message(error))
                }
            }
        });
        Ok((sent, result))
    }

    fn finish(mut self, sent: Timestamp, result: Result<Grant, TokenError>) -> Result<(), Error> {
        let verdict = match result {
            Ok(grant) => {
                let renewed = renewed(&self.session, grant, sent);
                persist(COMMIT_LIMIT, || self.store.save(self.lock, &renewed))?;
                // A refresh token that was not rotated is presented again, with nothing unknown.
                self.unknown_since = None;
                let Session { generation, .. } = renewed;
                self.trace(|| format!("stored the new token as generation {generation}"));
                Verdict::Renewed
            }
            // The reply is lost to us, but the attempt stays announced: the next holder repeats it.
            Err(TokenError::NotSecured) => return Ok(()),
            Err(error) => {
                if trouble(&error) == Trouble::Unknown {
                    self.unknown_since.get_or_insert(sent);
                }
                match self.verdict(&error)? {
                    Some(verdict) => verdict,
                    None => return Ok(()),
                }
            }
        };
        let outcome = Outcome {
            attempt: self.attempt,
            token: self.digest,
            at: self.broker.clock.now(),
            unknown_since: self.unknown_since,
            verdict,
        };
        self.broker.terminal.trace(|| {
            let (name, attempt) = (&self.session.name, self.attempt);
            format!("attempt {attempt} for {name}: {}", told(&outcome.verdict, outcome.at))
        });
        persist(COMMIT_LIMIT, || self.journal.conclude(&outcome))?;
        Ok(())
    }

    /// What a failure means for the session; nothing where another writer was faster.
    fn verdict(&self, error: &TokenError) -> Result<Option<Verdict>, Error> {
        let name = &self.session.name;
        let refusal = match error {
            TokenError::InvalidGrant { .. } => match self.unknown_since {
                Some(at) => Refusal::Interrupted { at },
                None => Refusal::InvalidGrant,
            },
            TokenError::InvalidClient { .. } => Refusal::UnknownClient,
            _ => {
                let failures = self.failures.saturating_add(1);
                let wait = backoff(failures, retry_after(error));
                return Ok(Some(Verdict::Failed {
                    message: message(error),
                    failures,
                    not_before: self.broker.clock.now().plus(wait),
                }));
            }
        };
        let stored = self.store.load(name)?;
        if stored.is_none_or(|stored| stored.generation != self.session.generation) {
            return Ok(None);
        }
        if refusal == Refusal::UnknownClient {
            Registrations::of(self.installation).drop_client(&name.site, &self.client_id)?;
        }
        Ok(Some(Verdict::Ended { refusal, message: message(error) }))
    }
}

/// The session with the tokens of `grant`, which was asked for at `sent`.
pub(super) fn renewed(session: &Session, grant: Grant, sent: Timestamp) -> Session {
    let renewal = match (grant.refresh_token, session.renewal.clone()) {
        (Some(refresh_token), Renewal::Possible { client_id, .. }) => {
            Renewal::Possible { client_id, refresh_token }
        }
        // No new refresh token: the old one stays in use.
        (_, renewal) => renewal,
    };
    let lifetime = Lifetime::starting(sent, grant.expires_in);
    Session {
        generation: session.generation.next(),
        scopes: grant.scopes.unwrap_or_else(|| session.scopes.clone()),
        access: Access::Held { token: grant.access_token, lifetime },
        renewal,
        ..session.clone()
    }
}

/// Why an attempt failed, by what the server can have seen of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// It saw nothing: DNS, connect, TLS.
    NotSent,
    /// It refused to act for now.
    Declined,
    /// It may have acted; no whole answer was seen.
    Unknown,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSent => "not sent",
            Self::Declined => "declined",
            Self::Unknown => "outcome unknown",
        })
    }
}

/// What the server can have seen of a request that failed.
fn trouble(error: &TokenError) -> Trouble {
    match error {
        TokenError::Http(
            HttpError::NotSent { .. } | HttpError::BadRoots { .. } | HttpError::Setup(_),
        ) => Trouble::NotSent,
        TokenError::Http(
            HttpError::NoAnswer { .. } | HttpError::TooLong { .. } | HttpError::Status { .. },
        )
        | TokenError::ServerFailed { .. }
        | TokenError::Unreadable { .. }
        | TokenError::NotSecured => Trouble::Unknown,
        TokenError::Declined { .. }
        | TokenError::InvalidGrant { .. }
        | TokenError::InvalidClient { .. } => Trouble::Declined,
    }
}

fn retry_after(error: &TokenError) -> Option<Duration> {
    match error {
        TokenError::Declined { retry_after, .. } => *retry_after,
        _ => None,
    }
}

/// How long nobody asks again: what the server says, else a time that doubles, give or take half
/// of it so that many machines do not come back together.
fn backoff(failures: u32, retry_after: Option<Duration>) -> Duration {
    if let Some(wait) = retry_after {
        return wait.clamp(FIRST_BACKOFF, LONGEST_RETRY_AFTER);
    }
    let doubled = FIRST_BACKOFF * 2u32.saturating_pow(failures.saturating_sub(1).min(16));
    let mut random = [0];
    // Without randomness the time is at its shortest, which is no harm.
    let _ = getrandom::fill(&mut random);
    doubled.min(LONGEST_BACKOFF).mul_f64(0.5 + f64::from(random[0]) / 255.0)
}

fn message(error: &TokenError) -> String {
    error.to_string().chars().filter(|c| !c.is_control()).take(MESSAGE_LIMIT).collect()
}

/// Tries again while the disk refuses, for as long as `limit`.
fn persist(
    limit: Duration,
    mut write: impl FnMut() -> Result<(), StorageError>,
) -> Result<(), StorageError> {
    let started = Instant::now();
    loop {
        match write() {
            Err(error) if error.is_io() && started.elapsed() < limit => {
                std::thread::sleep(DISK_PAUSE);
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_to_a_minute_give_or_take_half() {
        for (failures, usual) in [(1, 1.0), (2, 2.0), (6, 32.0), (7, 60.0), (u32::MAX, 60.0)] {
            let wait = backoff(failures, None).as_secs_f64();
            assert!((usual * 0.5..=usual * 1.5).contains(&wait), "{failures}: {wait}");
        }
    }

    #[test]
    fn a_server_is_believed_for_five_minutes() {
        let wait = |seconds| backoff(1, Some(Duration::from_secs(seconds))).as_secs();
        assert_eq!((wait(0), wait(7), wait(9999)), (1, 7, 300));
    }
}
