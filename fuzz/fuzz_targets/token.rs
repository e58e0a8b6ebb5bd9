//! A reply of the token endpoint.
#![no_main]

use std::sync::LazyLock;

use dd_oauth::http_client::Reply;
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
    tokens_come_out_of(data);
    let Some(reply) = reply(data) else { return };
    let (status, body) = (reply.status, reply.body.clone());
    match read_refresh_reply(&Site::parse("us1").unwrap(), &CLIENT, &TOKEN, reply) {
        Ok(grant) => {
            assert!((200..300).contains(&status), "nothing else is a grant");
            // A strict reader understands less, and nothing else.
            if let Some(access) = string_of(&body, "access_token") {
                assert_eq!(access.trim(), grant.access_token.expose());
            }
            if let Some(refresh_token) = &grant.refresh_token
                && let Some(refresh) = string_of(&body, "refresh_token")
            {
                assert_eq!(refresh.trim(), refresh_token.expose());
            }
        }
        Err(error) if status == 200 => check_message(&body, &error),
        // Those show what the server said of its refusal.
        Err(error) => assert!(!error.to_string().contains(char::is_control)),
    }
});

/// Whatever decorates a whole grant, its tokens come out.
fn tokens_come_out_of(noise: &[u8]) {
    let odd = noise.first().copied().unwrap_or_default();
    let text = serde_json::to_string(&String::from_utf8_lossy(noise)).unwrap();
    let before = ["", "\u{feff}", " \r\n", ")]}'\n"][usize::from(odd % 4)];
    let body = format!(
        "{before}{{\"noise\":{{\"access_token\":{text}}},\"access_token\":\"a\",\"scope\":{text},\
         \"expires_in\":{text},\"refresh_token\":\"r\",\"more\":[{text},NaN]}}"
    );
    let body = [body.as_bytes(), noise].concat().into();
    let status = 200 + u16::from(odd % 100);
    let reply = Reply { status, retry_after: None, date: None, body };
    let grant = read_refresh_reply(&Site::parse("us1").unwrap(), &CLIENT, &TOKEN, reply).unwrap();
    assert_eq!(grant.access_token.expose(), "a");
    assert_eq!(grant.refresh_token.as_ref().map(RefreshToken::expose), Some("r"));
}
