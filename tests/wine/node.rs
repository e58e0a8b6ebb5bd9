//! Stands in for `node.exe` under Wine, which runs no Node.js: has `node-outside.mjs`, whose address
//! is in `NODE_OUTSIDE`, run the script, and passes on its input, output and exit code.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::exit;
use std::time::Duration;

use serde_json::{Map, json};

/// A server says nothing while its test runs; no test takes as long as this.
const HANG: Duration = Duration::from_mins(10);

fn main() {
    match run() {
        Ok(code) => exit(code),
        Err(error) => {
            eprintln!("node: {error}");
            exit(125);
        }
    }
}

fn run() -> io::Result<i32> {
    let address = std::env::var("NODE_OUTSIDE").map_err(io::Error::other)?;
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    // What the scripts of the tests look at.
    let environment: Map<_, _> = std::env::vars()
        .filter(|(name, _)| name.starts_with("BROWSER_") || name.starts_with("NODE_EXTRA_"))
        .map(|(name, value)| (name, value.into()))
        .collect();
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(HANG))?;
    connection.set_write_timeout(Some(HANG))?;
    writeln!(connection, "{}", json!({ "arguments": arguments, "environment": environment }))?;
    let mut input = connection.try_clone()?;
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut input);
        let _ = input.shutdown(Shutdown::Write);
    });
    let mut output = io::stdout();
    loop {
        let mut length = [0; 4];
        connection.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length);
        if length == 0 {
            let mut code = [0];
            connection.read_exact(&mut code)?;
            return Ok(code[0].into());
        }
        io::copy(&mut (&connection).take(length.into()), &mut output)?;
        output.flush()?;
    }
}
