//! Names of hosts are found as the system says: in its own order, by a real name server.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::Stdio;

use crate::support::deadline::eventually;
use crate::support::home::Home;
use crate::support::network::{bind, leave_the_mounts, leave_the_network};
use crate::support::peers::Peer;
use crate::support::process::Process;

const NAMES: [&str; 2] = ["app.datadoghq.eu", "api.datadoghq.eu"];
/// As systemd's own documentation has it; the first modules are not on every machine.
const ORDER: &str = "hosts: mymachines resolve [!UNAVAIL=return] files myhostname dns\n";

/// A machine that knows Datadog's names from a name server alone, which leads them to the judge.
struct Machine {
    judge: Peer,
    home: Home,
    _name_server: Process,
}

impl Machine {
    fn new() -> Self {
        leave_the_network();
        leave_the_mounts();
        let mut home = Home::new();
        let etc = home.path().join("etc");
        std::fs::create_dir(&etc).unwrap();
        let files = [
            ("hosts", "127.0.0.1 localhost\n"),
            ("resolv.conf", "nameserver 127.0.0.1\n"),
            ("nsswitch.conf", ORDER),
        ];
        for (name, text) in files {
            std::fs::write(etc.join(name), text).unwrap();
            bind(&etc.join(name), &Path::new("/etc").join(name));
        }
        let flags = [
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--user=root",
            "--pid-file",
            "--listen-address=127.0.0.1",
            "--bind-interfaces",
            "--address=/datadoghq.eu/127.0.0.1",
            // It knows that there are no addresses of another kind.
            "--local=/datadoghq.eu/",
        ];
        let mut command = home.any_program(Path::new("dnsmasq"), &flags);
        let name_server = Process::serve(command.stdin(Stdio::null()).stdout(Stdio::null()));
        eventually("a name server that answers", || {
            let found = home.run_program_freely("getent", &["hosts", NAMES[1]], "");
            found.stdout.starts_with("127.0.0.1")
        });
        let judge = Peer::start_as(&NAMES, home.path());
        home.set("SSL_CERT_FILE", judge.authority.as_ref().unwrap().to_str().unwrap());
        home.set("DD_SITE", "datadoghq.eu");
        let session = "access_token=first\nexpires_in=3600\nrefresh_token=r\nclient_id=c\n";
        home.run(&["store"], session).succeeds_quietly();
        Self { judge, home, _name_server: name_server }
    }

    /// The judge was found, and asked by its name.
    fn judge_was_asked(&self) {
        let asked: Vec<_> = self.judge.refreshes().into_iter().map(|event| event.host).collect();
        assert_eq!(asked, [Some(NAMES[1].to_string())]);
    }
}

#[test]
fn names_are_asked_of_the_name_server_of_the_system() {
    let machine = Machine::new();
    machine.home.run(&["refresh"], "").fails(3, &["no longer knows this installation"]);
    machine.judge_was_asked();
}

/// A static program of glibc would load the modules that it finds, and crash.
#[cfg(target_env = "musl")]
#[test]
fn a_static_program_loads_nothing_of_the_system_for_names() {
    let machine = Machine::new();
    let root = machine.home.path().join("root");
    let libraries = root.join("lib/x86_64-linux-gnu");
    let home = root.join(machine.home.path().strip_prefix("/").unwrap());
    let system = ["proc", "dev"];
    let directories = system.map(|name| root.join(name));
    for directory in directories.iter().chain([&libraries, &home, &root.join("etc")]) {
        std::fs::create_dir_all(directory).unwrap();
    }
    for module in ["libc.so.6", "libnss_files.so.2", "libnss_dns.so.2", "libnss_resolve.so.2"] {
        std::fs::write(libraries.join(module), "of another system").unwrap();
    }
    bind(machine.home.path(), &home);
    for name in system {
        bind(&Path::new("/").join(name), &root.join(name));
    }
    bind(&machine.home.path().join("etc"), &root.join("etc"));
    std::fs::copy(env!("CARGO_BIN_EXE_dd-oauth"), root.join("dd-oauth")).unwrap();

    let root = root.to_str().unwrap();
    let run = machine.home.run_program_freely("chroot", &[root, "/dd-oauth", "refresh"], "");
    run.fails(3, &["no longer knows this installation"]);
    machine.judge_was_asked();
}
