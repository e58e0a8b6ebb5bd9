//! A person who logs in, quickly: thousands of times.

use crate::support::deadline::agent;
use crate::support::home::Home;
use crate::support::process::{Process, Run, start};

/// Logs in, and says how that ended.
pub fn log_in(home: &Home) -> Run {
    finish(start(home.program(&["login", "--no-browser"]), b""))
}

/// Lets a person allow what a login asks for, if it comes to that.
pub fn finish(mut login: Process) -> Run {
    let line = login.line_of_stderr().unwrap_or_default();
    let address = line.split(' ').find(|word| word.contains("/oauth2/v1/authorize?"));
    if let Some(address) = address {
        allow(address);
    }
    let run = login.finish();
    Run { stderr: format!("{line}\n{}", run.stderr), ..run }
}

fn allow(address: &str) {
    let mut page = agent().get(address).call().unwrap();
    let page = page.body_mut().read_to_string().unwrap();
    let (_, ticket) = page.split_once(r#"name="ticket" value=""#).expect("it asks for consent");
    let (ticket, _) = ticket.split_once('"').expect("it is quoted");
    let (origin, _) = address.split_once("/oauth2/").expect("it is the server's");
    // This leads to the callback of the login.
    agent()
        .post(format!("{origin}/oauth2/v1/authorize/decision"))
        .send_form([("ticket", ticket), ("decision", "allow")])
        .unwrap();
}
