//! A program that is measured: a child that lives through all rounds, so that none of them pays for its start.
//!
//! It gets commands, a line each, such as `loop NAME COUNT`, and answers each with one line of JSON. It takes the times
//! itself, so that the way of a command to it is in none of them. At the end of its input it ends.

use crate::{Result, interrupt};
use locker_harness::interrupt::interrupted;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long it may take to end.
const FAREWELL: Duration = Duration::from_secs(5);

/// A program that is measured. It ends when this is dropped.
pub(crate) struct Child {
    what: String,
    process: std::process::Child,
    stdin: Option<ChildStdin>,
    answers: Receiver<String>,
}

/// How long a command's work took, and the processor time of the whole process meanwhile.
#[derive(Deserialize)]
pub(crate) struct Timed {
    pub(crate) seconds: f64,
    pub(crate) cpu: f64,
}

impl Child {
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        let what = format!("{command:?}");
        // In a group of its own: the interrupt of a terminal is for us, and we end it in turn.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut process = command.spawn().map_err(|error| format!("{what}: {error}"))?;
        let output = BufReader::new(process.stdout.take().expect("it is piped"));
        let stdin = process.stdin.take();
        let (tell, answers) = channel();
        thread::spawn(move || output.lines().map_while(|line| line.ok()).try_for_each(|line| tell.send(line)));
        Ok(Child { what, process, stdin, answers })
    }

    /// Gives it a command. Its answer has to be waited for before the next one.
    pub(crate) fn tell(&mut self, command: &str) -> Result<()> {
        let told = writeln!(self.stdin.as_mut().expect("it is open"), "{command}");
        told.map_err(|error| format!("{}: {error}", self.what).into())
    }

    pub(crate) fn answer<T: DeserializeOwned>(&self) -> Result<T> {
        let end = Instant::now() + PATIENCE;
        loop {
            interrupt::check()?;
            match self.answers.recv_timeout(Duration::from_millis(100)) {
                Ok(line) => {
                    return serde_json::from_str(&line)
                        .map_err(|error| format!("{}: {error}: {line}", self.what).into());
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() < end => (),
                Err(RecvTimeoutError::Timeout) => return Err(format!("{} does not answer", self.what).into()),
                Err(RecvTimeoutError::Disconnected) => return Err(format!("{} has ended", self.what).into()),
            }
        }
    }

    pub(crate) fn ask<T: DeserializeOwned>(&mut self, command: &str) -> Result<T> {
        self.tell(command)?;
        self.answer()
    }
}

/// Has all carry out a command at the same time.
pub(crate) fn ask_all<T: DeserializeOwned>(children: &mut [Child], command: &str) -> Result<Vec<T>> {
    children.iter_mut().try_for_each(|child| child.tell(command))?;
    children.iter().map(Child::answer).collect()
}

impl Drop for Child {
    fn drop(&mut self) {
        self.stdin = None;
        let end = Instant::now() + FAREWELL;
        while !interrupted() && Instant::now() < end {
            if matches!(self.process.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
