//! A real terminal with a person at it, played by tmux.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::deadline::eventually;
use super::home::Home;
use super::process::{finish, run_at_last, start};

/// One window, in a tmux server of its own, which ends with it.
pub struct Tmux<'a> {
    home: &'a Home,
    socket: PathBuf,
}

impl<'a> Tmux<'a> {
    /// Opens a window in which a shell runs `script` and then waits, so that what it wrote stays.
    pub fn run(home: &'a Home, script: &str) -> Self {
        Self::open(home, &["sh", "-c", &format!("{script}\nexec cat >/dev/null")])
    }

    /// Opens a window with a shell that has job control.
    pub fn shell(home: &'a Home) -> Self {
        Self::open(home, &["bash", "--norc", "--noprofile", "-i"])
    }

    fn open(home: &'a Home, command: &[&str]) -> Self {
        // The server of an earlier window may still be about to end.
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let tmux = Self { home, socket: home.path().join(format!("tmux-{number}")) };
        let size = ["new-session", "-d", "-x", "200", "-y", "50"];
        tmux.tell(&[&size, command].concat());
        tmux
    }

    /// Types text, as it stands.
    pub fn type_in(&self, text: &str) {
        self.tell(&["send-keys", "-l", "--", text]);
    }

    /// Presses a key, by tmux's name of it.
    pub fn press(&self, key: &str) {
        self.tell(&["send-keys", key]);
    }

    /// What is on the screen and was on it, with wrapped lines joined.
    pub fn screen(&self) -> String {
        self.tell(&["capture-pane", "-p", "-J", "-S", "-500"])
    }

    /// Waits until `text` is on the screen.
    #[track_caller]
    pub fn shows(&self, text: &str) -> String {
        let mut screen = String::new();
        eventually(&format!("{text:?} on the screen"), || {
            screen = self.screen();
            screen.contains(text)
        });
        screen
    }

    fn tell(&self, arguments: &[&str]) -> String {
        let socket = self.socket.to_str().unwrap();
        let all = [&["-S", socket, "-f", "/dev/null"], arguments].concat();
        let mut tmux = self.home.any_program(Path::new("tmux"), &all);
        tmux.env("TERM", "xterm-256color").env("LC_ALL", "C.UTF-8");
        let run = finish(start(tmux, b""));
        assert_eq!(run.code, Some(0), "{run:?}");
        run.stdout
    }
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        let socket = self.socket.to_str().unwrap();
        let arguments = ["-S", socket, "kill-server"];
        run_at_last(&mut self.home.any_program(Path::new("tmux"), &arguments));
    }
}
