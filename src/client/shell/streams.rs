//! What the loops share: standard input and output, the signals that end a run, and how it ends.

use std::io::{self, Read, Write};

use super::driver::Driver;
use crate::client::line::Line;
use crate::client::options::{Error, io_error};
use crate::client::session::Refusal;
use crate::client::show::{self, messages};
use crate::client::store::Found;
use crate::sys::signal;

pub const INPUT_BYTES: usize = 16 << 10;
/// The exit code where all was done that was asked for, but messages that have waited for more than a
/// day are still in the outbox.
const OLD_WAIT: u8 = 3;

/// NO_COLOR (no-color.org) counts when it is not empty.
pub fn wants_colour() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !set("NO_COLOR") && !is_dumb()
}

/// The terminal understands no escape sequences.
pub fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Tells what opening the files has found.
pub fn tell_found(driver: &Driver, found: &Found, mut tell: impl FnMut(&str)) {
    if found.shared {
        tell(
            "another client of this account is running here: this one uses a separate outbox and \
             shows new messages only",
        );
    }
    if found.damaged > 0 {
        let (count, path) = (found.damaged, driver.agent.outbox().path());
        tell(&format!(
            "skipped {count} damaged lines in {}; a copy of the damaged file is kept beside it",
            path.display()
        ));
    }
}

/// Tells what an earlier run has left to be sent; `None` if that is nothing.
pub fn from_earlier(driver: &Driver) -> Option<String> {
    let waiting = driver.agent.session.waiting();
    (waiting > 0).then(|| format!("{} in the outbox from an earlier run", messages(waiting)))
}

/// Has `line` print what the session tells, until nothing more comes of it.
pub fn print_events(driver: &mut Driver, line: &mut Line, now_ms: u64) {
    loop {
        let events = driver.events(now_ms);
        if events.is_empty() {
            return;
        }
        for event in events {
            line.on_event(&mut driver.agent, now_ms, event);
        }
    }
}

/// Writes all to standard output and flushes.
pub fn write_out(bytes: &[u8]) -> Result<(), Error> {
    if bytes.is_empty() {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(io_error("write to standard output"))
}

/// What was typed: how many bytes, 0 when the terminal is gone; none when a signal came first.
pub fn read_typed(bytes: &mut [u8]) -> Option<usize> {
    match io::stdin().lock().read(bytes) {
        Ok(count) => Some(count),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
        Err(_) => Some(0),
    }
}

/// Signals that end the client.
pub const ENDING: [i32; 4] = [signal::INT, signal::TERM, signal::HUP, signal::QUIT];

/// The login was refused for good: why, and what to do.
pub fn login_refused(refusal: Refusal) -> Error {
    let (what, hint) = ("the login was refused".to_string(), hint(&refusal));
    Error::Refused { refusal, what, hint }
}

/// What to do about a refused login.
pub fn hint(refusal: &Refusal) -> &'static str {
    match refusal.code.as_str() {
        "bad-token" => "; give --password-file or CHATCTL_PASSWORD",
        "wrong-credentials" => "; check the name and password, or create the account with --create",
        "name-taken" => "; log in without --create if the account is yours, or use another name",
        _ => "",
    }
}

/// The end: files closed, and a sentence about what still waits.
pub fn finish(driver: Driver, code: u8) -> Result<u8, Error> {
    let waiting = driver.agent.session.waiting();
    let path = driver.agent.outbox().path().display().to_string();
    if let Some(trouble) = driver.agent.session.trouble().filter(|_| waiting > 0) {
        show::complain(&format!("not connected: {trouble}"));
    }
    driver.agent.close()?;
    if waiting > 0 {
        let what = if waiting == 1 { "it" } else { "each" };
        show::complain(&format!(
            "{} not sent yet; kept in {path}: {what} {}",
            messages(waiting),
            show::SENT_LATER
        ));
    }
    Ok(code)
}

/// The exit code of a run without a terminal that would otherwise end with `code`.
pub fn code_of(driver: &Driver, code: u8) -> u8 {
    match driver.agent.session.waiting_old() {
        0 => code,
        _ if code == 0 => OLD_WAIT,
        _ => code,
    }
}
