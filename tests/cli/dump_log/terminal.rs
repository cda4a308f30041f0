//! Colours, the pager and the line of progress, on a terminal and away from it.

use super::super::{chatctl, run};
use super::two_segments;
use crate::support::TempDir;
use crate::support::bounded::{Pipes, Run, exit_of};
use crate::support::server::{Launch, ask};
use crate::support::sys::{Pty, spawn_on_pty};
use std::io::BufRead;
use std::process::{Command, Stdio};
use std::time::Duration;

const RED: &str = "\u{1b}[1;31m";

fn log(name: &str) -> (TempDir, String) {
    let dir = TempDir::new(name);
    let (first, second, last) = two_segments();
    let path = first.write(dir.path());
    second.write(dir.path());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[last + 40] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let shown = dir.path().to_str().unwrap().to_owned();
    (dir, shown)
}

/// The command, with nothing in its environment that it looks at.
fn dump_log(flags: &[&str], path: &str) -> Command {
    let mut command = chatctl(&[&["dump-log"], flags, &[path]].concat());
    for variable in ["NO_COLOR", "CHATCTL_PAGER", "PAGER", "LESS", "LV"] {
        command.env_remove(variable);
    }
    command.env("TERM", "xterm");
    command
}

/// What appears on a terminal up to and with `last`; the command then ends well.
fn on_terminal(command: &mut Command, last: &str) -> String {
    let mut pty = Pty::open();
    let mut child = spawn_on_pty(command, &pty).expect("it runs");
    let shown = pty.read_until(last);
    assert_eq!(exit_of(&mut child).code(), Some(0), "{shown}");
    shown
}

#[test]
fn colours_are_for_terminals_unless_they_are_asked_for_or_refused() {
    let (_dir, path) = log("dump-colours");
    let last = "committed up to 5";
    for (flags, variable, wanted) in [
        (&["--no-pager"][..], ("NO_COLOR", ""), true),
        (&["--no-pager"], ("NO_COLOR", "1"), false),
        (&["--no-pager"], ("TERM", "dumb"), false),
        (&["--no-pager", "--color=always"], ("NO_COLOR", "1"), true),
        (&["--no-pager", "--color=never"], ("NO_COLOR", ""), false),
        (&["--no-pager", "--json"], ("NO_COLOR", ""), false),
    ] {
        let mut command = dump_log(flags, &path);
        command.env(variable.0, variable.1);
        let last = if flags.contains(&"--json") { "\"commit\": 5}" } else { last };
        let shown = on_terminal(&mut command, last);
        assert_eq!(shown.contains(RED), wanted, "{flags:?} {variable:?}: {shown:?}");
        assert_eq!(shown.contains("TERM "), !flags.contains(&"--json"), "{shown:?}");
    }
    let (_, plain, _) = run(&["dump-log", &path]);
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
    let (_, coloured, _) = run(&["dump-log", "--color=always", &path]);
    assert!(coloured.contains(RED), "{coloured:?}");
    let uncoloured = coloured.split('\u{1b}').enumerate().map(|(place, part)| match place {
        0 => part,
        _ => part.split_once('m').expect("a colour ends with m").1,
    });
    assert_eq!(uncoloured.collect::<String>(), plain);
}

#[test]
fn the_log_of_a_server_lines_up_on_a_terminal_of_80_columns() {
    let home = TempDir::new("dump-80-columns");
    let server = Launch::on(home.path()).start();
    let (mut alice, mut bob) = (server.create("alice"), server.create("bob"));
    alice.done(&ask("send").to("bob").id(1).body(&"a text of many words ".repeat(9)));
    bob.done(&ask("passwd").body("another"));
    alice.done(&ask("delete_msgs").id(1));
    bob.done(&ask("delete"));
    drop(server);
    let mut command = dump_log(&["--no-pager", "--color=never"], home.path().to_str().unwrap());
    let shown = on_terminal(command.arg("--to=99"), " delete      bob");
    let heading = shown.lines().next().unwrap().trim_end();
    let places = [" INDEX", " TIME", " KIND", " CONTENT"].map(|name| heading.find(name).unwrap());
    let mut kinds = Vec::new();
    for row in shown.lines().skip(1).map(str::trim_end) {
        assert!(row.len() <= 80 && row.is_char_boundary(places[3]), "{row}\n{shown}");
        assert!(places[1..].iter().all(|&at| row.as_bytes()[at] == b' '), "{row}\n{shown}");
        kinds.extend(row[places[2]..places[3]].split_whitespace());
    }
    let made = ["no-op", "found", "create", "create", "send", "passwd", "delete_msgs", "delete"];
    assert_eq!(kinds, made, "{shown}");
}

#[test]
fn a_pager_shows_the_records_and_leaving_it_early_is_no_error() {
    let (_dir, path) = log("dump-pager");
    for (chatctl_pager, pager, paged) in [
        (Some("sed s/^/one:/"), Some("sed s/^/two:/"), "one:"),
        (None, Some("sed s/^/two:/"), "two:"),
        (Some(""), Some("sed s/^/two:/"), ""),
        (Some("cat"), None, ""),
    ] {
        let mut command = dump_log(&["--color=never"], &path);
        for (variable, value) in [("CHATCTL_PAGER", chatctl_pager), ("PAGER", pager)] {
            value.map(|value| command.env(variable, value));
        }
        let shown = on_terminal(&mut command, "committed up to 5");
        assert!(shown.starts_with(&format!("{paged}TERM ")), "{shown:?}");
        assert!(shown.contains(&format!("\n{paged}   1         5 ")), "{shown:?}");
    }
    // Of what is not damaged: else it ends with 1.
    let mut command = dump_log(&["--stats"], &format!("{path}/wal/00000002.wal"));
    command.env("PAGER", "echo \"$LESS $LV\"; head -n 1");
    assert!(on_terminal(&mut command, "segments ").contains("FRX -c"));

    let mut command = dump_log(&[], &path);
    command.env("PAGER", "there-is-no-such-pager");
    let mut pty = Pty::open();
    let mut child = spawn_on_pty(&mut command, &pty).expect("it runs");
    let shown = pty.read_until("PAGER=cat");
    assert_eq!(exit_of(&mut child).code(), Some(1), "{shown}");

    // More than a pipe holds, of which the pager reads a line.
    let (dir, path) = (TempDir::new("dump-pager-early"), "dump-pager-early");
    let mut segment = super::Segment::new(1);
    segment.header.length = 1 << 20;
    for index in 1..=4_000 {
        segment.put_command(index, index, &super::send("many words, and many lines of them"));
    }
    segment.write(dir.path());
    let mut command = dump_log(&[], dir.path().to_str().unwrap());
    command.env("PAGER", "head -n 2; echo enough");
    let shown = on_terminal(&mut command, "enough");
    assert!(shown.contains("TERM ") && !shown.contains("annot"), "{path}: {shown:?}");
    let mut command = dump_log(&["--no-pager", "--to=1"], dir.path().to_str().unwrap());
    command.env("PAGER", "echo paged");
    assert!(!on_terminal(&mut command, "many lines of them").contains("paged"));
}

#[test]
fn away_from_a_terminal_no_pager_is_started() {
    let (_dir, path) = log("dump-no-pager");
    let output = dump_log(&[], &path).env("PAGER", "echo paged").run();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !shown.contains("paged"), "{shown}");
    assert!(shown.starts_with("00000001.wal"), "{shown}");
}

#[test]
fn what_takes_longer_than_a_second_shows_on_a_terminal_how_far_it_is() {
    let dir = TempDir::new("dump-progress");
    let mut segment = super::Segment::new(1);
    segment.header.length = 2 << 20;
    // Records of which 4,096 are more lines than a pipe and the program's own buffers hold.
    for index in 1..=9_000 {
        segment.put_command(index, index, &super::send("one of many lines"));
    }
    segment.write(dir.path());
    let mut pty = Pty::open();
    let mut command = dump_log(&[], dir.path().to_str().unwrap());
    let stderr = pty.slave().try_clone().unwrap();
    let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().expect("it runs");
    let mut stdout = child.lines("a line of the log");
    stdout.read_line(&mut String::new()).expect("a first line");
    // Nobody reads on for more than a second: so long it is held up, before it has looked at the
    // clock.
    std::thread::sleep(Duration::from_millis(1_100));
    let lines = stdout.lines().count();
    assert_eq!(lines, 2 * 9_000 - 1);
    let told = pty.read_until(" records");
    let text = told.strip_prefix("\r\u{1b}[Ksegment 1 of 1, ").expect(&told);
    let count: u64 = text.strip_suffix(" records").unwrap().parse().expect(text);
    assert!(count.is_multiple_of(4_096) && count > 0, "{told:?}");
    pty.read_until("\r\u{1b}[K");
    assert_eq!(exit_of(&mut child).code(), Some(0));
}
