//! Holding back what would end this process at a bad moment: Ctrl-C, Ctrl-Break, the closing of the
//! console, the end of the Windows session. Nothing holds back `TerminateProcess`.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use windows_sys::Win32::Foundation::{FALSE, STATUS_CONTROL_C_EXIT, TRUE};
use windows_sys::Win32::System::Console::{CTRL_BREAK_EVENT, CTRL_C_EVENT, SetConsoleCtrlHandler};
use windows_sys::core::BOOL;

/// Between two looks whether the bad moment is over.
const NEXT_LOOK: Duration = Duration::from_millis(5);

// The system calls the handler with nothing but the event, so what it has to know is global.
static HELD: AtomicUsize = AtomicUsize::new(0);
static ASKED_TO_END: AtomicBool = AtomicBool::new(false);

/// Holds back the end of this process until it is dropped. If it was asked to end meanwhile, it then
/// does, as it would have without.
#[derive(Debug)]
pub struct Held(());

/// See [`Held`]. The system waits about five seconds for it when the console is closed.
#[must_use]
pub fn hold_back_termination() -> Held {
    static HANDLES: Once = Once::new();
    HELD.fetch_add(1, Ordering::SeqCst);
    HANDLES.call_once(|| {
        // SAFETY: the handler stays valid, and does nothing that a thread of its own may not do.
        // Where it is refused, there is no console that could send anything.
        unsafe { SetConsoleCtrlHandler(Some(handle), TRUE) };
    });
    Held(())
}

impl Drop for Held {
    fn drop(&mut self) {
        if HELD.fetch_sub(1, Ordering::SeqCst) == 1 && ASKED_TO_END.load(Ordering::SeqCst) {
            std::process::exit(STATUS_CONTROL_C_EXIT);
        }
    }
}

/// Called by the system on a thread of its own; `FALSE` lets the process end at once.
unsafe extern "system" fn handle(event: u32) -> BOOL {
    ASKED_TO_END.store(true, Ordering::SeqCst);
    if HELD.load(Ordering::SeqCst) == 0 {
        return FALSE;
    }
    if matches!(event, CTRL_C_EVENT | CTRL_BREAK_EVENT) {
        return TRUE;
    }
    // After the others the process ends as soon as this returns.
    while HELD.load(Ordering::SeqCst) > 0 {
        std::thread::sleep(NEXT_LOOK);
    }
    FALSE
}
