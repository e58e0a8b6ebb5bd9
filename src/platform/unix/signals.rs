//! What this process and those that it starts do about signals.

use std::io;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicI32, Ordering};

/// What asks a process to end: a service manager, a terminal, a runner that cleans up.
const POLITE: [libc::c_int; 4] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT];

// A handler is called with nothing but the signal, so what it has to know is global.
static ASKED_TO_END: AtomicI32 = AtomicI32::new(0);

/// Lets this process, and whatever it becomes, do its work to the end, though it is asked to end
/// earlier. Nothing ignores `SIGKILL`.
pub(super) fn ignore_requests_to_end() {
    for signal in POLITE {
        // SAFETY: it changes what the kernel does with a signal, and may be called after a fork too.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Holds back the end of this process until it is dropped. If it was asked to end meanwhile, it then
/// does, as it would have without.
pub struct Held([libc::sigaction; POLITE.len()]);

/// See [`Held`].
#[must_use]
pub fn hold_back_termination() -> Held {
    extern "C" fn note(signal: libc::c_int) {
        ASKED_TO_END.store(signal, Ordering::SeqCst);
    }
    Held(POLITE.map(|signal| {
        let earlier = handle(signal, note);
        // If our caller has us ignore it, as `nohup` does, that stays so.
        if earlier.sa_sigaction == libc::SIG_IGN {
            restore(signal, &earlier);
        }
        earlier
    }))
}

impl Drop for Held {
    fn drop(&mut self) {
        for (signal, earlier) in POLITE.iter().zip(&self.0) {
            restore(*signal, earlier);
        }
        let signal = ASKED_TO_END.swap(0, Ordering::SeqCst);
        if signal != 0 {
            // SAFETY: it sends a signal to ourselves.
            unsafe { libc::raise(signal) };
        }
    }
}

/// Lets a write beyond the limit on the size of files (`ulimit -f`) fail, where it would end this process
/// without a word. A program that takes our place is ended as before: no handler survives that.
pub(super) fn survive_long_writes() {
    extern "C" fn ignore(_: libc::c_int) {}
    let earlier = handle(libc::SIGXFSZ, ignore);
    if earlier.sa_sigaction == libc::SIG_IGN {
        restore(libc::SIGXFSZ, &earlier);
    }
}

/// Installs a handler, which interrupts no system call; what was there before.
fn handle(signal: libc::c_int, handler: extern "C" fn(libc::c_int)) -> libc::sigaction {
    let mut earlier = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a zeroed `sigaction` is a valid one with an empty mask. The handlers above do nothing that
    // is forbidden between any two instructions. `earlier` has room for what is written there.
    unsafe {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        action.sa_sigaction = handler as *const () as libc::sighandler_t;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(signal, &raw const action, earlier.as_mut_ptr());
        earlier.assume_init()
    }
}

fn restore(signal: libc::c_int, earlier: &libc::sigaction) {
    // SAFETY: it is what the kernel gave us for this very signal.
    unsafe { libc::sigaction(signal, earlier, std::ptr::null_mut()) };
}

/// In a process that is about to start a program: leaves it to a child, so that the program is nobody's
/// child. Whoever started us waits for us alone, and at once.
pub(super) fn leave_to_a_child() -> io::Result<()> {
    // SAFETY: it is called between a fork and the start of a program, where no other thread is. `fork`,
    // and `_exit`, which runs nothing of the program that was forked, are allowed there.
    unsafe {
        match libc::fork() {
            -1 => Err(io::Error::last_os_error()),
            0 => Ok(()),
            _ => libc::_exit(0),
        }
    }
}
