//! What applying an entry did.

use super::accounts::AccountId;

/// What applying one entry did, as replies and pushes need it. Seqs are log indexes; times are
/// milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// An empty payload.
    None,
    /// The cluster has its id and secret.
    Founded,
    /// It had them already; nothing changed.
    AlreadyFounded,
    /// Other servers keep the log from here on.
    MembersChanged,
    /// A new account.
    Created {
        /// Its number.
        account: AccountId,
    },
    /// The name has an account, or had one; nothing changed.
    NameTaken {
        /// The live account of that name; none where it was deleted.
        account: Option<AccountId>,
    },
    /// A message was stored, under the entry's own index as its seq.
    Stored {
        /// The sender.
        from: AccountId,
        /// The receiver; may be the sender.
        to: AccountId,
        /// The message's id.
        id: u128,
        /// When it was sent.
        time: u64,
        /// Its seq, the entry's index.
        seq: u64,
    },
    /// The sender has sent this very message before; nothing changed.
    Duplicate {
        /// The sender.
        from: AccountId,
        /// The first one's time.
        time: u64,
        /// The first one's seq.
        seq: u64,
    },
    /// The sender has sent other content under this id; nothing changed.
    IdConflict,
    /// It cannot be told any more whether this message was stored; nothing changed.
    IdExpired,
    /// The other account that the command names does not exist, or not any more; nothing changed.
    NoSuchUser,
    /// Messages were taken off the queue.
    Taken {
        /// Whose.
        account: AccountId,
        /// Those of the entry's that could still be taken, rising.
        seqs: Vec<u64>,
    },
    /// A read marker was set, or stood there already.
    ReadMoved {
        /// Whose.
        account: AccountId,
        /// For messages from whom.
        other: AccountId,
        /// Where it stands now: a seq, 0 = nothing is read.
        marker: u64,
        /// False: it stood there or further already, nothing changed.
        moved: bool,
    },
    /// Messages were deleted.
    Deleted {
        /// Who deleted.
        account: AccountId,
        /// How many messages went from that account's view.
        count: usize,
        /// What went from whose view: one for each account that lost something, by number.
        gone: Vec<Gone>,
    },
    /// An account has another verifier: its other sessions and its tokens end.
    PasswordChanged {
        /// Which.
        account: AccountId,
    },
    /// An account is gone: its sessions end.
    AccountDeleted {
        /// Which; `State::name` still knows it.
        account: AccountId,
    },
    /// The account that acts does not exist, or not any more; nothing changed.
    AccountGone,
}

/// Messages that an account could see until now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Whose view.
    pub account: AccountId,
    /// The messages' ids, in the messages' order, each once; at most
    /// [`crate::limits::MSG_IDS`] where the targets are those of one request.
    pub ids: Vec<u128>,
}
