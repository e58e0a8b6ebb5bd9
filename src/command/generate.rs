//! `dd-oauth completions` and `dd-oauth man`: the command line, written for shells and for `man`.

use clap_complete::Shell;

use super::stdio::print;
use crate::cli::CommandLine;
use crate::error::Error;

pub fn completions(shell: Shell) -> Result<(), Error> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::for_people(), "dd-oauth", &mut text);
    print(&String::from_utf8_lossy(&text))
}

pub fn manual() -> Result<(), Error> {
    let mut text = Vec::new();
    let rendered = clap_mangen::Man::new(CommandLine::for_people()).render(&mut text);
    rendered.map_err(Error::Output)?;
    print(&String::from_utf8_lossy(&text))
}
