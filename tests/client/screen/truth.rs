//! What the screen says is so: each message once, in its place, and read only when it was seen.

use std::collections::BTreeMap;

use chatctl::client::session::{Event, Incoming, Refusal, State};
use chatctl::limits;

use super::seat::{ME, Seat, settings};

fn marker(seat: &Seat, name: &str) -> u64 {
    seat.served.markers.get(name).copied().unwrap_or(0)
}

#[test]
fn the_marker_moves_only_over_what_was_on_the_screen() {
    let mut seat = Seat::with(settings(), 80, 24);
    for n in 0..200 {
        seat.served.store("bob", ME, &format!("message {n}"));
    }
    seat.log_in();
    seat.show();
    assert_eq!(marker(&seat, "bob"), 0, "nothing is open");
    seat.keys("/to bob\r");
    assert!(seat.shows("── unread") && seat.shows("message 0"), "{}", seat.text());
    let mut before = 0;
    for _ in 0..15 {
        let seen = marker(&seat, "bob");
        let place = seat.served.messages.iter().position(|m| m.seq == seen).expect("a message");
        assert!(seat.shows(&format!("message {place}")) && place >= before);
        assert!(!seat.shows(&format!("message {}", place + 1)), "the next was not seen");
        before = place;
        seat.keys("\x1b[6~");
    }
    assert_eq!(before, 199);
    // Behind a panel nothing is seen.
    seat.keys("/help\r");
    let seen = marker(&seat, "bob");
    seat.hear("bob", "behind the panel");
    assert_eq!(marker(&seat, "bob"), seen);
    seat.keys("q");
    assert_eq!(marker(&seat, "bob"), seat.served.messages.last().unwrap().seq);
    // Nor while older messages are looked at.
    seat.keys("\x1b[5~\x1b[5~");
    let seen = marker(&seat, "bob");
    seat.hear("bob", "below");
    assert_eq!(marker(&seat, "bob"), seen);
    seat.keys("\x1b>");
    assert!(marker(&seat, "bob") > seen);
    assert_eq!(seat.count("── unread"), 1, "where reading went on");
}

#[test]
fn what_came_at_once_or_unseen_is_read_from_its_first_message_on() {
    for covered in [false, true] {
        let mut seat = Seat::new(80, 24);
        seat.keys("/to bob\r");
        for n in 0..60 {
            seat.hear("bob", &format!("old {n}."));
        }
        let seen = marker(&seat, "bob");
        assert_eq!(seen, seat.served.messages.last().unwrap().seq, "each was on the screen");
        if covered {
            seat.keys("/help\r");
        }
        for n in 0..60 {
            let message = seat.served.store("bob", ME, &format!("new {n}."));
            seat.screen.on_event(Event::Message(message));
        }
        seat.settle();
        seat.show();
        if covered {
            assert_eq!(marker(&seat, "bob"), seen);
            seat.keys("q");
        }
        assert!(seat.shows("── unread") && seat.shows("new 0."), "{}", seat.text());
        let seen = seat.served.messages.iter().position(|m| m.seq == marker(&seat, "bob"));
        let seen = seen.unwrap() - 60;
        assert!(seat.shows(&format!("new {seen}.")) && !seat.shows(&format!("new {}.", seen + 1)));
        assert!(seat.shows(&format!("{} more below", 59 - seen)), "{}", seat.text());
        // Who writes has seen enough.
        seat.keys("an answer\r");
        assert!(seat.shows("an answer") && seat.shows("new 59."), "{}", seat.text());
        assert!(marker(&seat, "bob") >= seat.served.messages[119].seq);
    }
}

#[test]
fn a_message_longer_than_the_screen_is_shown_from_its_beginning() {
    let mut seat = Seat::new(80, 24);
    seat.keys("/to bob\r");
    seat.hear("bob", "before");
    let lines: Vec<String> = (0..50).map(|n| format!("line {n}.")).collect();
    seat.hear("bob", &lines.join("\n"));
    assert!(seat.shows("line 0.") && seat.shows("1 more below"), "{}", seat.text());
    seat.keys("\x1b[6~\x1b[6~\x1b[6~");
    assert!(seat.shows("line 49."));
    seat.hear("bob", "after");
    assert!(seat.shows("line 49.") && seat.shows("after"), "it follows again: {}", seat.text());
}

#[test]
fn more_unread_than_a_page_has_is_loaded_up_to_the_line_before_any_counts_as_read() {
    let mut seat = Seat::with(settings(), 80, 24);
    for n in 0..2_500 {
        seat.served.store("bob", ME, &format!("message {n}"));
    }
    seat.log_in();
    seat.served.is_silent = true;
    seat.keys("/to bob\r");
    assert_eq!(marker(&seat, "bob"), 0);
    seat.answer_all();
    // Each frame asks for one page more.
    (0..5).for_each(|_| seat.show());
    assert!(seat.shows("message 0") && seat.shows("── unread"), "{}", seat.text());
    assert!(marker(&seat, "bob") < seat.served.messages[30].seq);
}

#[test]
fn a_failover_leaves_the_screen_takes_what_is_typed_and_puts_everything_in_its_place_once() {
    let mut seat = Seat::new(80, 24);
    seat.keys("/to bob\rbefore\r");
    seat.hear("bob", "answer");
    (seat.is_connected, seat.status.state) = (false, State::Electing);
    seat.keys("while it\rlasts\r");
    assert!(seat.shows("electing") && seat.shows("2 waiting") && seat.shows("answer"));
    assert_eq!(seat.count("…"), 2);
    // One of the two was stored before the server died; the sync and a page bring it first.
    let (id, ..) = seat.outbox[0].clone();
    let text = chatctl::protocol::id::format(id);
    let stored = seat.served.store(ME, "bob", "while it");
    seat.served.messages.last_mut().unwrap().id = text.clone();
    let stored = Incoming { id: text, ..stored };
    seat.event(Event::Message(stored.clone()));
    assert_eq!((seat.count("while it"), seat.count("…")), (1, 1));
    let refusal = Refusal::new("read-only", "no majority of the servers is reachable");
    seat.event(Event::Held(refusal));
    assert!(seat.shows("no majority"), "{}", seat.text());
    (seat.is_connected, seat.status.state) = (true, State::Connected);
    seat.event(Event::State(State::Connected));
    assert!(!seat.shows("no majority"), "bad news of before");
    seat.log_in();
    let (first, to, body) = seat.outbox.pop_front().unwrap();
    let (seq, time) = (stored.seq, stored.time);
    seat.event(Event::Sent { id: first, to, body, seq, time });
    seat.hear("bob", "and after");
    seat.acknowledge();
    seat.show();
    for text in ["before", "answer", "while it", "lasts", "and after"] {
        assert_eq!(seat.count(text), 1, "{text}: {}", seat.text());
    }
    assert_eq!(seat.count("…"), 0);
    let at = |text: &str| seat.text().find(text).expect("it is shown");
    assert!(at("before") < at("answer") && at("answer") < at("while it"));
    assert!(at("while it") < at("and after") && at("and after") < at("lasts"), "by seq");
}

#[test]
fn two_screens_of_one_account_stay_in_step() {
    let mut one = Seat::new(80, 24);
    one.keys("/to bob\r");
    let mut two = Seat::new(80, 24);
    for seat in [&mut one, &mut two] {
        seat.hear("bob", "to both");
    }
    assert!(two.shows("1 unread elsewhere"));
    let seq = marker(&one, "bob");
    assert!(seq > 0);
    two.served.markers.insert("bob".to_string(), seq);
    two.event(Event::ReadMoved { name: "bob".to_string(), seq });
    assert!(!two.shows("unread"), "{}", two.text());
    two.keys("/to bob\r");
    one.keys("from the first\r");
    let sent = one.served.messages.last().unwrap().clone();
    two.served.messages.push(sent.clone());
    two.event(Event::Message(sent.clone()));
    assert!(two.shows("alice✓ from the first"), "{}", two.text());
    for seat in [&mut one, &mut two] {
        seat.event(Event::TakenBack(vec![sent.id.clone()]));
        assert!(!seat.shows("from the first") && seat.shows("to both"));
    }
}

#[test]
fn answers_that_were_on_their_way_when_all_changed_leave_no_gap() {
    let mut seat = Seat::new(80, 24);
    for n in 0..300 {
        seat.served.store("bob", ME, &format!("message {n}"));
    }
    seat.served.is_silent = true;
    seat.keys("/to bob\r");
    seat.event(Event::Cluster(7));
    seat.log_in();
    seat.answer_all();
    for _ in 0..30 {
        seat.keys("\x1b[5~");
    }
    let entries = &seat.screen.book().get("bob").unwrap().entries;
    let seqs: Vec<u64> = entries.iter().map(|entry| entry.place.seq).collect();
    let all: Vec<u64> = seat.served.messages.iter().map(|message| message.seq).collect();
    assert!(all.ends_with(&seqs), "a stretch without gaps");
    assert_eq!(seqs.len(), 300);
}

#[test]
fn a_refused_page_is_told_and_asked_for_again_only_when_somebody_scrolls() {
    let mut seat = Seat::with(settings(), 80, 24);
    for n in 0..300 {
        seat.served.store("bob", ME, &format!("message {n}"));
    }
    seat.served.markers.insert("bob".to_string(), u64::MAX);
    seat.log_in();
    seat.keys("/to bob\r");
    seat.served.is_silent = true;
    seat.keys("\x1b[5~\x1b[5~");
    seat.refuse_all("busy", "the server has too much to do");
    assert!(seat.shows("too much to do"), "{}", seat.text());
    let asked = seat.served.asked.len();
    seat.show();
    seat.wait(100);
    assert_eq!(seat.served.asked.len(), asked, "not by itself");
    seat.keys("\x1b[5~");
    assert_eq!(seat.served.asked.len(), asked + 1);
}

#[test]
fn who_is_there_is_told_by_the_server_and_asked_only_when_there_are_others_to_watch() {
    let mut seat = Seat::new(80, 24);
    seat.served.online.push("carol".to_owned());
    seat.hear("carol", "hello");
    assert_eq!(seat.watched, ["carol"]);
    assert!(seat.shows("1●carol"));
    for online in [false, true] {
        seat.event(Event::Presence { name: "carol".to_owned(), online });
        assert_eq!(seat.shows("1●carol"), online, "{}", seat.text());
    }
    let watches = seat.watches;
    seat.hear("carol", "again");
    assert_eq!(seat.watches, watches, "she is watched already");
    seat.hear("bob", "hi");
    assert_eq!((seat.watches, seat.watched.len()), (watches + 1, 2));
    assert_eq!(seat.screen.deadline(), None, "nothing wakes it");
}

#[test]
fn names_and_conversations_are_bounded() {
    let mut seat = Seat::new(80, 24);
    seat.served.online = (0..limits::SCREEN_NAMES + 700).map(|n| format!("u{n:06}")).collect();
    seat.log_in();
    let mut lengths = BTreeMap::new();
    for n in 0..limits::SCREEN_CONVERSATIONS + 50 {
        let message = seat.served.store(&format!("p{n:06}"), ME, "hello");
        seat.screen.on_event(Event::Message(message));
        *lengths.entry(seat.screen.book().all().len()).or_insert(0) += 1;
    }
    seat.settle();
    seat.show();
    assert_eq!(lengths.last_key_value(), Some((&limits::SCREEN_CONVERSATIONS, &51)));
    seat.screen.check_invariants();
    seat.keys("/list\r");
    assert!(seat.shows("accounts: 4"));
    seat.served.accounts = std::mem::take(&mut seat.served.online);
    seat.keys("\x03/list\r");
    assert!(seat.shows(&format!("accounts: {}, not all", limits::SCREEN_NAMES)));
}

#[test]
fn a_login_to_a_server_without_a_majority_says_that_accounts_may_be_out_of_date() {
    let warning = "no majority is reachable: passwords and accounts may be out of date";
    let mut seat = Seat::with(settings(), 80, 24);
    seat.log_in();
    seat.show();
    assert!(!seat.shows("out of date"), "{}", seat.text());
    for _ in 0..2 {
        seat.status.state = State::ReadOnly;
        seat.log_in_to(true);
        seat.event(Event::State(State::ReadOnly));
        assert_eq!(seat.count(warning), 1, "the whole line fits:\n{}", seat.text());
        seat.status.state = State::Connected;
        seat.event(Event::State(State::Connected));
        assert!(!seat.shows("out of date"), "there is a majority again:\n{}", seat.text());
    }
}
