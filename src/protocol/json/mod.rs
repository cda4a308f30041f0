//! The JSON form of a message, and [`Object`] for other JSON that the program writes.
//!
//! ```text
//! {"cmd": "login", "src": "alice", "to": "server", "body": "hi", "error": false,
//!  "msg_ids": ["8d4a8912-5776-4438-ac14-8b791cfc63f2"], "limit": 10, "time": 1, "seq": 2}
//! ```
//!
//! **Writing** (on one line): the first seven keys always, in this order, then `time` and `seq`
//! where they are not 0; `", "` and `": "` between; UTF-8 as it is, `"`, `\` and the controls below
//! U+0020 escaped (`\b \t \n \f \r`, the others as `\u00xx`).
//!
//! **Reading** takes any order, white space, escapes and surrogate pairs; what is missing is empty.
//! Decided where RFC 8259 leaves it open:
//! - A known key may be there once, however it is spelt (`"c\u006dd"` is `cmd`). Unknown keys are
//!   passed over, repeated ones too: nothing is kept of them. Their values must still be JSON.
//! - Numbers are written as plain digits: `10.0`, `1e1`, `-0` and `010` are no integers in range.
//! - `null` is a wrong type for every known key.
//! - The message's own object counts as the first level of nesting.
//! - A `time` or `seq` of 0 is an absent one.

mod decode;
mod encode;
mod object;
mod reader;
mod text;

pub use decode::decode;
pub use encode::encode;
pub use object::Object;

pub(super) use decode::{ids_from_text, is_plain, plain_ids};
pub(super) use encode::put_ids;
pub(super) use text::text_bytes;
