//! Telling the server that the tokens of a session are not wanted any more (RFC 7009).

use crate::http_client::{Http, HttpError, block_on};
use crate::oauth::{self, TokenHint};
use crate::session::{Access, Renewal, Session};

use super::Context;

/// Why a token was not revoked.
#[derive(Debug, thiserror::Error)]
pub enum NotRevoked {
    #[error(transparent)]
    Http(#[from] HttpError),
    /// There is nobody in whose name it could be revoked.
    #[error("it was stored without a client")]
    NoClient,
    #[error("the servers took too long")]
    NoTime,
}

impl NotRevoked {
    /// The tokens of a session, none of which was revoked.
    pub fn of(session: &Session, why: impl Fn() -> Self) -> Vec<(TokenHint, Self)> {
        let renewable = matches!(session.renewal, Renewal::Possible { .. });
        let held = matches!(session.access, Access::Held { .. });
        let tokens = [(TokenHint::RefreshToken, renewable), (TokenHint::AccessToken, held)];
        tokens
            .into_iter()
            .filter(|(_, is_there)| *is_there)
            .map(|(hint, _)| (hint, why()))
            .collect()
    }
}

/// Revokes the refresh token, then the access token. What the server was not told, and why.
pub async fn revoke(context: &Context<'_>, session: &Session) -> Vec<(TokenHint, NotRevoked)> {
    let Renewal::Possible { client_id, refresh_token } = &session.renewal else {
        return NotRevoked::of(session, || NotRevoked::NoClient);
    };
    let mut tokens = vec![(TokenHint::RefreshToken, refresh_token.expose())];
    if let Access::Held { token, .. } = &session.access {
        tokens.push((TokenHint::AccessToken, token.expose()));
    }
    let site = &session.name.site;
    let mut not_revoked = Vec::new();
    for (hint, token) in tokens {
        let revoked = match Http::for_site(site, context.environment) {
            Ok(http) => oauth::revoke(&http, site, client_id, token, hint).await,
            Err(error) => Err(error),
        };
        not_revoked.extend(revoked.err().map(|error| (hint, error.into())));
    }
    not_revoked
}

/// As [`revoke`], where nothing else is under way.
pub fn revoke_now(context: &Context<'_>, session: &Session) -> Vec<(TokenHint, NotRevoked)> {
    block_on(revoke(context, session))
        .unwrap_or_else(|error| vec![(TokenHint::RefreshToken, error.into())])
}
