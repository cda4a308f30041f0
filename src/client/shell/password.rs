//! Names and passwords from where they are: the terminal, a file.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

use crate::client::options::{Error, PasswordFrom, io_error};
use crate::limits;
use crate::sys::terminal::NoEcho;

/// The password, where it is given; `None` where it has to be asked for.
pub fn given(from: &PasswordFrom) -> Result<Option<String>, Error> {
    let (password, origin) = match from {
        PasswordFrom::Ask => return Ok(None),
        PasswordFrom::Value(password) => (password.clone(), "the password given".to_string()),
        PasswordFrom::File(path) => (first_line(path)?, path.display().to_string()),
    };
    if !(1..=limits::PASSWORD_BYTES).contains(&password.len()) {
        let most = limits::PASSWORD_BYTES;
        return Err(Error::Usage(format!("{origin}: a password must have 1 to {most} bytes")));
    }
    Ok(Some(password))
}

fn first_line(path: &Path) -> Result<String, Error> {
    let usage = |why: String| Error::Usage(format!("--password-file {}: {why}", path.display()));
    let file = File::open(path).map_err(|error| usage(error.to_string()))?;
    let mut bytes = Vec::new();
    let most = limits::PASSWORD_BYTES as u64 + 2;
    file.take(most).read_to_end(&mut bytes).map_err(|error| usage(error.to_string()))?;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    String::from_utf8(line.to_vec()).map_err(|_| usage("it is not UTF-8".to_string()))
}

/// Asks on the terminal, without showing the answer; twice where `new`.
pub fn ask(what: &str, new: bool) -> Result<String, Error> {
    let mut terminal = terminal("the password", "give --password-file or CHATCTL_PASSWORD")?;
    let first = ask_hidden(&mut terminal, &format!("{what}: "))?;
    if new && ask_hidden(&mut terminal, &format!("{what} again: "))? != first {
        return Err(Error::Failed("the two passwords differ; nothing was done".to_string()));
    }
    match first.is_empty() {
        true => Err(Error::Failed("no password was given".to_string())),
        false => Ok(first),
    }
}

pub fn ask_name() -> Result<String, Error> {
    let mut terminal = terminal("the account's name", "give --user NAME")?;
    ask_line(&mut terminal, "name: ")
}

fn terminal(what: &str, instead: &str) -> Result<File, Error> {
    let opened = OpenOptions::new().read(true).write(true).open("/dev/tty");
    opened.map_err(|_| Error::Usage(format!("no terminal to ask for {what}; {instead}")))
}

fn ask_hidden(terminal: &mut File, prompt: &str) -> Result<String, Error> {
    let _hidden = NoEcho::enter(terminal.as_raw_fd()).map_err(io_error("hide the password"))?;
    ask_line(terminal, prompt)
}

fn ask_line(terminal: &mut File, prompt: &str) -> Result<String, Error> {
    terminal.write_all(prompt.as_bytes()).map_err(io_error("write to the terminal"))?;
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() <= limits::PASSWORD_BYTES {
        let count = terminal.read(&mut byte).map_err(io_error("read from the terminal"))?;
        if count == 0 || byte[0] == b'\n' {
            break;
        }
        line.push(byte[0]);
    }
    String::from_utf8(line).map_err(|_| Error::Failed("what was typed is not UTF-8".to_string()))
}
