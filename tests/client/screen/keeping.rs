//! What makes it annoying to keep the screen open, held away from it: text that is lost, keys that go
//! somewhere else than was meant, news that cannot be read in time.

use chatctl::client::session::{Draft, Event, Refusal, Request, State};

use super::seat::{ME, NOON, Seat, settings};

/// A conversation with bob of so many read messages of his, opened, at 80x24.
fn talk(count: usize) -> Seat {
    let mut seat = Seat::with(settings(), 80, 24);
    for n in 0..count {
        seat.served.store("bob", ME, &format!("message {n} of many"));
    }
    seat.served.store("carol", ME, "hello");
    seat.served.markers.insert("bob".to_string(), u64::MAX);
    seat.log_in();
    seat.keys("/to bob\r");
    seat
}

/// Alone, not before a letter.
fn escape(seat: &mut Seat) {
    seat.keys("\x1b");
    seat.wait(1_000);
}

fn row_of(seat: &Seat, text: &str) -> usize {
    seat.text().lines().position(|line| line.contains(text)).expect("it is shown")
}

/// Whether the screen has this, in one row or wrapped.
fn says(seat: &Seat, text: &str) -> bool {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    words(&seat.text()).contains(text)
}

fn is_selected(seat: &Seat, text: &str) -> bool {
    seat.vt.cell(row_of(seat, text), 40).look.contains(&7)
}

#[test]
fn what_was_typed_to_nobody_is_for_the_first_conversation_that_is_opened() {
    let mut seat = Seat::new(80, 24);
    seat.hear("bob", "hello");
    seat.hear("carol", "hello");
    seat.keys("to whom?\r\x1b2");
    assert_eq!((seat.screen.current(), seat.screen.typed()), (Some("carol"), "to whom?"));
    seat.keys("\x1b1");
    assert_eq!((seat.screen.current(), seat.screen.typed()), (Some("bob"), ""));
}

#[test]
fn leaving_asks_once_where_something_typed_would_be_lost() {
    for leave in ["/quit\r", "\x04"] {
        let mut seat = talk(1);
        seat.keys("half a thought\x1b1").keys(leave);
        assert!(!seat.screen.is_quitting());
        assert!(seat.shows("the draft for bob would be lost"), "{}", seat.text());
        // One that is typed later is news.
        seat.keys("another\x0e\x10\x15").keys("\x0e\x15new\x10").keys(leave);
        assert!(!seat.screen.is_quitting(), "{}", seat.text());
        seat.keys(leave);
        assert!(seat.screen.is_quitting());
    }
    let mut seat = talk(1);
    seat.keys("half a thought\x1b1\x03");
    assert!(seat.shows("lose the draft for bob? press Ctrl-C again to quit"));
    seat.keys("\x03");
    assert!(seat.screen.is_quitting());
}

#[test]
fn a_slash_right_behind_escape_begins_a_command_and_sends_nothing() {
    let mut seat = talk(1);
    let before = seat.served.messages.len();
    seat.keys("/list\r");
    seat.keys("\x1b/who\r");
    assert!(seat.shows("logged in: 2"), "{}", seat.text());
    seat.keys("\x1b/help\r");
    seat.keys("/to carol\r");
    assert_eq!(seat.screen.current(), Some("carol"), "out of the help too");
    assert_eq!(seat.served.messages.len(), before);
}

#[test]
fn another_conversation_is_opened_from_whatever_is_shown() {
    for shown in ["/help\r", "/list\r", "\x1b[1;3A"] {
        for key in ["\x1b1", "\x1ba"] {
            let mut seat = talk(3);
            seat.keys(shown).keys(key).keys("x");
            let now = (seat.screen.current(), seat.screen.typed());
            assert_eq!(now, (Some("carol"), "x"), "{shown:?} {key:?}");
        }
    }
}

#[test]
fn tab_goes_back_too_and_knows_the_words_of_commands() {
    let mut seat = talk(1);
    seat.keys("/s\t");
    assert_eq!(seat.screen.typed(), "/search ");
    seat.keys("\t");
    assert_eq!(seat.screen.typed(), "/select ");
    seat.keys("\x1b[Z");
    assert_eq!(seat.screen.typed(), "/search ");
    seat.keys("\x1b[Z");
    assert_eq!(seat.screen.typed(), "/status ");
    seat.keys("\x15/account \t");
    assert_eq!(seat.screen.typed(), "/account delete ");
    seat.keys("\x15/waiting d\t");
    assert_eq!(seat.screen.typed(), "/waiting drop ");
    seat.keys("\x15/delete \t");
    assert_eq!(seat.screen.typed(), "/delete last ");
}

#[test]
fn a_pattern_filters_names_whether_they_are_all_here_or_not() {
    let mut seat = Seat::new(80, 24);
    seat.served.accounts = (0..30).map(|n| format!("user{n:02}")).collect();
    seat.keys("/list\r");
    assert!(seat.shows("accounts: 30"));
    seat.keys("*1[0-");
    assert!(seat.shows("accounts: 0"), "half a pattern: {}", seat.text());
    seat.keys("4]");
    assert!(seat.shows("accounts: 5") && seat.shows("user14") && !seat.shows("user15"));
    seat.keys("\r");
    assert_eq!(seat.screen.current(), Some("user10"));
    // What matched one pattern is not all that matches a longer one.
    seat.keys("/list user0*\r");
    assert!(seat.shows("accounts: 10"));
    seat.keys("9");
    let asked = Request::List { pattern: "user0*9".into(), after: String::new() };
    assert_eq!(seat.served.asked.last(), Some(&asked));
}

#[test]
fn a_list_that_was_refused_does_not_wait_for_ever() {
    let mut seat = Seat::new(80, 24);
    seat.served.is_silent = true;
    seat.keys("/list\r");
    assert!(seat.shows("accounts: 0, loading - Enter opens, Esc closes"), "{}", seat.text());
    seat.refuse_all("busy", "the server has too much to do");
    assert!(!seat.shows("loading"), "{}", seat.text());
    seat.served.is_silent = false;
    seat.keys("b");
    assert!(seat.shows("accounts: 2 -"), "{}", seat.text());
}

#[test]
fn a_search_without_a_text_goes_on_from_where_it_found() {
    let mut seat = talk(30);
    for found in [29, 28, 27] {
        seat.keys(if found == 29 { "/search message\r" } else { "/search\r" });
        assert!(is_selected(&seat, &format!("message {found} of")), "{}", seat.text());
        assert!(seat.shows("found after 1 message;"), "{}", seat.text());
        escape(&mut seat);
    }
    seat.keys("/search message\r");
    assert!(is_selected(&seat, "message 29 of"), "a text begins at the newest");
}

#[test]
fn what_was_found_is_in_view_however_long_its_message_is() {
    let mut seat = talk(30);
    let mut lines: Vec<String> = (0..300).map(|n| format!("line {n}.")).collect();
    lines[200] = format!("{} needle in a haystack", "x ".repeat(22));
    seat.hear("bob", &lines.join("\n"));
    seat.hear("bob", "after it");
    for text in ["LINE 150.", "line 299.", "line 0.", "needle in", "message 3 of"] {
        seat.keys(&format!("/search {text}\r"));
        assert!(seat.shows("found after"), "{}", seat.text());
        assert!(says(&seat, &text.to_lowercase()), "{text}: {}", seat.text());
        escape(&mut seat);
    }
}

#[test]
fn a_selected_message_is_in_view_says_what_can_be_done_and_is_the_one_that_is_meant() {
    let mut seat = talk(100);
    seat.keys("\x1b[1;3A");
    assert!(seat.shows("c copies text, C the id, d deletes, r reuses it, Esc leaves"));
    assert_eq!(seat.vt.cursor().0, row_of(&seat, "message 99 of"));
    seat.keys("\x1b[5~\x1b[5~\x1b[6~");
    let (row, _) = seat.vt.cursor();
    let line = seat.text().lines().nth(row).unwrap().to_string();
    assert!(line.contains(" of many"), "{}", seat.text());
    let text = line[line.find("message").unwrap()..].trim_end().to_string();
    assert!(is_selected(&seat, &text));
    seat.keys("d");
    assert!(says(&seat, &format!("(\"{text}\")")), "the question shows it: {}", seat.text());
    assert_eq!(seat.vt.cursor().0, row_of(&seat, "of many\")"));
}

#[test]
fn keys_that_come_together_count_one_by_one() {
    // All is loaded: between them nothing has to be asked for.
    let mut together = talk(49);
    let mut apart = talk(49);
    for (key, count) in [("\x1b[5~", 2), ("\x1b[6~", 3), ("\x1b[5~", 1)] {
        together.keys(&key.repeat(count));
        (0..count).for_each(|_| {
            apart.keys(key);
        });
        assert_eq!(together.text(), apart.text());
    }
}

#[test]
fn a_message_that_is_stored_while_it_is_selected_stays_selected() {
    let mut seat = talk(3);
    (seat.is_connected, seat.status.state) = (false, State::Electing);
    seat.keys("first\rsecond\r").keys("\x1b[1;3A\x1b[A");
    assert!(is_selected(&seat, "first"));
    seat.acknowledge();
    seat.show();
    assert!(is_selected(&seat, "alice✓ first"), "{}", seat.text());
    seat.keys("d");
    assert!(says(&seat, "(\"first\")"), "{}", seat.text());
    seat.keys("n\x1b[1;3A\x1b[A");
    let id = seat.served.messages[seat.served.messages.len() - 2].id.clone();
    seat.event(Event::TakenBack(vec![id]));
    assert!(seat.shows("the selected message is gone"), "{}", seat.text());
    seat.keys("d");
    assert_eq!(seat.screen.typed(), "d", "and no other in its stead");
}

#[test]
fn help_says_how_much_of_it_is_in_view_and_tables_go_on_below_their_last_column() {
    let mut seat = talk(100);
    seat.keys("\x1b[5~");
    assert!(seat.shows("more below"));
    seat.keys("/help\r");
    assert!(seat.shows("help: 1-21 of ") && !seat.shows("more below"), "{}", seat.text());
    seat.hear("bob", "behind it");
    assert!(seat.shows("2 unread elsewhere"), "nothing is in view: {}", seat.text());
    seat.resize(200, 60);
    assert!(seat.shows("help: Esc closes"), "{}", seat.text());
    seat.resize(60, 24);
    assert!(seat.shows(&format!("\n{}counts, newest first", " ".repeat(22))), "{}", seat.text());
}

#[test]
fn what_somebody_asked_for_and_was_refused_is_told_although_the_connection_comes_back() {
    let mut seat = talk(1);
    seat.served.is_silent = true;
    seat.keys("/passwd\rwrong\rnew\rnew\r");
    seat.event(Event::State(State::Offline));
    seat.refuse_all("wrong-credentials", "no account has this name and password");
    seat.event(Event::State(State::Connected));
    assert!(seat.shows("no account has this name and password"), "{}", seat.text());
    let draft = Draft {
        id: 7,
        to: "nobody".into(),
        body: "hi".into(),
        known: 0,
        cluster: 0,
        written_ms: NOON,
    };
    seat.keys("x");
    assert!(!seat.shows("no account"), "until a key is pressed");
    let refusal = Refusal::new("no-such-user", "no account has this name");
    seat.event(Event::Failed { draft, refusal });
    seat.event(Event::State(State::Connected));
    assert!(seat.shows("not sent to nobody"), "{}", seat.text());
}

#[test]
fn what_waits_is_told_only_until_it_is_sent() {
    let mut seat = talk(1);
    seat.is_connected = false;
    seat.keys("hi\r");
    seat.event(Event::Held(Refusal::new("busy", "too much at once")));
    assert!(seat.shows("accepts no messages now, yours wait"), "{}", seat.text());
    seat.acknowledge();
    seat.show();
    assert!(!seat.shows("yours wait"), "{}", seat.text());
    seat.screen.tell_waiting("1 message in the outbox from an earlier run");
    seat.show();
    assert!(seat.shows("from an earlier run"), "{}", seat.text());
    seat.event(Event::State(State::Connected));
    assert!(!seat.shows("from an earlier run"), "{}", seat.text());
}

#[test]
fn somebody_new_is_told_how_to_make_an_account_and_of_no_conversations_before_there_is_a_login() {
    let mut seat = Seat::with(settings(), 80, 24);
    seat.status.state = State::Offline;
    let why = "127.0.0.1:7262: no account has this name and password (wrong-credentials)";
    seat.status.trouble = Some(why.to_string());
    let refusal = Refusal::new("wrong-credentials", "no account has this name and password");
    seat.event(Event::LoginRefused(refusal));
    assert!(says(&seat, "chatctl chat --create creates a new account"), "{}", seat.text());
    assert!(!seat.shows("conversations yet") && !seat.shows("Alt-1"), "{}", seat.text());
    assert!(
        !seat.shows("/quit") && seat.shows("Esc              quits"),
        "a word is a password now"
    );
    assert!(seat.shows("no account has this name and password (wrong-c…"), "it is cut visibly");
    seat.event(Event::State(State::Connected));
    assert!(!seat.shows("--create"), "{}", seat.text());
}

#[test]
fn a_server_that_does_not_answer_any_more_is_not_shown_as_a_fast_one() {
    let mut seat = talk(1);
    seat.status.owed_ms = Some(999);
    seat.show();
    assert!(seat.shows("connected  1 ms"), "{}", seat.text());
    seat.status.owed_ms = Some(3_200);
    seat.show();
    assert!(seat.shows("connected  no answer for 3 s  127.0.0.1:7262"), "{}", seat.text());
    seat.status.state = State::Offline;
    seat.show();
    assert!(!seat.shows("no answer for"), "{}", seat.text());
}

#[test]
fn nobody_is_shown_online_while_there_is_no_server_nor_after_an_account_is_gone() {
    let mut seat = talk(1);
    let dots = |seat: &Seat| (seat.count("2●bob"), seat.count("bob: online"));
    assert_eq!(dots(&seat), (1, 1));
    seat.status.state = State::Electing;
    seat.show();
    assert_eq!(dots(&seat), (1, 1), "it does not flicker when a PRIMARY dies");
    seat.status.state = State::Offline;
    seat.show();
    assert_eq!(dots(&seat), (0, 0), "{}", seat.text());
    seat.status.state = State::Connected;
    seat.show();
    assert_eq!(dots(&seat), (1, 1));
    let (to, body) = ("bob".to_string(), "hi".to_string());
    let draft = Draft { id: 7, to, body, known: 0, cluster: 0, written_ms: NOON };
    let refusal = Refusal::new("no-such-user", "no account has this name");
    seat.event(Event::Failed { draft, refusal });
    assert_eq!(dots(&seat), (0, 0), "{}", seat.text());
}

#[test]
fn what_is_not_in_view_is_told_also_where_the_server_has_no_room_then() {
    let mut seat = talk(100);
    seat.keys("\x1b[1;3A\x1b[5~q");
    seat.resize(40, 10);
    let status = |seat: &Seat| seat.text().lines().nth(8).expect("a status").to_string();
    assert!(status(&seat).starts_with(" alice  connected  1 ms   "), "{}", seat.text());
    assert!(status(&seat).ends_with(" more below"), "{}", seat.text());
    seat.keys("\x1b1");
    assert_eq!(status(&seat), " alice  connected  1 ms  127.0.0.1:7262");
    seat.hear("bob", "something new");
    seat.status.state = State::Offline;
    seat.status.trouble = Some("a reason ".repeat(20));
    seat.resize(60, 10);
    assert!(status(&seat).starts_with(" alice  offline  a reason"), "{}", seat.text());
    assert!(status(&seat).ends_with("…  1 unread elsewhere"), "{}", seat.text());
}

#[test]
fn all_that_waits_is_shown_and_what_becomes_of_it() {
    let mut seat = talk(1);
    let draft = |id, body: &str, written_ms| {
        let (to, body) = ("bob".to_string(), body.to_string());
        Draft { id, to, body, known: 0, cluster: 0, written_ms }
    };
    let old = [draft(7, "from before", NOON - 3 * 86_400_000)];
    let young = [draft(8, "just now", NOON)];
    seat.screen.show_waiting(old.iter(), young.iter());
    seat.show();
    let text = seat.text();
    assert!(seat.shows("since 2026-11-21 12:00, to bob: from before"), "{text}");
    assert!(
        seat.shows("not sent until you say so") && seat.shows("/waiting drop discards"),
        "{text}"
    );
    assert!(seat.shows("as soon as a server accepts them"), "{text}");
    assert!(seat.shows("since 2026-11-24 12:00, to bob: just now"), "{text}");
    seat.screen.show_waiting([].iter(), young.iter());
    seat.show();
    assert!(!seat.shows("unasked") && !seat.shows("drop"), "{}", seat.text());
    seat.keys("q");
    seat.screen.show_waiting([].iter(), [].iter());
    seat.show();
    assert!(seat.shows("no messages are waiting to be sent"));
    seat.is_connected = false;
    seat.keys("hello\r").keys("/delete last\r");
    assert!(seat.shows("the last message is not sent yet"), "{}", seat.text());
}

#[test]
fn what_is_sent_to_somebody_else_than_is_shown_is_told() {
    let mut seat = talk(1);
    seat.keys("/msg carol are you there?\r");
    assert!(seat.shows("- to carol: are you there?"), "{}", seat.text());
    seat.keys("/msg bob and you?\r");
    assert!(!seat.shows("to bob:") && seat.shows("and you?"), "it is seen: {}", seat.text());
}
