//! The client's loops: standard input, the sockets and signals in, one write to standard output each
//! turn. They move bytes; what is said to whom, kept and shown is decided by the
//! [`agent`](super::agent), the [`line`](super::line) and the [`screen`](super::screen). One thread,
//! and one for each look-up of a name; it waits nowhere but in `poll`.
//!
//! Output to a pipe that nobody empties stops the loop, and with it the reading of the socket: then
//! the server leaves pushes out and says so, and `sync` brings them later. Nothing piles up here.
//!
//! | file | what it has |
//! | --- | --- |
//! | `driver`, `dialer`, `transport` | an agent with its sockets; how they come to their addresses |
//! | `state_dir` | folders and locks of the outboxes |
//! | `terminal`, `fullscreen` | the chat at a terminal: lines, the full screen |
//! | `pipe`, `oneshot` | the chat with pipes; one request |
//! | `streams`, `password`, `hook` | what the loops share; names and passwords; the user's command |

mod dialer;
pub(super) mod driver;
pub mod fullscreen;
mod hook;
mod oneshot;
mod password;
mod pipe;
pub mod state_dir;
mod streams;
mod terminal;
mod transport;

use std::io::{self, IsTerminal, Read};
use std::time::Duration;

use super::commands::{self, Old};
use super::line::Line;
use super::options::{Action, Error, Options, PasswordFrom, io_error};
use super::printer::{Printer, Sending, Style};
use super::show::{self, messages};
use super::store::outbox::Outbox;
use super::store::{self, Found};
use crate::limits;
use crate::sys::clock;
use crate::wal::RealDisk;
use driver::Driver;
use state_dir::Place;
use streams::{from_earlier, is_dumb, tell_found, wants_colour, write_out};
use terminal::Terminal;

/// How often a run that waits for another client to end looks again, milliseconds.
const SLOT_LOOK_MS: u64 = 20;

/// Runs the client and gives the process's exit code: 0, 1 where something was not done (and a line on
/// standard error or an event said so), or 3 where old messages wait that nobody has decided about.
///
/// # Errors
/// What ended it before its time.
pub fn run(options: Options) -> Result<u8, Error> {
    let mut sending = Sending::default();
    match run_action(options.clone(), &mut sending) {
        // Whoever read the output has had enough.
        Err(Error::Io { error, .. }) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
        Err(error) if options.json => {
            let mut printer = Printer::new(Style::Json);
            let command = options.action.name();
            printer.run_failed(command, &sending, error.code(), &error.to_string());
            // The error itself is the one to tell of.
            let _ = write_out(&printer.take());
            Err(error)
        }
        other => other,
    }
}

fn run_action(mut options: Options, sending: &mut Sending) -> Result<u8, Error> {
    let user = match &options.user {
        Some(user) => user.clone(),
        None => password::ask_name()?,
    };
    let user = commands::to_name(&user).map_err(|why| Error::Usage(format!("--user: {why}")))?;
    if options.servers.is_empty() {
        return Err(Error::Usage("--servers lists no server".to_string()));
    }
    if let Action::SendInput { to } = &options.action {
        let text = Some(whole_input(io::stdin().lock())?);
        options.action = Action::Send { to: to.clone(), text };
    }
    if let Action::Send { to, text: Some(text) } = &options.action {
        sending.message = Some((to.clone(), text.clone()));
    }
    let (files, found) = open_files(&mut options, &user)?;
    let mut password = password::given(&options.password)?;
    if password.is_none() && (options.create || files.1.kept().token.is_none()) {
        password = Some(password::ask(&format!("password of {user}"), options.create)?);
    }
    if options.create
        && matches!(options.password, PasswordFrom::Value(_))
        && is_interactive(&options)
    {
        show::complain(&format!("{user} gets the password in CHATCTL_PASSWORD if it is created"));
    }
    let is_chat = options.action == Action::Chat;
    let look_up = crate::net::resolver::system();
    let mut driver = Driver::new(&options, &user, password, files, is_chat, look_up)?;
    deal_with_old(&mut driver, options.old)?;
    driver.agent.session.tell_held();
    match &options.action {
        Action::Chat => chat(driver, &options, &user, &found),
        Action::Send { to, text: None } => send_lines(driver, &options, &user, to),
        _ => oneshot::run(driver, &options, &user, sending),
    }
}

/// All of standard input, as the text of one message.
fn whole_input(input: impl Read) -> Result<String, Error> {
    let most = limits::BODY_BYTES;
    let mut bytes = Vec::new();
    let read = input.take(most as u64 + 1).read_to_end(&mut bytes);
    read.map_err(io_error("read standard input"))?;
    if bytes.len() > most {
        return Err(Error::Failed(format!(
            "standard input has more than {most} bytes, the maximum for one message; nothing was \
             sent"
        )));
    }
    let text = commands::utf8(bytes).and_then(|text| commands::to_text(&text));
    text.map_err(|why| Error::Failed(format!("standard input: {why}; nothing was sent")))
}

/// Opens the files of the account. A run without a terminal waits until one of the clients that run
/// makes room, and one that only reads goes on without files of its own.
fn open_files(
    options: &mut Options,
    user: &str,
) -> Result<((Place, Outbox<RealDisk>), Found), Error> {
    let state_dir =
        options.state_dir.clone().or_else(state_dir::default_dir).ok_or_else(|| {
            Error::Usage("no home directory for the outbox; give --state-dir".into())
        })?;
    let only_reads = options.action.only_reads() && options.old == Old::Show;
    let waits = !only_reads && !is_interactive(options);
    let start_ms = clock::monotonic_ms();
    loop {
        let why = match Place::open(&state_dir, user, &options.servers) {
            Ok((place, outbox, found)) => return Ok(((place, outbox), found)),
            Err(why) => why,
        };
        let is_full = matches!(why, store::Error::NoPlace(_));
        if only_reads {
            if !is_full {
                show::complain(&format!("{why}; this run saves nothing on disk"));
            }
            let files = Place::unkept(&state_dir, user, &options.servers);
            return Ok((files, Found::default()));
        }
        let waited_ms = clock::monotonic_ms() - start_ms;
        let is_late = options.timeout_ms > 0 && waited_ms >= options.timeout_ms;
        if !is_full || !waits || is_late {
            return Err(why.into());
        }
        if options.timeout_ms > 0 {
            // What is left of the time is for the rest.
            options.timeout_ms = options.timeout_ms.saturating_sub(SLOT_LOOK_MS).max(1);
        }
        // No event tells of another process's lock that can be waited for with a bound.
        std::thread::sleep(Duration::from_millis(SLOT_LOOK_MS));
    }
}

/// Does what `--old` says with the messages that have waited for more than a day.
fn deal_with_old(driver: &mut Driver, old: Old) -> Result<(), Error> {
    let (count, what) = match old {
        Old::Show => return Ok(()),
        Old::Send => (driver.agent.session.send_old(clock::monotonic_ms()), "sending now"),
        Old::Drop => (driver.agent.drop_old()?.len(), "discarded"),
    };
    if count > 0 {
        show::complain(&format!("{} that waited for more than a day: {what}", messages(count)));
    }
    Ok(())
}

fn chat(driver: Driver, options: &Options, user: &str, found: &Found) -> Result<u8, Error> {
    let interactive = is_interactive(options);
    let style = match (options.json, interactive) {
        (true, _) => Style::Json,
        (false, true) => Style::Terminal { colour: wants_colour() },
        (false, false) => Style::Text,
    };
    if interactive && !options.plain && !is_dumb() {
        return fullscreen::run(driver, options, user, found);
    }
    let mut line = Line::new(style, user, interactive);
    tell_found(&driver, found, |text| line.printer.notice(text));
    from_earlier(&driver).into_iter().for_each(|text| line.printer.notice(&text));
    match interactive {
        true => Terminal::new(driver, line)?.run(),
        false => pipe::run(driver, line, options, None),
    }
}

/// Somebody sits at a terminal.
fn is_interactive(options: &Options) -> bool {
    let is_chat = options.action == Action::Chat && !options.json;
    is_chat && io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// `--send` without a text: every line of standard input is a message.
fn send_lines(driver: Driver, options: &Options, user: &str, to: &str) -> Result<u8, Error> {
    let to = commands::to_name(to).map_err(|why| Error::Usage(format!("--send: {why}")))?;
    let style = if options.json { Style::Json } else { Style::Problems };
    pipe::run(driver, Line::that_only_sends(style, user), options, Some(to))
}
