//! `chatctl bench-codec`: the sizes and speeds of the two codecs, from the encoders and decoders
//! that serve and chat use.

mod fields;
mod picture;

use std::hint::black_box;
use std::io::{self, Write};
use std::time::Instant;

use super::error::Error;
use super::parse::Environment;
use super::terminal::{self, object};
use super::values::BenchCodec;
use crate::limits;
use crate::protocol::framing::{self, Codec, Form, Split};
use crate::protocol::json::{self, Object};
use crate::protocol::{Message, MsgIds, binary};
use fields::{Cost, costs};
use picture::Bytes;
pub use picture::Look;

/// What is asked for.
pub struct Options {
    /// Timed runs of each measurement, at least 1, at most [`limits::BENCH_RUNS`].
    pub runs: u32,
    /// One JSON object a line in the place of the tables.
    pub json: bool,
    /// What the output can show of pictures.
    pub look: Look,
}

/// A run goes on for at least this long, so that reading the clock is little of it.
const RUN_NS: u64 = 20_000;
/// The most iterations in a run, should the clock stand still.
const ITERATIONS: u64 = 1 << 20;
/// The kind whose bytes are copied too: of so long a text little but a copy should be left.
const COPIED: &str = "4KiB";
/// Messages in the page of history.
const PAGE_MESSAGES: u64 = 50;

const ID: &str = "8d4a8912-5776-4438-ac14-8b791cfc63f2";
const CODECS: [(Codec, &str); 2] = [(Codec::Json, "json"), (Codec::Binary, "binary")];

/// Runs `chatctl bench-codec`.
pub fn command(
    values: &BenchCodec,
    environment: Environment<'_>,
    out: &mut dyn Write,
) -> Result<u8, Error> {
    let columns = terminal::columns();
    let look = Look {
        columns: columns.unwrap_or(Look::default().columns),
        blocks: columns.is_some(),
        colour: terminal::colour(values.colour, environment),
    };
    let options = Options { runs: values.runs, json: values.json, look };
    run(&options, out)?;
    Ok(0)
}

/// Measures, and prints as it goes.
///
/// # Errors
/// Those of `out`.
pub fn run(options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let runs = options.runs.clamp(1, limits::BENCH_RUNS);
    let start = Instant::now();
    let mut clock_ns = || start.elapsed().as_nanos() as u64;
    if options.json {
        print_json(runs, &mut clock_ns, out)
    } else {
        print_pictures(options.look, out)?;
        print_times(runs, &mut clock_ns, out)
    }
}

fn print_pictures(look: Look, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "The reference message, in bytes\n")?;
    writeln!(out, "{:<14}{:>8}{:>13}", "form", "payload", "on the wire")?;
    for Size { form, payload, wire } in reference_sizes() {
        writeln!(out, "{form:<14}{payload:>8}{wire:>13}")?;
    }
    let of_kind = |kind: &Kind| {
        let bytes = |codec| {
            let mut encoded = Vec::new();
            kind.encode(codec, &mut encoded);
            encoded.len() / kind.messages.len()
        };
        let (json, binary) = (bytes(Codec::Json), bytes(Codec::Binary));
        Bytes { kind: kind.name, json, binary }
    };
    let kinds: Vec<Bytes> = kinds().iter().map(of_kind).collect();
    writeln!(out, "\nBytes of one message of each kind, and binary as a share of JSON\n")?;
    look.kinds(&kinds, out)?;
    for (name, message) in field_messages() {
        writeln!(out, "\n{name}, field by field: bytes of content + bytes around it\n")?;
        look.fields(&costs(&message), out)?;
    }
    Ok(())
}

/// The messages whose fields are told apart.
fn field_messages() -> [(&'static str, Message<'static>); 2] {
    let page = kinds().into_iter().find(|kind| kind.name == "history-page");
    let delivered = page.and_then(|page| page.messages.into_iter().next());
    [
        ("The reference message", reference_message()),
        ("A delivered message", delivered.unwrap_or_default()),
    ]
}

fn print_times(
    runs: u32,
    clock_ns: &mut dyn FnMut() -> u64,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "\nEach kind of message, in nanoseconds and megabytes (10^6 bytes) a second\n")?;
    writeln!(out, "{:<29}{:^29} {:^29}", "", "encode", "decode")?;
    write!(out, "{:<14}{:<7}{:>8}", "kind", "codec", "bytes")?;
    for _ in 0..2 {
        write!(out, "{:>10}{:>10}{:>10}", "min", "median", "MB/s")?;
    }
    writeln!(out)?;
    for kind in kinds() {
        for (codec, codec_name) in CODECS {
            let Row { bytes, encode, decode } = measure_row(&kind, codec, runs, clock_ns);
            write!(out, "{:<14}{codec_name:<7}{bytes:>8}", kind.name)?;
            for time in [encode, decode] {
                let rate = megabytes_a_second(bytes, time);
                write!(out, "{:>10.1}{:>10.1}{rate:>10.0}", time.min_ns, time.median_ns)?;
            }
            writeln!(out)?;
        }
        if kind.name == COPIED {
            let (bytes, time) = measure_copy(&kind, runs, clock_ns);
            let rate = megabytes_a_second(bytes, time);
            write!(out, "{COPIED:<14}{:<7}{bytes:>8}", "memcpy")?;
            writeln!(out, "{:>10.1}{:>10.1}{rate:>10.0}", time.min_ns, time.median_ns)?;
        }
    }
    writeln!(out, "\n{}", method(runs))
}

fn print_json(runs: u32, clock_ns: &mut dyn FnMut() -> u64, out: &mut dyn Write) -> io::Result<()> {
    let method = method(runs).replace('\n', " ");
    writeln!(out, "{}", object().raw("runs", runs).text("method", &method))?;
    for Size { form, payload, wire } in reference_sizes() {
        let object = object().text("kind", "reference").text("form", form);
        writeln!(out, "{}", object.raw("payload_bytes", payload).raw("wire_bytes", wire))?;
    }
    for (kind, (_, message)) in ["reference", "delivered"].into_iter().zip(field_messages()) {
        for Cost { field, json, binary } in costs(&message) {
            let object = object().text("kind", kind).text("field", field);
            let object = object.raw("json_content", json.content).raw("json_around", json.around);
            let object = object.raw("binary_content", binary.content);
            writeln!(out, "{}", object.raw("binary_around", binary.around))?;
        }
    }
    for kind in kinds() {
        for (codec, codec_name) in CODECS {
            let Row { bytes, encode, decode } = measure_row(&kind, codec, runs, clock_ns);
            let object = object().text("kind", kind.name).text("codec", codec_name);
            let object = object.raw("bytes", bytes).raw("encode", time_object(bytes, encode));
            writeln!(out, "{}", object.raw("decode", time_object(bytes, decode)))?;
        }
        if kind.name == COPIED {
            let (bytes, time) = measure_copy(&kind, runs, clock_ns);
            let object = object().text("kind", COPIED).text("codec", "memcpy").raw("bytes", bytes);
            writeln!(out, "{}", object.raw("copy", time_object(bytes, time)))?;
        }
    }
    Ok(())
}

fn time_object(bytes: usize, time: Time) -> Object {
    object()
        .raw("min_ns", format_args!("{:.2}", time.min_ns))
        .raw("median_ns", format_args!("{:.2}", time.median_ns))
        .raw("mb_per_s", format_args!("{:.1}", megabytes_a_second(bytes, time)))
        .number("iterations", time.iterations)
}

fn method(runs: u32) -> String {
    format!(
        "Method: {runs} runs of each measurement, one thread, monotonic clock. A run repeats the \
         work until it takes\nat least {} us (the count is found by doubling, which also warms \
         up); its time is divided by the count. min\nand median are taken over the runs; MB/s is \
         the bytes of the row divided by the median. Encode: the encoder\nof the server writes \
         into one buffer, which is cleared and reused. Decode: the decoder of the server checks\n\
         UTF-8 and borrows the texts; the message is dropped. Inputs and results go through \
         black_box. history-page\nis {PAGE_MESSAGES} deliver messages as frames; their framing is \
         written and parsed too, and the times are for\nthe whole page. memcpy copies the bytes of \
         the binary row into the same buffer.",
        RUN_NS / 1_000
    )
}

/// One message's bytes in one form.
struct Size {
    form: &'static str,
    payload: usize,
    wire: usize,
}

fn reference_sizes() -> [Size; 3] {
    let message = reference_message();
    let forms = [
        ("JSON line", Form::Lines, Codec::Json),
        ("framed JSON", Form::Frames, Codec::Json),
        ("framed binary", Form::Frames, Codec::Binary),
    ];
    forms.map(|(name, form, codec)| {
        let (mut payload, mut wire) = (Vec::new(), Vec::new());
        match codec {
            Codec::Json => json::encode(&message, &mut payload),
            Codec::Binary => binary::encode(&message, &mut payload),
        }
        framing::put(&mut wire, form, codec, &message);
        Size { form: name, payload: payload.len(), wire: wire.len() }
    })
}

fn reference_message() -> Message<'static> {
    Message {
        cmd: "login".into(),
        src: "alice".into(),
        to: "server".into(),
        body: "This is a test message".into(),
        msg_ids: MsgIds::one(ID),
        limit: 10,
        ..Message::default()
    }
}

/// Messages that are measured together.
struct Kind {
    name: &'static str,
    messages: Vec<Message<'static>>,
    /// With the frames around them; otherwise the payload of the only message.
    framed: bool,
}

fn kinds() -> [Kind; 6] {
    let message = |body: String| Message {
        cmd: "send".into(),
        src: "alice".into(),
        to: "bob".into(),
        body: body.into(),
        msg_ids: MsgIds::one(ID),
        seq: 1_234_567,
        ..Message::default()
    };
    let ping = Message { cmd: "ping".into(), ..Message::default() };
    let one = |name, message| Kind { name, messages: vec![message], framed: false };
    let non_ascii = "Größe, 漢字, привет, 😀. ".repeat(8);
    let escapes = "\"quoted\"\n\tC:\\path\\to\u{1}".repeat(12);
    let page = (0..PAGE_MESSAGES).map(|number| Message {
        cmd: "deliver".into(),
        msg_ids: MsgIds::Many(vec![ID.into()]),
        limit: (PAGE_MESSAGES - number) as u16,
        time: 1_790_000_000_000 + number,
        seq: 1_234_567 + number,
        ..message("A line of a conversation, neither short nor long, as most are.".to_string())
    });
    [
        one("small", ping),
        one("typical", reference_message()),
        one("4KiB", message("The quick brown fox jumps over it. ".repeat(118)[..4_096].into())),
        one("non-ascii", message(non_ascii)),
        one("escape-heavy", message(escapes)),
        Kind { name: "history-page", messages: page.collect(), framed: true },
    ]
}

impl Kind {
    fn encode(&self, codec: Codec, out: &mut Vec<u8>) {
        for message in &self.messages {
            match (self.framed, codec) {
                (true, codec) => framing::put(out, Form::Frames, codec, message),
                (false, Codec::Json) => json::encode(message, out),
                (false, Codec::Binary) => binary::encode(message, out),
            }
        }
    }

    /// Decodes what [`Kind::encode`] made, and gives the number of messages.
    fn decode(&self, codec: Codec, bytes: &[u8]) -> usize {
        if !self.framed {
            return usize::from(black_box(&framing::decode(codec, bytes)).is_ok());
        }
        let (mut at, mut scanned, mut count) = (0, 0, 0);
        while let Split::Payload { start, end, consumed, codec } =
            framing::split(Form::Frames, &bytes[at..], &mut scanned)
        {
            let message = framing::decode(codec, &bytes[at + start..at + end]);
            count += usize::from(black_box(&message).is_ok());
            at += consumed;
        }
        count
    }
}

struct Row {
    bytes: usize,
    encode: Time,
    decode: Time,
}

fn measure_row(kind: &Kind, codec: Codec, runs: u32, clock_ns: &mut dyn FnMut() -> u64) -> Row {
    let mut encoded = Vec::new();
    kind.encode(codec, &mut encoded);
    let decoded = kind.decode(codec, &encoded);
    assert_eq!(decoded, kind.messages.len(), "what was encoded can be decoded");
    let mut out = Vec::with_capacity(2 * encoded.len());
    // The codec itself where there is one message: neither asked for in the loop which it is.
    let (encode, decode) = match (kind.messages.as_slice(), codec) {
        ([message], Codec::Json) => (
            measure_encode(runs, clock_ns, message, &mut out, json::encode),
            measure(runs, clock_ns, || {
                black_box(&json::decode(black_box(&encoded)));
            }),
        ),
        ([message], Codec::Binary) => (
            measure_encode(runs, clock_ns, message, &mut out, binary::encode),
            measure(runs, clock_ns, || {
                black_box(&binary::decode(black_box(&encoded)));
            }),
        ),
        _ => (
            measure_encode(runs, clock_ns, kind, &mut out, |kind, out| kind.encode(codec, out)),
            measure(runs, clock_ns, || {
                black_box(kind.decode(codec, black_box(&encoded)));
            }),
        ),
    };
    Row { bytes: encoded.len(), encode, decode }
}

/// What it takes to encode `what` into `out`.
fn measure_encode<T>(
    runs: u32,
    clock_ns: &mut dyn FnMut() -> u64,
    what: &T,
    out: &mut Vec<u8>,
    encode: impl Fn(&T, &mut Vec<u8>),
) -> Time {
    measure(runs, clock_ns, || {
        out.clear();
        encode(black_box(what), out);
        black_box(&mut *out);
    })
}

/// What a mere copy of a kind's bytes takes, those of the binary codec.
fn measure_copy(kind: &Kind, runs: u32, clock_ns: &mut dyn FnMut() -> u64) -> (usize, Time) {
    let mut encoded = Vec::new();
    kind.encode(Codec::Binary, &mut encoded);
    let mut out = Vec::with_capacity(2 * encoded.len());
    let time = measure(runs, clock_ns, || {
        out.clear();
        out.extend_from_slice(black_box(&encoded));
        black_box(&mut out);
    });
    (encoded.len(), time)
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Time {
    min_ns: f64,
    median_ns: f64,
    /// Iterations in each run.
    iterations: u64,
}

fn megabytes_a_second(bytes: usize, time: Time) -> f64 {
    bytes as f64 * 1_000.0 / time.median_ns.max(f64::MIN_POSITIVE)
}

/// Times `runs` runs of `work`, each of as many iterations as fill [`RUN_NS`].
fn measure(runs: u32, clock_ns: &mut dyn FnMut() -> u64, mut work: impl FnMut()) -> Time {
    let mut run_ns = |iterations: u64| {
        let start = clock_ns();
        for _ in 0..iterations {
            work();
        }
        clock_ns() - start
    };
    let mut iterations = 1;
    while run_ns(iterations) < RUN_NS && iterations < ITERATIONS {
        iterations *= 2;
    }
    let mut times: Vec<u64> = (0..runs).map(|_| run_ns(iterations)).collect();
    times.sort_unstable();
    let each = |total_ns: u64| total_ns as f64 / iterations as f64;
    let (lower, upper) = (times[(times.len() - 1) / 2], times[times.len() / 2]);
    let median_ns = (each(lower) + each(upper)) / 2.0;
    Time { min_ns: each(times[0]), median_ns, iterations }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn as_many_runs_are_timed_as_were_asked_for_and_min_and_median_are_of_them() {
        for (runs, min_ns, median_ns) in [(1, 100.0, 100.0), (2, 100.0, 150.0), (5, 100.0, 300.0)] {
            // Three runs find the count, the second of them just too short; then each run takes
            // 400 ns more than the one before.
            let calibration = [1, 19_999, 20_000].into_iter();
            let mut durations = calibration.chain((1..).map(|run| 400 * run));
            let (mut now_ns, mut started) = (0, false);
            let mut clock_ns = || {
                if started {
                    now_ns += durations.next().expect("there is always a next duration");
                }
                started = !started;
                now_ns
            };
            let worked = Cell::new(0);
            let time = measure(runs, &mut clock_ns, || worked.set(worked.get() + 1));
            assert_eq!(worked.get(), 1 + 2 + 4 + 4 * runs);
            assert_eq!(time, Time { min_ns, median_ns, iterations: 4 });
        }
    }

    #[test]
    fn a_clock_that_stands_still_ends_the_calibration_all_the_same() {
        let time = measure(1, &mut || 7, || {});
        assert_eq!(time, Time { min_ns: 0.0, median_ns: 0.0, iterations: ITERATIONS });
    }

    #[test]
    fn every_kind_is_what_its_name_says() {
        let kinds = kinds();
        let body = |name: &str| {
            let kind = kinds.iter().find(|kind| kind.name == name).expect("the kind exists");
            kind.messages[0].body.clone().into_owned()
        };
        assert_eq!(body("small"), "");
        assert_eq!(body("4KiB").len(), 4_096);
        assert!(!body("non-ascii").is_ascii());
        let escapes = body("escape-heavy");
        assert!(escapes.matches(['"', '\\', '\n', '\t']).count() * 4 > escapes.len());
        let page = kinds.iter().find(|kind| kind.name == "history-page").expect("the kind exists");
        assert_eq!(page.messages.len(), 50);
        for kind in &kinds {
            assert!(kind.messages.iter().all(|message| message.check().is_ok()));
        }
    }
}
