//! Whole screens, as a person would see them. `CHATCTL_REWRITE_SCREENS=1` writes them anew, to be
//! looked at before they are kept.

use std::fs;
use std::path::Path;

use chatctl::client::session::{Draft, Event, Refusal, State};
use chatctl::limits;

use super::seat::{ME, NOON, Seat, settings};

const REWRITE: &str = "CHATCTL_REWRITE_SCREENS";

/// Holds a screen against the one that is kept under this name.
fn golden(name: &str, seat: &Seat) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/client/screen/golden");
    let path = folder.join(format!("{name}.txt"));
    let text = seat.text();
    if std::env::var_os(REWRITE).is_some() {
        fs::create_dir_all(&folder).unwrap();
        return fs::write(&path, text).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "{}: kept\n{kept}\nshown\n{text}\n{REWRITE}=1", path.display());
}

/// Three conversations: some read, some not, one of yesterday.
fn talk(columns: usize, rows: usize) -> Seat {
    let mut seat = Seat::with(settings(), columns, rows);
    let served = &mut seat.served;
    let mut old = served.store("carol", ME, "See you tomorrow?");
    old.time = NOON - 86_400_000;
    served.messages[0] = old;
    served.store(ME, "carol", "Yes, at the usual place.");
    served.store("bob", ME, "Is the build green again?");
    served.store(ME, "bob", "It is. The third server had a full disk, and said so.");
    served.store("bob", ME, "Good. Then I merge what waits; it is two changes, one of them large.");
    served.store("dave", ME, "ping");
    served.markers.insert("bob".to_string(), served.messages[2].seq);
    served.markers.insert("carol".to_string(), u64::MAX);
    seat.log_in();
    seat.show();
    seat
}

#[test]
fn the_welcome_says_what_to_do() {
    golden("welcome-80x24", &talk(80, 24));
    golden("welcome-40x10", &talk(40, 10));
    let mut seat = Seat::with(settings(), 80, 12);
    seat.status.state = State::Offline;
    seat.status.trouble = Some("127.0.0.1:7262: Connection refused (os error 111)".to_string());
    seat.show();
    golden("offline-80x12", &seat);
}

#[test]
fn a_conversation_has_days_times_marks_and_the_unread_line() {
    for (columns, rows) in [(40, 10), (80, 24), (200, 60)] {
        let mut seat = talk(columns, rows);
        seat.keys("/to bob\r");
        golden(&format!("bob-{columns}x{rows}"), &seat);
        seat.keys("/to carol\r");
        golden(&format!("carol-{columns}x{rows}"), &seat);
    }
}

#[test]
fn what_waits_or_failed_is_told_apart_from_what_is_sent() {
    let mut seat = talk(80, 24);
    seat.keys("/to bob\r");
    (seat.is_connected, seat.status.state) = (false, State::Electing);
    seat.keys("first\rsecond\rthird\r");
    golden("waiting-80x24", &seat);
    let (id, to, body) = seat.outbox.pop_front().unwrap();
    let draft = Draft { id, to, body, known: 0, cluster: 0, written_ms: NOON };
    let refusal = Refusal::new("no-such-user", "there is no account of this name any more");
    seat.event(Event::Failed { draft, refusal });
    seat.status.state = State::Connected;
    seat.acknowledge();
    seat.show();
    golden("failed-80x24", &seat);
    seat.status.state = State::ReadOnly;
    seat.show();
    assert!(seat.shows("read-only"));
}

#[test]
fn wide_and_combined_characters_keep_their_columns() {
    let texts = [
        "日本語の文章は単語の間に空白がありませんが、それでも行の終わりで折り返されます。",
        "한국어 문장도 넓은 글자로 되어 있고 줄 끝에서 접힙니다. 그렇지요?",
        "Vie\u{302}\u{323}t Nam, na\u{308}ive, e\u{301}te\u{301}: marks stay with their letters.",
        "👩\u{200d}👩\u{200d}👧 and 🇩🇪 and ❤\u{fe0f} are made of several",
        "a\ttab\tand\n  an indented line\n\nand an empty one before",
    ];
    for columns in [40, 80] {
        let mut seat = Seat::new(columns, 24);
        seat.keys("/to bob\r");
        for text in texts {
            seat.hear("bob", text);
        }
        golden(&format!("wide-{columns}x24"), &seat);
    }
}

#[test]
fn the_input_grows_to_several_lines_and_a_paste_never_sends() {
    let mut seat = talk(80, 24);
    seat.keys("/to bob\r");
    seat.keys("\x1b[200~first line\r\nsecond line\r\n\tthird\x1b[201~");
    golden("paste-80x24", &seat);
    assert_eq!(seat.screen.typed(), "first line\nsecond line\n\tthird");
    assert!(seat.served.messages.iter().all(|message| !message.body.contains("first line")));
    seat.keys("\r");
    assert_eq!(seat.served.messages.last().unwrap().body, "first line\nsecond line\n\tthird");
    golden("pasted-80x24", &seat);
    seat.keys(&format!("\x1b[200~{}\x1b[201~", "many\n".repeat(50)));
    golden("long-input-80x24", &seat);
    seat.resize(80, 60);
    assert_eq!(seat.count("  many") + seat.count("> many"), limits::SCREEN_INPUT_ROWS - 1);
}

#[test]
fn help_list_and_search_take_the_pane() {
    let mut seat = talk(80, 24);
    seat.keys("/help\r");
    golden("help-80x24", &seat);
    seat.keys("q/list\r");
    golden("list-80x24", &seat);
    seat.keys("bo\x1b[B");
    golden("list-filtered-80x24", &seat);
    seat.keys("\r");
    assert_eq!(seat.screen.current(), Some("bobby"));
    seat.keys("/to bob\r/search BUILD\r");
    golden("found-80x24", &seat);
    seat.keys("\x1b");
    seat.wait(1_000);
    seat.keys("/status\r");
    golden("status-80x24", &seat);
}

#[test]
fn whatever_the_size_the_screen_is_drawn_and_the_cursor_is_inside() {
    let mut seat = talk(80, 24);
    seat.keys("/to bob\rdrafted 日本語 text");
    seat.hear("bob", &"wide 日本語 and long ".repeat(20));
    for columns in 1..=200 {
        for rows in [1, 2, 4, 5, 6, 10, 24, 60] {
            seat.resize(columns, rows);
        }
    }
    // Of one that is larger than any, a part is drawn.
    seat.screen.on_resize(3 * limits::SCREEN_SIDE, 2 * limits::SCREEN_SIDE);
    let buffer = seat.screen.draw().buffer;
    assert_eq!((buffer.columns(), buffer.rows()), (limits::SCREEN_SIDE, limits::SCREEN_SIDE));
    seat.resize(80, 24);
    assert!(seat.shows("> drafted 日本語 text"));
}
