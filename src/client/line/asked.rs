//! What the chat has asked the server, to know what to do with the answer.

use super::super::session::Request;

/// A request that is not answered.
pub(super) struct Asked {
    pub request: Request,
    /// The chat itself has made it: after a login, or to show what is unread.
    pub is_own: bool,
}
