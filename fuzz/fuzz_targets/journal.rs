//! A journal: records that say anything, and records that were damaged.
#![no_main]

use std::io::{Seek, SeekFrom, Write};
use std::sync::LazyLock;

use dd_oauth::session::Journal;
use dd_oauth::session::fuzzing::{SealingKey, open_journal};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static KEY: SealingKey = SealingKey::new([7; 32].into());
}
static DIRECTORY: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    // In memory, where there is such a place: each attempt writes a file and syncs it.
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
});

fuzz_target!(|data: &[u8]| KEY.with(|key| check(data, key)));

fn check(data: &[u8], key: &SealingKey) {
    let path = DIRECTORY.path().join(format!("{}.journal", std::process::id()));
    // Three records, then what is damaged: each part ends with a NUL, which no JSON has in it.
    let mut parts = data.splitn(4, |byte| *byte == 0);
    let mut part = || parts.next().unwrap_or_default();
    let records = [part(), part(), part()];
    let damage = part();
    let Ok(mut whole) = Journal::fabricate(&path, key, records) else { return };
    let before = contents(&mut whole);
    if damage.is_empty() {
        return;
    }
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    for change in damage.chunks_exact(3) {
        let at = u64::from(u16::from_le_bytes([change[0], change[1]]));
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&change[2..]).unwrap();
    }
    // One that was damaged is absent, or as it was; it never says anything else.
    if let Ok(Some(mut damaged)) = open_journal(&path, key) {
        for (after, before) in contents(&mut damaged).into_iter().zip(before) {
            assert!(after.is_none() || after == before);
        }
    }
}

fn contents(journal: &mut Journal<'_>) -> [Option<String>; 3] {
    let announcement = journal.announcement().unwrap();
    let attempt = announcement.as_ref().map(|announced| announced.attempt).unwrap_or_default();
    let outcome = journal.outcome().unwrap();
    let reply = journal.reply(attempt).unwrap();
    [
        announcement.map(|announcement| format!("{announcement:?}")),
        outcome.map(|outcome| format!("{outcome:?}")),
        reply.map(|reply| format!("{:?} {} {:?}", reply.sent, reply.status, *reply.body)),
    ]
}
