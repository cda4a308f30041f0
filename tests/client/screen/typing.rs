//! What is typed outlives the screen, except passwords.

use chatctl::client::screen::keep::KEEP_MS;
use chatctl::client::session::{Event, Refusal};
use chatctl::client::store::typed::{Typed, Unsent};

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::super::process::Server;
use super::real::{at_screen, ends, wait_for};
use super::seat::{ME, Seat, settings};
use crate::support::bounded::{PATIENCE, eventually, exit_of};
use crate::support::sys::{KILL, Pty, kill, spawn_on_pty};
use chatctl::sys::signal;

/// Logged in, on a disk that takes what is typed; bob and carol have written.
fn seat() -> Seat {
    let mut seat = Seat::with(settings(), 80, 24);
    seat.keeps = true;
    seat.served.store("carol", ME, "hello");
    seat.served.store("bob", ME, "hello");
    seat.log_in();
    seat
}

fn drafts(seat: &Seat) -> Vec<(&str, &str, usize)> {
    let drafts = seat.kept.iter().flat_map(|kept| &kept.drafts);
    drafts.map(|draft| (draft.to.as_str(), draft.text.as_str(), draft.cursor)).collect()
}

fn lines(seat: &Seat) -> Vec<&str> {
    seat.kept.iter().flat_map(|kept| &kept.lines).map(String::as_str).collect()
}

#[test]
fn a_draft_is_kept_after_a_second_without_a_key() {
    let mut seat = seat();
    seat.keys("/to bob\r");
    assert_eq!(seat.screen.deadline(), None, "all is kept: nothing wakes it");
    seat.keys("half a th");
    assert_eq!((drafts(&seat), lines(&seat)), (vec![], vec!["/to bob"]));
    assert_eq!(seat.screen.deadline(), Some(seat.now_ms + KEEP_MS));
    seat.wait(KEEP_MS / 2);
    seat.keys("ought\x02");
    seat.wait(KEEP_MS - 1);
    assert_eq!(drafts(&seat), []);
    seat.wait(1);
    assert_eq!(drafts(&seat), [("bob", "half a thought", 13)]);
    // What is sent is no draft any more, and a line of the history at once.
    seat.keys("\r");
    assert_eq!((drafts(&seat), lines(&seat)), (vec![], vec!["half a thought", "/to bob"]));
    // Nor is what was cleared.
    seat.keys("never mind");
    seat.wait(KEEP_MS);
    seat.keys("\x15");
    seat.wait(KEEP_MS);
    assert_eq!(drafts(&seat), []);
}

#[test]
fn a_draft_is_kept_at_once_when_its_conversation_is_left_and_leaving_needs_no_question_then() {
    for leave in ["/quit\r", "\x04", "\x03\x03"] {
        let mut seat = seat();
        seat.keys("/to bob\r").keys("half a thought").keys("\x1b2");
        assert_eq!(drafts(&seat), [("bob", "half a thought", 14)]);
        seat.keys(leave);
        assert!(seat.screen.is_quitting(), "{leave:?}: {}", seat.text());
    }
    // Where the disk takes nothing, it is asked.
    let mut seat = seat();
    seat.keeps = false;
    seat.keys("/to bob\rhalf a thought\x1b2/quit\r");
    assert!(seat.shows("the draft for bob would be lost"), "{}", seat.text());
}

#[test]
fn the_next_chat_begins_with_what_was_typed_and_who_was_muted() {
    let mut before = seat();
    before.keys("/mute carol\r/msg bob one\rto nobody").wait(KEEP_MS);
    before.keys("\x15/to bob\rfor bob\x02/").keys("\x1b2for carol").wait(KEEP_MS);
    before.keys("\x15/to new\rfor somebody new").wait(KEEP_MS);
    let mut kept = before.kept.expect("it is kept");
    assert_eq!(kept.drafts.len(), 2);
    kept.set_draft(Unsent { to: String::new(), text: "to nobody".to_string(), cursor: 2 });
    let mut seat = Seat::with(settings(), 80, 24);
    seat.served.store("carol", ME, "hello");
    seat.served.store("bob", ME, "hello");
    seat.screen.restore(kept.clone());
    seat.show();
    assert_eq!(seat.screen.typed(), "to nobody");
    assert_eq!(seat.screen.to_keep(), kept, "before there is a server too");
    seat.log_in();
    seat.show();
    assert!(seat.shows("1●bob*") && seat.shows("3 new*"), "{}", seat.text());
    assert_eq!(seat.vt.title, "(1) alice - chatctl", "carol is muted");
    seat.keys("\x15\x1b1");
    assert_eq!(seat.screen.typed(), "for bo/b");
    seat.keys("\x15\x10");
    assert_eq!(seat.screen.typed(), "for somebody new");
    seat.keys("\x15\x1b[A");
    assert_eq!(seat.screen.typed(), "/to new");
    seat.keys(&"\x1b[A".repeat(2));
    assert_eq!(seat.screen.typed(), "/msg bob one");
}

#[test]
fn a_password_that_is_typed_at_a_question_is_kept_nowhere() {
    let secrets = |kept: &Typed| format!("{kept:?}").contains("secret");
    let refusal = Refusal::new("wrong-credentials", "no account has this name and password");
    let begin: [&dyn Fn(&mut Seat); 4] = [
        &|seat| {
            seat.event(Event::PasswordNeeded);
        },
        &|seat| {
            seat.event(Event::LoginRefused(refusal.clone()));
        },
        &|seat| {
            seat.keys("/passwd\r");
        },
        &|seat| {
            seat.keys("/account delete\ralice\r");
        },
    ];
    for (at, begin) in begin.iter().enumerate() {
        let mut seat = seat();
        seat.keys("/to bob\rhalf a thought");
        if at > 1 {
            seat.keys("\x15");
        }
        begin(&mut seat);
        seat.keys("secret").wait(KEEP_MS);
        assert!(!secrets(&seat.screen.to_keep()), "{at}: while it is typed");
        // Cut out, and brought back where it can be seen.
        seat.keys("\x15secret two\x17\x01\x0bsecret").keys("\x1b");
        seat.wait(1_000);
        seat.keys("\x19").wait(KEEP_MS);
        assert!(!seat.screen.typed().contains("secret"), "{at}: {}", seat.text());
        seat.keys("\x15");
        begin(&mut seat);
        seat.keys("secret\r").wait(KEEP_MS);
        assert!(!secrets(&seat.screen.to_keep()), "{at}: when it was entered");
        seat.keys("\x1b").wait(1_000);
        seat.keys("\x1b[A").wait(KEEP_MS);
        assert!(!secrets(&seat.screen.to_keep()), "{at}: {}", seat.text());
    }
}

#[test]
fn why_the_disk_takes_nothing_is_told_but_not_over_what_is_wrong_with_a_message() {
    let mut seat = seat();
    seat.screen.on_kept(false, Some("drafts are not kept: no space"));
    seat.show();
    assert!(seat.shows("! drafts are not kept"), "{}", seat.text());
    seat.keys("x");
    seat.screen.on_not_taken("bob", "hi", "the disk is full");
    seat.screen.on_kept(false, Some("drafts are not kept: no space"));
    seat.show();
    assert!(seat.shows("! not sent: the disk is full"), "{}", seat.text());
}

/// The file of what is typed of an account.
fn file(server: &Server, user: &str) -> PathBuf {
    let folders = std::fs::read_dir(server.dir.path().join(user)).expect("it has state");
    let paths = folders.map(|entry| entry.expect("an entry").path());
    let paths: Vec<PathBuf> = paths.filter(|path| path.is_dir()).collect();
    let [folder] = &paths[..] else { panic!("{paths:?}") };
    folder.join("typed")
}

#[test]
fn what_is_typed_outlives_every_way_to_end() {
    let server = Server::start("screen-typed");
    server.create("alice");
    server.create("bob");
    for (end, number) in [("TERM", signal::TERM), ("HUP", signal::HUP), ("KILL", KILL)] {
        let (mut pty, mut child, mut vt) = at_screen(&server, "alice");
        pty.type_text("/to bob\r");
        wait_for(&mut pty, &mut vt, "bob");
        pty.type_text(&format!("sent before {end}\r"));
        wait_for(&mut pty, &mut vt, &format!("alice✓ sent before {end}"));
        let draft = format!("half a thought of {end}");
        pty.type_text(&draft);
        wait_for(&mut pty, &mut vt, &format!("> {draft}"));
        let path = file(&server, "alice");
        if number == KILL {
            let is_kept = || std::fs::read_to_string(&path).ok().filter(|t| t.contains(&draft));
            eventually("a second without a key is over", PATIENCE, is_kept);
        }
        kill(child.id(), number).expect("it runs");
        match number {
            KILL => drop(exit_of(&mut child)),
            _ => ends(&mut pty, &mut vt, child, true),
        }
        let mode = std::fs::metadata(&path).expect("it is kept").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let (mut pty, child, mut vt) = at_screen(&server, "alice");
        wait_for(&mut pty, &mut vt, "bob*");
        pty.type_text("/to bob\r");
        wait_for(&mut pty, &mut vt, &format!("> {draft}"));
        pty.type_text("\x15\x1b[A\x1b[A");
        wait_for(&mut pty, &mut vt, &format!("> sent before {end}"));
        pty.type_text("\x15\x04");
        ends(&mut pty, &mut vt, child, true);
    }
}

#[test]
fn in_lines_the_history_and_what_is_typed_for_a_conversation_are_kept_too() {
    let server = Server::start("lines-typed");
    server.create("alice");
    let start = || {
        let mut pty = Pty::open();
        let mut command = server.client("alice");
        command.arg("--plain").env("TERM", "xterm");
        let child = spawn_on_pty(&mut command, &pty).expect("it runs");
        pty.read_until("logged in as alice");
        (pty, child)
    };
    let (mut pty, mut child) = start();
    pty.type_text("/to bob\r");
    pty.read_until("bob> ");
    pty.type_text("half a thought");
    pty.read_until("bob> half a thought");
    kill(child.id(), signal::TERM).expect("it runs");
    assert!(exit_of(&mut child).success());
    let (mut pty, mut child) = start();
    pty.type_text("/passwd\r");
    pty.read_until("current password: ");
    // Nothing of it is shown; the cleared screen says that it was read.
    pty.type_text("secret\x0c");
    pty.read_until("\x1b[2J");
    let path = file(&server, "alice");
    let kept = || std::fs::read_to_string(&path).expect("it is kept");
    eventually("the line is kept", PATIENCE, || kept().contains("/passwd").then_some(()));
    kill(child.id(), signal::TERM).expect("it runs");
    assert!(exit_of(&mut child).success());
    assert!(!kept().contains("secret") && kept().contains("half a thought"), "{}", kept());
    let (mut pty, mut child) = start();
    pty.type_text("\x1b[A\x1b[A");
    pty.read_until("> /to bob");
    pty.type_text("\r");
    pty.read_until("bob> half a thought");
    pty.type_text("\x15/quit\r");
    assert!(exit_of(&mut child).success());
}
