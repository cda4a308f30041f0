//! The demo, in short: two people, a server that is killed twice, nothing lost.

use std::process::{Command, Stdio};

#[test]
fn the_demo_ends_with_0_without_a_terminal_and_leaves_nothing_behind() {
    let dir = crate::support::TempDir::new("demo");
    let output = Command::new("sh")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tests/demo.sh", env!("CARGO_BIN_EXE_chatctl"), "short"])
        .env("TMPDIR", dir.path())
        .stdin(Stdio::null())
        .output()
        .expect("a shell is there");
    let (out, error) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{error}");
    assert!(out.ends_with("Nothing was lost.\n") && !out.contains("WRONG"), "{out}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "it cleans up");
}

#[test]
fn the_demo_fails_where_the_program_does() {
    let output = Command::new("sh")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tests/demo.sh", "/bin/false", "short"])
        .output()
        .expect("a shell is there");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("The demo failed: "));
}
