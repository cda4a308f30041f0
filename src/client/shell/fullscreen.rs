//! The loop of the full screen: it only moves bytes. Standard input, the socket and signals in; a
//! frame for standard output each turn, in one write; and what the screen wants done.
//!
//! A turn: what the session tells -> the screen -> what it wants done, until nothing more comes of
//! it; a frame; what was seen by that is marked as read; then wait.

use std::collections::BTreeMap;
use std::os::fd::AsRawFd;

use super::driver::Driver;
use super::hook::Hook;
use super::streams::{
    ENDING, INPUT_BYTES, finish, from_earlier, login_refused, read_typed, tell_found, wants_colour,
    write_out,
};
use crate::client::commands::Old;
use crate::client::options::{Error, Notify, Options, io_error};
use crate::client::screen::paint::{self, Painter};
use crate::client::screen::{Action, Notice, OWED_MS, Screen, Settings, Status};
use crate::client::session::{Event, Refusal};
use crate::client::show::messages;
use crate::client::store::Found;
use crate::client::store::typed::Keeper;
use crate::sys::clock;
use crate::sys::poll::PollFd;
use crate::sys::process;
use crate::sys::signal::{self, Signals};
use crate::sys::terminal::{self, RawMode};
use crate::wal::RealDisk;

/// Columns and rows of a terminal that does not say.
const SIZE: (u16, u16) = (80, 24);

/// Takes the terminal that standard output is; with `mouse`, its wheel too. It is restored when what
/// this returns is dropped, on a bad end too.
///
/// # Errors
/// It is none, or cannot be written.
pub fn enter(mouse: bool) -> Result<RawMode, Error> {
    let raw = RawMode::enter(1, paint::LEAVE).map_err(io_error("use the terminal"))?;
    write_out(paint::ENTER)?;
    if mouse {
        write_out(paint::MOUSE)?;
    }
    Ok(raw)
}

struct Full {
    driver: Driver,
    screen: Screen,
    keeper: Keeper<RealDisk>,
    painter: Painter,
    signals: Signals,
    raw: Option<RawMode>,
    mouse: bool,
    /// The session's numbers of what the screen asked, to its tags.
    tags: BTreeMap<u64, u64>,
    /// Bytes for the terminal besides the frame.
    aside: Vec<u8>,
    /// The window's title that the terminal was told; empty: none.
    title: String,
    user: String,
    notify: Notify,
    hook: Option<Hook>,
    /// The newest message to tell of, and how many there are.
    notice: Option<(Notice, usize)>,
    ended: bool,
}

/// Chats on the whole terminal.
///
/// # Errors
/// What ended it before its time.
pub fn run(mut driver: Driver, options: &Options, user: &str, found: &Found) -> Result<u8, Error> {
    driver.agent.session.start_at_newest();
    let watched = [&ENDING[..], &[signal::WINCH, signal::TSTP, signal::CONT]].concat();
    let signals = Signals::new(&watched).map_err(io_error("watch for signals"))?;
    let settings = Settings {
        bell: options.screen.bell,
        notify: options.screen.notify != Notify::Off || options.screen.notify_command.is_some(),
        sidebar: options.screen.sidebar,
        zone: clock::zone_ms,
    };
    let mut screen = Screen::new(user, settings, status_of(&driver, clock::monotonic_ms()));
    let (keeper, typed) = driver.place.typed();
    screen.restore(typed);
    for draft in driver.agent.session.drafts().chain(driver.agent.session.old_drafts()) {
        screen.on_taken(&draft.to, &draft.body, draft.id, draft.written_ms);
    }
    tell_found(&driver, found, |text| screen.tell(text));
    from_earlier(&driver).into_iter().for_each(|text| screen.tell_waiting(&text));
    let mut full = Full {
        driver,
        screen,
        keeper,
        painter: Painter::new(wants_colour()),
        signals,
        raw: Some(enter(options.screen.mouse)?),
        mouse: options.screen.mouse,
        tags: BTreeMap::new(),
        aside: Vec::new(),
        title: String::new(),
        user: user.to_string(),
        notify: options.screen.notify,
        hook: options.screen.notify_command.clone().map(Hook::new),
        notice: None,
        ended: false,
    };
    full.resize();
    let result = full.turns();
    full.keep();
    full.raw = None;
    result?;
    if let Some(refusal) = full.screen.refused().cloned() {
        full.driver.agent.close()?;
        return Err(login_refused(refusal));
    }
    if full.screen.is_account_gone() {
        eprintln!("chatctl: the account {user} is deleted");
    }
    finish(full.driver, 0)
}

fn status_of(driver: &Driver, now_ms: u64) -> Status {
    let session = &driver.agent.session;
    Status {
        state: session.state(),
        address: session.address().to_string(),
        trouble: session.trouble().map(str::to_string),
        waiting: session.waiting() + session.waiting_old() + session.waiting_elsewhere(),
        latency_ms: session.latency_ms(),
        owed_ms: session.owed_ms(now_ms),
        outbox: driver.agent.outbox().path().display().to_string(),
    }
}

impl Full {
    fn turns(&mut self) -> Result<(), Error> {
        loop {
            let now_ms = clock::monotonic_ms();
            self.settle(now_ms)?;
            self.draw(now_ms)?;
            // What was on the screen is read, from now on.
            if self.settle(now_ms)? {
                continue;
            }
            if let Err(error) = self.driver.agent.shown() {
                self.screen.tell_wrong(&error.to_string());
            }
            if self.ended || self.screen.is_quitting() || self.screen.refused().is_some() {
                return Ok(());
            }
            let mut fds =
                [PollFd::new(0, true, false), PollFd::new(self.signals.as_raw_fd(), true, false)];
            // While an answer is owed, it is shown for how long.
            let owed_ms = self.driver.agent.session.owed_ms(now_ms);
            let owed = owed_ms.map(|owed_ms| now_ms + OWED_MS - owed_ms % OWED_MS);
            let now_ms = self.driver.wait(&mut fds, &[self.screen.deadline(), owed])?;
            if fds[1].ready_read {
                self.on_signals()?;
            }
            if fds[0].ready_read || fds[0].hangup {
                self.on_input(now_ms)?;
            }
            self.screen.on_tick(now_ms);
        }
    }

    /// Hands on what the session tells and does what the screen wants, until nothing more comes of
    /// it. Whether there was anything.
    fn settle(&mut self, now_ms: u64) -> Result<bool, Error> {
        let mut was_busy = false;
        loop {
            let events = self.driver.events(now_ms);
            let actions = self.screen.take_actions();
            if events.is_empty() && actions.is_empty() {
                return Ok(was_busy);
            }
            was_busy = true;
            for event in events {
                match event {
                    Event::Answer { number, result } => {
                        if let Some(tag) = self.tags.remove(&number) {
                            self.screen.on_answer(tag, result);
                        }
                    }
                    event => self.screen.on_event(event),
                }
            }
            for action in actions {
                self.on_action(now_ms, action)?;
            }
            if let Some(names) = self.screen.take_watched() {
                self.driver.agent.session.watch(now_ms, names);
            }
        }
    }

    fn on_action(&mut self, now_ms: u64, action: Action) -> Result<(), Error> {
        match action {
            Action::Send { to, text } => self.send(now_ms, to, text),
            Action::Ask { tag, request } => {
                match self.driver.agent.session.request(now_ms, request) {
                    Ok(number) => drop(self.tags.insert(number, tag)),
                    Err(_) => {
                        let text = "too many requests are waiting for the server; try again later";
                        self.screen.on_answer(tag, Err(Refusal::new("", text)));
                    }
                }
            }
            Action::MarkRead { name, seq } => {
                self.driver.agent.session.mark_read(now_ms, &name, seq)
            }
            Action::MarkAllRead(name) => {
                let newest = self.driver.agent.session.known();
                self.driver.agent.session.mark_read(now_ms, &name, newest);
            }
            Action::SetPassword(password) => {
                self.driver.agent.session.set_password(now_ms, password)
            }
            Action::Old(old) => self.on_old(now_ms, old),
            Action::Copy(text) => self.aside.extend(paint::copy(&text)),
            // Once a frame, however many have come.
            Action::Bell if self.aside.ends_with(paint::BELL) => {}
            Action::Bell => self.aside.extend_from_slice(paint::BELL),
            Action::Notify(notice) => {
                let before = self.notice.take().map_or(0, |(_, count)| count);
                self.notice = Some((notice, before + 1));
            }
            Action::Keep => self.keep(),
            Action::Repaint => self.painter.forget(),
            Action::Suspend => self.suspend()?,
        }
        Ok(())
    }

    fn keep(&mut self) {
        let saved = self.keeper.save(&self.screen.to_keep());
        self.screen.on_kept(saved.is_whole, saved.trouble.as_deref());
    }

    fn send(&mut self, now_ms: u64, to: String, text: String) {
        match self.driver.agent.send(now_ms, vec![(to.clone(), text.clone())]) {
            Ok(ids) => {
                for id in ids {
                    self.screen.on_taken(&to, &text, id, clock::unix_ms());
                }
            }
            Err(why) => self.screen.on_not_taken(&to, &text, &why.to_string()),
        }
    }

    fn on_old(&mut self, now_ms: u64, old: Old) {
        match old {
            Old::Show => {
                let session = &self.driver.agent.session;
                self.screen.show_waiting(session.old_drafts(), session.drafts());
            }
            Old::Send => {
                let count = self.driver.agent.session.send_old(now_ms);
                self.screen.tell(&format!("sending {} now", messages(count)));
            }
            Old::Drop => {
                let ids: Vec<u128> =
                    self.driver.agent.session.old_drafts().map(|old| old.id).collect();
                match self.driver.agent.drop_old() {
                    Ok(ids) => self.screen.tell(&format!("{} discarded", messages(ids.len()))),
                    Err(why) => self.screen.tell_wrong(&why.to_string()),
                }
                self.screen.on_dropped(&ids);
            }
        }
    }

    /// Draws what has changed, in one write. Then what is in view counts as seen.
    fn draw(&mut self, now_ms: u64) -> Result<(), Error> {
        self.screen.on_status(status_of(&self.driver, now_ms));
        let frame = self.screen.draw();
        self.tell_of_messages();
        if frame.title != self.title {
            self.aside.extend(paint::title(&frame.title));
            self.title = frame.title;
        }
        let mut out = std::mem::take(&mut self.aside);
        out.append(&mut self.painter.frame(frame.buffer, frame.cursor));
        write_out(&out)?;
        self.screen.on_drawn(frame.wishes);
        Ok(())
    }

    /// Once for all messages that came together.
    fn tell_of_messages(&mut self) {
        let Some((notice, count)) = self.notice.take() else { return };
        let from = match count {
            1 => notice.from.clone(),
            more => format!("{more} messages, the last from {}", notice.from),
        };
        self.aside.extend(paint::notify(self.notify, &from, &notice.text));
        let run = self.hook.as_mut().map(|hook| hook.run(&self.user, &notice, count));
        if let Some(Err(why)) = run {
            self.screen.tell_wrong(&why);
        }
    }

    fn resize(&mut self) {
        let (columns, rows) = terminal::size(1).unwrap_or(SIZE);
        self.screen.on_resize(columns.into(), rows.into());
        self.painter.forget();
    }

    fn on_signals(&mut self) -> Result<(), Error> {
        while let Some(signal) = self.signals.next() {
            match signal {
                signal::WINCH => self.resize(),
                signal::TSTP => self.suspend()?,
                // Somebody else has stopped us, and a shell has had the terminal since.
                signal::CONT => self.enter_again()?,
                _ => self.ended = true,
            }
        }
        Ok(())
    }

    fn on_input(&mut self, now_ms: u64) -> Result<(), Error> {
        let mut bytes = [0; INPUT_BYTES];
        let Some(count) = read_typed(&mut bytes) else { return Ok(()) };
        self.ended |= count == 0;
        self.screen.on_bytes(now_ms, &bytes[..count]);
        Ok(())
    }

    /// Ctrl-Z: the terminal as it was, the process group stopped; later on as before.
    fn suspend(&mut self) -> Result<(), Error> {
        self.raw = None;
        process::stop_group();
        // SIGCONT, which ended the stop, needs no second redraw; nor does a new size.
        while let Some(signal) = self.signals.next() {
            self.ended |= ENDING.contains(&signal);
        }
        self.enter_again()
    }

    fn enter_again(&mut self) -> Result<(), Error> {
        self.raw = None;
        self.raw = Some(enter(self.mouse)?);
        self.title.clear();
        self.resize();
        Ok(())
    }
}
