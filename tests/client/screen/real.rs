//! The program itself on a pseudoterminal: what it takes of the terminal, it gives back.

use std::process::{Child, Command};
use std::time::Duration;

use chatctl::client::editor::keys::SILENCE_MS;
use chatctl::client::shell::fullscreen;
use chatctl::sys::signal;

use super::super::process::Server;
use crate::support::TempDir;
use crate::support::bounded::{Bound, PATIENCE, eventually, exit_of, until_killed};
use crate::support::sys::{Pty, STOP, kill, spawn_on_pty};
use crate::support::vt::Vt;

/// The last thing that is said to a terminal.
const LEFT: &str = "\x1b[?1049l";
/// The end of a frame.
const FRAME: &str = "\x1b[?25h";

/// A client at a terminal of 80x24, logged in, and the terminal's picture of it.
pub fn at_screen(server: &Server, user: &str) -> (Pty, Child, Vt) {
    let mut pty = Pty::open();
    let mut command = server.client(user);
    command.env("TERM", "xterm").env("TZ", "UTC").env("NO_COLOR", "1");
    let child = spawn_on_pty(&mut command, &pty).expect("it runs");
    let mut vt = Vt::new(80, 24);
    wait_for(&mut pty, &mut vt, &format!("{user}  connected"));
    assert!(pty.is_raw() && vt.is_alternate && vt.brackets_pastes && !vt.wraps);
    (pty, child, vt)
}

/// A shell's script that runs `program` as its arguments.
pub fn in_shell(script: &str, program: &Command) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(program.get_program()).args(program.get_args());
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("TERM", "xterm").env("TZ", "UTC").env("NO_COLOR", "1");
    command
}

/// Reads frames until one shows this.
pub fn wait_for(pty: &mut Pty, vt: &mut Vt, text: &str) {
    let bound = Bound::new(format!("the screen shows {text:?}"));
    while !vt.text().contains(text) {
        bound.check_with(|| vt.text());
        vt.feed(pty.read_until(FRAME).as_bytes());
    }
}

/// The program has told the terminal to be as it was.
fn says_farewell(pty: &mut Pty, vt: &mut Vt) {
    vt.feed(pty.read_until(LEFT).as_bytes());
    assert!(!vt.is_alternate && vt.shows_cursor && vt.wraps && !vt.brackets_pastes);
    assert_eq!(vt.reports_mouse, (false, false));
    assert_eq!((vt.title.as_str(), vt.kept_titles.len()), ("", 0), "the title from before");
    assert_eq!(vt.not_understood, [] as [&str; 0]);
}

/// The program ends, with this success, and leaves the terminal as it was.
pub fn ends(pty: &mut Pty, vt: &mut Vt, mut child: Child, is_well: bool) {
    says_farewell(pty, vt);
    assert_eq!(exit_of(&mut child).success(), is_well);
    assert!(pty.echoes() && !pty.is_raw());
}

#[test]
fn the_terminal_is_given_back_by_every_way_to_end() {
    let server = Server::start("screen-ends");
    server.create("alice");
    for end in ["/quit\r", "\u{4}", "\u{3}\u{3}", "TERM", "HUP", "INT", "QUIT"] {
        let (mut pty, child, mut vt) = at_screen(&server, "alice");
        let signal = match end {
            "TERM" => signal::TERM,
            "HUP" => signal::HUP,
            "INT" => signal::INT,
            "QUIT" => signal::QUIT,
            keys => {
                pty.type_text(keys);
                0
            }
        };
        if signal != 0 {
            kill(child.id(), signal).expect("it runs");
        }
        println!("by {end:?}");
        ends(&mut pty, &mut vt, child, true);
    }
}

#[test]
fn a_server_that_is_lost_leaves_the_screen_and_what_is_typed_is_sent_later() {
    let mut server = Server::start("screen-lost");
    server.create("alice");
    server.create("bob");
    let (mut pty, child, mut vt) = at_screen(&server, "alice");
    pty.type_text("/to bob\r");
    wait_for(&mut pty, &mut vt, "no messages yet");
    server.kill();
    wait_for(&mut pty, &mut vt, "offline");
    pty.type_text("typed while it was away\r");
    wait_for(&mut pty, &mut vt, "alice… typed while it was away");
    wait_for(&mut pty, &mut vt, "1 waiting");
    server.start_again();
    wait_for(&mut pty, &mut vt, "alice✓ typed while it was away");
    assert_eq!(server.history("bob", "alice"), ["typed while it was away"]);
    // And the end, with nobody there.
    server.kill();
    wait_for(&mut pty, &mut vt, "offline");
    pty.type_text("kept for the next time\r/quit\r");
    ends(&mut pty, &mut vt, child, true);
    pty.read_until("1 message not sent yet");
    server.start_again();
    let (mut pty, child, mut vt) = at_screen(&server, "alice");
    assert!(!vt.text().contains("from an earlier run"), "{}", vt.text());
    pty.type_text("/to bob\r");
    wait_for(&mut pty, &mut vt, "alice✓ kept for the next time");
    pty.type_text("/quit\r");
    ends(&mut pty, &mut vt, child, true);
}

#[test]
fn a_server_that_hangs_is_told_while_it_does() {
    let server = Server::start("screen-hangs");
    server.create("alice");
    server.create("bob");
    let (mut pty, child, mut vt) = at_screen(&server, "alice");
    pty.type_text("/to bob\r");
    wait_for(&mut pty, &mut vt, "no messages yet");
    server.signal(STOP);
    pty.type_text("into the silence\r");
    wait_for(&mut pty, &mut vt, "no answer for");
    server.signal(signal::CONT);
    wait_for(&mut pty, &mut vt, "alice✓ into the silence");
    assert!(!vt.text().contains("no answer for"), "{}", vt.text());
    pty.type_text("/quit\r");
    ends(&mut pty, &mut vt, child, true);
}

/// Not a test by itself: what the next one starts as a program of its own, which the variable tells.
#[test]
fn a_program_that_takes_the_screen_and_ends_badly() {
    let Ok(end) = std::env::var("CHATCTL_TEST_SCREEN_END") else {
        return;
    };
    // Forgotten, so that nothing but the hook or the handler gives it back.
    std::mem::forget(fullscreen::enter(true).expect("standard output is a pty"));
    println!("on the screen");
    match end.as_str() {
        "panic" => panic!("as asked"),
        _ => until_killed(),
    }
}

#[test]
fn a_panic_or_a_fatal_signal_gives_the_terminal_back_too() {
    for (end, signal) in
        [("panic", 0), ("hang", signal::TERM), ("hang", signal::HUP), ("hang", signal::INT)]
    {
        let mut pty = Pty::open();
        let mut command = Command::new(std::env::current_exe().expect("it has a path"));
        let name = "client::screen::real::a_program_that_takes_the_screen_and_ends_badly";
        command.args(["--exact", name, "--nocapture"]).env("CHATCTL_TEST_SCREEN_END", end);
        let child = spawn_on_pty(&mut command, &pty).expect("it runs");
        let mut vt = Vt::new(80, 24);
        vt.feed(pty.read_until("on the screen").as_bytes());
        assert!(vt.is_alternate);
        if signal != 0 {
            kill(child.id(), signal).expect("it runs");
        }
        ends(&mut pty, &mut vt, child, false);
        if signal == 0 {
            pty.read_until("as asked");
        }
    }
}

#[test]
fn a_screen_that_somebody_else_has_stopped_takes_the_terminal_again_when_continued() {
    let server = Server::start("screen-stopped");
    server.create("alice");
    let (mut pty, child, mut vt) = at_screen(&server, "alice");
    kill(child.id(), STOP).expect("it runs");
    kill(child.id(), signal::CONT).expect("it runs");
    vt.feed(pty.read_until("\x1b[?1049h").as_bytes());
    wait_for(&mut pty, &mut vt, "alice  connected");
    assert!(pty.is_raw() && vt.is_alternate && vt.brackets_pastes && !vt.wraps);
    pty.type_text("/quit\r");
    ends(&mut pty, &mut vt, child, true);
}

#[test]
fn a_stopped_screen_gives_the_terminal_back_and_is_drawn_anew_when_continued() {
    let server = Server::start("screen-stop");
    server.create("alice");
    let mut pty = Pty::open();
    let script = "set -m; \"$@\"; echo the shell is back; read line; fg";
    let child = spawn_on_pty(&mut in_shell(script, &server.client("alice")), &pty);
    let child = child.expect("it runs");
    let mut vt = Vt::new(80, 24);
    wait_for(&mut pty, &mut vt, "alice  connected");
    pty.type_text("typed\u{1a}");
    says_farewell(&mut pty, &mut vt);
    pty.read_until("the shell is back");
    assert!(pty.echoes() && !pty.is_raw(), "the shell has its terminal");
    // Meanwhile the window has changed.
    pty.set_size(60, 20);
    let mut vt = Vt::new(60, 20);
    pty.type_text("\n");
    wait_for(&mut pty, &mut vt, "> typed");
    assert!(pty.is_raw() && vt.row(18).contains("alice  connected"), "{}", vt.text());
    pty.set_size(40, 10);
    vt.resize(40, 10);
    let bound = Bound::new("the bar is where the window's new size has it");
    while !vt.row(8).contains("alice  connected") {
        bound.check_with(|| vt.text());
        vt.feed(pty.read_until(FRAME).as_bytes());
    }
    pty.type_text("\u{3}/quit\r");
    ends(&mut pty, &mut vt, child, true);
}

#[test]
fn the_mouse_is_taken_unless_it_is_left_to_the_terminal() {
    let server = Server::start("screen-mouse");
    server.create("alice");
    for (flag, is_taken) in [("--mouse=on", true), ("--mouse=off", false)] {
        let mut pty = Pty::open();
        let mut command = server.client("alice");
        command.arg(flag).env("TERM", "xterm");
        let child = spawn_on_pty(&mut command, &pty).expect("it runs");
        let mut vt = Vt::new(80, 24);
        wait_for(&mut pty, &mut vt, "alice  connected");
        assert_eq!(vt.reports_mouse, (is_taken, is_taken), "{flag}");
        pty.type_text("/quit\r");
        ends(&mut pty, &mut vt, child, true);
    }
}

#[test]
fn the_notify_command_gets_the_message_by_its_environment_and_the_title_counts_it() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::start("screen-notify");
    server.create("alice");
    server.create("bob");
    let dir = TempDir::new("screen-notify-command");
    let (program, told) = (dir.path().join("tell"), dir.path().join("told"));
    let script = format!(
        "#!/bin/sh\nprintf '%s|' \"$CHATCTL_USER\" \"$CHATCTL_FROM\" \"$CHATCTL_TEXT\" \
         \"$CHATCTL_COUNT\" \"$CHATCTL_PASSWORD\" \"$#\" > {0}.new\nmv {0}.new {0}\n",
        told.display()
    );
    std::fs::write(&program, script).expect("it can be written");
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("it is ours");
    let mut pty = Pty::open();
    let mut command = server.client("alice");
    command.arg("--notify=osc9").arg("--notify-command").arg(&program).env("TERM", "xterm");
    let child = spawn_on_pty(&mut command, &pty).expect("it runs");
    let mut vt = Vt::new(80, 24);
    wait_for(&mut pty, &mut vt, "alice  connected");
    let text = "$(touch x); `id` \"quoted\" 'too'; *";
    assert!(server.piped("bob", &format!("/msg alice {text}\n")).status.success());
    wait_for(&mut pty, &mut vt, "1 unread elsewhere");
    let said = eventually("the command has run", PATIENCE, || std::fs::read_to_string(&told).ok());
    assert_eq!(said, format!("alice|bob|{text}|1||0|"));
    assert_eq!(vt.notices, [format!("bob: {}", text.replace(';', ","))]);
    assert_eq!(vt.title, "(1) alice - chatctl");
    pty.type_text("/quit\r");
    ends(&mut pty, &mut vt, child, true);
}

#[test]
fn ctrl_z_without_a_shell_that_could_go_on_only_redraws() {
    let server = Server::start("screen-orphan");
    server.create("alice");
    let (mut pty, child, mut vt) = at_screen(&server, "alice");
    pty.type_text("\u{1a}");
    says_farewell(&mut pty, &mut vt);
    wait_for(&mut pty, &mut vt, "alice  connected");
    assert!(pty.is_raw() && vt.is_alternate);
    pty.type_text("/quit\r");
    ends(&mut pty, &mut vt, child, true);
}

#[test]
fn in_lines_too_ctrl_c_or_silence_ends_a_paste_that_has_lost_its_end() {
    let server = Server::start("screen-lost-paste");
    server.create("alice");
    for is_silent in [false, true] {
        let mut pty = Pty::open();
        let mut command = server.client("alice");
        command.arg("--plain").env("TERM", "xterm");
        let mut child = spawn_on_pty(&mut command, &pty).expect("it runs");
        pty.read_until("logged in as alice");
        pty.type_text("\x1b[200~hello");
        pty.read_until("> hello");
        match is_silent {
            false => pty.type_text("\u{3}"),
            true => {
                std::thread::sleep(Duration::from_millis(SILENCE_MS + 500));
                pty.type_text("\u{15}");
            }
        }
        pty.read_until("> \x1b[K");
        pty.type_text("/quit\r");
        assert!(exit_of(&mut child).success());
    }
}

/// A shell with job control runs a script that runs the client, as many people start programs.
#[test]
fn ctrl_z_stops_the_script_around_the_client_too_and_the_shell_can_go_on() {
    const SCRIPT: &str = "set -m; sh -c '\"$@\"; echo the script ends' script \"$@\"; \
                          echo the shell is back; fg";
    let server = Server::start("screen-wrapped");
    server.create("alice");
    for (flags, begun, again) in [
        (&[][..], "There are no conversations yet.", "\x1b[?1049h"),
        (&["--plain"], "logged in as alice", "\x1b[?2004h"),
    ] {
        let mut pty = Pty::open();
        let mut client = server.client("alice");
        let mut command = in_shell(SCRIPT, client.args(flags));
        let mut child = spawn_on_pty(&mut command, &pty).expect("it runs");
        pty.read_until(begun);
        pty.type_text("\u{1a}");
        pty.read_until("the shell is back");
        pty.read_until(again);
        pty.type_text("/quit\r");
        pty.read_until("the script ends");
        assert!(exit_of(&mut child).success());
    }
}

#[test]
fn without_a_screen_to_use_it_speaks_lines() {
    let server = Server::start("screen-plain");
    server.create("alice");
    for (flags, term) in [(&["--plain"][..], "xterm"), (&[], "dumb")] {
        let mut pty = Pty::open();
        let mut command = server.client("alice");
        command.args(flags).env("TERM", term);
        let mut child = spawn_on_pty(&mut command, &pty).expect("it runs");
        let said = pty.read_until("logged in as alice");
        assert!(!said.contains("\x1b[?1049h"), "{said:?}");
        pty.type_text("/quit\r");
        assert!(exit_of(&mut child).success());
    }
}

#[test]
fn an_idle_screen_sleeps() {
    let server = Server::start("screen-idle");
    server.create("alice");
    server.create("bob");
    let (mut pty, child, mut vt) = at_screen(&server, "alice");
    pty.type_text("/to bob\r");
    wait_for(&mut pty, &mut vt, "no messages yet");
    let wakes = || -> u64 {
        let path = format!("/proc/{}/status", child.id());
        let status = std::fs::read_to_string(path).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches"));
        let number = line.and_then(|line| line.split_whitespace().nth(1)).expect("a number");
        number.parse().expect("a number")
    };
    let before = wakes();
    std::thread::sleep(Duration::from_secs(2));
    let woken = wakes() - before;
    // Two pings at most, each a question and its answer.
    assert!(woken <= 4, "woken {woken} times in two seconds");
    pty.type_text("/quit\r");
    ends(&mut pty, &mut vt, child, true);
}
