//! Streams cut into payloads, however the reads fall.

use chatctl::limits::{FRAME_BYTES, PAYLOAD_BYTES};
use chatctl::protocol::framing::{self, Codec, Form, Split, form_of};
use chatctl::protocol::{Message, json};

use super::{reference_message, samples};

/// What a connection does: keeps unconsumed bytes, splits until more is needed.
struct Stream {
    form: Form,
    buffer: Vec<u8>,
    scanned: usize,
    payloads: Vec<(Codec, Vec<u8>)>,
    blanks: usize,
    too_long: bool,
}

impl Stream {
    fn new(form: Form) -> Stream {
        let (buffer, payloads) = (Vec::new(), Vec::new());
        Stream { form, buffer, scanned: 0, payloads, blanks: 0, too_long: false }
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        loop {
            let drop = match framing::split(self.form, &self.buffer, &mut self.scanned) {
                Split::NeedMore => {
                    assert!(self.buffer.len() < FRAME_BYTES, "a full buffer asks for no more");
                    return;
                }
                Split::TooLong => {
                    self.too_long = true;
                    return;
                }
                Split::Blank { consumed } => {
                    self.blanks += 1;
                    consumed
                }
                Split::Payload { start, end, consumed, codec } => {
                    self.payloads.push((codec, self.buffer[start..end].to_vec()));
                    consumed
                }
            };
            assert_eq!(self.scanned, 0, "after something is consumed the search starts anew");
            self.buffer.drain(..drop);
        }
    }
}

fn short_samples() -> Vec<Message<'static>> {
    samples().into_iter().filter(|message| message.body.len() < 100).take(6).collect()
}

/// Frames of both codecs in turn, or lines, some with CR LF and blank lines between.
fn stream_of(form: Form, messages: &[Message]) -> (Vec<u8>, Vec<Codec>) {
    let (mut bytes, mut codecs) = (Vec::new(), Vec::new());
    for (number, message) in messages.iter().enumerate() {
        let codec = match form {
            Form::Frames if number % 2 == 0 => Codec::Binary,
            _ => Codec::Json,
        };
        framing::put(&mut bytes, form, codec, message);
        if form == Form::Lines && number % 2 == 0 {
            bytes.pop();
            bytes.extend_from_slice(b"\r\n\r\n \t \n");
        }
        codecs.push(codec);
    }
    (bytes, codecs)
}

fn assert_read(stream: &Stream, messages: &[Message], codecs: &[Codec]) {
    assert!(stream.buffer.is_empty() && !stream.too_long);
    assert_eq!(stream.payloads.len(), messages.len());
    for (((codec, payload), message), wanted) in stream.payloads.iter().zip(messages).zip(codecs) {
        assert_eq!(codec, wanted);
        assert_eq!(framing::decode(*codec, payload).as_ref(), Ok(message));
    }
}

#[test]
fn a_stream_split_in_two_anywhere_gives_the_same_messages() {
    let messages = short_samples();
    for form in [Form::Lines, Form::Frames] {
        let (bytes, codecs) = stream_of(form, &messages);
        for at in 0..=bytes.len() {
            let mut stream = Stream::new(form);
            stream.feed(&bytes[..at]);
            stream.feed(&bytes[at..]);
            assert_read(&stream, &messages, &codecs);
            assert_eq!(stream.blanks, if form == Form::Lines { 6 } else { 0 });
        }
    }
}

#[test]
fn a_stream_split_in_three_gives_the_same_messages() {
    let messages = &short_samples()[..2];
    for form in [Form::Lines, Form::Frames] {
        let (bytes, codecs) = stream_of(form, messages);
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let mut stream = Stream::new(form);
                stream.feed(&bytes[..first]);
                stream.feed(&bytes[first..second]);
                stream.feed(&bytes[second..]);
                assert_read(&stream, messages, &codecs);
            }
        }
    }
}

#[test]
fn a_stream_byte_by_byte_gives_the_same_messages() {
    let messages = samples();
    for form in [Form::Lines, Form::Frames] {
        let few = if form == Form::Lines { messages.as_slice() } else { &short_samples() };
        let (bytes, codecs) = stream_of(form, few);
        let mut stream = Stream::new(form);
        for byte in &bytes {
            stream.feed(std::slice::from_ref(byte));
        }
        assert_read(&stream, few, &codecs);
    }
}

#[test]
fn what_was_searched_for_an_lf_is_not_searched_again() {
    let mut buffer = vec![b'{'; 1_000];
    let mut scanned = 0;
    assert_eq!(framing::split(Form::Lines, &buffer, &mut scanned), Split::NeedMore);
    assert_eq!(scanned, 1_000);
    // Were the old bytes looked at again, this LF would be found.
    buffer[500] = b'\n';
    buffer.push(b'x');
    assert_eq!(framing::split(Form::Lines, &buffer, &mut scanned), Split::NeedMore);
    assert_eq!(scanned, 1_001);
    buffer.push(b'\n');
    let split = framing::split(Form::Lines, &buffer, &mut scanned);
    let whole = Split::Payload { start: 0, end: 1_001, consumed: 1_002, codec: Codec::Json };
    assert_eq!((split, scanned), (whole, 0));
}

#[test]
fn the_first_byte_fixes_the_form() {
    for byte in 0..=255u8 {
        let form = match byte {
            0 => Some(Form::Frames),
            b'{' | b' ' | b'\t' | b'\r' | b'\n' => Some(Form::Lines),
            _ => None,
        };
        assert_eq!(form_of(byte), form, "{byte}");
    }
}

fn split_once(form: Form, bytes: &[u8]) -> Split {
    framing::split(form, bytes, &mut 0)
}

#[test]
fn a_payload_that_begins_with_a_brace_is_json_and_any_other_binary() {
    let frame = |payload: &[u8]| [&(payload.len() as u32).to_be_bytes(), payload].concat();
    let codec_of = |payload: &[u8]| match split_once(Form::Frames, &frame(payload)) {
        Split::Payload { start: 4, end, consumed, codec } => {
            assert_eq!((end, consumed), (4 + payload.len(), 4 + payload.len()));
            codec
        }
        other => panic!("{payload:?} is {other:?}"),
    };
    assert_eq!(codec_of(b"{"), Codec::Json);
    assert_eq!(codec_of(b" {"), Codec::Binary);
    assert_eq!(codec_of(b"\x01x"), Codec::Binary);
    assert_eq!(codec_of(b""), Codec::Binary);
    let error = framing::decode(Codec::Binary, b"").expect_err("nothing is no message");
    assert_eq!(error.code, "bad-frame");
}

#[test]
fn a_frame_is_taken_up_to_a_mebibyte_and_refused_by_its_length_alone_past_it() {
    let most = [&[0, 0x10, 0, 0], vec![b'{'; PAYLOAD_BYTES].as_slice()].concat();
    let end = most.len();
    let whole = Split::Payload { start: 4, end, consumed: end, codec: Codec::Json };
    assert_eq!(split_once(Form::Frames, &most), whole);
    assert_eq!(split_once(Form::Frames, &most[..end - 1]), Split::NeedMore);
    assert_eq!(split_once(Form::Frames, &[0, 0x10, 0, 1]), Split::TooLong);
    assert_eq!(split_once(Form::Frames, &[0, 0x10, 0]), Split::NeedMore);
    assert_eq!(split_once(Form::Frames, &[1]), Split::TooLong);
    assert_eq!(split_once(Form::Frames, &[0xff, 0xff, 0xff, 0xff]), Split::TooLong);
    assert_eq!(split_once(Form::Frames, b""), Split::NeedMore);
}

#[test]
fn a_line_is_taken_up_to_a_mebibyte_without_its_end() {
    let line = vec![b'x'; PAYLOAD_BYTES];
    for line_end in ["\n", "\r\n"] {
        let bytes = [line.as_slice(), line_end.as_bytes()].concat();
        let consumed = bytes.len();
        let whole = Split::Payload { start: 0, end: PAYLOAD_BYTES, consumed, codec: Codec::Json };
        assert_eq!(split_once(Form::Lines, &bytes), whole);
        for missing in 1..=line_end.len() {
            let short = &bytes[..consumed - missing];
            assert_eq!(split_once(Form::Lines, short), Split::NeedMore);
        }
    }
    for past in ["x", "x\n", "\r\r\n", "x\r\n", "\rx"] {
        let bytes = [line.as_slice(), past.as_bytes()].concat();
        assert_eq!(split_once(Form::Lines, &bytes), Split::TooLong, "{past:?}");
    }
    let bytes = [line.as_slice(), &[b'x'; 5_000], b"\n"].concat();
    assert_eq!(split_once(Form::Lines, &bytes), Split::TooLong);
}

#[test]
fn a_long_line_in_small_reads_ends_as_it_would_in_one() {
    for (length, fits) in [(PAYLOAD_BYTES, true), (PAYLOAD_BYTES + 1, false)] {
        for read in [1_000, 65_536] {
            let mut stream = Stream::new(Form::Lines);
            let bytes = [vec![b'x'; length].as_slice(), b"\r\n"].concat();
            for part in bytes.chunks(read) {
                if !stream.too_long {
                    stream.feed(part);
                }
            }
            assert_eq!((stream.payloads.len(), stream.too_long), (usize::from(fits), !fits));
        }
    }
}

#[test]
fn lines_of_white_space_are_blank_and_any_other_is_a_payload() {
    for blank in ["\n", "\r\n", " \n", "\t \t\r\n", "\r\r\n"] {
        let consumed = blank.len();
        assert_eq!(split_once(Form::Lines, blank.as_bytes()), Split::Blank { consumed });
    }
    for line in ["x\n", " x\n", "\u{b}\n", "\0\n"] {
        let (end, consumed) = (line.len() - 1, line.len());
        let payload = Split::Payload { start: 0, end, consumed, codec: Codec::Json };
        assert_eq!(split_once(Form::Lines, line.as_bytes()), payload);
    }
}

#[test]
fn an_unreadable_line_leaves_the_next_one_readable() {
    let mut stream = Stream::new(Form::Lines);
    stream.feed(b"not json\n{\"cmd\": \"ping\"}\n");
    let read: Vec<_> = stream.payloads.iter().map(|(_, line)| json::decode(line)).collect();
    assert_eq!(read[0].as_ref().map_err(|error| error.code), Err("bad-frame"));
    assert_eq!(read[1].as_ref().map(|message| &*message.cmd), Ok("ping"));
}

#[test]
fn lines_are_json_whatever_codec_is_asked_for() {
    let mut out = Vec::new();
    framing::put(&mut out, Form::Lines, Codec::Binary, &reference_message());
    assert_eq!((out.len(), out[0], out[162]), (163, b'{', b'\n'));
}
