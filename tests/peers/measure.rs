//! What the codes around the peers' frames cost, by themselves. Run it in a release build:
//! `cargo test --release peers::measure -- --ignored --nocapture`

use std::hint::black_box;
use std::time::Instant;

use chatctl::auth::sha256;
use chatctl::node::peers::session::{Block, LENGTH_BYTES, Opener, Sealer};
use chatctl::node::peers::wire;
use chatctl::raft::{Body, Entry, Known, Message, Payload};

/// Bytes of an entry's payload for a message of 128 bytes between two of `bench-load`'s clients.
const PAYLOAD_BYTES: usize = 205;
const RUNS: usize = 15;

/// The median of some runs of `times` calls, nanoseconds a call.
fn ns(times: usize, mut call: impl FnMut()) -> f64 {
    let mut runs: Vec<f64> = (0..RUNS)
        .map(|_| {
            let begin = Instant::now();
            (0..times).for_each(|_| call());
            begin.elapsed().as_secs_f64() * 1e9 / times as f64
        })
        .collect();
    runs.sort_by(f64::total_cmp);
    runs[RUNS / 2]
}

/// An append of `count` entries, and its block.
fn append(count: usize) -> (Message, Vec<u8>) {
    let entry =
        |index| Entry { term: 1, index, payload: Payload::Command(vec![7; PAYLOAD_BYTES].into()) };
    let entries: Vec<Entry> = (1..=count as u64).map(entry).collect();
    let mut block = Vec::new();
    wire::put_entries(&mut block, &entries);
    let body =
        Body::Append { prev_index: 0, prev_term: 0, known: Known::default(), commit: 0, entries };
    (Message { term: 1, body }, block)
}

#[test]
#[ignore = "a measurement of a release build"]
fn the_cost_of_a_code_for_a_frame_an_entry_and_a_byte() {
    println!(
        "mac: ns a frame: the hash of its entries, made once; its code, made for each BACKUP;"
    );
    println!(
        "mac: both checked by a BACKUP. ns an entry: for the PRIMARY of 3 and for each BACKUP."
    );
    println!("mac: entries      hash      code     check   PRIMARY    BACKUP");
    for count in [1, 32, 1_000] {
        let (message, bytes) = append(count);
        let times = 200_000 / count;
        let hash = ns(times, || {
            black_box(sha256::digest(black_box(&bytes)));
        });
        let block = Block::new(bytes.clone());
        let mut out = Vec::new();
        // A frame without its code: what the same bytes would cost anyway.
        let plain = ns(times, || {
            out.clear();
            wire::put_message(&mut out, &message);
            out.extend_from_slice(black_box(&bytes));
        });
        let mut sealer = Sealer::new(&[7; 32]);
        let sealed = ns(times, || {
            out.clear();
            sealer.seal(&mut out, |out| wire::put_message(out, &message), black_box(&block));
        });
        let mut frames = vec![Vec::new(); times];
        let mut opening: Vec<f64> = Vec::new();
        for key in 0..RUNS as u8 {
            let (mut sealer, mut opener) = (Sealer::new(&[key; 32]), Opener::new(&[key; 32]));
            for frame in &mut frames {
                frame.clear();
                sealer.seal(frame, |out| wire::put_message(out, &message), &block);
            }
            let begin = Instant::now();
            for frame in &frames {
                assert!(black_box(opener.open(&frame[LENGTH_BYTES..])).is_ok());
            }
            opening.push(begin.elapsed().as_secs_f64() * 1e9 / times as f64);
        }
        opening.sort_by(f64::total_cmp);
        let (code, open) = ((sealed - plain).max(0.0), opening[RUNS / 2]);
        let each = |ns: f64| ns / count as f64;
        let (primary, backup) = (each(hash + 2.0 * code), each(open));
        println!(
            "mac: {count:>7}{hash:>10.0}{code:>10.0}{open:>10.0}{primary:>10.0}{backup:>10.0}"
        );
    }
}
