//! A request of bazel.
#![no_main]

use dd_oauth::protocol::bazel;
use dd_oauth::site::SiteName;
use dd_oauth_fuzz::{check_address, check_message, string_of};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| match bazel::parse(data) {
    Err(error) => check_message(data, &error),
    Ok(request) => {
        let Some(SiteName::Site(site)) = request.target.site else {
            panic!("it names a site: {:?}", request.target)
        };
        check_address(&string_of(data, "uri").unwrap(), &site);
        assert!(request.min_ttl.is_none() && request.target.org.is_none());
    }
});
