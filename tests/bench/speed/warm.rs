//! A `get` of a fresh token, beside the least that a program can be and beside other helpers.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Programs;
use crate::pairs::{Row, in_turn, time};
use crate::support::home::Home;
use crate::support::keyring::{Keyring, drop_from_kernel, in_kernel, installation_id};

/// A token that outlives the measurement by far.
pub const SESSION: &str = "site=datadoghq.eu\naccess_token=an-access-token-of-a-usual-length-\
    0000000000000000000000000000\nexpires_in=31536000\nrefresh_token=refresh\nclient_id=client\n";
/// A secret of the size of ours, as docker's helper takes and gives it.
const DOCKER_SECRET: &str = r#"{"ServerURL":"https://example.com","Username":"user","Secret":"an-access-token-of-a-usual-length"}"#;
const ROUNDS: usize = 300;
/// Of what takes ten times as long.
const ROUNDS_OF_OTHERS: usize = 100;

pub fn rows(programs: &Programs) -> Vec<Row> {
    let file = with_key_file(programs);
    let (mut keychain, _keyring) = with_keychain(programs);
    let id = installation_id(&keychain);
    assert!(in_kernel(&keychain, &id).is_some(), "the kernel has the key");

    let get = written(&file, "get", "get\n");
    let mut ours = get_of(&file);
    let mut cached = get_of(&keychain);
    let installation = file.path().join(".local/state/dd-oauth/installation");
    let mut floor = Command::new(programs.floor());
    floor.arg(installation).env_clear();
    let mut nothing = Command::new("/bin/true");
    nothing.env_clear();
    let [of_file, of_kernel, of_floor, of_nothing] = in_turn(
        ROUNDS,
        [
            &mut || time(&mut ours, &get),
            &mut || time(&mut cached, &get),
            &mut || time(&mut floor, &get),
            &mut || time(&mut nothing, &get),
        ],
    );

    let url = written(&file, "url", "https://example.com\n");
    let secret = written(&file, "secret", DOCKER_SECRET);
    keychain.set("PATH", &std::env::var("PATH").unwrap());
    let mut docker = keychain.any_program(Path::new("docker-credential-secretservice"), &["store"]);
    time(&mut docker, &secret);
    let mut docker = keychain.any_program(Path::new("docker-credential-secretservice"), &["get"]);
    let lookup = ["lookup", "service", "dd-oauth", "username", &id];
    let mut lookup = keychain.any_program(Path::new("secret-tool"), &lookup);
    let [beside_lookup, of_lookup, beside_docker, of_docker] = in_turn(
        ROUNDS_OF_OTHERS,
        [
            &mut || time(&mut cached, &get),
            &mut || time(&mut lookup, &get),
            &mut || time(&mut ours, &get),
            &mut || time(&mut docker, &url),
        ],
    );
    drop_from_kernel(&keychain, &id);
    let floor = "reads a file, prints a line";
    vec![
        Row::of("warm `get`, key file", &of_file, floor, &of_floor, "≤ 1.5"),
        Row::of("warm `get`, key cached by the kernel", &of_kernel, floor, &of_floor, "≤ 1.7"),
        Row::of("warm `get`", &of_file, "`/bin/true`", &of_nothing, "≤ 1.5"),
        Row::of("warm `get`", &beside_lookup, "`secret-tool lookup`", &of_lookup, "≤ 0.1"),
        Row::of(
            "warm `get`",
            &beside_docker,
            "`docker-credential-secretservice get`",
            &of_docker,
            "≤ 0.1",
        ),
    ]
}

/// A home with a session and a key file.
pub fn with_key_file(programs: &Programs) -> Home {
    let mut home = programs.home();
    home.run(&["store"], SESSION).succeeds_quietly();
    home.set("DD_SITE", "datadoghq.eu");
    home
}

/// A home with a session whose key is in a real keychain, and in the kernel.
fn with_keychain(programs: &Programs) -> (Home, Keyring) {
    let mut home = programs.home();
    let keyring = Keyring::start(&mut home);
    home.set("DD_OAUTH_KERNEL_KEYRING", "1h");
    home.run(&["store"], SESSION).succeeds_quietly();
    home.set("DD_SITE", "datadoghq.eu");
    (home, keyring)
}

/// A `get` as other programs call it, with the request on standard input.
fn get_of(home: &Home) -> Command {
    assert!(home.get().starts_with("an-access-token"));
    home.program(&[])
}

/// A file in `home`.
fn written(home: &Home, name: &str, text: &str) -> PathBuf {
    let path = home.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}
