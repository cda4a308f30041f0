//! The demo, in short: five servers, two people, two PRIMARYs killed, nothing lost.

use std::io::BufRead;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::bounded::{Pipes, RUN, Run, exit_of};
use crate::support::{PROGRAM, TempDir};

fn demo(chatctl: &str, temporary: &Path) -> Command {
    let mut command = Command::new("sh");
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command.args(["tests/demo.sh", chatctl, "short"]).env("TMPDIR", temporary);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn the_demo_ends_with_0_without_a_terminal_and_leaves_nothing_behind() {
    let dir = TempDir::new("demo");
    let output = demo(PROGRAM, dir.path()).run();
    let (out, error) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{error}");
    assert!(out.ends_with("Nothing was lost.\n") && !out.contains("FAILED"), "{out}");
    assert_eq!(out.matches(" is killed; ").count(), 2, "{out}");
    assert_eq!(error, "");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "it cleans up");
}

#[test]
fn a_demo_that_is_broken_off_ends_with_1_and_leaves_nothing_behind() {
    let dir = TempDir::new("demo-broken-off");
    let mut child = demo(PROGRAM, dir.path()).spawn().expect("a shell");
    let mut lines = child.lines_within(RUN, "the demo's next line").lines();
    let told = lines.find(|line| line.as_ref().is_ok_and(|line| line.ends_with(" is PRIMARY")));
    assert!(told.is_some(), "it gets as far as that");
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).run().status.success());
    // The end of the output comes when no process of it is left.
    lines.for_each(drop);
    assert_eq!(exit_of(&mut child).code(), Some(1));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "it cleans up");
}

#[test]
fn the_demo_fails_where_the_program_does() {
    let dir = TempDir::new("demo-false");
    let output = demo("/bin/false", dir.path()).run();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("The demo failed: "));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "it cleans up");
}
