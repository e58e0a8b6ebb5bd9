//! Datadog's own names, in a network in which they lead to the judge: the region that a login comes
//! back from, vanity hosts, and organizations.
#![cfg(target_os = "linux")]

use serde_json::{Value, json};

use crate::support::home::Home;
use crate::support::network::leave_for_a_network_of;
use crate::support::peers::Peer;

const NAMES: [&str; 9] = [
    "app.datadoghq.com",
    "api.datadoghq.com",
    "app.datadoghq.eu",
    "api.datadoghq.eu",
    "app.us5.datadoghq.com",
    "api.us5.datadoghq.com",
    "acme.datadoghq.com",
    "evil.example.org",
    "api.evil.example.org",
];
const ACME: &str = "00000000-0000-4000-8000-00000000000a";
const OTHER: &str = "00000000-0000-4000-8000-00000000000b";

/// A machine on which the judge is all of Datadog.
struct Datadog {
    judge: Peer,
    home: Home,
    _directory: tempfile::TempDir,
}

impl Datadog {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        leave_for_a_network_of(&NAMES, directory.path());
        let judge = Peer::start_as(&NAMES, directory.path());
        let mut home = Home::at(&judge);
        home.set("DD_SITE", "");
        let datadog = Self { judge, home, _directory: directory };
        datadog.comes_back_from("datadoghq.com");
        datadog
    }

    /// Lets logins end at this region, as a person does who picks it on the login page.
    fn comes_back_from(&self, domain: &str) {
        self.comes_back(domain, "Acme Inc.", ACME);
    }

    fn comes_back(&self, domain: &str, org_name: &str, org_uuid: &str) {
        let web = format!("https://app.{domain}");
        self.judge.set(&json!({"callback": {"iss": web, "site": web, "domain": domain,
            "dd_org_name": org_name, "dd_oid": org_uuid}}));
    }

    /// The hosts that an endpoint was asked at, in order.
    fn hosts(&self, endpoint: &str) -> Vec<String> {
        let events = self.judge.log().into_iter().filter(|event| event.endpoint == endpoint);
        events.map(|event| event.host.unwrap()).collect()
    }
}

#[test]
fn the_code_goes_to_the_region_that_the_login_came_back_from() {
    let datadog = Datadog::new();
    let home = &datadog.home;
    datadog.comes_back_from("datadoghq.eu");
    let run = home.log_in();
    assert!(run.stderr.contains("the login went to EU1, not to US1"), "{run:?}");
    assert!(run.stderr.contains("logged in to EU1 (Acme Inc.)"), "{run:?}");
    assert_eq!(datadog.hosts("register"), ["api.datadoghq.com"]);
    assert_eq!(datadog.hosts("authorize"), ["app.datadoghq.com"]);
    assert_eq!(datadog.hosts("token"), ["api.datadoghq.eu"]);

    // A call that names no site finds it, and a refresh goes there too.
    let answer = home.run(&[], "get\n");
    assert_eq!(answer.value("site"), "datadoghq.eu");
    assert_eq!(answer.value("api_url"), "https://api.datadoghq.eu");
    home.make_stale();
    assert!(datadog.judge.accepts(&home.get()));
    assert_eq!(datadog.hosts("token"), ["api.datadoghq.eu"; 2]);
    let status = home.status();
    assert_eq!((&status["org_uuid"], &status["org_name"]), (&json!(ACME), &json!("Acme Inc.")));

    // One that names the other site is told where the login is, and opens no browser.
    let words = ["you are logged in to EU1 (Acme Inc.)", "US1", "set DD_SITE=datadoghq.eu"];
    let always = ("DD_OAUTH_INTERACTIVE", "always");
    home.run_with(always, &[], "get\nsite=us1\n").fails(3, &words);
    home.run_with(("DD_SITE", "datadoghq.com"), &["token"], "").fails(3, &words);
    home.run(&["status", "--site", "us1"], "").fails(3, &words);
    home.run(&["refresh", "--site", "us1"], "").fails(3, &words);
    assert_eq!(home.browsers_opened(), 1);
    // A site that nobody logged in to is still that.
    home.run(&[], "get\nsite=us5\n").fails(3, &["not logged in to US5"]);

    // A new login there has a registration of its own; one at the other site is possible.
    home.run(&["login", "--site", "eu1"], "");
    assert_eq!(datadog.hosts("register"), ["api.datadoghq.com", "api.datadoghq.eu"]);
    home.run(&[], "get\nsite=us1\n").fails(3, &words);
    datadog.comes_back_from("datadoghq.com");
    home.run(&["login", "--site", "us1"], "");
    assert_eq!(home.run(&[], "get\nsite=us1\n").value("site"), "datadoghq.com");
}

#[test]
fn a_get_that_logs_in_answers_only_for_the_site_that_it_named() {
    let datadog = Datadog::new();
    let home = &datadog.home;
    datadog.comes_back_from("datadoghq.eu");
    let always = ("DD_OAUTH_INTERACTIVE", "always");
    let run = home.run_with(always, &[], "get\nsite=us1\n");
    assert_eq!((run.code, run.stdout.as_str()), (Some(3), ""), "{run:?}");
    assert!(run.stderr.contains("set DD_SITE=datadoghq.eu"), "{run:?}");
    // The login is not lost by that.
    assert_eq!(home.run(&[], "get\n").value("site"), "datadoghq.eu");
    assert_eq!(home.run(&["logout"], "").code, Some(0));
    let run = home.run_with(always, &[], "get\n");
    assert_eq!(run.value("site"), "datadoghq.eu", "none was named");
    assert_eq!(home.browsers_opened(), 2);
}

#[test]
fn a_foreign_or_malformed_region_gets_no_code() {
    let datadog = Datadog::new();
    let home = &datadog.home;
    for region in [
        json!({"domain": "evil.example.org"}),
        json!({"domain": "evil.example.org", "site": "https://app.datadoghq.com"}),
        json!({"domain": "datadoghq.com.evil.example.org"}),
        json!({"domain": "acme.datadoghq.com"}),
        json!({"domain": "DATADOGHQ.EU"}),
        json!({"domain": "datadoghq.eu "}),
        json!({"domain": "https://datadoghq.eu"}),
        json!({"domain": ""}),
        json!({"domain": "<script>alert(1)</script>"}),
        json!({"site": "https://evil.example.org"}),
        json!({"site": "https://app.datadoghq.com@evil.example.org"}),
        json!({"site": "not a URL"}),
    ] {
        datadog.judge.set(&json!({"callback": region}));
        let run = home.run(&["login"], "");
        run.fails_after_prompt(6, &["not a Datadog site", "no code was sent there"]);
    }
    assert_eq!(datadog.hosts("token"), [""; 0]);
    home.run(&[], "get\n").fails(3, &["not logged in"]);
    // A region that is Datadog's, with an issuer that is another one's.
    datadog
        .judge
        .set(&json!({"callback": {"domain": "datadoghq.eu", "iss": "https://app.datadoghq.com"}}));
    home.run(&["login"], "").fails_after_prompt(6, &["issuer", "datadoghq.eu"]);
    assert_eq!(datadog.hosts("token"), [""; 0]);
}

#[test]
fn a_vanity_host_is_where_the_login_begins() {
    let datadog = Datadog::new();
    let home = &datadog.home;
    datadog.comes_back_from("us5.datadoghq.com");
    let login = home.run(&["login", "--site", "acme.datadoghq.com"], "");
    assert_eq!(login.code, Some(0), "{login:?}");
    assert_eq!(datadog.hosts("authorize"), ["acme.datadoghq.com"]);
    assert_eq!(datadog.hosts("token"), ["api.us5.datadoghq.com"]);
    for name in ["acme.datadoghq.com", "us5"] {
        let answer = home.run(&[], format!("get\nsite={name}\n"));
        assert_eq!(answer.value("api_url"), "https://api.us5.datadoghq.com", "{name}");
    }
}

#[test]
fn a_host_that_is_not_datadogs_needs_the_users_trust() {
    let datadog = Datadog::new();
    let home = &datadog.home;
    home.run(&["login", "--site", "evil.example.org"], "").fails(6, &["--trust-site"]);
    home.run_with(("DD_SITE", "evil.example.org"), &["login"], "").fails(6, &["--trust-site"]);
    assert_eq!((datadog.hosts("register"), home.browsers_opened()), (vec![], 0));
}

#[test]
fn the_organization_that_was_asked_for_is_the_one_that_is_logged_in_to() {
    let datadog = Datadog::new();
    let home = &datadog.home;
    let login = home.run(&["login", "--org-uuid", ACME], "");
    assert_eq!(login.code, Some(0), "{login:?}");
    let log = std::fs::read_to_string(home.path().join("browser.log")).unwrap();
    assert!(log.contains(&format!("dd_oid={ACME}")), "{log}");
    let wrong = home.run(&["login", "--org-uuid", OTHER], "");
    wrong.fails_after_prompt(3, &[OTHER, ACME, "Acme Inc.", "--org-uuid"]);
    assert_eq!(datadog.hosts("token").len(), 1, "the other's code was not used");
}

#[test]
fn another_organization_is_told_and_overwrites_nothing() {
    let datadog = Datadog::new();
    let home = &datadog.home;
    let labelled = home.run(&["login", "--org", "work"], "");
    assert!(labelled.stderr.contains("US1 (work), organization Acme Inc."), "{labelled:?}");
    let stored = home.stored();
    // The same label: the organization that it stands for is asked for, and insisted on.
    datadog.comes_back("datadoghq.com", "Other Inc.", OTHER);
    let other = home.run(&["login", "--org", "work"], "");
    other.fails_after_prompt(3, &["Other Inc.", OTHER, ACME]);
    assert_eq!(home.stored(), stored);
    // The same name without a label.
    assert_eq!(home.log_in().code, Some(0));
    datadog.comes_back("datadoghq.com", "Other Inc.", ACME);
    let twin = home.run(&["login"], "");
    twin.fails_after_prompt(3, &["US1 (Other Inc.)", OTHER, "is not overwritten", "--org"]);
    assert_eq!(home.run(&["list", "--json"], "").stdout.matches("expires_at").count(), 2);
    let sessions: Value = serde_json::from_str(&home.run(&["list", "--json"], "").stdout).unwrap();
    assert_eq!(sessions.as_array().unwrap().len(), 2);
}
