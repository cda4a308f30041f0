//! Which servers there are, as the log is to say it.

use super::Service;
use crate::chat::Member;
use crate::raft::{ChangeError, ServerId};
use crate::server::{TraceLevel, payload};

impl Service {
    /// Has the log say that these are the servers, by name; the entry's index. They count at once,
    /// and for good once the entry is committed.
    pub fn change_members(&mut self, members: Vec<Member>) -> Result<u64, ChangeError> {
        self.replica.core().may_change()?;
        let time = self.entry_time();
        let index = self.replica.change_members(payload::membership(time, members))?;
        self.keep_time();
        Ok(index)
    }

    /// Gives a non-voter that has caught up its vote.
    pub(super) fn promote(&mut self) {
        let Some(ServerId(number)) = self.replica.core().caught_up() else { return };
        // A number is given, and a vote, only by what is known to be committed.
        if !self.replica.is_ready() || self.replica.state().members() != self.replica.members() {
            return;
        }
        let mut members = self.replica.members();
        let Some(member) = members.iter_mut().find(|member| member.number == number) else {
            return;
        };
        member.votes = true;
        let name = member.name.clone();
        if self.change_members(members).is_ok() {
            let line = format!("{name} has caught up and gets a vote");
            self.tell(TraceLevel::Info, line);
        }
    }
}
