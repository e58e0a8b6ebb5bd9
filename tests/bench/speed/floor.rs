//! The least that a program can be which reads a file and prints a line: what a `get` is measured
//! against.

use std::io::Write;

fn main() {
    let path = std::env::args_os().nth(1).expect("it is given a file");
    let mut text = std::fs::read(path).expect("the file can be read");
    text.push(b'\n');
    std::io::stdout().write_all(&text).expect("somebody reads it");
}
