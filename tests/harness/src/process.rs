//! A program under observation.

use crate::PATIENCE;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::thread;
use std::time::Duration;

/// A running program: its lines as they come, its end, signals. Killed, with its group, when dropped before its end.
pub struct Process {
    pid: Pid,
    stdin: Option<ChildStdin>,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
    status: Receiver<ExitStatus>,
    ended: bool,
    what: String,
}

/// A program that has ended.
#[derive(Debug)]
pub struct Ended {
    /// As a shell says it.
    pub code: i32,
    /// What had not been read before.
    pub stdout: String,
    /// What had not been read before.
    pub stderr: String,
}

/// A program to be run, with no signal ignored: whoever runs the tests in the background ignores some.
pub fn program(name: &str) -> Command {
    let mut command = Command::new("/usr/bin/env");
    command.args(["--default-signal", name]);
    command
}

/// Runs it to its end.
pub fn ended(command: Command) -> Ended {
    Process::start(command).end()
}

impl Process {
    /// Starts it, in a process group of its own.
    pub fn start(mut command: Command) -> Self {
        let what = format!("{command:?}");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{what}: {error}"));
        let pid = Pid::from_child(&child);
        let stdout = lines(child.stdout.take().unwrap());
        let stderr = lines(child.stderr.take().unwrap());
        let stdin = child.stdin.take();
        let (tell, status) = channel();
        thread::spawn(move || tell.send(child.wait().unwrap()));
        Process { pid, stdin, stdout, stderr, status, ended: false, what }
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
    }

    /// Writes to its standard input.
    pub fn write(&mut self, text: &str) {
        self.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Ends its standard input.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Whether it runs and has printed nothing that was not read.
    pub fn is_silent(&self) -> bool {
        matches!(self.stdout.try_recv(), Err(TryRecvError::Empty))
    }

    /// Its next line of output.
    pub fn line(&self) -> String {
        self.line_with("")
    }

    /// Its next line of output that contains `text`.
    pub fn line_with(&self, text: &str) -> String {
        let mut seen = Vec::new();
        while let Ok(line) = self.stdout.recv_timeout(PATIENCE) {
            if line.contains(text) {
                return line;
            }
            seen.push(line);
        }
        let complaint = self.stderr.try_iter().collect::<Vec<_>>();
        panic!("{}: no line with {text:?} after {seen:#?}; its messages: {complaint:#?}", self.what)
    }

    /// Waits for its end.
    pub fn end(self) -> Ended {
        self.end_within(PATIENCE)
    }

    /// The same for one that may take long.
    pub fn end_within(mut self, limit: Duration) -> Ended {
        self.stdin = None;
        let status = self.status.recv_timeout(limit).unwrap_or_else(|_| panic!("{} does not end", self.what));
        self.ended = true;
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap());
        Ended { code, stdout: rest(&self.stdout, &self.what), stderr: rest(&self.stderr, &self.what) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Not reaped before the status was told: the number is still its own.
        if !self.ended && self.status.try_recv().is_err() {
            // SIGTERM lets the program under test clean up, which it does unless it is what fails.
            let _ = kill_process(self.pid, Signal::TERM);
            if self.status.recv_timeout(PATIENCE).is_err() {
                let _ = kill_process(self.pid, Signal::KILL);
            }
        }
    }
}

fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (tell, lines) = channel();
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
            line.clear();
            if tell.send(text).is_err() {
                return;
            }
        }
    });
    lines
}

/// All lines up to the end of the pipe, which comes when nobody is left who has inherited it.
fn rest(lines: &Receiver<String>, what: &str) -> String {
    let mut text = String::new();
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => text = text + &line + "\n",
            Err(RecvTimeoutError::Disconnected) => return text,
            Err(RecvTimeoutError::Timeout) => panic!("{what} has ended, but somebody still holds its output"),
        }
    }
}
