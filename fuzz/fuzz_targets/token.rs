//! A reply of the token endpoint.
#![no_main]

use std::sync::LazyLock;

use dd_oauth::names::ClientId;
use dd_oauth::oauth::read_refresh_reply;
use dd_oauth::secret::RefreshToken;
use dd_oauth::site::Site;
use dd_oauth_fuzz::{check_message, reply, string_of};
use libfuzzer_sys::fuzz_target;

static CLIENT: LazyLock<ClientId> = LazyLock::new(|| ClientId::parse("client").unwrap());
static TOKEN: LazyLock<RefreshToken> =
    LazyLock::new(|| RefreshToken::parse("refresh".to_string()).unwrap());

fuzz_target!(|data: &[u8]| {
    let Some(reply) = reply(data) else { return };
    let (status, body) = (reply.status, reply.body.clone());
    match read_refresh_reply(&Site::parse("us1").unwrap(), &CLIENT, &TOKEN, reply) {
        Ok(grant) => {
            assert_eq!(status, 200, "nothing else is a grant");
            // A key that stands twice is refused, so there is but one value.
            let access = string_of(&body, "access_token");
            assert_eq!(access.as_deref(), Some(grant.access_token.expose()));
            let refresh = string_of(&body, "refresh_token");
            assert_eq!(refresh.as_deref(), grant.refresh_token.as_ref().map(RefreshToken::expose));
        }
        Err(error) if status == 200 => check_message(&body, &error),
        // Those show what the server said of its refusal.
        Err(error) => assert!(!error.to_string().contains(char::is_control)),
    }
});
