//! `--digest`: what the state has come to at an entry, in a number that two servers can be compared
//! by. The entries are applied as a server applies them.

use std::io::Write;

use super::log::{Flow, Log};
use crate::chat::State;
use crate::cli::error::Error;
use crate::cli::terminal;

pub fn run(log: &mut Log, wanted: u64, json: bool, out: &mut dyn Write) -> Result<u8, Error> {
    let mut state = State::new();
    let examined = log.committed(&mut |index, _, payload| {
        Ok(match state.apply(index, payload) {
            Err(error) => Flow::Refused(error.error.to_string()),
            Ok(_) if index == wanted => Flow::Stop,
            Ok(_) => Flow::On,
        })
    })?;
    if state.applied() != wanted {
        let (last, commit) = examined.map_or((0, 0), |found| (found.last_index, found.commit));
        return Err(Error::failed(match wanted > last {
            true => format!("entry {wanted} is past the log's end, entry {last}"),
            false => format!(
                "entry {wanted} is in the log, but not known here to be committed: entries up to \
                 {commit} are"
            ),
        }));
    }
    let digest = state.digest();
    match json {
        true => {
            let digest = format!("{digest:016x}");
            writeln!(
                out,
                "{}",
                terminal::object().number("index", wanted).text("digest", &digest)
            )?;
        }
        false => writeln!(out, "entry {wanted}: {digest:016x}")?,
    }
    Ok(0)
}
