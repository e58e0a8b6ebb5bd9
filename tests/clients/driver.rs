//! Does with the client what each line of standard input says: driver [OPTION=VALUE]...

#[path = "../../contrib/clients/dd_credential.rs"]
mod dd_credential;

use std::io::stdin;
use std::time::{Duration, SystemTime};

use dd_credential::{Client, Credential, Error, Options};

fn main() {
    let mut options = Options::default();
    for option in std::env::args().skip(1) {
        let (name, value) = option.split_once('=').expect("an option has a value");
        let seconds = || Duration::from_secs(value.parse().expect("a number"));
        match name {
            "site" => options.site = Some(value.into()),
            "org" => options.org = Some(value.into()),
            "interactive" => options.interactive = value != "no",
            "margin" => options.margin = seconds(),
            "deadline" => options.deadline = Some(seconds()),
            _ => panic!("unknown option {name}"),
        }
    }
    let client = Client::new(options);
    while let Some(line) = next_line() {
        let (command, count) = line.split_once(' ').unwrap_or((&line, "1"));
        let count: usize = count.parse().expect("a number");
        match command {
            "get" | "together" => together(count, || tell(client.get().map(Some))),
            "renew" => {
                let rejected = client.get().expect("a credential");
                together(count, || tell(client.renew(&rejected)));
            }
            "call" => match client.call(send) {
                Ok(status) => println!("status\t{status}"),
                Err(error) => tell(Err(error)),
            },
            "deadline" => println!("deadline\t{}", client.deadline().as_secs()),
            _ => panic!("unknown command {command}"),
        }
    }
}

fn next_line() -> Option<String> {
    stdin().lines().next().map(|line| line.expect("it is text"))
}

fn send(credential: &Credential) -> (u16, u16) {
    println!("send\t{}", credential.access_token);
    let status = next_line().and_then(|line| line.parse().ok()).expect("a status");
    (status, status)
}

fn together(count: usize, work: impl Fn() + Sync) {
    std::thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(&work);
        }
    });
}

fn tell(outcome: Result<Option<Credential>, Error>) {
    match outcome {
        Ok(Some(credential)) => {
            assert!(!format!("{credential:?}").contains(&credential.access_token));
            let expires = credential.expires_at.map(|expires| {
                let since = expires.duration_since(SystemTime::UNIX_EPOCH);
                since.expect("after 1970").as_secs().to_string()
            });
            let Credential { access_token, site, api_url, org, .. } = credential;
            let (expires, org) = (expires.unwrap_or_default(), org.unwrap_or_default());
            println!("credential\t{access_token}\t{expires}\t{site}\t{api_url}\t{org}");
        }
        Ok(None) => println!("same"),
        Err(error) => {
            let kind = match error {
                Error::HelperMissing(_) => "missing",
                Error::LoginRequired => "login",
                Error::Temporary(_) => "temporary",
                Error::Failed(_) => "failed",
            };
            eprintln!("{error}");
            println!("error\t{kind}");
        }
    }
}
