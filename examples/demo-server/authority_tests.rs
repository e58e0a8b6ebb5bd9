use super::*;

const POLICY: Policy =
    Policy { access_ttl: Duration::from_mins(1), rotate: true, grant_repetition: false };
const REPEATING: Policy = Policy { grant_repetition: true, ..POLICY };
const REDIRECT_URI: &str = "http://127.0.0.1:8000/oauth/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// The challenge of [`VERIFIER`], from appendix B of RFC 7636.
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// An authority with one client.
fn authority() -> (Authority, String) {
    let mut authority = Authority::default();
    let client_id = add_client(&mut authority);
    (authority, client_id)
}

fn add_client(authority: &mut Authority) -> String {
    authority
        .register(Client { name: "test".to_owned(), redirect_uris: vec![REDIRECT_URI.to_owned()] })
}

fn code(authority: &mut Authority, client_id: &str, now: Instant) -> String {
    let authorization = Authorization {
        client_id: client_id.to_owned(),
        redirect_uri: REDIRECT_URI.to_owned(),
        scope: "metrics_read".to_owned(),
        state: None,
        challenge: CHALLENGE.to_owned(),
    };
    authority.grant(authorization, now)
}

fn exchange<'a>(client_id: &'a str, code: &'a str) -> Exchange<'a> {
    Exchange { client_id, code, redirect_uri: REDIRECT_URI, verifier: VERIFIER }
}

fn log_in(authority: &mut Authority, client_id: &str, now: Instant) -> Issued {
    let code = code(authority, client_id, now);
    authority.exchange(&exchange(client_id, &code), POLICY, now).expect("the exchange is granted")
}

fn refresh_token(issued: &Issued) -> &str {
    issued.refresh_token.as_deref().expect("a refresh token")
}

fn is_invalid<T>(result: &Result<T, Refusal>) -> bool {
    matches!(result, Err(Refusal::Invalid { reused: false, .. }))
}

/// The family that this refusal says was ended.
fn ended_family<T>(result: Result<T, Refusal>) -> Option<String> {
    match result {
        Err(Refusal::Invalid { reused: true, family, .. }) => family,
        _ => None,
    }
}

#[test]
fn a_code_is_good_once() {
    let (mut authority, client) = authority();
    let now = Instant::now();
    let code = code(&mut authority, &client, now);
    let request = exchange(&client, &code);
    assert!(authority.exchange(&request, POLICY, now).is_ok());
    assert!(is_invalid(&authority.exchange(&request, POLICY, now)));
}

#[test]
fn a_code_expires() {
    let (mut authority, client) = authority();
    let now = Instant::now();
    let code = code(&mut authority, &client, now);
    let request = exchange(&client, &code);
    assert!(is_invalid(&authority.exchange(&request, POLICY, now + CODE_LIFETIME)));
}

#[test]
fn an_exchange_must_fit_its_authorization() {
    let (mut authority, client) = authority();
    let other = add_client(&mut authority);
    let now = Instant::now();
    let spoil: [fn(&mut Exchange); 2] = [
        |request| request.redirect_uri = "http://127.0.0.1:8080/oauth/callback",
        |request| request.verifier = CHALLENGE,
    ];
    for spoil in spoil {
        let code = code(&mut authority, &client, now);
        let mut request = exchange(&client, &code);
        spoil(&mut request);
        assert!(is_invalid(&authority.exchange(&request, POLICY, now)));
    }
    let code = code(&mut authority, &client, now);
    assert!(is_invalid(&authority.exchange(&exchange(&other, &code), POLICY, now)));
}

#[test]
fn an_unknown_client_is_told_so() {
    let (mut authority, client) = authority();
    let now = Instant::now();
    let issued = log_in(&mut authority, &client, now);
    let token = refresh_token(&issued);
    assert_eq!(
        authority.refresh("nobody", token, POLICY, now).unwrap_err(),
        Refusal::UnknownClient
    );
    assert_eq!(authority.revoke("nobody", token).unwrap_err(), Refusal::UnknownClient);
}

#[test]
fn a_refresh_rotates_and_keeps_scope_and_family() {
    let (mut authority, client) = authority();
    let now = Instant::now();
    let first = log_in(&mut authority, &client, now);
    let second = authority.refresh(&client, refresh_token(&first), POLICY, now).unwrap();
    assert_ne!(refresh_token(&first), refresh_token(&second));
    assert_ne!(first.access_token, second.access_token);
    assert_eq!(first.scope, second.scope);
    assert_eq!(first.family, second.family);
}

#[test]
fn reuse_ends_the_family_and_no_other() {
    let (mut authority, client) = authority();
    let now = Instant::now();
    let first = log_in(&mut authority, &client, now);
    let neighbour = log_in(&mut authority, &client, now);
    let second = authority.refresh(&client, refresh_token(&first), POLICY, now).unwrap();

    let result = authority.refresh(&client, refresh_token(&first), POLICY, now);
    assert_eq!(ended_family(result).as_ref(), Some(&first.family));

    assert!(!authority.is_active(&first.access_token, now));
    assert!(!authority.is_active(&second.access_token, now));
    for spent in [&first, &second] {
        let result = authority.refresh(&client, refresh_token(spent), POLICY, now);
        assert!(is_invalid(&result));
    }
    assert!(authority.is_active(&neighbour.access_token, now));
}

#[test]
fn another_client_cannot_use_or_end_a_family() {
    let (mut authority, client) = authority();
    let other = add_client(&mut authority);
    let now = Instant::now();
    let issued = log_in(&mut authority, &client, now);
    let token = refresh_token(&issued);
    assert!(is_invalid(&authority.refresh(&other, token, POLICY, now)));
    assert!(is_invalid(&authority.revoke(&other, token)));
    assert!(authority.refresh(&client, token, POLICY, now).is_ok());
}

#[test]
fn a_repetition_gets_the_same_refresh_token() {
    let (mut authority, client) = authority();
    let now = Instant::now();
    let first = log_in(&mut authority, &client, now);
    let second = authority.refresh(&client, refresh_token(&first), REPEATING, now).unwrap();
    let again = authority.refresh(&client, refresh_token(&first), REPEATING, now).unwrap();
    assert!(again.repeated);
    assert_eq!(refresh_token(&again), refresh_token(&second));
    assert_ne!(again.access_token, second.access_token);
}

#[test]
fn a_repetition_ends_when_the_successor_is_used() {
    let (mut authority, client) = authority();
    let now = Instant::now();
    let first = log_in(&mut authority, &client, now);
    let second = authority.refresh(&client, refresh_token(&first), REPEATING, now).unwrap();
    let once = Policy { rotate: false, ..REPEATING };
    authority.refresh(&client, refresh_token(&second), once, now).unwrap();
    let result = authority.refresh(&client, refresh_token(&first), REPEATING, now);
    assert_eq!(ended_family(result), Some(first.family));
}

#[test]
fn without_rotation_the_token_stays_good() {
    let (mut authority, client) = authority();
    let now = Instant::now();
    let policy = Policy { rotate: false, ..POLICY };
    let first = log_in(&mut authority, &client, now);
    for _ in 0..3 {
        let issued = authority.refresh(&client, refresh_token(&first), policy, now).unwrap();
        assert_eq!(issued.refresh_token, None);
        assert!(authority.is_active(&issued.access_token, now));
    }
}

#[test]
fn access_tokens_expire() {
    let (mut authority, client) = authority();
    let now = Instant::now();
    let issued = log_in(&mut authority, &client, now);
    let almost = now + POLICY.access_ttl.saturating_sub(Duration::from_millis(1));
    assert!(authority.is_active(&issued.access_token, almost));
    assert!(!authority.is_active(&issued.access_token, now + POLICY.access_ttl));
}

#[test]
fn revoking_an_access_token_leaves_the_family() {
    let (mut authority, client) = authority();
    let now = Instant::now();
    let issued = log_in(&mut authority, &client, now);
    let family = authority.revoke(&client, &issued.access_token).unwrap();
    assert_eq!(family.as_deref(), Some(issued.family.as_str()));
    assert!(!authority.is_active(&issued.access_token, now));
    let token = refresh_token(&issued);
    assert!(authority.refresh(&client, token, POLICY, now).is_ok());
}

#[test]
fn revoking_a_refresh_token_ends_the_family() {
    let (mut authority, client) = authority();
    let now = Instant::now();
    let issued = log_in(&mut authority, &client, now);
    let token = refresh_token(&issued);
    authority.revoke(&client, token).unwrap();
    assert!(!authority.is_active(&issued.access_token, now));
    assert!(is_invalid(&authority.refresh(&client, token, POLICY, now)));
    assert_eq!(authority.revoke(&client, "never issued"), Ok(None));
}
