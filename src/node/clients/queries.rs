//! Requests that change nothing: ping, server_status, list, who, history, sync, deliver 0, inbox.
//! They are answered when their turn comes, so that a client reads what it has written before.

use std::fmt::Write;

use super::budget;
use super::client::Session;
use super::dispatch::{Asked, Next};
use super::pages::Item;
use super::reply::{Refusal, count, more_or_end, refuse, refuse_with, reply};
use super::{Clients, Serving};
use crate::chat::glob::Pattern;
use crate::chat::{Direction, EventRef};
use crate::limits;
use crate::node::replica::Replica;
use crate::protocol::{Message, name};

impl Clients {
    pub(super) fn on_ping(
        &mut self,
        replica: &Replica,
        asked: &Asked<'_>,
    ) -> Result<Next, Refusal> {
        if let Some(client) = self.clients.get_mut(asked.key) {
            client.refusing = None;
        }
        let time = replica.time.unix_ms();
        self.reply(asked.key, asked.codec, &Message { time, ..reply("ping") });
        Ok(Next::Answered)
    }

    pub(super) fn on_server_status(
        &mut self,
        replica: &Replica,
        asked: &Asked<'_>,
    ) -> Result<Next, Refusal> {
        let core = replica.core();
        let (role, term, commit) = (core.role(), core.term(), core.commit());
        let (primary, read_only) = match self.serving() {
            Serving::Primary => (self.settings.address.as_str(), "no"),
            Serving::Elsewhere(address) => (address.as_str(), "no"),
            Serving::Electing(_) => ("", "no"),
            Serving::ReadOnly => ("", "yes"),
        };
        let body = format!(
            "id {}
role {role}
term {term}
commit {commit}
primary {primary}
\
             read_only {read_only}",
            self.settings.id
        );
        self.reply(
            asked.key,
            asked.codec,
            &Message { body: body.into(), ..reply("server_status") },
        );
        Ok(Next::Answered)
    }

    pub(super) fn on_list(
        &mut self,
        replica: &Replica,
        asked: &Asked<'_>,
    ) -> Result<Next, Refusal> {
        let (pattern, after, limit) = name_page(asked.message)?;
        let page = replica.state().names(&pattern, &after, limit);
        let work = page.work;
        let message = Message {
            body: page.names.join(",").into(),
            limit: count(page.names.len()),
            to: page.next.map(str::to_owned).unwrap_or_default().into(),
            ..reply("list")
        };
        self.charge(asked.key, work);
        self.reply(asked.key, asked.codec, &message);
        Ok(Next::Answered)
    }

    pub(super) fn on_who(&mut self, asked: &Asked<'_>) -> Result<Next, Refusal> {
        let (pattern, after, limit) = name_page(asked.message)?;
        let page = pattern.page(self.sessions.names_after(&after), limit);
        let work = page.work;
        let message = Message {
            body: page.names.join(",").into(),
            limit: count(page.names.len()),
            to: page.next.map(str::to_owned).unwrap_or_default().into(),
            ..reply("who")
        };
        self.charge(asked.key, work);
        self.reply(asked.key, asked.codec, &message);
        Ok(Next::Answered)
    }

    pub(super) fn on_history(
        &mut self,
        replica: &Replica,
        asked: &Asked<'_>,
        session: Session,
    ) -> Result<Next, Refusal> {
        let message = asked.message;
        let with = self.other_or_all(replica, &message.to)?;
        let direction = match message.body.as_ref() {
            "" | "before" => Direction::Before,
            "after" => Direction::After,
            _ => return Err(refuse("bad-cursor", "body must be before or after")),
        };
        if !self.pages_have_room() {
            return Ok(self.stall(asked.key));
        }
        let (cursor, limit) = (message.seq, page_size(message.limit));
        let mut seqs = Vec::new();
        let mut more =
            replica.state().history(session.account, with, cursor, direction, limit, &mut seqs);
        self.charge(asked.key, seqs.len() as u64 * budget::ITEM);
        let next = match direction {
            Direction::Before => {
                let fits = self.fitting(replica, seqs.iter().rev());
                more |= fits < seqs.len();
                seqs.drain(..seqs.len() - fits);
                seqs.first()
            }
            Direction::After => {
                let fits = self.fitting(replica, seqs.iter());
                more |= fits < seqs.len();
                seqs.truncate(fits);
                seqs.last()
            }
        };
        let seq = next.copied().unwrap_or(cursor);
        let (limit, body) = (count(seqs.len()), more_or_end(more));
        let last = Message { limit, seq, body, ..reply("history") };
        let items = seqs.into_iter().map(Item::Message).collect();
        Ok(self.start_page(replica, asked.key, asked.codec, items, last))
    }

    /// `deliver` with limit 0 is answered at once, with a limit it becomes an entry of the log.
    pub(super) fn on_deliver(
        &mut self,
        replica: &mut Replica,
        asked: &Asked<'_>,
        session: Session,
    ) -> Result<Next, Refusal> {
        if !self.pages_have_room() {
            return Ok(self.stall(asked.key));
        }
        if asked.message.limit != 0 {
            return self.take(replica, asked, session);
        }
        let cursor = asked.message.seq;
        let mut seqs = Vec::new();
        let most = limits::HISTORY_PAGE;
        let mut more = replica.state().received_after(session.account, cursor, most, &mut seqs);
        self.charge(asked.key, seqs.len() as u64 * budget::ITEM);
        let fits = self.fitting(replica, seqs.iter());
        more |= fits < seqs.len();
        seqs.truncate(fits);
        let seq = seqs.last().copied().unwrap_or(cursor);
        let (limit, body) = (count(seqs.len()), more_or_end(more));
        let last = Message { limit, seq, body, ..reply("delivered") };
        let items = seqs.into_iter().map(Item::Message).collect();
        Ok(self.start_page(replica, asked.key, asked.codec, items, last))
    }

    pub(super) fn on_sync(
        &mut self,
        replica: &Replica,
        asked: &Asked<'_>,
        session: Session,
    ) -> Result<Next, Refusal> {
        if !self.pages_have_room() {
            return Ok(self.stall(asked.key));
        }
        let (cursor, limit) = (asked.message.seq, page_size(asked.message.limit));
        let mut events = Vec::new();
        let mut more = replica.state().events_after(session.account, cursor, limit, &mut events);
        let ids = |event: &EventRef| match event {
            EventRef::TakenBack { ids, .. } => ids.len() as u64,
            EventRef::Message { .. } | EventRef::ReadMoved { .. } => 0,
        };
        let ids: u64 = events.iter().map(ids).sum();
        self.charge(asked.key, events.len() as u64 * budget::ITEM + ids * budget::ID);
        let seqs: Vec<u64> = events.iter().map(EventRef::seq).collect();
        let fits = self.fitting(replica, seqs.iter());
        more |= fits < events.len();
        events.truncate(fits);
        let seq = events.last().map_or(cursor, EventRef::seq);
        let (limit, body) = (count(events.len()), more_or_end(more));
        let last = Message { limit, seq, body, ..reply("sync") };
        let item = |event| match event {
            EventRef::Message { seq } => Item::Message(seq),
            EventRef::TakenBack { seq, ids } => Item::TakenBack { seq, ids },
            EventRef::ReadMoved { other, marker, .. } => {
                Item::ReadMoved { name: replica.state().name(other).to_owned(), marker }
            }
        };
        let items = events.into_iter().map(item).collect();
        Ok(self.start_page(replica, asked.key, asked.codec, items, last))
    }

    pub(super) fn on_inbox(
        &mut self,
        replica: &Replica,
        asked: &Asked<'_>,
        session: Session,
    ) -> Result<Next, Refusal> {
        let limit = list_size(asked.message.limit);
        let (page, next) = replica.state().conversations(session.account, asked.message.seq, limit);
        let mut body = String::new();
        for (place, conversation) in page.iter().enumerate() {
            let name = replica.state().name(conversation.other);
            let separator = if place == 0 { "" } else { "\n" };
            let (unread, seq) = (conversation.unread, conversation.newest_seq);
            let time = conversation.newest_time;
            let _ = write!(body, "{separator}{name}\t{unread}\t{seq}\t{time}");
        }
        let work = page.len() as u64 * budget::CONVERSATION;
        let message =
            Message { limit: count(page.len()), body: body.into(), seq: next, ..reply("inbox") };
        self.charge(asked.key, work);
        self.reply(asked.key, asked.codec, &message);
        Ok(Next::Answered)
    }
}

fn name_page(message: &Message<'_>) -> Result<(Pattern, String, usize), Refusal> {
    let pattern = Pattern::parse(&message.body)
        .map_err(|error| refuse_with("bad-pattern", error.to_string()))?;
    let after = match message.to.as_ref() {
        "" => String::new(),
        to => name::fold(to).ok_or(refuse("bad-cursor", "to must be a name"))?,
    };
    Ok((pattern, after, list_size(message.limit)))
}

fn list_size(limit: u16) -> usize {
    match usize::from(limit) {
        0 => limits::LIST_PAGE,
        limit => limit.min(limits::LIST_PAGE),
    }
}

fn page_size(limit: u16) -> usize {
    match usize::from(limit) {
        0 => limits::HISTORY_PAGE_DEFAULT,
        limit => limit.min(limits::HISTORY_PAGE),
    }
}
