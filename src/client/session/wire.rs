//! To and from the connection: frames in, requests out, in a fixed order, within bounds.

use std::borrow::Cow;

use super::Session;
use super::phase::PendingKind;
use crate::protocol::Message;
use crate::protocol::framing::{self, Form, Split};

impl Session {
    /// Cuts frames out of what has arrived and handles each.
    pub(super) fn read_frames(&mut self, now_ms: u64, bytes: &[u8]) {
        let Some(link) = self.phase.link_mut() else { return };
        let mut buffer = std::mem::take(&mut link.incoming);
        buffer.extend_from_slice(bytes);
        let mut used = 0;
        while let Some(link) = self.phase.link_mut() {
            match framing::split(Form::Frames, &buffer[used..], &mut link.scanned) {
                Split::NeedMore => {
                    buffer.drain(..used);
                    link.incoming = buffer;
                    return;
                }
                Split::Blank { consumed } => used += consumed,
                Split::TooLong => self.leave(now_ms, "sent a frame of more than 1 MiB"),
                Split::Payload { start, end, consumed, codec } => {
                    match framing::decode(codec, &buffer[used + start..used + end]) {
                        Ok(message) => self.on_message(now_ms, message.into_owned()),
                        Err(_) => self.leave(now_ms, "does not speak chatctl's protocol"),
                    }
                    used += consumed;
                }
            }
        }
    }

    /// Puts a request on the connection and remembers that a reply is owed.
    pub(super) fn put(&mut self, now_ms: u64, kind: PendingKind, message: &Message<'_>) {
        if let Some(link) = self.phase.link_mut() {
            link.put(now_ms, self.codec, kind, message);
        }
    }

    /// Puts on the connection what waits and may go: `sync` first, then requests, markers, sends.
    pub(super) fn fill(&mut self, now_ms: u64) {
        self.put_due_sync(now_ms);
        let online = self.phase.online_mut();
        if online.is_some_and(|online| std::mem::take(&mut online.watch_is_due)) {
            let body = Cow::Owned(self.watched.join(","));
            let message = Message { body, ..request("watch") };
            self.put(now_ms, PendingKind::Watch, &message);
        }
        if self.phase.online().is_some() {
            self.put_requests(now_ms);
        }
        // A request may have begun another login.
        if self.phase.online().is_some() {
            self.put_markers(now_ms);
            self.put_sends(now_ms);
            self.put_ping(now_ms);
        }
    }

    fn put_ping(&mut self, now_ms: u64) {
        let ping_after_ms = self.ping_after_ms;
        let is_due = self.phase.link().is_some_and(|link| {
            link.pending.is_empty() && now_ms >= link.last_heard + ping_after_ms
        });
        if is_due {
            self.ping_after_ms = self.dice.ping_ms();
            match self.is_behind() {
                false => self.put(now_ms, PendingKind::Ping, &request("ping")),
                true => self.put_sync(now_ms),
            }
        }
    }

    fn put_markers(&mut self, now_ms: u64) {
        let Some(link) = self.phase.link_mut() else { return };
        if link.pending.iter().any(|asked| matches!(asked.kind, PendingKind::Read { .. })) {
            return;
        }
        let Some((name, seq)) = self.markers.front().cloned() else { return };
        let message = Message { to: Cow::Owned(name.clone()), seq, ..request("read") };
        link.put(now_ms, self.codec, PendingKind::Read { name, seq }, &message);
    }

    /// For how long the server has owed an answer, milliseconds; `None` where it owes none. A login
    /// takes long on purpose.
    pub fn owed_ms(&self, now_ms: u64) -> Option<u64> {
        let oldest = self.phase.link()?.pending.front()?;
        let is_login = matches!(oldest.kind, PendingKind::Login(_));
        (!is_login).then(|| now_ms.saturating_sub(oldest.sent_ms))
    }
}

/// A request with only its `cmd`.
pub(super) fn request(cmd: &'static str) -> Message<'static> {
    Message { cmd: Cow::Borrowed(cmd), ..Message::default() }
}
