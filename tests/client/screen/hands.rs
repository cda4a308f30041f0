//! What keys do.

use chatctl::client::editor::keys::{ESCAPE_MS, SILENCE_MS};
use chatctl::client::screen::Action;
use chatctl::client::session::Request;
use chatctl::limits;

use super::seat::{ME, Seat, settings};
use crate::support::bounded::Rounds;

/// A conversation with bob of so many messages, all read, opened.
fn long_talk(count: usize, columns: usize, rows: usize) -> Seat {
    let mut seat = Seat::with(settings(), columns, rows);
    for n in 0..count {
        let (from, to) = if n % 2 == 0 { ("bob", ME) } else { (ME, "bob") };
        seat.served.store(from, to, &format!("message {n} of many"));
    }
    seat.served.store("carol", ME, "hello");
    seat.served.markers.insert("bob".to_string(), u64::MAX);
    seat.log_in();
    seat.keys("/to bob\r");
    seat
}

/// The numbers of the messages in view.
fn in_view(seat: &Seat) -> Vec<usize> {
    let number = |line: &str| {
        let (_, rest) = line.split_once("message ")?;
        rest.split(' ').next()?.parse().ok()
    };
    seat.text().lines().filter_map(number).collect()
}

#[test]
fn pages_scroll_and_older_messages_are_loaded_as_they_are_reached_in_their_place() {
    let mut seat = long_talk(3_000, 80, 24);
    assert_eq!(in_view(&seat).last(), Some(&2_999));
    let mut seen = in_view(&seat);
    for _ in 0..400 {
        let top = in_view(&seat)[0];
        seat.keys("\x1b[5~");
        let view = in_view(&seat);
        assert!(view.windows(2).all(|pair| pair[0] + 1 == pair[1]), "no gap: {view:?}");
        assert!(view[0] <= top && view.contains(&top), "pages overlap: {top} {view:?}");
        seen.extend(&view);
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, (0..3_000).collect::<Vec<_>>(), "all was in view");
    let view = in_view(&seat);
    assert_eq!(view[0], 0, "the beginning is reached");
    // What comes meanwhile does not move the place.
    seat.hear("bob", "something new");
    assert_eq!(in_view(&seat), view);
    assert!(seat.shows("more below"));
    seat.keys("\x1b>");
    assert!(seat.shows("something new"));
}

#[test]
fn the_place_is_kept_while_a_page_arrives_and_through_a_resize() {
    let mut seat = long_talk(500, 80, 24);
    seat.served.is_silent = true;
    seat.keys("\x1b[5~");
    let view = in_view(&seat);
    seat.answer_all();
    assert_eq!(in_view(&seat), view, "what came above moved nothing");
    seat.resize(60, 20);
    assert_eq!(in_view(&seat)[0], view[0]);
    seat.resize(80, 24);
    assert_eq!(in_view(&seat), view);
    seat.keys("\x1b[6~\x1b[6~\x1b[6~\x1b[6~");
    assert_eq!(in_view(&seat).last(), Some(&499), "and down to the newest");
}

#[test]
fn conversations_are_switched_by_number_and_in_turn_and_drafts_stay_with_them() {
    let mut seat = long_talk(3, 80, 24);
    seat.keys("for bob");
    seat.keys("\x1b1");
    assert_eq!((seat.screen.current(), seat.screen.typed()), (Some("carol"), ""));
    seat.keys("for carol\x1b[D\x1b[D");
    seat.keys("\x0e");
    assert_eq!((seat.screen.current(), seat.screen.typed()), (Some("bob"), "for bob"));
    // A connection comes and goes.
    seat.log_in();
    seat.keys("\x10!");
    assert_eq!((seat.screen.current(), seat.screen.typed()), (Some("carol"), "for car!ol"));
    assert!(seat.shows("bob*"), "the list shows that there is a draft");
    seat.keys("\x1b9");
    assert!(seat.shows("the list is shorter than that"));
    seat.keys("\x15");
    let count = limits::SCREEN_DRAFTS + 20;
    for n in 0..count {
        seat.keys(&format!("/to p{n:03}\r"));
    }
    for _ in 0..count + 2 {
        seat.keys("\x0e\x15a draft");
    }
    let mut kept = 0;
    for _ in 0..count + 2 {
        seat.keys("\x0e");
        kept += usize::from(seat.screen.typed() == "a draft");
    }
    assert!((limits::SCREEN_DRAFTS - 1..=limits::SCREEN_DRAFTS + 1).contains(&kept), "{kept}");
}

#[test]
fn tab_completes_commands_and_names() {
    let mut seat = long_talk(3, 80, 24);
    seat.keys("/hel\t");
    assert_eq!(seat.screen.typed(), "/help ");
    seat.keys("\x15/to ca\t");
    assert_eq!(seat.screen.typed(), "/to carol ");
    seat.keys("\x15/to bobb\t");
    assert_eq!(seat.screen.typed(), "/to bobby ", "the server was asked");
    seat.keys("\x15/to b\t");
    assert_eq!(seat.screen.typed(), "/to bob", "as far as all agree");
    seat.keys("\t");
    assert_eq!(seat.screen.typed(), "/to bob ");
    seat.keys("\t");
    assert_eq!(seat.screen.typed(), "/to bobby ");
    seat.keys("\x15/to zz\t");
    assert!(seat.shows("no account name begins with that"));
    seat.keys("\x15/nonsens\t");
    assert!(seat.shows("nothing to complete"));
}

#[test]
fn the_typed_text_is_recalled_edited_and_moved_in() {
    let mut seat = long_talk(1, 80, 24);
    seat.keys("one\rtwo\r\x1b[A\x1b[A");
    assert_eq!(seat.screen.typed(), "one");
    seat.keys("\x1b[B");
    assert_eq!(seat.screen.typed(), "two");
    seat.keys("\x15first line\x1b\rsecond\x1b[A!");
    assert_eq!(seat.screen.typed(), "first !line\nsecond", "up stays in the text");
    seat.keys("\x1b[A");
    assert_eq!(seat.screen.typed(), "one", "from its first row it leaves it");
    seat.keys("\x15a word\x17\x17\x19");
    assert_eq!(seat.screen.typed(), "a ");
}

#[test]
fn search_goes_back_through_what_is_not_loaded_shows_how_far_and_stops() {
    let mut seat = long_talk(5_000, 80, 24);
    seat.served.is_silent = true;
    seat.keys("/search message 42 of\r");
    assert!(seat.shows("searching \"message 42 of\""), "{}", seat.text());
    seat.keys("\x1b");
    seat.wait(1_000);
    assert!(!seat.shows("searching"), "it can be stopped");
    seat.answer_all();
    seat.keys("/search message 42 of\r");
    assert!(in_view(&seat).contains(&42), "{}", seat.text());
    assert!(seat.shows("found after"));
    let row = seat.text().lines().position(|line| line.contains("message 42 of")).unwrap();
    assert!(seat.vt.cell(row, 40).look.contains(&7), "it is selected");
    seat.keys("q/search MESSAGE\rn");
    seat.keys("\x1b");
    seat.wait(1_000);
    seat.keys("/search nowhere to be found\r");
    assert!(seat.shows("not found in 5000 older messages"), "{}", seat.text());
}

#[test]
fn a_search_is_bounded_by_pages() {
    let mut seat = long_talk(limits::SEARCH_PAGES * limits::HISTORY_PAGE + 3_000, 80, 24);
    seat.keys("/search nowhere to be found\r");
    assert!(seat.shows("the search stopped"), "{}", seat.text());
    let pages = |request: &&Request| matches!(request, Request::History { limit: 1_000, .. });
    assert_eq!(seat.served.asked.iter().filter(pages).count(), limits::SEARCH_PAGES);
}

#[test]
fn a_message_is_selected_to_copy_its_id_or_to_delete_it_after_a_question() {
    let mut seat = long_talk(40, 80, 24);
    seat.keys("\x1b[1;3A");
    seat.keys("\x1b[A\x1b[A");
    seat.keys("C");
    let id = seat.served.messages[37].id.clone();
    assert!(seat.shows(&id), "{}", seat.text());
    assert_eq!(seat.vt.clipboard, [chatctl::auth::base64::encode(id.as_bytes())]);
    seat.keys("d");
    assert!(seat.shows("delete this message for both of you?"));
    // Nothing that is pasted answers.
    seat.keys("\x1b[200~y\x1b[201~");
    assert!(seat.shows("nothing was deleted"));
    assert!(seat.shows("message 37 of"));
    // After the question, and with other keys at any time, what is typed is for the input again.
    seat.keys("dear\x15\x1b[1;3A/to");
    assert_eq!(seat.screen.typed(), "/to");
    seat.keys("\x15\x1b[1;3A\x1b[A\x1b[Ady");
    assert!(!seat.shows("message 37 of") && seat.shows("deleted"));
    assert_eq!(seat.served.messages.len(), 40);
    for _ in 0..60 {
        seat.keys("\x1b[1;3A\x1b[A");
    }
    assert!(in_view(&seat).contains(&0), "the selection scrolls");
    seat.keys("dn");
    assert!(in_view(&seat).contains(&0));
}

#[test]
fn names_are_picked_with_a_filter_and_the_server_is_asked_for_what_is_not_here() {
    let mut seat = Seat::new(80, 24);
    seat.served.accounts = (0..9_000).map(|n| format!("user{n:04}")).collect();
    seat.keys("/list\r");
    assert!(seat.shows("accounts: 5000, not all"), "{}", seat.text());
    seat.keys("8765");
    assert!(seat.shows("user8765") && seat.shows("accounts: 1 -"), "{}", seat.text());
    seat.keys("\r");
    assert_eq!(seat.screen.current(), Some("user8765"));
    seat.keys("/who\r");
    assert!(seat.shows("logged in: 2"));
    seat.keys("zzz\r");
    assert!(seat.shows("no name matches"));
    seat.keys("\x15\x1b[B\x1b[B\x1b[B\x1b[A\r");
    assert_eq!(seat.screen.current(), Some(ME));
}

#[test]
fn ctrl_c_clears_then_asks_once_and_other_keys_stay() {
    let mut seat = long_talk(1, 80, 24);
    seat.keys("typed\x03");
    assert!(seat.screen.typed().is_empty() && !seat.screen.is_quitting());
    seat.keys("\x19");
    assert_eq!(seat.screen.typed(), "typed", "Ctrl-Y brings it back");
    seat.keys("\x03\x03");
    assert!(seat.shows("press Ctrl-C again to quit") && !seat.screen.is_quitting());
    seat.keys("a\x7f\x03");
    assert!(!seat.screen.is_quitting(), "another key came between");
    seat.keys("\x03");
    assert!(seat.screen.is_quitting());
}

#[test]
fn ctrl_d_deletes_what_is_to_the_right_and_at_the_end_of_a_text_says_how_to_leave() {
    let mut seat = long_talk(1, 80, 24);
    seat.keys("half\x01\x04");
    assert_eq!(seat.screen.typed(), "alf");
    assert!(!seat.shows("Ctrl-D quits"));
    seat.keys("\x05\x04");
    assert!(seat.shows("Ctrl-D quits on an empty line only; Ctrl-C clears"), "{}", seat.text());
    seat.keys("\x03\x04");
    assert!(seat.screen.is_quitting());
}

#[test]
fn ctrl_l_draws_all_and_ctrl_z_stops() {
    let mut seat = long_talk(1, 80, 24);
    seat.keys("x");
    let small = seat.frame.len();
    seat.keys("\x0c");
    assert!(seat.frame.len() > 10 * small, "{} {small}", seat.frame.len());
    seat.keys("\x1a");
    assert_eq!(seat.done, [Action::Suspend]);
}

#[test]
fn a_bell_rings_only_when_it_was_asked_for_and_not_for_ones_own() {
    for bell in [false, true] {
        let mut seat = Seat::with(chatctl::client::screen::Settings { bell, ..settings() }, 80, 24);
        seat.log_in();
        seat.hear("bob", "ding");
        seat.keys("/to bob\rdong\r");
        assert_eq!(seat.vt.bells, usize::from(bell));
    }
}

#[test]
fn what_cannot_be_sent_stays_typed() {
    let mut seat = Seat::new(80, 24);
    seat.keys("hello?\r");
    assert!(seat.shows("no recipient"));
    assert_eq!(seat.screen.typed(), "hello?");
    seat.keys("\x15/to bob\r");
    seat.screen.on_not_taken("bob", "too much", "the outbox is full");
    seat.show();
    assert!(seat.shows("not sent: the outbox is full"));
    assert_eq!(seat.screen.typed(), "too much");
}

#[test]
fn passwords_are_asked_without_being_shown_and_the_draft_comes_back() {
    let mut seat = long_talk(1, 80, 24);
    seat.keys("/passwd\rsecret");
    assert!(seat.shows("current password:") && !seat.shows("secret"), "{}", seat.text());
    seat.keys("\rnew\rnewer\r");
    assert!(seat.shows("the passwords differ"));
    seat.keys("/passwd\rsecret\rnew\rnew\r");
    let asked = Request::ChangePassword { old: "secret".into(), new: "new".into() };
    assert_eq!(seat.served.asked.last(), Some(&asked));
    seat.keys("a draft");
    let refusal = chatctl::client::session::Refusal::new("wrong-credentials", "no");
    seat.event(chatctl::client::session::Event::LoginRefused(refusal));
    seat.keys("pw\r");
    assert_eq!(seat.done, [Action::SetPassword("pw".to_string())]);
    assert_eq!(seat.screen.typed(), "a draft");
    seat.keys("\x1b[A\x1b[A\x1b[A");
    assert!(!seat.screen.typed().contains("secret"), "no password is recalled");
}

#[test]
fn what_is_typed_while_a_message_is_selected_goes_to_the_input() {
    let mut seat = long_talk(40, 80, 24);
    seat.keys("\x1b[1;3Ahello");
    assert_eq!(seat.screen.typed(), "hello");
    seat.keys("\x15\x1b[1;3A\x1b[200~dy\nc\x1b[201~");
    assert_eq!(seat.screen.typed(), "dy\nc", "a paste holds no keys");
    assert_eq!(seat.served.messages.len(), 41);
}

#[test]
fn a_search_that_finds_while_somebody_types_takes_no_letter_for_a_key() {
    let mut seat = long_talk(3_000, 80, 24);
    seat.served.is_silent = true;
    seat.keys("/search message 42 of\rrea");
    seat.answer_held();
    let mut rounds = Rounds::new(1_000, "the search finds what is there");
    while !seat.shows("found after") {
        rounds.count();
        assert!(seat.shows("searching"), "{}", seat.text());
        seat.answer_held();
    }
    assert!(in_view(&seat).contains(&42));
    seat.keys("dy to go");
    assert_eq!(seat.screen.typed(), "ready to go");
    seat.keys("\x15/search\r");
    seat.answer_all();
    assert!(seat.shows("not found in 42 older messages"), "it goes on: {}", seat.text());
}

#[test]
fn a_search_that_finds_behind_the_picker_leaves_its_keys_to_it() {
    let mut seat = long_talk(3_000, 80, 24);
    seat.served.is_silent = true;
    seat.keys("/search message 42 of\r/who\r");
    let mut rounds = Rounds::new(1_000, "the search finds what is there");
    while !seat.shows("found after") {
        rounds.count();
        seat.answer_held();
    }
    seat.keys("dy");
    assert!(seat.shows("type to filter: dy"), "{}", seat.text());
    seat.keys("\x03").answer_all();
    assert!(in_view(&seat).contains(&42), "{}", seat.text());
    assert_eq!(seat.served.messages.len(), 3_001, "nothing was deleted");
}

#[test]
fn the_layer_on_top_gets_each_key_and_escape_closes_one_after_the_other() {
    let mut seat = long_talk(3_000, 80, 24);
    seat.served.is_silent = true;
    seat.keys("/search nowhere to be found\r").keys("\x1b[1;3A");
    assert!(seat.shows("c copies text") && seat.shows("Esc stops"), "{}", seat.text());
    seat.keys("/help\r");
    assert!(seat.shows("help: 1-") && seat.shows("Esc stops"), "{}", seat.text());
    seat.keys("\x1b").wait(1_000);
    assert!(!seat.shows("help: 1-") && seat.shows("Esc stops"), "{}", seat.text());
    seat.keys("\x1b").wait(1_000);
    assert!(!seat.shows("Esc stops"), "{}", seat.text());
}

#[test]
fn the_selected_message_stays_in_view_whatever_comes() {
    let mut seat = long_talk(40, 80, 24);
    seat.keys("\x1b[1;3A\x1b[A");
    for n in 0..60 {
        seat.hear("bob", &format!("news {n}"));
        assert!(in_view(&seat).contains(&38), "{}", seat.text());
    }
    seat.keys("d");
    assert!(seat.shows("y deletes it, any other key") && in_view(&seat).contains(&38));
    seat.keys("n");
    assert!(seat.shows("more below"), "reading goes on where it was");
    seat.resize(80, 12);
    seat.keys("\x1b[1;3A");
    seat.resize(40, 10);
    seat.keys("c");
    let row = (0..10).any(|row| seat.vt.cell(row, 20).look.contains(&7) && row > 0 && row < 8);
    assert!(row, "also after a resize: {}", seat.text());
}

#[test]
fn a_name_that_nobody_has_leaves_the_list_unless_something_was_written() {
    let mut seat = long_talk(3, 80, 24);
    let mistype = |seat: &mut Seat, name: &str| {
        seat.served.is_silent = true;
        seat.keys(&format!("/to {name}\r"));
        seat.refuse_all("no-such-user", "no account has this name");
        seat.served.is_silent = false;
    };
    mistype(&mut seat, "bbo");
    assert!(seat.shows("! no account has this name") && !seat.shows("not loaded yet"));
    assert_eq!(seat.screen.current(), Some("bbo"), "what is typed now is for nobody else");
    seat.keys("/to bob\r");
    assert!(seat.screen.book().get("bbo").is_none(), "{}", seat.text());
    // Refused after it was left.
    seat.served.is_silent = true;
    seat.keys("/to bbo\r/to bob\r");
    seat.refuse_all("no-such-user", "no account has this name");
    seat.served.is_silent = false;
    assert!(seat.screen.book().get("bbo").is_none());
    // A draft keeps it.
    mistype(&mut seat, "crol");
    seat.keys("a draft\x1b1\x0e");
    assert!(seat.screen.book().get("crol").is_some());
    mistype(&mut seat, "crol");
    assert_eq!(seat.screen.typed(), "a draft");
    seat.keys("\x15\x1b1");
    assert!(seat.screen.book().get("crol").is_none());
    // There is such an account by now.
    mistype(&mut seat, "dave");
    seat.hear("dave", "I am new here");
    seat.keys("/to bob\r");
    assert!(seat.screen.book().get("dave").is_some());
}

#[test]
fn of_a_long_text_it_is_said_which_row_is_typed_and_moving_in_it_scrolls_no_more_than_needed() {
    let mut seat = long_talk(3, 80, 24);
    let lines: Vec<String> = (1..=40).map(|n| format!("line {n:02}")).collect();
    seat.keys(&format!("\x1b[200~{}\x1b[201~", lines.join("\n")));
    assert!(seat.shows("typed: row 40 of 40") && seat.shows("> line 33"), "{}", seat.text());
    seat.keys(&"\x1b[A".repeat(5));
    assert!(seat.shows("typed: row 35 of 40") && seat.shows("> line 33"), "{}", seat.text());
    seat.keys(&"\x1b[A".repeat(5));
    assert!(seat.shows("> line 30") && !seat.shows("line 38"), "{}", seat.text());
    seat.keys("\x1b[B");
    assert!(seat.shows("> line 30"));
    seat.keys("\x15\x0b\x03");
    assert!(!seat.shows("typed: row"));
}

#[test]
fn a_paste_that_has_lost_its_end_is_typed_text_after_a_second_and_never_sent_by_itself() {
    let mut seat = Seat::new(80, 24);
    seat.keys("/to bob\r\x1b[200~one\rtwo");
    assert_eq!(seat.screen.typed(), "one\ntwo");
    let now_ms = seat.now_ms;
    let deadline = seat.screen.deadline().expect("the paste is waited for");
    assert!(deadline - now_ms <= SILENCE_MS, "{deadline}");
    seat.wait(SILENCE_MS);
    seat.keys("!\r");
    assert_eq!(seat.served.messages.last().expect("it is sent").body, "one\ntwo!");
    seat.keys("\x1b[200~lost").keys("\x03");
    seat.wait(ESCAPE_MS);
    assert_eq!(seat.screen.typed(), "", "Ctrl-C clears it");
    seat.keys("again\r");
    assert_eq!(seat.served.messages.last().expect("it is sent").body, "again");
}

#[test]
fn a_paste_that_is_too_long_says_how_much_of_it_was_left_out() {
    let mut seat = Seat::new(80, 24);
    seat.keys(&format!("/to bob\r\x1b[200~{}\x1b[201~", "x".repeat(limits::LINE_BYTES + 1_000)));
    assert!(seat.shows("left out 1000 bytes: the text has reached its maximum"), "{}", seat.text());
    seat.keys("\r");
    assert!(seat.shows("the text has 65599 bytes, the maximum is 65535"), "{}", seat.text());
    assert_eq!(seat.screen.typed().len(), limits::LINE_BYTES);
}

#[test]
fn answers_of_the_terminal_are_not_typed() {
    let mut seat = Seat::new(80, 24);
    seat.keys("/to bob\r");
    seat.keys("\x1b]11;rgb:0000/0000/0000\x1b\\a\x1bP>|XTerm(370)\x1b\\b\x1b[[Ac\x1b[M !!d");
    assert_eq!(seat.screen.typed(), "abcd");
}

#[test]
fn the_wheel_scrolls_what_is_shown_and_answers_no_question() {
    const UP: &str = "\x1b[<64;40;10M";
    const DOWN: &str = "\x1b[<65;40;10M";
    let mut seat = long_talk(100, 80, 24);
    let bottom = seat.text();
    seat.keys(UP);
    assert_eq!(seat.screen.typed(), "", "the wheel recalls nothing");
    let row = |text: &str, row: usize| text.lines().nth(row).unwrap_or("")[20..].to_string();
    assert_eq!(row(&seat.text(), 5), row(&bottom, 2), "three rows");
    seat.keys(DOWN);
    assert_eq!(seat.text(), bottom);
    // In a panel, and over a question, which stays.
    seat.keys("/help\r");
    let help = seat.text();
    seat.keys(DOWN);
    assert_ne!(seat.text(), help);
    seat.keys(UP);
    assert_eq!(seat.text(), help);
    seat.keys("q\x1b[1;3Ad");
    assert!(seat.shows("y deletes it, any other key keeps it"));
    seat.keys(UP);
    assert!(seat.shows("y deletes it, any other key keeps it"), "{}", seat.text());
    seat.keys("n");
    // A message that is selected stays in view.
    seat.keys("\x1b[1;3A").keys(&UP.repeat(5));
    assert!(seat.shows("c copies text, C the id"));
}

#[test]
fn c_copies_the_text_without_controls_and_a_capital_c_the_id() {
    let mut seat = Seat::new(80, 24);
    seat.keys("/to bob\r").hear("bob", "rm -rf\t\u{1b}[201~\nline \u{9b}two\u{7}");
    let id = seat.served.messages.last().expect("one").id.clone();
    seat.keys("\x1b[1;3AcC");
    let copied: Vec<String> = seat.vt.clipboard.iter().map(|text| decoded(text)).collect();
    assert_eq!(copied, ["rm -rf\t[201~\nline two".to_string(), id]);
}

fn decoded(base64: &str) -> String {
    let bytes = chatctl::auth::base64::decode(base64).expect("it is base64");
    String::from_utf8(bytes).expect("it is UTF-8")
}

#[test]
fn a_link_that_is_wrapped_opens_as_a_whole_and_ends_where_the_address_does() {
    let address = format!("https://example.org/{}?q=1", "long/".repeat(40));
    let mut seat = Seat::new(80, 24);
    seat.keys("/to bob\r")
        .hear("bob", &format!("see {address}, and \u{1b}]8;;http://evil\u{7} too"));
    let mut linked = String::new();
    for row in 0..22 {
        for column in 0..80 {
            let cell = seat.vt.cell(row, column);
            match cell.link.as_deref() {
                Some("http://evil") => assert!(seat.vt.row(row).contains("evil")),
                Some(link) => {
                    assert_eq!((link, &cell.look), (address.as_str(), &vec![4]));
                    linked.push_str(&cell.text);
                }
                None => assert!(!cell.look.contains(&4)),
            }
        }
    }
    assert_eq!(linked, address, "all of it, nothing else");
    // Another conversation in its place leaves no link behind.
    seat.keys("/to carol\r");
    assert!((0..24).all(|row| (0..80).all(|column| seat.vt.cell(row, column).link.is_none())));
}

/// The names that notifications of so far are from.
fn told(seat: &mut Seat) -> Vec<String> {
    let done = std::mem::take(&mut seat.done).into_iter();
    let names = done.filter_map(|action| match action {
        Action::Notify(notice) => Some(notice.from),
        _ => None,
    });
    names.collect()
}

#[test]
fn a_muted_name_neither_rings_nor_notifies_until_it_is_unmuted() {
    let loud = chatctl::client::screen::Settings { bell: true, notify: true, ..settings() };
    let mut seat = Seat::with(loud, 80, 24);
    seat.log_in();
    seat.hear("bob", "one").hear("carol", "two").keys("/to carol\rmine\r");
    assert_eq!((told(&mut seat), seat.vt.bells), (vec!["bob".into(), "carol".into()], 2));
    assert_eq!(seat.vt.title, "(1) alice - chatctl");
    seat.keys("/mute bob\r");
    assert!(seat.shows("bob is muted; /mute bob again unmutes"), "{}", seat.text());
    assert_eq!(seat.vt.title, "alice - chatctl", "what is muted is not counted");
    seat.hear("bob", "three").hear("carol", "four");
    assert_eq!((told(&mut seat), seat.vt.bells), (vec!["carol".to_string()], 3));
    // Without a name it is the conversation that is shown.
    seat.keys("/mute\r");
    assert!(seat.vt.row(0).contains("muted"), "{}", seat.text());
    seat.keys("/mute\r/mute bob\r").hear("bob", "five").hear("carol", "six");
    assert_eq!((told(&mut seat), seat.vt.bells), (vec!["bob".into(), "carol".into()], 5));
    for n in 0..limits::MUTED_NAMES {
        seat.screen.on_bytes(seat.now_ms, format!("/mute n{n}\r").as_bytes());
    }
    seat.keys("/mute bob\r");
    assert!(seat.shows("names are muted; unmute one first"), "{}", seat.text());
    seat.keys("/mute n0\r/mute bob\r");
    assert!(seat.shows("bob is muted"));
}

#[test]
fn notifications_and_titles_have_no_controls_and_no_more_arguments_than_meant() {
    use chatctl::client::Notify;
    use chatctl::client::screen::paint;
    let (from, text) = ("4;1\u{7}", "a;b\u{1b}]0;evil\u{7}\u{9c}\n\u{202e}c");
    for (way, count) in [(Notify::Off, 0), (Notify::Osc9, 1), (Notify::Osc777, 3)] {
        let bytes = paint::notify(way, from, &text.repeat(1_000));
        let sent = String::from_utf8(bytes).expect("it is UTF-8");
        assert_eq!(sent.matches(';').count(), count, "{sent:?}");
        assert!(sent.len() < 2_000);
        let inner = sent.strip_prefix("\x1b]").and_then(|rest| rest.strip_suffix('\x07'));
        assert!(inner.unwrap_or("").chars().all(|char| !char.is_control()), "{sent:?}");
    }
    let title = String::from_utf8(paint::title(text)).expect("it is UTF-8");
    assert!(title[1..title.len() - 1].chars().all(|char| !char.is_control()), "{title:?}");
}
