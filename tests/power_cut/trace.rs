//! What strace wrote, call by call. Nothing is guessed: a line that cannot be read fails the test.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// How strace is called: all strings in hexadecimal digits and whole, descriptors with their paths.
pub const FLAGS: [&str; 10] = [
    "-f",
    "-qq",
    "-y",
    "-xx",
    "-s",
    "16777216",
    "-e",
    "signal=none",
    "-e",
    "trace=%file,%desc,%network,%process,sync",
];

/// A system call that returned, in the order in which they did.
#[derive(Debug)]
pub struct Call {
    pub process: u32,
    pub name: String,
    pub arguments: Vec<String>,
    /// What it returned; nothing if it failed.
    pub result: Option<i64>,
    /// What follows the number: a path, for a new descriptor.
    pub returned: String,
}

/// An argument that is a descriptor.
pub struct Descriptor {
    /// Nothing for `AT_FDCWD`.
    pub number: Option<u32>,
    /// What it leads to: a path, or something like `socket:[1]`.
    pub target: PathBuf,
    /// Whether that has no name any more.
    pub nameless: bool,
}

/// The calls of a whole trace.
pub fn calls(trace: &str) -> Vec<Call> {
    let mut begun: HashMap<u32, String> = HashMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let (process, rest) = line.split_once(' ').unwrap_or_else(|| panic!("no call: {line}"));
        let process = process.parse().unwrap_or_else(|_| panic!("no process: {line}"));
        let rest = rest.trim_start();
        if rest.starts_with("+++ ") || rest.starts_with("--- ") {
            continue;
        }
        if let Some(first) = rest.strip_suffix(" <unfinished ...>") {
            begun.insert(process, first.to_string());
            continue;
        }
        let whole = match rest.strip_prefix("<... ") {
            None => rest.to_string(),
            Some(resumed) => {
                let (_, last) = resumed
                    .split_once(" resumed>")
                    .unwrap_or_else(|| panic!("not resumed: {line}"));
                let first = begun.remove(&process).unwrap_or_else(|| panic!("never begun: {line}"));
                first + last
            }
        };
        calls.extend(call(process, &whole));
    }
    calls
}

/// One call; nothing for one that never returned, or that a signal interrupted before it did anything: it is
/// made again.
fn call(process: u32, text: &str) -> Option<Call> {
    let parts = text.split_once('(').and_then(|(name, rest)| {
        let (arguments, result) = rest.rsplit_once(" = ")?;
        Some((name, arguments.trim_end().strip_suffix(')')?, result))
    });
    let (name, arguments, result) =
        parts.unwrap_or_else(|| panic!("a call that cannot be read: {text}"));
    if result == "?" || result.starts_with("? ERESTART") {
        return None;
    }
    let end = result.find([' ', '<']).unwrap_or(result.len());
    let (number, returned) = result.split_at(end);
    let number = match number.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => number.parse().ok(),
    };
    let number = number.unwrap_or_else(|| panic!("a result that cannot be read: {text}"));
    Some(Call {
        process,
        name: name.to_string(),
        arguments: split(arguments),
        result: (number >= 0).then_some(number),
        returned: returned.to_string(),
    })
}

/// The arguments, apart at the commas that stand in no bracket. Strings have no commas, because they
/// are in hexadecimal digits.
fn split(arguments: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for character in arguments.chars() {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().expect("it is never empty").push(character);
    }
    parts.iter().map(|part| part.trim().to_string()).collect()
}

/// The bytes of `\x61\x62`.
fn bytes(digits: &str) -> Vec<u8> {
    let byte = |pair: &str| {
        u8::from_str_radix(pair, 16).unwrap_or_else(|_| panic!("not in hex: {digits}"))
    };
    digits.split("\\x").skip(1).map(byte).collect()
}

impl Call {
    /// An argument that is a string, or bytes.
    pub fn bytes(&self, position: usize) -> Vec<u8> {
        let quoted = &self.arguments[position];
        let digits = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        bytes(digits.unwrap_or_else(|| panic!("no whole string: {self:?}")))
    }

    /// An argument that is a path; relative ones begin at `directory`.
    pub fn path(&self, position: usize, directory: Option<usize>) -> PathBuf {
        let path = PathBuf::from(OsString::from_vec(self.bytes(position)));
        match directory {
            Some(directory) => self.descriptor(directory).target.join(path),
            None if path.is_absolute() => path,
            None => panic!("a path that begins nobody knows where: {self:?}"),
        }
    }

    /// An argument that is a descriptor.
    pub fn descriptor(&self, position: usize) -> Descriptor {
        descriptor(&self.arguments[position])
            .unwrap_or_else(|| panic!("no descriptor at {position}: {self:?}"))
    }

    /// The descriptor that it returned.
    pub fn new_descriptor(&self) -> u32 {
        let number = self.result.and_then(|number| u32::try_from(number).ok());
        number.unwrap_or_else(|| panic!("no descriptor came back: {self:?}"))
    }

    /// An argument that is a number.
    pub fn number(&self, position: usize) -> u64 {
        let text = &self.arguments[position];
        text.parse().unwrap_or_else(|_| panic!("no number at {position}: {self:?}"))
    }

    /// An argument that is a mode, in octal digits.
    pub fn mode(&self, position: usize) -> u32 {
        let text = &self.arguments[position];
        u32::from_str_radix(text, 8).unwrap_or_else(|_| panic!("no mode: {self:?}"))
    }

    /// Whether an argument has this flag among its own.
    pub fn has_flag(&self, position: usize, flag: &str) -> bool {
        let flags = self.arguments.get(position);
        flags.is_some_and(|flags| flags.split('|').any(|known| known == flag))
    }

    /// Everything in it that is a string, a path or a buffer, one after the other.
    pub fn all_bytes(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for text in self.arguments.iter().chain([&self.returned]) {
            for part in text.split(['"', '<', '>']).filter(|part| part.starts_with("\\x")) {
                all.extend(bytes(part));
                all.push(b' ');
            }
        }
        all
    }
}

fn descriptor(text: &str) -> Option<Descriptor> {
    let (number, target) = text.split_once('<')?;
    let (target, rest) = target.rsplit_once('>')?;
    let number = if number == "AT_FDCWD" { None } else { Some(number.parse().ok()?) };
    let target = PathBuf::from(OsString::from_vec(bytes(target)));
    Some(Descriptor { number, target, nameless: rest == "(deleted)" })
}
