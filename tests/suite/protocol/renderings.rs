//! What a dialect writes, its own reader and others' read back as it was; and no bytes whatever make
//! a reader panic.

use std::process::{Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use dd_oauth::clock::Timestamp;
use dd_oauth::names::OrgLabel;
use dd_oauth::protocol::format::{self, Format};
use dd_oauth::protocol::{
    Answer, Erasure, Expiry, Operation, Request, Target, Version, bazel, docker, git, native,
};
use dd_oauth::secret::AccessToken;
use dd_oauth::site::{REGIONS, Site, SiteName};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

use crate::support::peers::source;
use crate::support::process::start;

/// The last second of the year 9999, after which RFC 3339 has no form.
const YEAR_9999: i64 = 253_402_300_799;

fn sites() -> impl Strategy<Value = Site> {
    let datadog = (0..REGIONS.len()).prop_map(|region| Site::Datadog(&REGIONS[region]));
    let loopback = (1..u16::MAX).prop_map(|port| format!("http://127.0.0.1:{port}"));
    prop_oneof![datadog, loopback.prop_map(|origin| Site::parse(&origin).unwrap())]
}

prop_compose! {
    fn answers()(
        token in "[!-~]{1,300}",
        expires in 0..=YEAR_9999,
        site in sites(),
        org in proptest::option::of("\\PC{1,40}"),
    ) -> Answer {
        Answer {
            access_token: AccessToken::parse(token).unwrap(),
            expires: Some(Timestamp::from_seconds(expires)),
            site,
            org: org.and_then(|org| OrgLabel::parse(&org)),
        }
    }
}

/// A good request, with lines among it such as callers send, and such as they should not.
fn hostile_lines() -> impl Strategy<Value = Vec<u8>> {
    const KEYS: [&str; 8] =
        ["protocol", "host", "url", "password", "access_token", "capability[]", "site", ""];
    const VALUES: [&str; 9] = [
        "https",
        "api.datadoghq.eu",
        "evil.test",
        "api.datadoghq.eu\r",
        "evil.test\rhost=api.datadoghq.eu",
        "\0",
        "\x1b[8m",
        "",
        "authtype",
    ];
    const ENDS: [&str; 3] = ["\n", "\r\n", ""];
    let line = (select(&KEYS[..]), select(&VALUES[..]), select(&ENDS[..]))
        .prop_map(|(key, value, end)| format!("{key}={value}{end}"));
    let good = ["protocol=https\n".to_string(), "host=api.datadoghq.eu\n".to_string()];
    proptest::collection::vec(line, 0..3)
        .prop_map(move |lines| [&good[..], &lines].concat())
        .prop_shuffle()
        .prop_map(|lines| lines.concat().into_bytes())
}

/// The lines of a text as their keys and values.
fn pairs(text: &str) -> Vec<(&str, &str)> {
    text.lines().map(|line| line.split_once('=').unwrap()).collect()
}

proptest! {
    #[test]
    fn a_native_answer_can_be_stored_as_it_is(answer in answers()) {
        let text = native::render(&answer, Some(Version::V1));
        let Ok(Request::Store(stored)) = native::parse(text.as_bytes(), Some(Operation::Store))
        else { panic!("{text}") };
        prop_assert!(stored.access_token.matches(&answer.access_token));
        prop_assert_eq!(stored.expiry, answer.expires.map_or(Expiry::Unknown, Expiry::At));
        let site = Some(SiteName::Site(answer.site.clone()));
        prop_assert_eq!(stored.target, Target { site, org: answer.org });
    }

    #[test]
    fn the_forms_for_scripts_say_what_the_native_one_says(answer in answers()) {
        let token = answer.access_token.expose();
        let native = format::render(&answer, Format::Native, None);
        let json = format::render(&answer, Format::Json, None);
        let object: serde_json::Map<_, _> = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(object.len(), pairs(&native).len());
        for (key, value) in pairs(&native) {
            prop_assert_eq!(&object[key], &Value::from(value));
        }
        prop_assert_eq!(format::render(&answer, Format::Token, None), format!("{token}\n"));
        let header = format!("{}\n", format::render(&answer, Format::Header, None));
        let mut headers = [httparse::EMPTY_HEADER; 2];
        let (_, parsed) = httparse::parse_headers(header.as_bytes(), &mut headers).unwrap().unwrap();
        prop_assert_eq!(parsed.len(), 1);
        prop_assert_eq!(parsed[0].name, "Authorization");
        let bearer = format!("Bearer {token}");
        prop_assert_eq!(parsed[0].value, bearer.as_bytes());
    }

    #[test]
    fn what_git_is_told_it_can_hand_back(answer in answers(), bearer: bool, name in "[!-~]{1,20}") {
        let form = if bearer { git::Form::Bearer } else {
            git::Form::Password { username: Some(name) }
        };
        let api_url = answer.site.api_url();
        let (protocol, host) = api_url.split_once("://").unwrap();
        let told = git::render(&answer, &form);
        let back = format!("protocol={protocol}\nhost={host}\n{told}");
        let request = git::parse(back.as_bytes(), git::Operation::Erase).unwrap().unwrap();
        prop_assert_eq!(&request.site, &answer.site);
        prop_assert_eq!(&request.form, &form);
        let Some(Erasure::AccessToken(rejected)) = request.erase().map(|erase| erase.what)
        else { panic!("{told}") };
        prop_assert!(rejected.matches(&answer.access_token));
    }

    #[test]
    fn what_docker_is_told_it_can_hand_back(answer in answers()) {
        let server = docker::parse_server(answer.site.api_url().as_bytes()).unwrap();
        let told = docker::render(&answer, &server);
        prop_assert_eq!(docker::check_store(told.as_bytes()), Ok(()));
        let credentials: Value = serde_json::from_str(&told).unwrap();
        prop_assert_eq!(&credentials["Secret"], answer.access_token.expose());
        let again = docker::parse_server(credentials["ServerURL"].as_str().unwrap().as_bytes());
        prop_assert_eq!(again.unwrap().site.unwrap(), answer.site);
    }

    #[test]
    fn bazel_reads_the_token_and_the_second(answer in answers()) {
        let told: Value = serde_json::from_str(&bazel::render(&answer)).unwrap();
        let header = format!("Bearer {}", answer.access_token.expose());
        prop_assert_eq!(&told["headers"]["Authorization"], &Value::from(vec![header]));
        let expires = humantime::parse_rfc3339(told["expires"].as_str().unwrap()).unwrap();
        let seconds = u64::try_from(answer.expires.unwrap().seconds()).unwrap();
        prop_assert_eq!(expires, UNIX_EPOCH + Duration::from_secs(seconds));
        let request = bazel::parse(format!(r#"{{"uri":"{}/x"}}"#, answer.site.api_url()).as_bytes());
        let site = answer.site.clone();
        prop_assert_eq!(request.unwrap().target, Target::at(site));
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes: Vec<u8>) {
        let _ = native::parse(&bytes, Some(Operation::Store));
        let _ = git::parse(&bytes, git::Operation::Get);
        let _ = docker::parse_server(&bytes);
        let _ = docker::check_store(&bytes);
        let _ = bazel::parse(&bytes);
    }

    #[test]
    fn a_site_is_found_only_where_one_host_is_named_and_no_line_is_hidden(
        bytes in hostile_lines()
    ) {
        if let Ok(Some(request)) = git::parse(&bytes, git::Operation::Get) {
            let text = String::from_utf8(bytes.clone()).unwrap();
            prop_assert!(!text.contains(['\r', '\0', '\x1b']));
            let hosts: Vec<_> = pairs(&text).into_iter().filter(|(key, _)| *key == "host").collect();
            prop_assert_eq!(hosts, [("host", "api.datadoghq.eu")]);
            prop_assert_eq!(request.site.to_string(), "datadoghq.eu");
        }
        let _ = native::parse(&bytes, Some(Operation::Get));
    }
}

/// Insists that a text conforms to one of the schemas of bazel's specification.
fn conforms(text: &str, schema: &str) {
    let schema = source("tests/peers/schemas").join(schema);
    let mut checker = Command::new("node");
    checker.arg(source("tests/peers/schema.mjs")).arg(schema).stdin(Stdio::piped());
    assert!(start(checker, text.as_bytes()).wait().success(), "{text}");
}

#[test]
fn bazels_request_and_answer_conform_to_their_schemas() {
    let request = r#"{"uri":"https://api.datadoghq.eu/x","surprise":1}"#;
    conforms(request, "get-credentials-request.schema.json");
    assert!(bazel::parse(request.as_bytes()).is_ok());
    let answer = Answer {
        access_token: AccessToken::parse("token".to_string()).unwrap(),
        expires: Some(Timestamp::from_seconds(1_800_000_000)),
        site: Site::parse("datadoghq.eu").unwrap(),
        org: None,
    };
    conforms(&bazel::render(&answer), "get-credentials-response.schema.json");
}
