//! `locker completions` and `locker man`.

use crate::LOCKER;
use locker_harness::{Ended, ended, program};

fn locker(arguments: &[&str]) -> Ended {
    let mut command = program(LOCKER);
    command.args(arguments);
    ended(command)
}

/// What bash offers behind these words.
fn offered(words: &[&str]) -> Vec<String> {
    let script = "source <(\"$0\" completions bash); COMP_WORDS=(locker \"$@\"); COMP_CWORD=$#; \
                  _locker locker \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\"; \
                  printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut command = program("bash");
    command.args(["-c", script, LOCKER]).args(words);
    let ended = ended(command);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    ended.stdout.lines().map(String::from).collect()
}

#[test]
fn bash_completes_commands_options_and_their_values() {
    assert_eq!(offered(&["do"]), ["doctor"]);
    assert_eq!(offered(&["run", "--on"]), ["--on-lost"]);
    assert_eq!(offered(&["run", "--on-lost", ""]), ["term", "freeze", "warn"]);
    assert_eq!(offered(&["completions", ""]).last().map(String::as_str), Some("fish"));
    // What we start ourselves as is nobody's business.
    assert_eq!(offered(&["le"]), [""]);
}

#[test]
fn other_shells_have_theirs() {
    for (shell, says) in [("zsh", "#compdef locker"), ("fish", "complete -c locker")] {
        let ended = locker(&["completions", shell]);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
        assert!(ended.stdout.contains(says) && ended.stdout.contains("on-lost"), "{}", ended.stdout);
    }
    let ended = locker(&["completions", "tcsh"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("bash, zsh, fish"), "{}", ended.stderr);
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let all = locker(&["man"]);
    assert_eq!((all.code, all.stderr.as_str()), (0, ""));
    assert!(all.stdout.contains(".TH locker 1"), "{}", all.stdout);
    for command in ["run", "get", "watch", "doctor", "dev", "completions", "man"] {
        assert!(all.stdout.contains(&format!("locker\\-{command}(1)")), "{command}: {}", all.stdout);
        let page = locker(&["man", command]).stdout;
        assert!(page.contains(&format!(".TH locker-{command} 1")), "{page}");
    }
    assert!(locker(&["man", "run"]).stdout.contains("\\-\\-on\\-lost"));
    assert!(!all.stdout.contains("leash"), "{}", all.stdout);
    assert_eq!(locker(&["man", "nothing"]).code, 2);
}
