//! A Secret Service that nobody here wrote, on a bus of its own: GNOME Keyring.
#![cfg(target_os = "linux")]

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use super::deadline::eventually;
use super::home::Home;
use super::process::{Process, Run, finish, signal, start};

const PASSWORD: &[u8] = b"password";
/// Nothing is started by being called: a bus without the service has none.
const BUS: &str = r#"<busconfig>
  <type>session</type>
  <listen>unix:dir=BELOW</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>"#;

/// A session bus without any service on it; ends with the value.
pub struct Bus {
    _daemon: Process,
}

/// A keyring on a session bus; both end with the value.
pub struct Keyring {
    daemon: Option<Process>,
    _bus: Bus,
}

impl Bus {
    /// Starts one for `home`, whose programs find it from now on, and may use a keychain.
    pub fn start(home: &mut Home) -> Self {
        let runtime = home.path().join("run");
        let config = home.path().join("bus.conf");
        std::fs::write(&config, BUS.replace("BELOW", runtime.to_str().unwrap())).unwrap();
        home.run_program("mkdir", &["-m", "700", "run"]);
        home.set("XDG_RUNTIME_DIR", runtime.to_str().unwrap()).unset("DD_TOKEN_STORAGE");
        let arguments = ["--nofork", "--print-address", "--config-file", config.to_str().unwrap()];
        let mut command = home.any_program(Path::new("dbus-daemon"), &arguments);
        let mut bus = Process::serve(command.stderr(Stdio::null()));
        let address = bus.line().expect("a bus says where it is");
        home.set("DBUS_SESSION_BUS_ADDRESS", &address);
        Self { _daemon: bus }
    }
}

impl Keyring {
    /// Starts one for `home`, unlocked.
    pub fn start(home: &mut Home) -> Self {
        let bus = Bus::start(home);
        home.run_program("mkdir", &["-p", ".local/share/keyrings"]);
        let mut keyring = Self { daemon: None, _bus: bus };
        keyring.restart(home);
        keyring
    }

    /// Starts the daemon, again after it was killed, and unlocks the keyring.
    pub fn restart(&mut self, home: &Home) {
        let flags = ["--foreground", "--unlock", "--components=secrets"];
        let mut command = home.any_program(Path::new("gnome-keyring-daemon"), &flags);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut daemon = Process::serve(&mut command);
        daemon.stdin.take().expect("it is piped").write_all(PASSWORD).unwrap();
        self.daemon = Some(daemon);
        eventually("an unlocked keyring", || Self::is_locked(home) == Some(false));
    }

    /// Whether the keyring is locked; nothing while there is none.
    fn is_locked(home: &Home) -> Option<bool> {
        let locked = call(
            home,
            &[
                "--object-path",
                "/org/freedesktop/secrets/aliases/default",
                "--method",
                "org.freedesktop.DBus.Properties.Get",
                "org.freedesktop.Secret.Collection",
                "Locked",
            ],
        );
        (locked.code == Some(0)).then(|| locked.stdout.contains("true"))
    }

    /// Locks the keyring; nobody is there to unlock it.
    pub fn lock(&self, home: &Home) {
        assert!(self.daemon.is_some(), "it was killed");
        let locked = call(
            home,
            &[
                "--object-path",
                "/org/freedesktop/secrets",
                "--method",
                "org.freedesktop.Secret.Service.Lock",
                "[objectpath '/org/freedesktop/secrets/collection/login']",
            ],
        );
        assert_eq!(locked.code, Some(0), "{locked:?}");
        assert_eq!(Self::is_locked(home), Some(true));
    }

    /// Unlocks it, as a new login at the desktop does.
    pub fn unlock(&mut self, home: &Home) {
        self.kill();
        self.restart(home);
    }

    /// Lets the daemon do nothing, and not even end its calls.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let pid = self.daemon.as_ref().expect("it runs").id();
        assert!(signal(name, pid.into()));
    }

    /// Ends the daemon as a crash would.
    pub fn kill(&mut self) {
        drop(self.daemon.take());
    }
}

fn call(home: &Home, arguments: &[&str]) -> Run {
    let mut all = vec!["call", "--session", "--timeout", "5", "--dest", "org.freedesktop.secrets"];
    all.extend(arguments);
    finish(start(home.any_program(Path::new("gdbus"), &all), b""))
}

/// What an independent reader finds in the keychain under our service and this id.
pub fn looked_up(home: &Home, id: &str) -> Option<String> {
    let arguments = ["lookup", "service", "dd-oauth", "username", id];
    let found = home.run_program_freely("secret-tool", &arguments, "");
    (found.code == Some(0)).then_some(found.stdout)
}

/// Writes an entry as somebody else would.
pub fn put(home: &Home, attributes: &[&str], secret: &str) {
    let mut arguments = vec!["store", "--label", "by hand"];
    arguments.extend(attributes);
    let stored = home.run_program_freely("secret-tool", &arguments, secret);
    assert_eq!(stored.code, Some(0), "{stored:?}");
}

/// Removes our entries of this id.
pub fn clear(home: &Home, id: &str) {
    home.run_program("secret-tool", &["clear", "service", "dd-oauth", "username", id]);
}

/// The ids of all our entries in the keychain.
pub fn ids(home: &Home) -> Vec<String> {
    let found =
        home.run_program_freely("secret-tool", &["search", "--all", "service", "dd-oauth"], "");
    let lines = format!("{}{}", found.stdout, found.stderr);
    let name = |line: &str| Some(line.strip_prefix("attribute.username = ")?.to_string());
    lines.lines().filter_map(name).collect()
}

/// The key that the kernel keeps for an installation, as an independent reader finds it.
pub fn in_kernel(home: &Home, id: &str) -> Option<Vec<String>> {
    let name = format!("dd-oauth:{id}");
    let found = home.run_program_freely("keyctl", &["search", "@u", "user", &name], "");
    if found.code != Some(0) {
        return None;
    }
    let description = home.run_program_freely("keyctl", &["rdescribe", found.stdout.trim()], "");
    Some(description.stdout.trim().split(';').map(str::to_string).collect())
}

/// Takes the key of an installation out of the kernel.
pub fn drop_from_kernel(home: &Home, id: &str) {
    let found =
        home.run_program_freely("keyctl", &["search", "@u", "user", &format!("dd-oauth:{id}")], "");
    if found.code == Some(0) {
        home.run_program("keyctl", &["unlink", found.stdout.trim(), "@u"]);
    }
}

/// The id of the installation in a home.
pub fn installation_id(home: &Home) -> String {
    let path = home.state().join("installation");
    let text = std::fs::read_to_string(path).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    json["id"].as_str().unwrap().to_string()
}
