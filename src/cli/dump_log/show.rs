//! Records, a line each; and with `--follow` on, as a server writes them.

use std::io::{self, BufWriter, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

use super::filter::Filter;
use super::log::{Flow, Log};
use super::render::{self, Content, Place};
use crate::cli::error::Error;
use crate::limits::{DUMP_BUFFER_BYTES, FOLLOW_LOOK_MS};
use crate::sys::poll::{self, PollFd};
use crate::sys::signal::{self, Signals};
use crate::sys::watch::Watch;
use crate::wal::format::{Kind, Record};
use crate::wal::scan::{Item, segments_directory};
use crate::wal::{Follower, RealDisk};

#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub json: bool,
    /// Columns of the terminal; `None` for output to something else.
    pub width: Option<usize>,
    pub colour: bool,
    pub follow: bool,
}

pub fn run(log: &mut Log, look: Look, filter: Filter, out: &mut dyn Write) -> Result<u8, Error> {
    let directory = segments_directory(&log.path);
    let mut show = Show {
        look,
        filter,
        out: BufWriter::with_capacity(DUMP_BUFFER_BYTES, out),
        held: Vec::new(),
        follower: Follower::new(),
    };
    if look.width.is_some() && !look.json {
        show.line(&render::header(look.width), "1")?;
    }
    log.scan(&mut |item| show.item(item).map(|()| Flow::On))?;
    if look.follow {
        let Some(directory) = directory else {
            let what = format!("{} is a file: --follow needs a directory", log.path.display());
            return Err(Error::failed(what));
        };
        // What is left is of a batch that is not whole yet: it comes again.
        show.held.clear();
        show.follow(&directory)?;
    }
    show.out.write_all(&show.held)?;
    show.out.flush()?;
    Ok(0)
}

struct Show<'a> {
    look: Look,
    filter: Filter,
    out: BufWriter<&'a mut dyn Write>,
    /// Lines of a batch whose mark has not come yet, where the log is followed.
    held: Vec<u8>,
    follower: Follower,
}

impl Show<'_> {
    fn item(&mut self, item: Item<'_>) -> Result<(), Error> {
        match item {
            Item::Segment { .. } => Ok(()),
            Item::Record { file, offset, record } => self.record(file, offset, &record),
            Item::Damage { file, offset, why } => self.bad("DAMAGED", &file, offset, &why),
            Item::End { file, offset, torn: Some(why) } if !self.look.follow => {
                self.bad("torn", &file, offset, &why)
            }
            Item::End { .. } => Ok(()),
        }
    }

    fn bad(&mut self, kind: &str, file: &str, offset: u64, why: &str) -> Result<(), Error> {
        let shown = match self.look.json {
            true => render::bad_json(kind, file, offset, why),
            false => render::bad_line(self.look.width, kind, file, offset, why),
        };
        self.line(&shown, if kind == "torn" { "33" } else { "1;31" })
    }

    fn record(&mut self, file: &str, offset: u32, record: &Record<'_>) -> Result<(), Error> {
        let content = Content::of(record);
        if self.filter.shows(record.index, content) {
            let Record { batch, term, index, .. } = *record;
            let place = Place { file, offset: offset.into(), batch, term, index };
            let shown = match self.look.json {
                true => render::json(&place, content),
                false => render::line(self.look.width, &place, content),
            };
            let colour = if self.look.colour { render::colour(content) } else { "" };
            self.line(&shown, colour)?;
        }
        if record.kind == Kind::Mark && self.look.follow {
            self.out.write_all(&self.held)?;
            self.held.clear();
            self.follower.skip_to(file, offset, record);
        }
        Ok(())
    }

    fn line(&mut self, text: &str, colour: &str) -> Result<(), Error> {
        let out: &mut dyn Write = if self.look.follow { &mut self.held } else { &mut self.out };
        if !self.look.colour || colour.is_empty() {
            return Ok(writeln!(out, "{text}")?);
        }
        // A pager ends a colour with the line.
        for row in text.split('\n') {
            writeln!(out, "\x1b[{colour}m{row}\x1b[0m")?;
        }
        Ok(())
    }

    /// Shows batches as they become whole, until Ctrl-C, SIGTERM, or until nobody reads any more.
    fn follow(&mut self, directory: &Path) -> Result<(), Error> {
        let cannot = |error: io::Error| {
            Error::failed(format!("cannot follow the log in {}: {error}", directory.display()))
        };
        let mut signals = Signals::new(&[signal::INT, signal::TERM]).map_err(cannot)?;
        let mut watch = Watch::directory(directory).map_err(cannot)?;
        loop {
            watch.clear().map_err(cannot)?;
            let mut disk = RealDisk::read_only(directory);
            while let Some(batch) = self.follower.next_batch(&mut disk).map_err(cannot)? {
                for (offset, record) in batch.records() {
                    self.record(&batch.file, offset, &record)?;
                }
            }
            self.out.flush()?;
            let mut fds = [
                PollFd::new(signals.as_raw_fd(), true, false),
                PollFd::new(watch.as_raw_fd(), true, false),
                PollFd::new(io::stdout().as_raw_fd(), false, false),
            ];
            poll::wait(&mut fds, Some(FOLLOW_LOOK_MS)).map_err(cannot)?;
            if signals.next().is_some() || fds[2].hangup {
                return Ok(());
            }
        }
    }
}
