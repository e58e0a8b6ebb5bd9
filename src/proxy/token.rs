//! The token of a proxy: kept while it is fresh, renewed behind the requests while it is good, and
//! asked for by one thread, so that requests never wait for each other's files and locks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use http::HeaderValue;
use tokio::sync::oneshot;

use crate::broker::{self, BrokerError, Context, Found, Horizon, Origin};
use crate::clock::{Clock, Timestamp};
use crate::config::Config;
use crate::environment::Environment;
use crate::exit::ExitKind;
use crate::protocol::{Answer, EraseRequest, Erasure, GetRequest, Target};
use crate::secret::AccessToken;
use crate::session::KeyMemory;
use crate::terminal::{Terminal, Trace};

/// A token that can be sent.
#[derive(Clone)]
pub struct Held {
    token: AccessToken,
    /// Where it is not known, the token is asked for each time.
    horizon: Option<Horizon>,
}

impl Held {
    /// As it stands in a request.
    #[must_use]
    pub fn header(&self) -> HeaderValue {
        let value = format!("Bearer {}", self.token.expose());
        let mut value = HeaderValue::try_from(value).expect("a token is visible ASCII");
        value.set_sensitive(true);
        value
    }

    /// Whether it is the same token.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.token.matches(&other.token)
    }

    fn is_fresh(&self, now: Timestamp) -> bool {
        self.horizon.is_some_and(|horizon| now < horizon.fresh_until)
    }

    fn is_good(&self, now: Timestamp) -> bool {
        self.horizon.is_some_and(|horizon| now < horizon.good_until)
    }
}

/// Why there is no token.
#[derive(Clone, Debug)]
pub struct NoToken {
    pub why: String,
    pub kind: ExitKind,
}

type Reply = oneshot::Sender<Result<Held, NoToken>>;

/// What the thread is told to do.
enum Order {
    /// Find a token that is good.
    Get(Reply),
    /// Renew the one that is held, which is expiring.
    Renew,
    /// Find another one than this, which the API rejected.
    Replace(Held, Reply),
}

/// What the requests and the thread share.
#[derive(Default)]
struct Shared {
    held: Option<Held>,
    /// Whether a renewal is ordered and not done.
    renewing: bool,
}

/// Hands out tokens of one session.
pub struct Bearer {
    shared: Arc<Mutex<Shared>>,
    orders: mpsc::Sender<Order>,
    clock: Clock,
}

impl Bearer {
    /// Of the session that `target` means.
    #[must_use]
    pub fn start(target: Target, mut config: Config) -> Self {
        // A keychain that locks, as it may at night, must not end a run that began when it was open.
        if let Ok(paths) = &mut config.paths {
            paths.key.memory = Some(KeyMemory::default());
        }
        let (orders, received) = mpsc::channel();
        let shared = Arc::new(Mutex::new(Shared::default()));
        let clock = Clock::system();
        let keeper = Keeper { target, shared: Arc::clone(&shared), clock };
        std::thread::spawn(move || keeper.work(&config, &received));
        Self { shared, orders, clock }
    }

    /// A token that is good now.
    ///
    /// # Errors
    /// If none can be had.
    pub async fn token(&self) -> Result<Held, NoToken> {
        let now = self.clock.now();
        {
            let mut shared = lock(&self.shared);
            if let Some(held) = shared.held.clone().filter(|held| held.is_good(now)) {
                if !held.is_fresh(now) && !std::mem::replace(&mut shared.renewing, true) {
                    let _ = self.orders.send(Order::Renew);
                }
                return Ok(held);
            }
        }
        self.ask(Order::Get).await
    }

    /// Another token than the one that the API rejected, or the same where it is too new to be
    /// rejected for its age.
    ///
    /// # Errors
    /// If none can be had.
    pub async fn instead_of(&self, rejected: &Held) -> Result<Held, NoToken> {
        self.ask(|reply| Order::Replace(rejected.clone(), reply)).await
    }

    async fn ask(&self, order: impl FnOnce(Reply) -> Order) -> Result<Held, NoToken> {
        let (reply, answer) = oneshot::channel();
        let ended =
            || NoToken { why: "the proxy is about to end".into(), kind: ExitKind::Temporary };
        self.orders.send(order(reply)).map_err(|_| ended())?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }
}

/// The thread that asks the broker.
struct Keeper {
    target: Target,
    shared: Arc<Mutex<Shared>>,
    clock: Clock,
}

impl Keeper {
    /// Does what it is told until nobody can tell it anything.
    fn work(&self, config: &Config, orders: &mpsc::Receiver<Order>) {
        let environment = Environment::process();
        let clock = self.clock;
        // The command that started us would not have come here with a log that means nothing.
        let Ok(trace) = Trace::of(false, &environment, clock) else { return };
        let terminal = Terminal::of_process(&environment, trace);
        let context =
            Context { config, environment: &environment, clock, terminal: &terminal, limit: None };
        for order in orders {
            match order {
                Order::Get(reply) => {
                    let _ = reply.send(self.good().map_or_else(|| self.get(&context), Ok));
                }
                Order::Renew => {
                    // The program may end at any moment.
                    if broker::cut_off(&context).is_none() {
                        // Who needs a token once this one is stale hears why there is none.
                        let _ = self.keep(broker::get_to_keep(&context, &self.request()));
                    }
                    lock(&self.shared).renewing = false;
                }
                Order::Replace(rejected, reply) => {
                    let newer = self.good().filter(|held| !held.is(&rejected));
                    let _ = reply.send(newer.map_or_else(|| self.replace(&context, &rejected), Ok));
                }
            }
        }
    }

    fn good(&self) -> Option<Held> {
        lock(&self.shared).held.clone().filter(|held| held.is_good(self.clock.now()))
    }

    fn request(&self) -> GetRequest {
        GetRequest { target: self.target.clone(), ..GetRequest::default() }
    }

    fn get(&self, context: &Context<'_>) -> Result<Held, NoToken> {
        self.keep(broker::get(context, &self.request()))
    }

    fn replace(&self, context: &Context<'_>, rejected: &Held) -> Result<Held, NoToken> {
        let request = EraseRequest {
            target: self.target.clone(),
            what: Erasure::AccessToken(rejected.token.clone()),
        };
        broker::erase(context, &request).map_err(|error| no_token(&error))?;
        self.get(context)
    }

    fn keep(&self, found: Result<Found, BrokerError>) -> Result<Held, NoToken> {
        let found = found.map_err(|error| no_token(&error))?;
        self.ensure_same(&found.answer)?;
        let horizon = match found.origin {
            Origin::Session(lifetime) => Some(Horizon::of(lifetime)),
            Origin::Ambient(_) => None,
        };
        let held = Held { token: found.answer.access_token, horizon };
        lock(&self.shared).held = Some(held.clone());
        Ok(held)
    }

    /// A session without an organization cannot be named, so that the answer to a request may
    /// become that of another one.
    fn ensure_same(&self, answer: &Answer) -> Result<(), NoToken> {
        if answer.org == self.target.org {
            return Ok(());
        }
        let why = format!(
            "the session for {} that this run began with is gone: log in to it again",
            answer.site
        );
        Err(NoToken { why, kind: ExitKind::LoginRequired })
    }
}

fn no_token(error: &BrokerError) -> NoToken {
    NoToken { why: error.to_string(), kind: error.kind() }
}

/// What is shared is whole at any moment, whoever panicked.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
