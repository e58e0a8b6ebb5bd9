//! Machines of their own for single tests: a network, names, and programs, that only one thread and
//! the programs that it starts can see.
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};

use rustix::thread::UnshareFlags;

use super::process::succeed;

/// Moves the calling thread to a new network in which only 127.0.0.1 is there.
pub fn leave_the_network() {
    unshare(UnshareFlags::NEWNET);
    run("ip", &["link", "set", "lo", "up"]);
}

/// Moves the calling thread to a new network in which all of `names` are 127.0.0.1, and no other
/// name is anything. The hosts file goes into `directory`.
pub fn leave_for_a_network_of(names: &[&str], directory: &Path) {
    leave_the_network();
    leave_the_mounts();
    let hosts = directory.join("hosts");
    let lines: String = names.iter().map(|name| format!("127.0.0.1 {name}\n")).collect();
    std::fs::write(&hosts, format!("127.0.0.1 localhost\n{lines}")).unwrap();
    bind(&hosts, Path::new("/etc/hosts"));
}

/// Lets what the calling thread mounts from now on be seen by nobody else.
pub fn leave_the_mounts() {
    unshare(UnshareFlags::NEWNS);
    run("mount", &["--make-rprivate", "/"]);
}

/// Puts a file or a directory in the place of another.
pub fn bind(this: &Path, there: &Path) {
    run("mount", &["--bind", this.to_str().unwrap(), there.to_str().unwrap()]);
}

fn unshare(what: UnshareFlags) {
    // SAFETY: network and mounts, unlike descriptors, belong to no value of this process.
    unsafe { rustix::thread::unshare_unsafe(what) }
        .expect("the tests run as root, or in a user namespace as tests/run makes it");
}

fn run(program: &str, arguments: &[&str]) {
    succeed(Command::new(program).args(arguments));
}

/// Runs `there` on another machine, whose ports of 127.0.0.1 in `ports` are forwarded to those of
/// this one, as `ssh -L` does.
pub fn on_another_machine<T: Send>(ports: &[u16], there: impl FnOnce() -> T + Send) -> T {
    let (sender, arrivals) = channel();
    std::thread::scope(|scope| {
        let machine = scope.spawn(move || {
            leave_the_network();
            for port in ports.iter().copied() {
                let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
                let sender = sender.clone();
                // It inherits the network of this thread, and ends with the test.
                std::thread::spawn(move || {
                    for stream in listener.incoming().flatten() {
                        let _ = sender.send((port, stream));
                    }
                });
            }
            there()
        });
        std::thread::spawn(move || forward(&arrivals));
        machine.join().unwrap()
    })
}

fn forward(arrivals: &Receiver<(u16, TcpStream)>) {
    for (port, near) in arrivals {
        let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else { continue };
        let (near_too, far_too) = (near.try_clone().unwrap(), far.try_clone().unwrap());
        std::thread::spawn(move || pump(near, far));
        std::thread::spawn(move || pump(far_too, near_too));
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    let mut block = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut block) {
        if to.write_all(&block[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
