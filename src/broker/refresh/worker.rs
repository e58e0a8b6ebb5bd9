//! The refresh itself, done by the process that holds the session's lock: announce, send, secure,
//! commit, leave an outcome.

use std::time::{Duration, Instant};

use crate::broker::freshness::Freshness;
use crate::broker::standing::describe;
use crate::broker::target::login_command;
use crate::broker::{BrokerError, Context};
use crate::clock::Timestamp;
use crate::http_client::{Http, HttpError, Reply, block_on};
use crate::lock::Lock;
use crate::names::{ClientId, SessionName};
use crate::oauth::{self, Grant, TokenError};
use crate::secret::RefreshToken;
use crate::session::{
    Announcement, Attempt, Installation, Journal, Outcome, Refusal, Registrations, Renewal,
    SecuredReply, Session, SessionStore, StorageError, TokenDigest, Verdict,
};
use crate::site::SiteName;

use super::failure::{Trouble, backoff, may_be_for_good, message};
use super::recover::{read_secured, renewed, still_counts, with_refresh_token};

/// From the start to the answer, the repetition of a request included.
const ANSWER_LIMIT: Duration = Duration::from_secs(45);
/// From the answer to the disk, while the answer exists nowhere else: as long as somebody may take
/// to make room.
const SECURE_LIMIT: Duration = Duration::from_mins(10);
/// For everything that the next holder of the lock can do as well, out of the secured answer.
const COMMIT_LIMIT: Duration = Duration::from_secs(1);
const DISK_PAUSE: Duration = Duration::from_millis(250);

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
    context: &'a Context<'a>,
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

/// Refreshes the session whose `lock` was handed to us, and leaves an outcome.
///
/// # Errors
/// Where the session cannot be read, or the disk cannot be written: then nothing was sent, or
/// the answer is secured for the next holder of the lock.
pub fn refresh_now(
    context: &Context<'_>,
    installation: &Installation,
    lock: &Lock,
    name: &SessionName,
) -> Result<(), BrokerError> {
    let done = refresh_once(context, installation, lock, name)?;
    if matches!(done, Done::RolledForward) {
        let session = SessionStore::of(installation).load(name)?;
        let stale = |session: &Session| {
            matches!(Freshness::of(&session.access, None, context.clock.now()), Freshness::Stale)
        };
        // The answer was secured long ago, and the token in it has expired since.
        if session.as_ref().is_some_and(stale) {
            refresh_once(context, installation, lock, name)?;
        }
    }
    Ok(())
}

fn refresh_once(
    context: &Context<'_>,
    installation: &Installation,
    lock: &Lock,
    name: &SessionName,
) -> Result<Done, BrokerError> {
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
    let unfinished = announced
        .filter(|record| record.token == digest)
        .filter(|record| concluded.as_ref().is_none_or(|outcome| outcome.attempt < record.attempt));
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
        context,
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

impl Refresh<'_> {
    fn trace(&self, line: impl FnOnce() -> String) {
        let (name, attempt) = (&self.session.name, self.attempt);
        self.context.terminal.trace(|| format!("attempt {attempt} for {name}: {}", line()));
    }

    async fn run(mut self) -> Result<Done, BrokerError> {
        if let Some((sent, result)) = self.rolled_forward()? {
            self.trace(|| "a secured answer was left in the journal".into());
            self.finish(sent, result)?;
            return Ok(Done::RolledForward);
        }
        let limit = tokio::time::Instant::now() + ANSWER_LIMIT;
        let (mut sent, mut result) = self.attempt(limit).await?;
        // The repetition of a request that a crash cut off is the one repetition it gets.
        let repeatable = self.unfinished.is_none();
        let unknown = |error: &TokenError| Trouble::of(error) == Trouble::Unknown;
        let in_time = tokio::time::Instant::now() < limit;
        if repeatable && in_time && result.as_ref().is_err_and(unknown) {
            self.unknown_since.get_or_insert(sent);
            self.trace(|| "the answer was lost; it is asked once more".into());
            (sent, result) = self.attempt(limit).await?;
        }
        self.finish(sent, result)?;
        Ok(Done::Asked)
    }

    /// The answer to an unfinished attempt, if its worker lived to secure one that decides.
    fn rolled_forward(&mut self) -> Result<Option<Answered>, BrokerError> {
        let Some(unfinished) = &self.unfinished else { return Ok(None) };
        let Some(secured) = self.journal.reply(unfinished.attempt)? else { return Ok(None) };
        let sent = secured.sent;
        let result = read_secured(&self.session, secured);
        if let Err(error) = &result
            && !error.is_decisive()
        {
            return Ok(None);
        }
        // It was answered, so nothing is unknown about this attempt.
        self.unknown_since = unfinished.unknown_since;
        if !still_counts(&self.session, unfinished, &result) {
            self.unfinished = None;
            return Ok(None);
        }
        Ok(Some((sent, result)))
    }

    /// Announces and sends one request, and secures its reply.
    async fn attempt(&mut self, limit: tokio::time::Instant) -> Result<Answered, BrokerError> {
        let site = &self.session.name.site;
        let sent = self.context.clock.now();
        self.attempt = self.attempt.next();
        // The server's clock is not ours: a request that was sent is waited for to our own end.
        let http = match Http::within(ANSWER_LIMIT, site, self.context.environment) {
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
            let body = oauth::essence(reply);
            let secured = SecuredReply { sent, status: reply.status, body };
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
            let took = self.context.clock.now().since(sent).as_millis();
            let status = status.map_or("without an answer".into(), |code| format!("status {code}"));
            match &result {
                Ok(_) => format!("{status} after {took} ms, a new token"),
                Err(error) => {
                    let trouble = Trouble::of(error);
                    format!("{status} after {took} ms, {trouble}: {}", message(error))
                }
            }
        });
        Ok((sent, result))
    }

    fn finish(
        mut self,
        sent: Timestamp,
        result: Result<Grant, TokenError>,
    ) -> Result<(), BrokerError> {
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
                if Trouble::of(&error) == Trouble::Unknown {
                    self.unknown_since.get_or_insert(sent);
                }
                if let TokenError::NoAccess { refresh_token, .. } = &error {
                    self.keep_refresh_token(refresh_token)?;
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
            at: self.context.clock.now(),
            unknown_since: self.unknown_since,
            verdict,
        };
        self.context.terminal.trace(|| {
            let (name, attempt) = (&self.session.name, self.attempt);
            format!("attempt {attempt} for {name}: {}", describe(&outcome.verdict, outcome.at))
        });
        persist(COMMIT_LIMIT, || self.journal.conclude(&outcome))?;
        Ok(())
    }

    /// Stores a refresh token that came without a usable access token: the server has rotated, and no
    /// other is good from now on.
    fn keep_refresh_token(&mut self, refresh_token: &RefreshToken) -> Result<(), BrokerError> {
        let kept = with_refresh_token(&self.session, refresh_token.clone());
        persist(COMMIT_LIMIT, || self.store.save(self.lock, &kept))?;
        self.trace(|| "stored the refresh token that came without an access token".into());
        self.digest = TokenDigest::of(&kept.renewal).unwrap_or_else(|| self.digest.clone());
        self.unknown_since = None;
        self.session = kept;
        Ok(())
    }

    /// What a failure means for the session; nothing where another writer was faster.
    fn verdict(&self, error: &TokenError) -> Result<Option<Verdict>, BrokerError> {
        let name = &self.session.name;
        let refusal = match error {
            TokenError::InvalidGrant { .. } => match self.unknown_since {
                Some(at) => Refusal::Interrupted { at },
                None => Refusal::InvalidGrant,
            },
            TokenError::InvalidClient { .. } => Refusal::UnknownClient,
            _ => {
                let failures = self.failures.saturating_add(1);
                let wait = backoff(failures, error);
                let mut message = message(error);
                // Once may be an accident of the server.
                if failures > 1 && may_be_for_good(error) {
                    let command =
                        login_command(&SiteName::Site(name.site.clone()), name.org.as_ref());
                    message = format!("{message}; if it stays so, log in again with `{command}`");
                }
                return Ok(Some(Verdict::Failed {
                    message,
                    failures,
                    not_before: self.context.clock.now().plus(wait),
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
