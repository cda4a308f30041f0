//! What other people may send, and whatever may be typed: nothing reaches the terminal that it would
//! obey, nothing moves what stands around it, nothing panics.

use chatctl::client::session::{Draft, Event, Incoming, Refusal, State};
use chatctl::limits;
use chatctl::protocol::Message;

use super::seat::{ME, Seat, settings};
use crate::support::{Rng, env_number};

const HOSTILE: &[&str] = &[
    "\x1b[2J\x1b[31mred\x1b]0;title\x07\x1b[?1049l",
    "\u{202e}desrever\u{2066} \u{200f}rtl",
    "\u{9b}31m\u{85}\u{0}\u{7f}",
    "a\r\nb\rc\u{2028}d\u{2029}e\u{b}f",
    "12:34 alice✓ forged\n12:35 alice✓ forged again",
    "\u{feff}\u{200b}\u{2060}\u{ad}\u{e0041}",
    "日本\u{301}語\u{200d}👩\u{200d}",
    "",
    "\n\n\n",
    "http://a\u{7}b\u{1b}\\c\u{9c} https://\u{202e}x/日本/\u{301} http://中.cn/👩\u{200d}👩",
];

#[test]
fn hostile_messages_are_shown_as_what_they_are_and_stay_in_their_rows() {
    for (columns, rows) in [(40, 10), (80, 24), (200, 60)] {
        let mut seat = Seat::new(columns, rows);
        seat.keys("/to bob\r");
        for text in HOSTILE {
            // The seat holds that the terminal understood all and shows what was drawn.
            seat.hear("bob", text);
            seat.hear("x\u{1b}[31m\u{202e}", text);
        }
        let flood = format!("z{}", "\u{301}".repeat(30_000));
        let huge = ["x".repeat(limits::BODY_BYTES), "\n".repeat(limits::BODY_BYTES)];
        let wide = "日".repeat(limits::BODY_BYTES / 3);
        for text in huge.iter().chain([&flood, &wide]) {
            seat.hear("bob", text);
        }
        seat.keys("\x1b>");
        for _ in 0..20 {
            seat.keys("\x1b[5~");
        }
        let sidebar = (columns / 5).clamp(11, 24);
        for row in 0..rows - 2 {
            assert_eq!(seat.vt.cell(row, sidebar).text, "│", "the list stays apart: row {row}");
        }
    }
}

#[test]
fn a_forged_line_stands_in_the_column_of_texts() {
    let mut seat = Seat::new(80, 24);
    seat.keys("/to bob\r");
    seat.hear("bob", "hello\n12:34 alice✓ I owe you everything");
    let text = seat.text();
    let line = text.lines().find(|line| line.contains("I owe you")).unwrap();
    let column = line.find("12:34").unwrap();
    let first = text.lines().find(|line| line.contains("hello")).unwrap();
    assert_eq!(
        line[..column].chars().count(),
        first[..first.find("hello").unwrap()].chars().count()
    );
}

#[test]
fn without_colours_everything_is_still_told_apart() {
    use chatctl::client::screen::paint::Painter;
    let mut seat = Seat::new(80, 24);
    seat.hear("carol", "unread");
    seat.keys("/to bob\r");
    let drawn = seat.screen.draw();
    let frame = Painter::new(false).frame(drawn.buffer, drawn.cursor);
    let text = String::from_utf8(frame).unwrap();
    for sequence in text.split("\x1b[").skip(1) {
        let Some((numbers, _)) = sequence.split_once('m') else { continue };
        if numbers.bytes().all(|byte| byte.is_ascii_digit() || byte == b';') {
            assert!(numbers.split(';').all(|n| ["0", "1", "2", "7"].contains(&n)), "{numbers:?}");
        }
    }
}

#[test]
fn a_server_that_says_anything_panics_nothing() {
    let most = u64::MAX;
    let inbox =
        format!("bob\t{most}\t{most}\t{most}\ncarol\t{most}\t0\t{most}\n\x1b\t1\t1\t1\n\t\t");
    let names = "a,\u{202e},,bob,\x1b[2J,".repeat(2_000);
    for (seq, time) in [(0, 0), (most, most), (1, most), (most - 1, 1)] {
        for body in [&inbox, &names, &"more".to_string(), &String::new()] {
            let mut seat = Seat::new(80, 24);
            let said = Message {
                cmd: "deliver".into(),
                src: "bob".into(),
                to: ME.into(),
                body: body.clone().into(),
                seq,
                time,
                limit: 1,
                ..Message::default()
            };
            seat.keys("/to bob\r");
            seat.event(Event::Message(Incoming::of(&said)));
            seat.event(Event::ReadMoved { name: "bob".to_string(), seq });
            let last = Message { cmd: "history".into(), to: "zz".into(), ..said.clone() };
            seat.served.lie = Some(vec![said.clone(), said, last]);
            // It never comes to an end with its names: what is asked is bounded all the same.
            seat.served.is_silent = true;
            seat.log_in();
            for keys in ["/list\r", "\x1b1", "\x1b2", "\x1b[5~", "/search x\r", "\x1b<", "b\t"] {
                seat.keys("\x03").keys(keys);
                seat.answer_held();
            }
            seat.event(Event::Message(Incoming { seq, ..incoming("bob", most) }));
            seat.event(Event::TakenBack(vec!["nonsense".to_string()]));
        }
    }
}

fn incoming(from: &str, time: u64) -> Incoming {
    let text = |text: &str| text.to_string();
    Incoming { id: text(""), from: text(from), to: text(ME), body: text("hello"), time, seq: 3 }
}

/// What may be typed or pasted, cut anywhere.
const KEYS: &[&str] = &[
    "a",
    "word ",
    "é",
    "日",
    "\u{301}",
    "🙂",
    "\r",
    "\t",
    "\x1b",
    "\x1b[A",
    "\x1b[B",
    "\x1b[C",
    "\x1b[D",
    "\x1b[5~",
    "\x1b[6~",
    "\x1b[1;3A",
    "\x1b[1;3B",
    "\x1b1",
    "\x1b2",
    "\x1b3",
    "\x1b0",
    "\x1ba",
    "\x1b<",
    "\x1b>",
    "\x0e",
    "\x10",
    "\x7f",
    "\x01",
    "\x05",
    "\x0b",
    "\x15",
    "\x17",
    "\x19",
    "\x0c",
    "\x1a",
    "\x03",
    "\x1b\r",
    "\x1b[200~",
    "\x1b[201~",
    "/to bob\r",
    "/to carol\r",
    "/list\r",
    "/who\r",
    "/inbox\r",
    "/help\r",
    "/status\r",
    "/search m\r",
    "/search zz\r",
    "/select\r",
    "/delete last\r",
    "/passwd\r",
    "/history\r",
    "/more\r",
    "/read\r",
    "/msg bob x\r",
    "/waiting\r",
    "y",
    "n",
    "d",
    "c",
    "q",
    "\x00",
    "\u{9b}",
    "\u{202e}",
    "\x1b[",
    "\x1b[Z",
];

#[test]
fn random_keys_events_and_sizes_never_panic_and_keep_the_cursor_inside() {
    let first = env_number("CHATCTL_SEED", 0);
    let count = env_number("CHATCTL_SCREEN_SEEDS", 150);
    for seed in first..first + count {
        println!("CHATCTL_SEED={seed} CHATCTL_SCREEN_SEEDS=1");
        let mut dice = Rng::new(seed);
        let mut seat = Seat::with(settings(), 80, 24);
        for n in 0..dice.below(400) {
            let (from, to) = if dice.chance(1, 2) { ("bob", ME) } else { (ME, "bob") };
            seat.served.store(from, to, &format!("m{n} {}", "words ".repeat(n as usize % 40)));
        }
        seat.log_in();
        for _ in 0..200 {
            step(&mut seat, &mut dice);
        }
    }
}

fn step(seat: &mut Seat, dice: &mut Rng) {
    match dice.below(20) {
        0 => seat.resize(1 + dice.below(120) as usize, 1 + dice.below(50) as usize),
        1 => {
            seat.hear("bob", HOSTILE[dice.below(HOSTILE.len() as u64) as usize]);
        }
        2 => {
            seat.hear("carol", "hello");
        }
        3 => seat.wait(dice.below(40_000)),
        4 => seat.served.is_silent = true,
        5 => seat.answer_all(),
        6 => seat.refuse_all("busy", "too much"),
        7 => seat.is_connected = dice.chance(1, 2),
        8 => {
            let states = [State::Connected, State::Electing, State::ReadOnly, State::Offline];
            seat.status.state = states[dice.below(4) as usize];
            seat.show();
        }
        9 => seat.log_in(),
        10 => seat.acknowledge(),
        11 => {
            if let Some((id, to, body)) = seat.outbox.pop_front() {
                let draft = Draft { id, to, body, known: 0, cluster: 0, written_ms: 0 };
                let refusal = Refusal::new("no-such-user", "gone\x1b[2J");
                seat.event(Event::Failed { draft, refusal });
            }
        }
        12 => {
            let count = seat.served.messages.len() as u64;
            if count > 0 {
                let gone = seat.served.messages.remove(dice.below(count) as usize);
                seat.event(Event::TakenBack(vec![gone.id, "no id".to_string()]));
            }
        }
        13 => {
            let bytes = dice.bytes(5);
            seat.screen.on_bytes(seat.now_ms, &bytes);
            seat.settle();
            seat.show();
        }
        14 if dice.chance(1, 10) => {
            seat.event(Event::Cluster(u128::from(dice.next())));
        }
        _ => {
            seat.keys(KEYS[dice.below(KEYS.len() as u64) as usize]);
        }
    }
}
