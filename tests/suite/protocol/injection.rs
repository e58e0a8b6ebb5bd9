//! Requests that mean one thing to who wrote them and another to who reads them. Each published
//! hole of this class has a test with its own shape of input.

use crate::support::home::Home;
use crate::support::process::Run;

/// A home with a session at EU1, whose token must not get out.
fn home_with_session() -> Home {
    let home = Home::new();
    home.run(&["store"], "site=eu1\naccess_token=canary-a1\nexpires_in=3600\n").succeeds_quietly();
    home
}

/// Insists that a request of git costs no token, and reports it in one clean line if at all.
#[track_caller]
fn gives_git_nothing(home: &Home, request: &[u8]) -> Run {
    let run = home.run(&["--protocol", "git", "get"], request);
    assert_eq!(run.stdout, "", "{run:?}");
    assert!(!run.stderr.trim_end().contains(char::is_control), "{run:?}");
    assert!(!run.stderr.contains("canary"), "{run:?}");
    run
}

#[test]
fn cve_2020_5260_a_line_end_in_a_url_adds_a_second_host() {
    // https://evil.test?%0ahost=api.datadoghq.eu, as git of that time decoded it.
    let home = home_with_session();
    let request = b"protocol=https\nhost=evil.test?\nhost=api.datadoghq.eu\n";
    gives_git_nothing(&home, request).fails(2, &["line 3", "repeats", "host"]);
    // It would have been no better the other way round.
    let request = b"protocol=https\nhost=api.datadoghq.eu\nhost=evil.test\n";
    gives_git_nothing(&home, request).fails(2, &["line 3", "repeats", "host"]);
}

#[test]
fn cve_2020_11008_a_blank_pattern_matches_nobody() {
    // https:///evil.test, and a URL without a scheme.
    let home = home_with_session();
    for request in [
        "protocol=https\nhost=\npath=evil.test\n",
        "protocol=https\npath=evil.test\n",
        "protocol=\nhost=api.datadoghq.eu\n",
        "host=api.datadoghq.eu\n",
        "path=evil.test\n",
        "",
    ] {
        gives_git_nothing(&home, request.as_bytes()).fails(2, &["get", "lacks"]);
    }
    let docker = home.run(&["--protocol", "docker", "get"], " \n");
    assert_eq!((docker.code, docker.stdout.as_str()), (Some(1), "no credentials server URL\n"));
}

#[test]
fn cve_2024_50349_an_escape_sequence_in_a_host_is_neither_obeyed_nor_decoded() {
    // A host that shows itself to a terminal as another one.
    let home = home_with_session();
    let request = b"protocol=https\nhost=api.datadoghq.eu\x1b[8m.evil.test\n";
    gives_git_nothing(&home, request).fails(2, &["line 2", "control character"]);
    let request = b"protocol=https\nhost=api.datadoghq.eu%1b[8m.evil.test\n";
    assert_eq!(gives_git_nothing(&home, request).code, Some(0), "it is left to the next helper");
    let request = b"protocol=https\nhost=api.datadoghq.eu\nusername=\x1b[2Kcanary\n";
    gives_git_nothing(&home, request).fails(2, &["line 3", "control character"]);
}

#[test]
fn cve_2024_52006_a_carriage_return_in_a_host_ends_no_line() {
    // https://evil.test%0dhost=api.datadoghq.eu
    let home = home_with_session();
    let request = b"protocol=https\nhost=evil.test\rhost=api.datadoghq.eu\n";
    gives_git_nothing(&home, request).fails(2, &["line 2", "carriage return"]);
    // Whoever sends this means a host that ends in a carriage return.
    let request = b"protocol=https\nhost=api.datadoghq.eu\r\n";
    gives_git_nothing(&home, request).fails(2, &["line 2", "carriage return"]);
}

#[test]
fn cve_2024_50338_a_carriage_return_in_any_other_value_ends_no_line() {
    // https://user%0dhost=api.datadoghq.eu%0d@evil.test, and the same in a path.
    let home = home_with_session();
    for request in [
        &b"protocol=https\nusername=user\rhost=api.datadoghq.eu\r\nhost=evil.test\n"[..],
        b"protocol=https\npath=x\rhost=api.datadoghq.eu\nhost=evil.test\n",
        b"protocol=https\rhost=api.datadoghq.eu\r",
    ] {
        gives_git_nothing(&home, request).fails(2, &["carriage return"]);
    }
}

#[test]
fn cve_2026_82249_a_url_beside_its_parts_is_not_read_and_its_line_ends_not_decoded() {
    // A context that is written with its url, in which a carriage return survived.
    let home = home_with_session();
    let request = b"url=https://evil.test\rhost=api.datadoghq.eu\nprotocol=https\n";
    gives_git_nothing(&home, request).fails(2, &["line 1", "carriage return"]);
    for url in ["https://evil.test", "https://evil.test%0d%0ahost=api.datadoghq.eu", ""] {
        let request = format!("protocol=https\nhost=api.datadoghq.eu\nurl={url}\n");
        gives_git_nothing(&home, request.as_bytes()).fails(2, &["url"]);
    }
    // A key is no better a place for it.
    let request = b"x\rhost=api.datadoghq.eu\rx=1\nprotocol=https\nhost=evil.test\n";
    gives_git_nothing(&home, request).fails(2, &["line 1", "carriage return"]);
}

#[test]
fn what_no_line_can_hold_is_refused_in_every_line_of_git() {
    let home = home_with_session();
    let long = format!("path={}\n", "x".repeat(64 * 1024));
    for (line, words) in [
        (&b"path=a\0b\n"[..], ["line 3", "NUL"]),
        (b"path=\xff\n", ["line 3", "UTF-8"]),
        ("path=\u{85}\n".as_bytes(), ["line 3", "control character"]),
        (long.as_bytes(), ["line 3", "65536"]),
        (b"path\n", ["line 3", "key=value"]),
        (b"username=a\nusername=b\n", ["line 4", "username"]),
    ] {
        let request = [&b"protocol=https\nhost=api.datadoghq.eu\n"[..], line].concat();
        gives_git_nothing(&home, &request).fails(2, &words);
    }
}

#[test]
fn json_that_can_be_read_in_two_ways_or_never_ends_is_refused() {
    let home = home_with_session();
    let good = r#""uri":"https://api.datadoghq.eu""#;
    let nested = format!(r#"{{"uri":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    for bad in [
        format!(r#"{{"uri":"https://evil.test",{good}}}"#),
        format!(r#"{{{good},"uri":"https://evil.test"}}"#),
        format!(r#"{{{good},"\u0075ri":"https://evil.test"}}"#),
        r#"{"uri":"https://api.datadoghq.eu\r\n.evil.test"}"#.into(),
        r#"{"uri":"https://api.datadoghq.eu\u0000.evil.test"}"#.into(),
        r#"{"uri":"https://api.datadoghq.eu/\u001b[2J"}"#.into(),
        r#"{"uri":"https://api.datadoghq.eu@evil.test"}"#.into(),
        r#"{"uri":"https://api.datadoghq.eu\\@evil.test"}"#.into(),
        r#"{"uri":"https://\uff41pi.datadoghq.eu"}"#.into(),
        r#"{"uri":"https://api.datadoghq.eu/\udead"}"#.into(),
        r#"{"uri":1e999999}"#.into(),
        format!("{{{good}}}{{{good}}}"),
        format!("[{{{good}}}]"),
        nested,
        format!("{{{good},\"x\":\"{}\"}}", "x".repeat(256 * 1024)),
        format!("{{{good}"),
    ] {
        home.run(&["--protocol", "bazel", "get"], &bad).fails(2, &[]);
    }
    let not_utf8 = b"{\"uri\":\"https://api.datadoghq.eu/\xff\"}";
    home.run(&["--protocol", "bazel", "get"], not_utf8).fails(2, &[]);
    // Under a key that nobody reads, none of this matters.
    let nested = format!("{}1e999999{}", "[".repeat(1000), "]".repeat(1000));
    let request = format!(r#"{{"x":{nested},{good},"x":0}}"#);
    home.run(&["--protocol", "bazel", "get"], &request).succeeds_quietly();
}

#[test]
fn a_server_of_docker_is_one_line_of_text() {
    let home = home_with_session();
    for bad in [
        &b"https://evil.test\nhttps://api.datadoghq.eu"[..],
        b"https://evil.test\rapi.datadoghq.eu",
        b"api.datadoghq.eu\0",
        b"api.datadoghq.eu\x1b[8m",
        b"api.datadoghq.eu\xff",
        &vec![b'x'; 300_000],
        b"https://api.datadoghq.eu@evil.test/",
        b"https://evil.test/https://api.datadoghq.eu",
    ] {
        let run = home.run(&["--protocol", "docker", "get"], bad);
        assert_eq!((run.code, run.stderr.as_str()), (Some(1), ""), "{run:?}");
        assert!(!run.stdout.contains("Secret"), "{run:?}");
        assert!(!run.stdout.trim_end().contains(char::is_control), "{run:?}");
    }
}

#[test]
fn what_a_server_or_a_person_named_cannot_add_a_line_to_an_answer() {
    let home = Home::new();
    for org in ["a\nsite=evil.test", "a\rsite=evil.test", "a\0b", "a\u{85}b"] {
        // No argument can hold a NUL.
        if !org.contains('\0') {
            home.run(&["store", "--org", org], "access_token=canary-a1\n").fails(2, &[]);
        }
        home.run(&["store"], format!("org={org}\naccess_token=a\rb\n")).fails(2, &[]);
    }
}
