//! The copy of the sealing key in the kernel's keyring of the user, beside others who use that,
//! within the quota of an ordinary user, and where the kernel refuses.
#![cfg(target_os = "linux")]

use std::path::Path;

use crate::support::deadline::eventually;
use crate::support::home::Home;
use crate::support::keyring::{Keyring, drop_from_kernel, in_kernel, installation_id};
use crate::support::process::{finish, start};

const SESSION: &str = "site=eu1\naccess_token=kept\nexpires_in=3600\n";

/// A session of an ordinary user whose key is in the keychain. Each test takes another user: what
/// one of them puts into the kernel counts for the quota of all tests of that user.
fn home_of(user: &str) -> (Home, Keyring) {
    let mut home = Home::new().of_ordinary_user(user);
    let keyring = Keyring::start(&mut home);
    home.set("DD_OAUTH_KERNEL_KEYRING", "10m");
    (home, keyring)
}

#[test]
fn the_key_is_there_for_its_user_alone_and_for_a_limited_time() {
    let (home, _keyring) = home_of("daemon");
    home.run(&["store"], SESSION).succeeds_quietly();
    let id = installation_id(&home);
    let found = in_kernel(&home, &id).expect("keyctl finds it");
    let permissions = u32::from_str_radix(&found[3], 16).unwrap();
    assert_eq!(permissions & 0xffff, 0, "nothing for the group and for others: {found:?}");
    assert_ne!(permissions & 0x0002_0000, 0, "the user may read it: {found:?}");
    let table = home.run_program_freely("cat", &["/proc/keys"], "").stdout;
    let line = table.lines().find(|line| line.contains(&id)).unwrap();
    // Minutes are left of the ten.
    assert!(line.contains("m ") && !line.contains("perm"), "{line}");
    drop_from_kernel(&home, &id);
    assert_eq!(home.get(), "kept");
}

#[test]
fn another_session_keyring_finds_it_all_the_same() {
    let (home, keyring) = home_of("bin");
    home.run(&["store"], SESSION).succeeds_quietly();
    keyring.lock(&home);
    // As in a container, or over ssh without PAM: the user's keyring is not linked to this one.
    let program = home.program(&[]);
    let arguments = ["session", "-", program.get_program().to_str().unwrap(), "get"];
    let isolated = home.run_program_freely("keyctl", &arguments, "");
    assert_eq!(isolated.value("access_token"), "kept");
    drop_from_kernel(&home, &installation_id(&home));
}

#[test]
fn a_full_quota_costs_the_copy_and_nothing_else() {
    let (home, _keyring) = home_of("games");
    // The kernel frees keys some time after their last use: only a quota that refuses for a while is
    // full, and is still filled again where a slot became free all the same.
    let fill = "i=0; refused=0
        while [ $refused -lt 25 ] && [ $i -lt 300 ]; do
            if keyctl add user $1:$i x @u; then i=$((i+1)) refused=0
            else refused=$((refused+1)); sleep 0.02; fi
        done";
    let mut rounds = 0..;
    eventually("a quota that leaves no room for the copy", || {
        let round = rounds.next().unwrap().to_string();
        home.run_program_freely("sh", &["-c", fill, "sh", &round], "");
        home.run(&["store"], SESSION).succeeds_quietly();
        assert_eq!(home.get(), "kept");
        let refused = in_kernel(&home, &installation_id(&home)).is_none();
        drop_from_kernel(&home, &installation_id(&home));
        refused
    });
    home.run_program("keyctl", &["clear", "@u"]);
    // It has room again only when it is done with removing what was there.
    eventually("the copy", || {
        assert_eq!(home.get(), "kept");
        in_kernel(&home, &installation_id(&home)).is_some()
    });
    home.run_program("keyctl", &["clear", "@u"]);
}

#[test]
fn other_keys_of_the_user_are_left_alone() {
    let (home, _keyring) = home_of("man");
    home.run_program("keyctl", &["add", "user", "mine", "precious", "@u"]);
    home.run(&["store"], SESSION).succeeds_quietly();
    home.run(&["logout", "--all"], "");
    let found = home.run_program("keyctl", &["search", "@u", "user", "mine"]);
    let read = home.run_program("keyctl", &["pipe", found.stdout.trim()]);
    assert_eq!(read.stdout, "precious");
    home.run_program("keyctl", &["clear", "@u"]);
}

#[test]
fn a_wrong_key_in_the_kernel_is_not_used() {
    let (home, _keyring) = home_of("lp");
    home.run(&["store"], SESSION).succeeds_quietly();
    let name = format!("dd-oauth:{}", installation_id(&home));
    for wrong in ["x".repeat(32), "short".into(), "y".repeat(33)] {
        home.run_program("keyctl", &["add", "user", &name, &wrong, "@u"]);
        assert_eq!(home.get(), "kept");
    }
    home.run_program("keyctl", &["clear", "@u"]);
}

#[test]
fn a_kernel_that_refuses_changes_nothing_else() {
    let (home, _keyring) = home_of("mail");
    home.run(&["store"], SESSION).succeeds_quietly();
    for error in ["ENOSYS", "EPERM", "EACCES", "EKEYEXPIRED", "EDQUOT"] {
        let injection = format!("inject=keyctl,add_key:error={error}");
        let flags = ["-f", "-o", "/dev/null", "-e", "trace=keyctl,add_key", "-e", &injection];
        let mut traced = home.any_program(Path::new("strace"), &flags);
        traced.arg(home.program(&[]).get_program()).arg("get");
        let run = finish(start(traced, b""));
        run.succeeds_quietly();
        assert_eq!(run.value("access_token"), "kept");
    }
    drop_from_kernel(&home, &installation_id(&home));
}

#[test]
fn a_time_that_means_nothing_is_an_error() {
    let mut home = Home::new();
    for bad in ["soon", "0s", "-1h"] {
        home.set("DD_OAUTH_KERNEL_KEYRING", bad);
        home.run(&["list"], "").fails(2, &["DD_OAUTH_KERNEL_KEYRING", "off"]);
    }
}
