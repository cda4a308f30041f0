//! Clients that read all the time: they `sync`, listen to pushes, lose their server, and `sync` again
//! from where they were.

use std::time::Duration;

use chatctl::protocol::Message;

use super::line::{Gone, Line, Roamer};
use super::tally::{Alarm, Stage, Tally};
use crate::support::Rng;
use crate::support::raw_client::ask;

/// A message as somebody was shown it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub from: String,
    pub to: String,
    pub id: String,
    pub body: String,
    pub seq: u64,
    pub time: u64,
}

impl Seen {
    /// What a `deliver` frame says.
    pub fn of(message: &Message<'_>) -> Seen {
        assert_eq!(message.cmd, "deliver", "{message:?}");
        Seen {
            from: message.src.to_string(),
            to: message.to.to_string(),
            id: message.msg_ids.iter().next().expect("a message has an id").to_owned(),
            body: message.body.to_string(),
            seq: message.seq,
            time: message.time,
        }
    }
}

/// What a receiver has at its end.
pub struct Readings {
    pub name: String,
    /// Everything up to `cursor`, in order.
    pub seen: Vec<Seen>,
    pub cursor: u64,
    /// For each `sync` of the whole truth that reached the end: how many messages it had then, and
    /// the newest seq that was acknowledged to anybody before it was asked for.
    pub floors: Vec<(usize, u64)>,
    /// Pushed before a `sync` had told of it: it has to be true all the same.
    pub early: Vec<Seen>,
    /// How often it read from a server that served history only.
    pub read_only: u64,
}

/// One such client.
pub struct Receiver<'a> {
    tally: &'a Tally,
    roamer: Roamer,
    rng: Rng,
    pace_ms: u64,
    has: Readings,
}

impl<'a> Receiver<'a> {
    /// One that listens for `pace_ms` on average between two `sync`s.
    pub fn new(
        name: &str,
        servers: &[String],
        pace_ms: u64,
        seed: u64,
        tally: &'a Tally,
    ) -> Receiver<'a> {
        let mut rng = Rng::new(seed);
        let mut roamer = Roamer::new(name, servers, &mut rng);
        roamer.takes_read_only = true;
        let has = Readings {
            name: name.to_owned(),
            seen: Vec::new(),
            cursor: 0,
            floors: Vec::new(),
            early: Vec::new(),
            read_only: 0,
        };
        Receiver { tally, roamer, rng, pace_ms, has }
    }

    /// Reads until the clients are to end, and then once more what everybody was told is stored.
    pub fn run(mut self) -> Readings {
        let _alarm = Alarm(self.tally);
        while let Some(mut line) = self.roamer.line(self.tally) {
            self.has.read_only += u64::from(line.read_only);
            match self.follow(&mut line) {
                Ok(()) => break,
                Err(gone) => self.roamer.on_gone(gone),
            }
        }
        self.has
    }

    fn follow(&mut self, line: &mut Line) -> Result<(), Gone> {
        loop {
            let stopping = self.tally.is_at(Stage::EndReading);
            let whole = self.catch_up(line)?;
            if (stopping && whole) || self.tally.is_at(Stage::Failed) {
                return Ok(());
            }
            let time = if stopping { 20 } else { self.rng.below(2 * self.pace_ms + 1) };
            line.listen(Duration::from_millis(time))?;
            let pushes: Vec<Message<'_>> = line.pushes().collect();
            // What this server does not know to be everything moves no cursor.
            let mut holds = whole;
            for push in pushes {
                match push.cmd.as_ref() {
                    "lagging" => holds = false,
                    "deliver" if holds => self.take(&push),
                    "deliver" => self.has.early.push(Seen::of(&push)),
                    _ => {}
                }
            }
            if line.read_only {
                // History is read; another server may have more.
                return Err(Gone::Lost);
            }
        }
    }

    /// Reads all there is from the cursor on; whether that surely was everything.
    fn catch_up(&mut self, line: &mut Line) -> Result<bool, Gone> {
        let floor = self.tally.newest();
        let read_only = line.read_only;
        loop {
            let limit = 1 + self.rng.below(500) as u16;
            let request = ask("sync").seq(self.has.cursor).limit(limit);
            let (frames, last) = line.page(request)?;
            assert!(!last.error, "{}: {last:?}", self.has.name);
            for (place, frame) in frames.iter().enumerate() {
                assert_eq!(usize::from(frame.limit), frames.len() - place, "{frame:?}");
                self.take(frame);
            }
            assert!(last.seq >= self.has.cursor, "a cursor never goes back: {last:?}");
            self.has.cursor = last.seq;
            if last.body == "end" {
                break;
            }
        }
        let early: Vec<Message<'_>> = line.pushes().filter(|push| push.cmd == "deliver").collect();
        for push in early {
            match push.seq > self.has.cursor {
                true => self.take(&push),
                false => self.has.early.push(Seen::of(&push)),
            }
        }
        let whole = !read_only && !line.read_only;
        if whole {
            self.has.floors.push((self.has.seen.len(), floor));
        }
        Ok(whole)
    }

    fn take(&mut self, frame: &Message<'_>) {
        let seen = Seen::of(frame);
        assert!(seen.seq > self.has.cursor, "{}: it comes twice: {seen:?}", self.has.name);
        self.has.cursor = seen.seq;
        self.has.seen.push(seen);
    }
}
