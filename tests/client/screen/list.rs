//! The list of conversations: the numbers that open them stay, whatever comes.

use chatctl::client::screen::Screen;
use chatctl::client::session::{Draft, Event, Refusal, State};

use super::seat::{ME, NOON, Seat, settings};

/// Logged in, with these in the list: the last of them wrote last.
fn listed(names: &[&str]) -> Seat {
    let mut seat = Seat::with(settings(), 80, 24);
    for name in names {
        let stored = seat.served.store(name, ME, &format!("hello from {name}"));
        seat.served.markers.insert(name.to_string(), stored.seq);
    }
    seat.log_in();
    seat.show();
    seat
}

fn names(screen: &Screen) -> Vec<&str> {
    screen.book().all().iter().map(|talk| talk.name.as_str()).collect()
}

/// A name that nobody has is opened.
fn mistype(seat: &mut Seat, line: &str) {
    seat.served.is_silent = true;
    seat.keys(line);
    seat.refuse_all("no-such-user", "no account has this name");
    seat.served.is_silent = false;
}

#[test]
fn numbers_stay_where_they_are_whoever_writes_and_new_conversations_come_at_the_end() {
    let mut seat = listed(&["carol", "bob", "dave"]);
    assert_eq!(names(&seat.screen), ["dave", "bob", "carol"]);
    seat.hear("carol", "news").hear("erin", "hello").keys("/msg carol hi\r/msg bob hi\r");
    assert_eq!(names(&seat.screen), ["dave", "bob", "carol", "erin"]);
    seat.keys("\x1b4");
    assert_eq!(seat.screen.current(), Some("erin"));
    // The connection comes and goes; a message was missed.
    seat.served.store("frank", ME, "hello");
    seat.served.store("carol", ME, "more news");
    seat.log_in();
    seat.show();
    assert_eq!(names(&seat.screen), ["dave", "bob", "carol", "erin", "frank"]);
    assert!(seat.shows("3 carol") && seat.shows("5 frank"), "{}", seat.text());
    // The picker shows the newest first all the same.
    seat.keys("/inbox\r");
    let row = |name: &str| {
        let (column, all) = (17, seat.text());
        all.lines().position(|line| line.chars().skip(column).collect::<String>().contains(name))
    };
    let rows = ["carol", "frank", "bob", "erin", "dave"].map(row);
    assert!(rows[0].is_some() && rows.is_sorted(), "{rows:?}: {}", seat.text());
}

#[test]
fn the_list_begins_in_the_order_of_seqs_whatever_the_clocks_of_the_servers_said() {
    let mut seat = Seat::with(settings(), 80, 24);
    for (at, name) in ["carol", "bob", "dave"].iter().enumerate() {
        seat.served.store(name, ME, "hello");
        seat.served.messages[at].time = NOON - at as u64 * 3_600_000;
    }
    seat.log_in();
    assert_eq!(names(&seat.screen), ["dave", "bob", "carol"]);
}

#[test]
fn a_conversation_is_moved_to_a_place_and_its_key_opens_it_there() {
    let mut seat = listed(&["carol", "bob", "dave"]);
    seat.keys("/move 2\r");
    assert!(seat.shows("no conversation is open"), "{}", seat.text());
    seat.keys("/to carol\r/move 1\r");
    assert_eq!(names(&seat.screen), ["carol", "dave", "bob"]);
    seat.keys("/move 9\r");
    assert!(seat.shows("the list is shorter: moved to place 3"), "{}", seat.text());
    seat.hear("dave", "news").keys("\x1b2");
    assert_eq!(
        (names(&seat.screen), seat.screen.current()),
        (vec!["dave", "bob", "carol"], Some("bob"))
    );
    seat.keys("/move 0\r");
    assert!(seat.shows("N must be a number, 1 or more; usage: /move N"), "{}", seat.text());
}

#[test]
fn a_closed_conversation_comes_back_with_a_new_message_and_not_before() {
    let mut seat = listed(&["carol", "bob", "dave"]);
    seat.keys("/to bob\r/close\r");
    assert_eq!((names(&seat.screen), seat.screen.current()), (vec!["dave", "carol"], None));
    assert!(
        seat.shows("bob is hidden until a new message arrives; /to bob shows it again"),
        "{}",
        seat.text()
    );
    seat.keys("to nobody\r");
    assert!(seat.shows("no recipient"), "nothing typed now goes to somebody else: {}", seat.text());
    seat.keys("\x15/close dave\r/close nobody\r");
    assert!(seat.shows("there is no conversation with nobody in the list"), "{}", seat.text());
    seat.log_in();
    assert_eq!(names(&seat.screen), ["carol"], "the inbox has nothing newer of them");
    seat.hear("bob", "news");
    assert_eq!(names(&seat.screen), ["carol", "bob"]);
    seat.keys("/to dave\r");
    assert_eq!(names(&seat.screen), ["carol", "bob", "dave"]);
    assert!(seat.shows("hello from dave"), "{}", seat.text());
    // One that wrote while there was no connection.
    seat.keys("/close carol\r");
    seat.served.store("carol", ME, "news");
    seat.log_in();
    assert_eq!(names(&seat.screen), ["bob", "dave", "carol"]);
    // What waits is in the list.
    seat.is_connected = false;
    seat.keys("it waits\r").keys("/close\r");
    assert!(seat.shows("a message to dave is not sent yet"), "{}", seat.text());
    assert_eq!(seat.screen.current(), Some("dave"));
}

#[test]
fn what_is_typed_for_a_closed_conversation_is_there_when_it_is_opened_again() {
    let mut seat = listed(&["carol", "bob"]);
    seat.keys("/to carol\rhalf a thought\x1b1/close carol\r");
    assert_eq!(names(&seat.screen), ["bob"]);
    seat.keys("/to carol\r");
    assert_eq!(seat.screen.typed(), "half a thought");
}

#[test]
fn a_mistyped_name_leaves_nothing_behind() {
    let mut seat = listed(&["carol", "bob"]);
    mistype(&mut seat, "/to typo\r");
    // Somebody new has a number that does not change when it goes.
    seat.hear("dave", "hello");
    assert_eq!(names(&seat.screen), ["bob", "carol", "dave", "typo"]);
    seat.keys("/to bob\r");
    assert_eq!(names(&seat.screen), ["bob", "carol", "dave"]);
    seat.keys("/to ty\t");
    assert_eq!(seat.screen.typed(), "/to ty", "nor is it completed");
    seat.keys("\x15");
    // Without a server nobody knows; it is not asked about later either.
    seat.status.state = State::Offline;
    seat.served.is_silent = true;
    seat.keys("/to typo\r/to bob\r");
    seat.refuse_all("timeout", "no answer");
    assert_eq!(names(&seat.screen), ["bob", "carol", "dave"]);
    seat.served.is_silent = false;
    // A message to it is told, and goes with it; while it is open, both stay.
    let (to, body) = ("typo".to_string(), "hi".to_string());
    seat.is_connected = false;
    for keys in ["/msg typo hi\r", "/to typo\rhi\r"] {
        seat.keys(keys);
        let (id, ..) = seat.outbox.pop_front().expect("it waits");
        let (to, body) = (to.clone(), body.clone());
        let draft = Draft { id, to, body, known: 0, cluster: 0, written_ms: NOON };
        let refusal = Refusal::new("no-such-user", "no account has this name");
        assert_eq!(names(&seat.screen), ["bob", "carol", "dave", "typo"]);
        seat.event(Event::Failed { draft, refusal });
        let is_open = seat.screen.current() == Some("typo");
        assert_eq!(seat.screen.book().get("typo").is_some(), is_open);
        assert_eq!(
            seat.shows("not sent to typo: no account has this name (no-such-user): hi"),
            !is_open
        );
    }
    seat.keys("/to bob\r/to ty\t");
    assert_eq!(names(&seat.screen), ["bob", "carol", "dave"]);
    assert_eq!(seat.screen.typed(), "/to ty");
    assert!(seat.screen.to_keep().drafts.iter().all(|draft| draft.to != "typo"));
}

#[test]
fn msg_without_a_text_opens_the_conversation() {
    let mut seat = listed(&["carol", "bob"]);
    seat.keys("/msg Carol\r");
    assert_eq!(seat.screen.current(), Some("carol"));
    seat.keys("hi\r");
    let last = seat.served.messages.last().expect("it is sent");
    assert_eq!((last.to.as_str(), last.body.as_str()), ("carol", "hi"));
}
