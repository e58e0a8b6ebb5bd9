//! The journal of one session: the reserved file in which a refresh announces itself, secures its
//! answer, and leaves its outcome to all who waited.
//!
//! Its room is allocated and synced before the first request is sent, and every record has a
//! place of its own in it: a disk that fills up later cannot keep an answer from being written. A
//! record is sealed, which also tells a whole one from one that was torn by a crash; a torn record
//! counts as absent.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use fs2::FileExt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::durable;
use super::error::{StorageError, io_error};
use super::model::{Generation, TokenDigest};
use super::refresh_outcome::{Attempt, Outcome};
use super::sealing_key::SealingKey;
use crate::clock::Timestamp;
use crate::lock::Lock;
use crate::platform::{self, Privacy};

const MAGIC: &[u8] = b"dd-oauth journal ";
const FORMAT_LINE: &[u8] = b"dd-oauth journal 1\n";

/// A part of the journal that holds one record.
#[derive(Clone, Copy)]
struct Slot {
    name: &'static str,
    offset: u64,
    size: usize,
}

// Apart by whole pages, so that writing one record never touches the page of another.
const ANNOUNCEMENT: Slot = Slot { name: "announcement", offset: 4096, size: 4096 };
const OUTCOME: Slot = Slot { name: "outcome", offset: 8192, size: 4096 };
const REPLY: Slot = Slot { name: "reply", offset: 12288, size: 40 * 1024 };
const TOTAL: u64 = 12288 + 40 * 1024;
/// The length of a record stands before it.
const LENGTH_BYTES: usize = 4;

/// Says that a request is about to be sent; written and synced before it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Announcement {
    pub attempt: Attempt,
    /// Of the session when it was sent.
    pub generation: Generation,
    /// Of the refresh token that is presented.
    pub token: TokenDigest,
    /// Before the request was sent.
    pub at: Timestamp,
    /// When an earlier request with the same token was sent whose answer nobody saw.
    pub unknown_since: Option<Timestamp>,
}

/// A whole reply of the token endpoint, secured before anything else is done with it.
#[derive(Clone)]
pub struct SecuredReply {
    /// Before the request was sent: the clock of its token starts here.
    pub sent: Timestamp,
    /// HTTP status.
    pub status: u16,
    pub body: Zeroizing<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
struct ReplyHead {
    attempt: Attempt,
    sent: Timestamp,
    status: u16,
}

/// The open journal of one session.
pub struct Journal<'k> {
    file: File,
    path: PathBuf,
    key: &'k SealingKey,
}

impl<'k> Journal<'k> {
    /// Opens the journal to read it, if there is one.
    pub(super) fn open(path: &Path, key: &'k SealingKey) -> Result<Option<Self>, StorageError> {
        let file = match platform::open_file(platform::private_file().read(true), path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("open", path)(error)),
        };
        durable::check_open(&file, path, Privacy::Secret)?;
        let mut journal = Self { file, path: path.to_path_buf(), key };
        Ok(journal.has_format()?.then_some(journal))
    }

    /// Opens the journal to write it, with all its room allocated and synced. `_lock` is that of
    /// the session.
    pub(super) fn reserve(
        _lock: &Lock,
        path: &Path,
        key: &'k SealingKey,
    ) -> Result<Self, StorageError> {
        let mut options = platform::private_file();
        options.read(true).write(true).create(true).truncate(false);
        let file = platform::open_file(&options, path).map_err(io_error("open", path))?;
        durable::check_open(&file, path, Privacy::Secret)?;
        // Room on the disk is of no use to a process that may not write that far.
        platform::allow_file_size(TOTAL).map_err(io_error("reserve room for", path))?;
        let mut journal = Self { file, path: path.to_path_buf(), key };
        let known = journal.has_format()?;
        let allocated = journal.file.allocated_size().map_err(io_error("look at", path))?;
        if !known || allocated < TOTAL {
            journal.fill().map_err(io_error("reserve room for", path))?;
            durable::sync_parent(path)?;
        }
        Ok(journal)
    }

    /// Writes every byte of the journal, what is there already and zeros for the rest: unlike an
    /// allocation, that reserves room on every file system that can, and syncs it.
    fn fill(&mut self) -> std::io::Result<()> {
        let mut bytes = Zeroizing::new(Vec::new());
        self.file.seek(SeekFrom::Start(0))?;
        (&mut self.file).take(TOTAL).read_to_end(&mut bytes)?;
        bytes.resize(usize::try_from(TOTAL).unwrap_or(usize::MAX), 0);
        bytes[..FORMAT_LINE.len()].copy_from_slice(FORMAT_LINE);
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&bytes)?;
        platform::sync_file(&self.file)
    }

    /// The last announcement.
    ///
    /// # Errors
    /// Where the journal cannot be read; a torn record is none.
    pub fn announcement(&mut self) -> Result<Option<Announcement>, StorageError> {
        self.read_json(ANNOUNCEMENT)
    }

    /// The last outcome.
    ///
    /// # Errors
    /// As [`Journal::announcement`].
    pub fn outcome(&mut self) -> Result<Option<Outcome>, StorageError> {
        self.read_json(OUTCOME)
    }

    /// The reply to `attempt`, if it was secured.
    ///
    /// # Errors
    /// As [`Journal::announcement`].
    pub fn reply(&mut self, attempt: Attempt) -> Result<Option<SecuredReply>, StorageError> {
        let Some(record) = self.read_record(REPLY)? else { return Ok(None) };
        let Some(end) = record.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
        let Ok(head) = serde_json::from_slice::<ReplyHead>(&record[..end]) else { return Ok(None) };
        let body = Zeroizing::new(record[end + 1..].to_vec());
        let reply = SecuredReply { sent: head.sent, status: head.status, body };
        Ok((head.attempt == attempt).then_some(reply))
    }

    /// Announces an attempt; once this returns, it stands on the disk.
    ///
    /// # Errors
    /// Where it does not: nothing may be sent then.
    pub fn announce(&mut self, announcement: &Announcement) -> Result<(), StorageError> {
        self.write_json(ANNOUNCEMENT, announcement)
    }

    /// Secures the reply to `attempt`; once this returns, it stands on the disk.
    ///
    /// # Errors
    /// Where it does not.
    pub fn secure(&mut self, attempt: Attempt, reply: &SecuredReply) -> Result<(), StorageError> {
        let head = ReplyHead { attempt, sent: reply.sent, status: reply.status };
        let mut record = serde_json::to_vec(&head).expect("a reply's head is plain data");
        record.push(b'\n');
        record.extend_from_slice(&reply.body);
        self.write_record(REPLY, &Zeroizing::new(record))
    }

    /// Leaves the outcome of an attempt.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn conclude(&mut self, outcome: &Outcome) -> Result<(), StorageError> {
        self.write_json(OUTCOME, outcome)
    }

    /// Whether the file begins as a journal does; a newer one is an error, anything else is the
    /// remainder of a reservation that was cut short.
    fn has_format(&mut self) -> Result<bool, StorageError> {
        let mut line = [0; FORMAT_LINE.len()];
        let read = self.get(0, &mut line)?;
        let line = &line[..read];
        if line.starts_with(MAGIC) && line.len() == FORMAT_LINE.len() && line != FORMAT_LINE {
            return Err(StorageError::Newer { path: self.path.clone() });
        }
        Ok(line == FORMAT_LINE)
    }

    fn read_json<T: DeserializeOwned>(&mut self, slot: Slot) -> Result<Option<T>, StorageError> {
        let record = self.read_record(slot)?;
        Ok(record.and_then(|record| serde_json::from_slice(&record).ok()))
    }

    fn write_json<T: Serialize>(&mut self, slot: Slot, value: &T) -> Result<(), StorageError> {
        let json = serde_json::to_vec(value).expect("a record is plain data");
        self.write_record(slot, &json)
    }

    fn read_record(&mut self, slot: Slot) -> Result<Option<Zeroizing<Vec<u8>>>, StorageError> {
        let mut bytes = vec![0; slot.size];
        let read = self.get(slot.offset, &mut bytes)?;
        let Some((length, rest)) = bytes[..read].split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let Some(sealed) = rest.get(..length) else { return Ok(None) };
        Ok(self.key.open(sealed, &self.public(slot)))
    }

    fn write_record(&mut self, slot: Slot, record: &[u8]) -> Result<(), StorageError> {
        let sealed = self.key.seal(record, &self.public(slot))?;
        let length = u32::try_from(sealed.len()).unwrap_or(u32::MAX).to_le_bytes();
        if LENGTH_BYTES + sealed.len() > slot.size {
            return Err(io_error("write", &self.path)(std::io::ErrorKind::FileTooLarge.into()));
        }
        self.put(slot.offset, &[length.as_slice(), &sealed].concat())?;
        platform::sync_content(&self.file).map_err(io_error("sync", &self.path))
    }

    /// A record is good only in its place in the journal of its session.
    fn public(&self, slot: Slot) -> Vec<u8> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        format!("{} {}", slot.name, name).into_bytes()
    }

    fn get(&mut self, offset: u64, into: &mut [u8]) -> Result<usize, StorageError> {
        self.file.seek(SeekFrom::Start(offset)).map_err(io_error("read", &self.path))?;
        let mut filled = 0;
        while filled < into.len() {
            match self.file.read(&mut into[filled..]).map_err(io_error("read", &self.path))? {
                0 => break,
                more => filled += more,
            }
        }
        Ok(filled)
    }

    fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        self.file.seek(SeekFrom::Start(offset)).map_err(io_error("write", &self.path))?;
        self.file.write_all(bytes).map_err(io_error("write", &self.path))
    }
}

#[cfg(feature = "fuzzing")]
impl<'k> Journal<'k> {
    /// Makes a journal at `path` whose announcement, outcome and reply hold these bytes, sealed.
    ///
    /// # Errors
    /// Where one of them is too long, or the file cannot be written.
    pub fn fabricate(
        path: &Path,
        key: &'k SealingKey,
        records: [&[u8]; 3],
    ) -> Result<Self, StorageError> {
        let file = platform::private_file()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)
            .map_err(io_error("open", path))?;
        let mut journal = Self { file, path: path.to_path_buf(), key };
        journal.fill().map_err(io_error("reserve room for", path))?;
        for (slot, record) in [ANNOUNCEMENT, OUTCOME, REPLY].into_iter().zip(records) {
            journal.write_record(slot, record)?;
        }
        Ok(journal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::names::ClientId;
    use crate::secret::Secret;
    use crate::session::model::Renewal;

    struct Desk {
        directory: tempfile::TempDir,
        key: SealingKey,
        lock: Lock,
    }

    impl Desk {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let lock = Lock::try_hold(&directory.path().join("x.lock"), "test", Clock::system());
            Self { key: SealingKey::generate().unwrap(), lock: lock.unwrap().unwrap(), directory }
        }

        fn path(&self) -> PathBuf {
            self.directory.path().join("x.journal")
        }

        fn reserve(&self) -> Journal<'_> {
            Journal::reserve(&self.lock, &self.path(), &self.key).unwrap()
        }
    }

    fn announcement(attempt: Attempt) -> Announcement {
        let renewal = Renewal::Possible {
            client_id: ClientId::parse("client").unwrap(),
            refresh_token: Secret::parse("canary".to_string()).unwrap(),
        };
        Announcement {
            attempt,
            generation: Generation::FIRST,
            token: TokenDigest::of(&renewal).unwrap(),
            at: Timestamp::from_seconds(7),
            unknown_since: None,
        }
    }

    fn reply() -> SecuredReply {
        let body = Zeroizing::new(b"{\"access_token\":\"canary\"}\n".to_vec());
        SecuredReply { sent: Timestamp::from_seconds(7), status: 200, body }
    }

    #[test]
    fn all_room_is_there_before_anything_is_announced() {
        let desk = Desk::new();
        drop(desk.reserve());
        let file = File::open(desk.path()).unwrap();
        assert_eq!(file.metadata().unwrap().len(), TOTAL);
        assert!(file.allocated_size().unwrap() >= TOTAL);
    }

    #[test]
    fn records_are_read_back_and_rest_sealed() {
        let desk = Desk::new();
        let mut journal = desk.reserve();
        let attempt = Attempt::default().next();
        journal.announce(&announcement(attempt)).unwrap();
        journal.secure(attempt, &reply()).unwrap();
        let mut again = Journal::open(&desk.path(), &desk.key).unwrap().unwrap();
        assert_eq!(again.announcement().unwrap().unwrap().attempt, attempt);
        assert_eq!(again.reply(attempt).unwrap().unwrap().body, reply().body);
        assert!(again.reply(attempt.next()).unwrap().is_none());
        assert!(again.outcome().unwrap().is_none());
        let bytes = std::fs::read(desk.path()).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"canary"));
    }

    #[test]
    fn a_torn_record_counts_as_absent_wherever_it_was_torn() {
        let desk = Desk::new();
        let mut journal = desk.reserve();
        let attempt = Attempt::default().next();
        journal.secure(attempt, &reply()).unwrap();
        let whole = std::fs::read(desk.path()).unwrap();
        let start = usize::try_from(REPLY.offset).unwrap();
        let length = u32::from_le_bytes(whole[start..start + 4].try_into().unwrap());
        for kept in 0..usize::try_from(length).unwrap() + LENGTH_BYTES {
            let mut torn = whole.clone();
            torn[start + kept..].fill(0);
            if torn == whole {
                continue;
            }
            std::fs::write(desk.path(), torn).unwrap();
            assert!(journal.reply(attempt).unwrap().is_none(), "torn after {kept}");
        }
    }

    #[test]
    fn a_reservation_that_was_cut_short_is_made_again_and_a_newer_journal_is_left_alone() {
        let desk = Desk::new();
        std::fs::write(desk.path(), "").unwrap();
        use_mode_600(&desk.path());
        assert!(Journal::open(&desk.path(), &desk.key).unwrap().is_none());
        desk.reserve().announce(&announcement(Attempt::default())).unwrap();
        std::fs::write(desk.path(), "dd-oauth journal 2\n").unwrap();
        let newer = Journal::reserve(&desk.lock, &desk.path(), &desk.key);
        assert!(matches!(newer, Err(StorageError::Newer { .. })));
    }

    fn use_mode_600(path: &Path) {
        #[cfg(unix)]
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        #[cfg(not(unix))]
        let _ = path;
    }

    #[test]
    fn a_record_that_does_not_fit_is_refused_before_it_is_written() {
        let desk = Desk::new();
        let mut journal = desk.reserve();
        let long = SecuredReply { body: Zeroizing::new(vec![b'x'; REPLY.size]), ..reply() };
        assert!(journal.secure(Attempt::default(), &long).is_err());
    }
}
