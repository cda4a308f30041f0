//! What each field of a message costs in either codec, told from what the encoders write.

use crate::protocol::{Message, binary, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it says: the text, the digits, the number's bytes.
    pub content: usize,
    /// What stands around it: its key, quotes, separators, escapes, or its length.
    pub around: usize,
}

impl Part {
    pub fn bytes(self) -> usize {
        self.content + self.around
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    pub field: &'static str,
    /// Braces are the first's and the last's.
    pub json: Part,
    pub binary: Part,
}

/// The fields that are written, in their order. Together they are all bytes of the payloads.
pub fn costs(message: &Message) -> Vec<Cost> {
    let (mut text, mut payload) = (Vec::new(), Vec::new());
    json::encode(message, &mut text);
    binary::encode(message, &mut payload);
    let text = String::from_utf8(text).expect("JSON is text");
    let ids: usize = message.msg_ids.iter().map(str::len).sum();
    let digits = |number: u64| number.to_string().len();
    let error = if message.error { "true".len() } else { "false".len() };
    // Name, bytes of what it says as JSON and as binary, bytes of its length in binary.
    let mut fields = vec![
        ("cmd", message.cmd.len(), message.cmd.len(), 1),
        ("src", message.src.len(), message.src.len(), 1),
        ("to", message.to.len(), message.to.len(), 1),
        ("body", message.body.len(), message.body.len(), 2),
        ("error", error, 1, 0),
        ("msg_ids", ids, ids, 2),
        ("limit", digits(message.limit.into()), 2, 0),
        ("time", digits(message.time), 8, 0),
        ("seq", digits(message.seq), 8, 0),
    ];
    let has_tail = message.time != 0 || message.seq != 0;
    fields.retain(|(field, ..)| has_tail || !matches!(*field, "time" | "seq"));
    // A key cannot stand inside a text: its quotes would be escaped there. Where a field is not
    // written, the next one begins.
    let mut starts = vec![text.len()];
    for (field, ..) in fields.iter().skip(1).rev() {
        let next = starts[starts.len() - 1];
        starts.push(text.find(&format!("\"{field}\": ")).unwrap_or(next));
    }
    starts.push(0);
    starts.reverse();
    let fixed: usize = fields.iter().map(|(_, _, content, length)| content + length).sum();
    let costs =
        fields.iter().zip(starts.windows(2)).map(|((field, in_json, content, length), at)| {
            // The ids are JSON in the binary form too: their quotes and brackets are all that is left.
            let quotes = if *field == "msg_ids" { payload.len() - fixed } else { 0 };
            let bytes = at[1] - at[0];
            let in_json = (*in_json).min(bytes);
            Cost {
                field,
                json: Part { content: in_json, around: bytes - in_json },
                binary: Part { content: *content, around: length + quotes },
            }
        });
    costs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::MsgIds;

    fn part(content: usize, around: usize) -> Part {
        Part { content, around }
    }

    #[test]
    fn the_fields_together_are_all_the_bytes_of_either_payload() {
        let id = "8d4a8912-5776-4438-ac14-8b791cfc63f2";
        let plain = Message {
            cmd: "login".into(),
            src: "alice".into(),
            to: "server".into(),
            body: "This is a \"test\" message".into(),
            msg_ids: MsgIds::one(id),
            limit: 10,
            ..Message::default()
        };
        let many = MsgIds::Many(vec![id.into(), id.into()]);
        let full = Message { time: 7, seq: 123, msg_ids: many, error: true, ..plain.clone() };
        let empty = Message { cmd: "ping".into(), ..Message::default() };
        let with_seq = Message { seq: 9, ..empty.clone() };
        for message in [&plain, &full, &empty, &with_seq] {
            let (mut text, mut payload) = (Vec::new(), Vec::new());
            json::encode(message, &mut text);
            binary::encode(message, &mut payload);
            let costs = costs(message);
            let sum = |part: fn(&Cost) -> Part| {
                costs.iter().map(|cost| part(cost).bytes()).sum::<usize>()
            };
            assert_eq!(sum(|cost| cost.json), text.len(), "{message:?}");
            assert_eq!(sum(|cost| cost.binary), payload.len(), "{message:?}");
        }
        let costs = costs(&plain);
        let of = |field| costs.iter().find(|cost| cost.field == field).expect("it is there");
        assert_eq!((of("cmd").json, of("cmd").binary), (part(5, 12), part(5, 1)));
        assert_eq!((of("body").json, of("body").binary), (part(24, 14), part(24, 2)));
        assert_eq!((of("error").json, of("error").binary), (part(5, 11), part(1, 0)));
        assert_eq!((of("msg_ids").json, of("msg_ids").binary), (part(36, 15), part(36, 4)));
        assert_eq!((of("limit").json, of("limit").binary), (part(2, 10), part(2, 0)));
    }
}
