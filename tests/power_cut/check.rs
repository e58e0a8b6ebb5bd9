//! Starts the program on what every cut of a command leaves.

use std::fmt;
use std::time::{Duration, Instant};

use serde_json::json;

use super::commands::{Action, Answer, Answered, Command, Other, Stage};
use super::cuts::{self, Remains};
use super::disk::Tree;
use super::person;
use super::recording::{Recording, recorded};
use super::trace::FLAGS;
use crate::support::process::{Run, finish, start};

/// What came of the cuts of one command.
pub struct Verdict {
    steps: usize,
    states: usize,
    /// States in which an answer of the server was lost, and was named as the reason.
    lost_answers: usize,
    took: Duration,
    pub complaints: Vec<String>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { steps, states, lost_answers, took, complaints } = self;
        let (seconds, failed) = (took.as_secs(), complaints.len());
        write!(
            f,
            "{states} states after {steps} steps, {lost_answers} with a lost answer, {failed} \
             failed; {seconds} s"
        )
    }
}

/// Records a command, and checks all that a cut may leave of it.
pub fn all_cuts_of(command: &Command) -> Verdict {
    let started = Instant::now();
    let mut stage = (command.set_up)();
    let before = Tree::read(stage.home.path());
    stage.peer.keep_moments();
    let recording = record(command, &stage, &before);
    // Which moment of the server follows each request that it acted on.
    let log = stage.peer.log().into_iter().enumerate();
    let acted = log.filter(|(_, entry)| entry.endpoint != "authorize");
    let moments: Vec<usize> = [0].into_iter().chain(acted.map(|(entry, _)| entry + 1)).collect();
    stage.note_later();
    let mut verdict = Verdict {
        steps: recording.steps.len(),
        states: 0,
        lost_answers: 0,
        took: Duration::ZERO,
        complaints: Vec::new(),
    };
    let mut undone = command.undo.inspect(|undo| succeed(&stage, undo));
    cuts::all(&recording, &mut |remains, what| {
        verdict.states += 1;
        let check = Check { command, stage: &stage, remains: &remains, moments: &moments };
        if let (Some(_), Action::Run { arguments, .. }) =
            (undone.take_if(|_| remains.reported), &command.action)
        {
            check.go_back();
            succeed(&stage, arguments);
        }
        match check.run() {
            Ok(lost_answer) => verdict.lost_answers += usize::from(lost_answer),
            Err(complaint) => verdict.complaints.push(format!("{what}: {complaint}")),
        }
    });
    verdict.took = started.elapsed();
    verdict
}

fn succeed(stage: &Stage, arguments: &[&str]) {
    let run = stage.home.run(arguments, "");
    assert_eq!(run.code, Some(0), "{run:?}");
}

/// Runs the command under strace.
fn record(command: &Command, stage: &Stage, before: &Tree) -> Recording {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("trace");
    let home = &stage.home;
    let (arguments, input): (&[&str], _) = match command.action {
        Action::Login => (&["login", "--no-browser"], ""),
        Action::Run { arguments, input } => (arguments, input),
    };
    let mut traced = home.any_program("strace".as_ref(), &FLAGS);
    traced.arg("-o").arg(&log).arg(env!("CARGO_BIN_EXE_dd-oauth")).args(arguments);
    let process = start(traced, input.as_bytes());
    let run = match command.action {
        Action::Login => person::finish(process),
        Action::Run { .. } => finish(process),
    };
    assert_eq!(run.code, Some(0), "{}: {run:?}", command.name);
    let trace = std::fs::read_to_string(&log).expect("strace writes it");
    recorded(&trace, home.path(), before)
}

/// One state, and what the program makes of it.
struct Check<'a> {
    command: &'a Command,
    stage: &'a Stage,
    remains: &'a Remains,
    /// The server's, after so many requests.
    moments: &'a [usize],
}

impl Check<'_> {
    /// Whether an answer of the server is lost, which is excused.
    fn run(&self) -> Result<bool, String> {
        self.go_back();
        let lost_answer = self.ask()?;
        if lost_answer {
            self.go_back();
            let repeats = |repeats: bool| {
                self.stage.peer.set(&json!({"grant_repetition": repeats}));
            };
            repeats(true);
            let again = self.ask();
            repeats(false);
            if again? {
                return Err("the session is lost at a server that repeats its answer".into());
            }
        }
        if let Some(variable) = self.command.dispensable.filter(|_| self.remains.reported) {
            self.go_back();
            let mut get = self.stage.home.program(&["get"]);
            get.env_remove(variable);
            self.judge(&self.stage.subject, &finish(start(get, b"")))?;
        }
        self.log_in()?;
        Ok(lost_answer)
    }

    fn go_back(&self) {
        self.remains.tree.put_in_place_of(self.stage.home.path());
        self.stage.peer.rewind(self.moments[self.remains.acted]);
    }

    /// Asks for both sessions; whether an answer of the server is lost.
    fn ask(&self) -> Result<bool, String> {
        let subject = self.ask_for(&self.stage.subject, false)?;
        match self.command.other {
            Other::Missing => {}
            Other::Stays => {
                let run = self.get(&self.stage.other);
                let token = self.stage.other.earlier.clone();
                if run.code != Some(0) || Some(run.value("access_token")) != token {
                    return Err(format!("another session: {run:?}"));
                }
            }
            Other::Shares => {
                self.ask_for(&self.stage.other, true)?;
            }
        }
        Ok(subject)
    }

    fn get(&self, of: &Answered) -> Run {
        self.stage.home.run(&["get"], of.request)
    }

    fn ask_for(&self, of: &Answered, other: bool) -> Result<bool, String> {
        let mut run = self.get(of);
        if self.lost_an_answer(&run) {
            return Ok(true);
        }
        let mut answer = self.judge(of, &run)?;
        if let Some(again) = self.command.again.filter(|_| answer == Answer::LoginRequired) {
            let repeated = self.stage.home.run(again, "");
            run = self.get(of);
            answer = self.judge(of, &run)?;
            if answer == Answer::LoginRequired {
                return Err(format!("done again, it brings nothing back: {repeated:?}"));
            }
        }
        if self.command.renewable && !other && answer != Answer::LoginRequired {
            let refreshed = self.stage.home.run(&["refresh"], "");
            if self.lost_an_answer(&refreshed) {
                return Ok(true);
            }
            if refreshed.code != Some(0) {
                return Err(format!("{answer:?} was answered, and is not renewed: {refreshed:?}"));
            }
        }
        Ok(false)
    }

    /// Whether a failure is excused: the answer of the server was not on the disk, and is named.
    fn lost_an_answer(&self, run: &Run) -> bool {
        let excused = !self.remains.reported && self.remains.unsecured;
        excused && run.code == Some(3) && run.stderr.contains("a refresh was interrupted at")
    }

    /// Which of the answers it is that are promised.
    fn judge(&self, of: &Answered, run: &Run) -> Result<Answer, String> {
        let promised = if self.remains.reported { self.command.after } else { self.command.before };
        let token = (run.code == Some(0)).then(|| run.value("access_token"));
        let is = |answer: Answer| match (answer, &token) {
            (Answer::LoginRequired, None) => run.code == Some(3),
            (Answer::Earlier, Some(_)) => token == of.earlier,
            (Answer::Later, Some(_)) => token == of.later,
            (Answer::EarlierConsent, Some(token)) => {
                self.is_of(token, of.earlier_consent.as_deref())
            }
            (Answer::LaterConsent, Some(token)) => self.is_of(token, of.later_consent.as_deref()),
            _ => false,
        };
        let answer = promised.iter().copied().find(|answer| is(*answer));
        answer.ok_or_else(|| format!("none of {promised:?}: {run:?}"))
    }

    fn is_of(&self, token: &str, consent: Option<&str>) -> bool {
        let whose = self.stage.peer.whose(token);
        whose.active && whose.family.is_some() && whose.family.as_deref() == consent
    }

    /// Whatever is left, a login succeeds.
    fn log_in(&self) -> Result<(), String> {
        let run = person::log_in(&self.stage.home);
        if run.code != Some(0) {
            return Err(format!("no login succeeds: {run:?}"));
        }
        let get = self.stage.home.run(&["get"], "");
        if get.code != Some(0) || !self.stage.peer.accepts(&get.value("access_token")) {
            return Err(format!("after a login: {get:?}"));
        }
        Ok(())
    }
}
