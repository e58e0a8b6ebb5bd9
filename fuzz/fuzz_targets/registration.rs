//! A reply of the registration endpoint.
#![no_main]

use dd_oauth::oauth::read_registration_reply;
use dd_oauth::site::Site;
use dd_oauth_fuzz::{reply, string_of};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(reply) = reply(data) else { return };
    match read_registration_reply(&Site::parse("us1").unwrap(), &reply) {
        Ok(client) => {
            assert!((200..300).contains(&reply.status));
            // A strict reader understands less, and nothing else.
            if let Some(named) = string_of(&reply.body, "client_id") {
                assert_eq!(named, client.as_str());
            }
            assert!(client.as_str().bytes().all(|byte| (0x20..=0x7e).contains(&byte)));
        }
        Err(error) => {
            let message = error.to_string();
            assert!(!message.contains(char::is_control) && message.len() < 2000, "{message:?}");
        }
    }
});
