//! `locker run` at a terminal: keys, job control, passwords read from it.
//!
//! Words that are waited for are written with quotes inside where they are typed: a terminal shows what is typed.

use crate::LOCKER;
use crate::etcd::Space;
use locker_harness::Process;
use rustix::process::{Pid, Signal, kill_process};
use std::io::Write;
use tempfile::NamedTempFile;

const CTRL_C: &str = "\x03";
const CTRL_Z: &str = "\x1a";

/// An interactive shell on a terminal of its own, in which `$L` is the program under test.
fn shell(space: &Space) -> Process {
    let mut command = space.command("script", &["-q", "-c", "bash --norc --noprofile --noediting -i", "/dev/null"]);
    command.env("L", LOCKER);
    let mut shell = Process::start(command);
    shell.write("echo rea''dy\n");
    shell.line_with("ready");
    shell
}

/// What the shell says of its last command.
fn assert_code(shell: &Process, code: i32) {
    let line = shell.line_with("code");
    assert!(line.ends_with(&format!("code {code}")), "{line}");
}

fn leave(mut shell: Process) {
    shell.write("exit\n");
    shell.end();
}

#[test]
fn the_command_reads_from_the_terminal() {
    let space = Space::new();
    let mut shell = shell(&space);
    for command in [
        "$L run x -c 'echo ask''ed; read a; echo \"go''t $a\"'",
        "$L run x -c 'echo ask''ed >&2; read a </dev/tty; echo \"go''t $a\"' | cat",
    ] {
        shell.write(&format!("{command}\n"));
        shell.line_with("asked");
        shell.write("an answer\n");
        assert_eq!(shell.line_with("got"), "got an answer");
    }
    leave(shell);
}

#[test]
fn ctrl_c_ends_the_command_and_the_script_that_runs_it() {
    let space = Space::new();
    let mut script = NamedTempFile::new().unwrap();
    writeln!(script, "$L run x tail -f {}\necho the script goes on", space.held()).unwrap();
    let mut shell = shell(&space);
    shell.write(&format!("sh {}; echo co''de $?\n", script.path().display()));
    shell.line_with("held");
    shell.write(CTRL_C);
    // The interactive shell gives up its own line, too.
    shell.write("echo ne''xt\n");
    loop {
        let line = shell.line();
        assert!(!line.contains("goes on") && !line.contains("code"), "{line}");
        if line.contains("next") {
            break;
        }
    }
    assert_eq!(space.run(&["run", "x", "-w", "30", "true"]).code, 0);
    leave(shell);
}

#[test]
fn ctrl_c_at_the_prompt_gives_the_code_of_a_shell() {
    let space = Space::new();
    let mut shell = shell(&space);
    shell.write(&format!("$L run x tail -f {}\n", space.held()));
    shell.line_with("held");
    shell.write(CTRL_C);
    shell.write("echo co''de $?\n");
    assert_code(&shell, 130);
    leave(shell);
}

#[test]
fn ctrl_z_stops_both_and_fg_goes_on() {
    let space = Space::new();
    for pipe in ["", " | cat"] {
        let mut shell = shell(&space);
        shell.write(&format!("$L run x -c 'echo star''ted; read a </dev/tty; echo \"go''t $a\"'{pipe}\n"));
        shell.line_with("started");
        shell.write(CTRL_Z);
        shell.line_with("Stopped");
        shell.write("$L get x\n");
        shell.line_with("held by ");
        shell.write("fg\n");
        shell.line_with("$L run x");
        shell.write("an answer\n");
        assert_eq!(shell.line_with("got"), "got an answer");
        leave(shell);
    }
}

#[test]
fn a_lock_lost_while_both_stood_still_stops_the_command() {
    let space = Space::new();
    let mut shell = shell(&space);
    shell.write("$L run x --ttl 2 -c 'trap \"echo as''ked; exit\" TERM; echo star''ted; read a'\n");
    shell.line_with("started");
    shell.write(CTRL_Z);
    shell.line_with("the lock is lost unless");
    // Somebody else comes to hold it.
    assert_eq!(space.run(&["run", "x", "-w", "30", "true"]).code, 0);
    shell.write("fg\n");
    shell.line_with("asked");
    shell.write("echo co''de $?\n");
    assert_code(&shell, 76);
    leave(shell);
}

#[test]
fn a_command_that_can_never_have_the_terminal_is_hung_up() {
    let space = Space::new();
    let mut shell = shell(&space);
    for script in ["read a </dev/tty", "trap \"\" HUP; read a </dev/tty"] {
        // In the background, and of no job that the shell could bring to the foreground.
        shell.write(&format!("($L run x -c 'echo star''ted; {script}' &)\n"));
        shell.line_with("started");
        shell.line_with("it gets SIGHUP");
        if script.starts_with("trap") {
            // It stands still, and is told no more.
            shell.write("echo ne''xt\n");
            assert!(!shell.line_with("next").contains("locker: "));
            let info: serde_json::Value = serde_json::from_str(&space.run(&["get", "x", "--json"]).stdout).unwrap();
            let locker = Pid::from_raw(info["pid"].as_i64().unwrap() as i32).unwrap();
            kill_process(locker, Signal::TERM).unwrap();
        }
        assert_eq!(space.run(&["run", "x", "-w", "30", "true"]).code, 0);
    }
    leave(shell);
}

#[test]
fn who_waits_is_told_for_whom() {
    let space = Space::new();
    let holder = space.hold("x", &["--reason", "yum upgrade"]);
    let mut shell = shell(&space);
    shell.write("$L run x echo do''ne\n");
    let line = shell.line_with("waiting for");
    assert!(line.contains("locker: waiting for x: held by ") && line.contains("reason: yum upgrade"), "{line}");
    drop(holder);
    shell.line_with("done");
    leave(shell);
}

#[test]
fn ctrl_c_while_waiting_leaves_the_queue() {
    let space = Space::new();
    let _holder = space.hold("x", &[]);
    let events = space.events("x");
    let mut shell = shell(&space);
    shell.write("$L run x true\n");
    let key = events.entered();
    shell.write(CTRL_C);
    assert_eq!(events.left(), key);
    shell.write("echo co''de $?\n");
    assert_code(&shell, 130);
    leave(shell);
}
