//! What a terminal can show.

use std::io::{self, IsTerminal};
use std::os::fd::AsRawFd;

use super::parse::Environment;
use crate::protocol::json::Object;
use crate::sys::terminal;

/// Whether to print in colours: as `--color` says, otherwise as the terminal and NO_COLOR
/// (no-color.org) say, which counts if it is not empty.
pub fn colour(wanted: Option<bool>, environment: Environment<'_>) -> bool {
    let refused = environment("NO_COLOR").is_some_and(|value| !value.is_empty())
        || environment("TERM").is_some_and(|term| term == "dumb");
    wanted.unwrap_or(io::stdout().is_terminal() && !refused)
}

/// An empty JSON object, in whose texts every character without a glyph is escaped: programs read
/// it, but a user may look at it on a terminal.
pub fn object() -> Object {
    Object::new(|c| c.escape_debug().len() > 1)
}

/// Columns of the terminal; `None` where standard output is none, or does not know.
pub fn columns() -> Option<usize> {
    let (columns, _) = terminal::size(io::stdout().as_raw_fd())?;
    Some(usize::from(columns))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::show;

    #[test]
    fn nothing_in_foreign_text_reaches_the_terminal_as_a_command() {
        let text = "it's \"a\" \\ \u{1b}[2J\u{9b}1m\r\n\u{202e}\u{200b}\u{feff}\u{7f} \
                    gr\u{fc}\u{df}e \u{4f60}";
        let shown = show::field(text);
        assert!(shown.starts_with("it's \"a\" \\\\ \\u{1b}[2J\\u{9b}1m\\r\\n"), "{shown}");
        assert!(shown.contains(" gr\u{fc}\u{df}e \u{4f60}"), "{shown}");
        let json = object().text("text", text).to_string();
        for shown in [&*shown, &json] {
            let bad = |c: char| c.is_control() || "\u{202e}\u{200b}\u{feff}".contains(c);
            assert!(!shown.contains(bad), "{shown}");
        }
        assert!(json.contains("\\u001b[2J\\u009b1m\\u000d\\u000a\\u202e"), "{json}");
    }
}
