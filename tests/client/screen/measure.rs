//! What a frame costs, and what 100,000 loaded messages take: printed (`make screen`: as it is built
//! for use), and held to what a person would notice.

use std::time::{Duration, Instant};

use chatctl::sys::process;

use super::seat::{ME, Seat, settings};

const MESSAGES: usize = 100_000;

#[test]
fn a_frame_with_100_000_loaded_messages_costs_no_more_than_with_few() {
    for (columns, rows) in [(80, 24), (200, 60)] {
        let few = costs(100, columns, rows);
        let many = costs(MESSAGES, columns, rows);
        println!("{columns}x{rows}, 100 messages: {few}");
        println!("{columns}x{rows}, {MESSAGES} messages: {many}");
        assert!(many.key < Duration::from_millis(50), "{many}");
        assert!(many.scroll < Duration::from_millis(50), "{many}");
        assert!(many.key_bytes < 200, "only what has changed is sent");
    }
}

struct Costs {
    key: Duration,
    key_bytes: usize,
    scroll: Duration,
    scroll_bytes: usize,
    all_bytes: usize,
    memory_bytes: u64,
}

impl std::fmt::Display for Costs {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "a key {:?} and {} bytes, a page {:?} and {} bytes, all anew {} bytes; {} KiB",
            self.key,
            self.key_bytes,
            self.scroll,
            self.scroll_bytes,
            self.all_bytes,
            self.memory_bytes >> 10
        )
    }
}

/// The medians over some frames.
fn costs(count: usize, columns: usize, rows: usize) -> Costs {
    let mut seat = Seat::with(settings(), columns, rows);
    for n in 0..count {
        let (from, to) = if n % 2 == 0 { ("bob", ME) } else { (ME, "bob") };
        seat.served.store(from, to, &format!("message {n}: {}", "some words ".repeat(7)));
    }
    seat.served.markers.insert("bob".to_string(), u64::MAX);
    seat.log_in();
    let before = process::resident_bytes().unwrap_or(0);
    seat.keys("/to bob\r/search nowhere to be found\r");
    let memory_bytes = process::resident_bytes().unwrap_or(0).saturating_sub(before);
    assert_eq!(seat.screen.book().size().0, count);
    let (key, key_bytes) = median(&mut seat, "x");
    let (scroll, scroll_bytes) = median(&mut seat, "\x1b[5~");
    let (_, all_bytes) = median(&mut seat, "\x0c");
    Costs { key, key_bytes, scroll, scroll_bytes, all_bytes, memory_bytes }
}

/// How long a key takes until its frame is there, without the terminal, and the frame's bytes.
fn median(seat: &mut Seat, key: &str) -> (Duration, usize) {
    let (mut times, mut sizes) = (Vec::new(), Vec::new());
    for _ in 0..31 {
        let started = Instant::now();
        seat.screen.on_bytes(seat.now_ms, key.as_bytes());
        let frame = seat.screen.draw();
        seat.screen.on_drawn(frame.wishes);
        let taken = started.elapsed();
        seat.settle();
        seat.show();
        times.push(taken);
        sizes.push(seat.frame.len());
    }
    times.sort_unstable();
    sizes.sort_unstable();
    (times[times.len() / 2], sizes[sizes.len() / 2])
}
