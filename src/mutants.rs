//! Bugs that are planted on purpose, to see that the tests find them. Each is one that a program of
//! this kind has had somewhere: the code around it says what would go wrong, a test that goes red
//! says that somebody would notice.
//!
//! Nothing of this is in the program that is shipped: without `--cfg mutants` (which `make mutants`
//! gives to a build of its own) [`planted`] is a constant `false`, and what depends on it is
//! compiled away. With it all bugs are in one build, and the environment's `CHATCTL_MUTANT` names
//! the one that is awake. This is the one thing that the pure layers look at besides what they are
//! given.

/// A bug and how it is noticed.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Which.
    pub mutant: Mutant,
    /// Its name in the environment.
    pub name: &'static str,
    /// What the server or client does wrongly.
    pub breaks: &'static str,
    /// Filters of the integration tests that are expected to go red, the quickest first.
    pub caught_by: &'static [&'static str],
}

macro_rules! mutants {
    ($($variant:ident $name:literal: $breaks:literal, [$($test:literal),+];)+) => {
        /// Every bug that can be planted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutant {
            $(#[doc = $breaks] $variant,)+
        }

        /// What there is to know of each, in the order in which they are tried.
        pub const TABLE: &[Row] = &[$(Row {
            mutant: Mutant::$variant,
            name: $name,
            breaks: $breaks,
            caught_by: &[$($test),+],
        }),+];
    };
}

mutants! {
    // Elections.
    VoteBeforeSync "vote-before-sync":
        "a vote leaves before it is durable",
        ["raft::elections::s5_2_a_vote_leaves_only_when_it_is_durable"];
    SecondVote "second-vote":
        "a second server gets the vote of the same term",
        ["raft::elections::s5_2_one_vote_a_term"];
    StaleLogElected "stale-log-elected":
        "a server votes for one whose log misses what may be committed",
        ["raft::elections::s5_4_1_no_vote_for_a_log"];
    AnyMessageResetsTimer "any-message-resets-timer":
        "any message puts the next election off",
        ["raft::elections::s5_2_only_the_primary_and_a_vote"];
    NewestStateSaved "newest-state-saved":
        "a save that ends makes the newest term and vote count as durable, not those it saved",
        ["sim::every"];
    VoteNotReadBack "vote-not-read-back":
        "a server that is started again does not know whom it voted for",
        ["wal::hard_state::a_vote_is_read_back", "sim::every"];
    TermNotReadBack "term-not-read-back":
        "a server that is started again begins with term 0",
        ["sim::every"];
    OlderStateKept "older-state-kept":
        "of two hard states that wait for one save the older is saved",
        ["sim::every"];
    SavesOverlap "saves-overlap":
        "a save is handed out while one is under way, whose end then counts for both",
        ["sim::every"];
    OtherSaveTakesVote "other-save-takes-vote":
        "a save of the role, or of starts that were met, saves that nobody was voted for",
        ["sim::every"];
    SavedWhenHandedOut "saved-when-handed-out":
        "term and vote count as durable when they are given to the disk's thread",
        ["sim::every"];
    FailedSaveIgnored "failed-save-ignored":
        "term and vote count as durable though saving them failed",
        ["sim::every"];
    PreVoteRaisesTerm "pre-vote-raises-term":
        "the question whether one would be elected raises the term of the one asked",
        ["raft::elections::s9_6_a_pre_vote_changes_no_term"];

    // Replication.
    OldTermCommit "old-term-commit":
        "the PRIMARY commits an older term's entry by counting its copies",
        ["raft::replication::s5_4_2_figure_8"];
    AckBeforeSync "ack-before-sync":
        "a BACKUP acknowledges entries that are not durable",
        ["raft::replication::s5_3_a_backup_acknowledges_only_what_is_durable"];
    SelfCountedEarly "self-counted-early":
        "the PRIMARY counts its own copy before that is durable",
        ["raft::replication::s10_2_1_the_primary_counts_itself"];
    CommitPastVerified "commit-past-verified":
        "a BACKUP commits entries that were not compared with the PRIMARY's",
        ["raft::replication::s5_3_a_backup_commits_only_what_it_compared"];
    StaleAppendTruncates "stale-append-truncates":
        "an append cuts what lies behind its own entries, though nothing differs",
        ["raft::replication::s5_3_an_old_append_cuts_nothing"];
    TruncatesCommitted "truncates-committed":
        "a BACKUP lets an append cut what is committed",
        ["raft::replication::an_append_that_is_no_piece_of_a_log"];
    MatchGoesBack "match-goes-back":
        "an old acknowledgment takes back what the PRIMARY knows of a BACKUP",
        ["raft::replication::s5_3_old_and_doubled_acknowledgments"];
    DamagedVotes "damaged-votes":
        "a server whose log is damaged votes before it is restored",
        ["raft::restoring::a_damaged_server_grants_no_vote"];
    DamagedCounted "damaged-counted":
        "the PRIMARY counts the copy of a server whose log is damaged",
        ["raft::restoring::a_copy_that_is_being_restored_commits_nothing"];
    LostCopyCounted "lost-copy-counted":
        "what a server acknowledged before its log was damaged goes on counting",
        ["raft::restoring::what_was_acknowledged_before_the_damage"];
    RestoredEarly "restored-early":
        "a damaged server counts as restored before it has all that is committed",
        ["raft::restoring::it_is_whole_when_all_that_was_committed"];
    LossIgnored "loss-ignored":
        "the PRIMARY ignores that a BACKUP lacks what it has acknowledged",
        ["raft::losses::a_primary_asks_again"];
    LoserVotes "loser-votes":
        "a BACKUP that has noticed that it lost what it acknowledged still votes",
        ["raft::losses::from_when_it_notices"];
    LossToldEarly "loss-told-early":
        "a BACKUP speaks of its next copy before that number is saved",
        ["raft::losses::the_next_copy_is_told_once"];
    OldAnswerCounted "old-answer-counted":
        "an answer of an older term counts in this one",
        ["raft::replication::s5_3_old_and_doubled_acknowledgments"];
    MarkOfCutLog "mark-of-cut-log":
        "a write from before a cut makes durable what was appended after it",
        ["raft::replication::s5_3_a_mark_from_before_a_cut"];
    CommitHintPastLog "commit-hint-past-log":
        "the stored commit index names entries that are not durable here",
        ["raft::replication::s10_2_1_the_primary_sends_before_its_own_write"];
    ReadWithoutRound "read-without-round":
        "the PRIMARY answers reads without asking whether it still is the PRIMARY",
        ["raft::reads::s6_4_a_primary_that_was_replaced"];
    MarkGivenBackEarly "mark-given-back-early":
        "a batch that is durable makes the batches behind it count as durable",
        ["sim::every"];
    UnknownToldAsRefused "unknown-told-as-refused":
        "a PRIMARY that steps down says that what it was asked will not happen",
        ["sim::every"];

    FailedBatchIgnored "failed-batch-ignored":
        "a batch counts as durable though the write or fsync failed",
        ["sim::every"];
    AppliedBeforeDurable "applied-before-durable":
        "what is committed is applied before it is durable here",
        ["sim::every"];
    HandsOverBehind "hands-over-behind":
        "a PRIMARY hands over to the backup that lacks most",
        ["raft::reads::the_successor_is_the_backup"];
    StopsAsPrimary "stops-as-primary":
        "a PRIMARY that is told to stop does not hand over",
        ["sim::every"];
    DamageGoesOn "damage-goes-on":
        "a PRIMARY that has read damage stays, though others could go on",
        ["sim::every"];
    DamageEndsAny "damage-ends-any":
        "a PRIMARY that has read damage ends, though others cannot go on without it",
        ["sim::every"];

    // Members.
    ChangeBeforeTermEntry "change-before-term-entry":
        "a PRIMARY changes the members before an entry of its term is committed",
        ["raft::members::s4_1_no_change_before_an_entry_of_the_term"];
    OldAnswersForChange "old-answers-for-change":
        "a vote is taken away on the word of servers that have not answered since it was asked",
        ["raft::members::a_change_is_refused_when_a_server_that_it_needs"];
    CutQuorumStays "cut-quorum-stays":
        "the majority of members that were cut from the log goes on being needed",
        ["raft::members::s4_1_a_configuration_that_is_cut"];
    CutMembersStay "cut-members-stay":
        "members that were cut from the log go on counting, and the peers' port is open to them",
        ["raft::members::s4_1_a_configuration_that_is_cut", "sim::every"];
    NonvoterCounted "nonvoter-counted":
        "a non-voter's copies and votes count",
        ["raft::members::s4_2_1_a_non_voter_counts_for_nothing"];
    TailMembersUnread "tail-members-unread":
        "a server that is started again does not know the members that its log has uncommitted",
        ["sim::every"];
    PortStaysShut "port-stays-shut":
        "the peers' port does not follow the members in the log",
        ["sim::every"];
    BlockOfAnother "block-of-another":
        "an append that ends where another does is sent with that one's entries",
        ["sim::every"];
    ReplacedStaysOpen "replaced-stays-open":
        "what comes on a connection counts on after a newer one has taken its place",
        ["peers::mesh::a_newer_connection", "sim::every"];
    OldClosesNew "old-closes-new":
        "the end of a connection that was replaced takes the newer one for lost",
        ["peers::mesh::a_newer_connection", "sim::every"];
    CutFrameTaken "cut-frame-taken":
        "a part of a frame is taken for the whole frame",
        ["sim::every"];
    SilenceNeverEnds "silence-never-ends":
        "a connection on which nothing comes stays open for ever",
        ["peers::mesh::a_silent_connection", "sim::every"];
    OldIncarnationLetIn "old-incarnation-let-in":
        "a data directory is let in that is not the member's of that name",
        ["peers::mesh::the_wrong_one_is_refused"];
    FirstAddressOnly "first-address-only":
        "of the addresses that a server's name has only the first is dialled",
        ["peers::names::a_name_with_a_dead_address"];
    FailedLookUpForgets "failed-look-up-forgets":
        "a look-up that fails makes a server forget where its peer was reached before",
        ["peers::names::the_last_good_address"];
    BootMetUnsaved "boot-met-unsaved":
        "what a start says counts before it is durable that it was met",
        ["peers::boots::what_a_new_start_says_waits", "sim::every"];
    LowerBootAccepted "lower-boot-accepted":
        "a directory is let in that was started less often than it is known to have been",
        ["peers::boots::an_old_copy_is_refused_on_both_sides"];
    BootNotCounted "boot-not-counted":
        "a start is the same as the one before",
        ["cluster::copies::an_old_directory_put_back"];
    StartUnsaved "start-unsaved":
        "others are told of a start before that is durable",
        ["sim::every"];
    FirstEntryNotReadBack "first-entry-not-read-back":
        "a server that holds the first entry of its cluster takes itself for empty after a restart",
        ["sim::every"];
    WipedElect "wiped-servers-elect":
        "a majority of empty servers forms a cluster, though another may have been in one before",
        ["peers::forming::wiped_servers_never"];

    // The log on disk.
    SyncLeftOut "sync-left-out":
        "a batch counts as durable when it is written, before the fsync",
        ["wal::crashes::after_a_crash_at_any_operation"];
    FailedSyncRetried "failed-sync-retried":
        "an fsync that failed is tried again, and believed",
        ["wal::crashes::a_failed_write_or_sync"];
    BatchBegunEarly "batch-begun-early":
        "a batch is written while the one before is not durable",
        ["wal::crashes::after_a_crash_at_any_operation"];
    FolderNotSynced "folder-not-synced":
        "a new segment is written to before its name is durable",
        ["wal::crashes::after_a_crash_at_any_operation"];
    LastBatchNotCopied "last-batch-not-copied":
        "recovery counts the last batch as durable because it could be read",
        ["wal::crashes::a_failed_write_or_sync"];
    TornTailTaken "torn-tail-taken":
        "a record whose checksum is wrong is taken",
        ["wal::crashes::after_a_crash_at_any_operation"];
    EmptySegmentTaken "empty-segment-taken":
        "a newest segment of 0 bytes counts as unused, though acknowledged records may have been in it",
        ["wal::damage::an_empty_newest_segment"];
    OldEndNotSynced "old-end-not-synced":
        "a start that goes on in a fresh segment does not sync what it gives up of the old ones",
        ["wal::damage::an_empty_newest_segment_is_left_out"];
    ZerosTaken "zeros-taken":
        "zeros are taken for the record that closes a batch",
        ["wal::damage::a_sector_of_zeros"];
    ChecksumSkipsIndex "checksum-skips-index":
        "a record's checksum does not cover its index",
        ["wal::damage::any_bit_changed_is"];
    StateOverwritten "state-overwritten":
        "term and vote are saved over the newest copy instead of the older one",
        ["wal::hard_state::a_crash_while_saving"];
    StateOnlyRead "state-only-read":
        "a restarted server goes on from a vote that perhaps only the page cache has",
        ["wal::hard_state::a_state_that_only_the_cache_has"];

    DamageUnsaved "damage-unsaved":
        "what is damaged is set aside before it is durable that something is",
        ["sim::every"];
    LostLogUnnoticed "lost-log-unnoticed":
        "a server whose log is gone starts as one that never had any",
        ["sim::every"];
    ForeignLogTaken "foreign-log-taken":
        "a server goes on with the log of another cluster",
        ["service::starts::a_log_of_another_cluster"];

    // The state machine and the server.
    DuplicateBeforeApply "duplicate-before-apply":
        "whether a send is a duplicate is decided when it is proposed, not when it is applied",
        ["server::messages::the_same_send_again"];
    DuplicatesForgotten "duplicates-forgotten":
        "a restarted server knows only the newest id of each sender",
        ["server::messages::the_same_send_again"];
    IdExpiredMissed "id-expired-missed":
        "a retry older than the ids that are known is stored as new",
        ["chat::sending::past_the_window"];
    TimeInApply "time-in-apply":
        "each server stores a message under the time at which it applies it",
        ["chat::sending::a_message_is_stored_under"];
    LaggingForgotten "lagging-forgotten":
        "pushes left out for a slow reader are not told",
        ["server::bounds::a_slow_reader"];
    PushInsideReply "push-inside-reply":
        "a long answer is written in two parts, with pushes between them",
        ["server::order::no_push_comes_inside"];
    PushBeforePage "push-before-page":
        "what is pushed while a page is being made comes before it",
        ["server::order::that_a_message_is_taken_back"];
    ClockUnchecked "clock-unchecked":
        "a PRIMARY takes its own wall clock unchecked for the times of entries",
        ["time::three_clocks", "sim::every"];
    TimeStaysPoisoned "time-stays-poisoned":
        "after an entry whose time was far ahead time never goes back",
        ["time::a_time_far_ahead", "sim::every"];
    RefusedTimeCounts "refused-time-counts":
        "a time offered to a change that is then refused counts as the last entry's",
        ["service::times::a_time_offered", "sim::every"];
    LateClockTaken "late-clock-taken":
        "a peer's clock that waited in a queue is taken for what it shows now",
        ["time::a_clock_that_was_late"];
    TokenOutlivesPassword "token-outlives-password":
        "a token stays good when the password is changed",
        ["server::accounts::a_token_resumes"];

    OldVerifierTaken "old-verifier-taken":
        "a login by the old password succeeds when the password changed while it was hashed",
        ["service::logins::a_login_whose_password"];
    StopsUnanswered "stops-unanswered":
        "a server that is told to stop does not wait until its answers are written",
        ["sim::every"];
    ReadsPastWaiting "reads-past-waiting":
        "a connection is read from while a whole request of it waits",
        ["service::outputs::so_many_bytes_of_answers"];
    ReadsUnbounded "reads-unbounded":
        "one turn reads all entries that answers need",
        ["service::holders::unread_answers", "sim::every"];
    AnyNumberAccepted "any-number-accepted":
        "connections are accepted past the most that there may be",
        ["service::unauthenticated::where", "sim::every"];
    OneNetworkTakesAll "one-network-takes-all":
        "a network has as many connections without a login as it likes",
        ["service::unauthenticated::one_network"];

    WorkNotCounted "work-not-counted":
        "a turn serves everybody with all that they ask, whatever work it is",
        ["service::work::applying_much", "service::work::one_ping_among"];
    ListUnbounded "list-unbounded":
        "a page of list goes on for as many names as there are, whatever the pattern costs",
        ["service::work::a_page_of_names"];

    LoginsInOneQueue "logins-in-one-queue":
        "passwords of all networks wait in one queue",
        ["service::logins::a_flood_of_logins"];
    HashesForTheGone "hashes-for-the-gone":
        "passwords of connections that have gone are hashed all the same",
        ["service::logins::passwords_of_connections"];
    OwnerLockedOut "owner-locked-out":
        "guessing at an account from many networks locks out its owner as well",
        ["service::logins::guessing_from_many"];
    LineForEachNetwork "line-for-each-network":
        "failed logins leave a line for each network, however many there are",
        ["service::logins::failed_logins"];
    NewestMakesWay "newest-makes-way":
        "a newcomer takes the place of the newest connection of any network",
        ["service::unauthenticated::where_there_is_no_room"];

    FullPrimaryStays "full-primary-stays":
        "a server that is elected while its disk is full stays PRIMARY",
        ["cluster::disks::a_primary_whose_disk_is_full", "sim::every"];

    // The client.
    RetryWithNewId "retry-with-new-id":
        "a message is sent again under another id",
        ["client::session::whatever_fails"];
    SentBehindUnknown "sent-behind-unknown":
        "a message is sent behind one that may be refused now and stored later",
        ["client::scripted::behind_a_name"];
    OutboxDroppedEarly "outbox-dropped-early":
        "a message leaves the outbox when it is sent, not when it is acknowledged",
        ["client::session::whatever_fails"];
    OutboxReplacedUnsynced "outbox-replaced-unsynced":
        "a short outbox takes the place of the long one before it is synced",
        ["client::outbox::after_a_crash_at_any_operation", "sim::every"];
    FailedPutStays "failed-put-stays":
        "a message that the disk did not take whole stays in the outbox's file",
        ["client::outbox::after_a_failure_at_any_operation", "sim::every"];
    AdoptedComesBack "adopted-comes-back":
        "an adopted outbox may come back after its messages were refused",
        ["client::outbox::a_crash_while_an_outbox_is_adopted"];
    AdoptedInPieces "adopted-in-pieces":
        "of an adopted outbox a crash may leave some messages and not those before them",
        ["client::outbox::a_crash_while_an_outbox_is_adopted"];
    AdoptedPutLate "adopted-put-late":
        "an adopted outbox is removed before its messages are in the new one",
        ["sim::every"];
    SentBeforePut "sent-before-put":
        "a message is attempted before it is on the disk",
        ["sim::every"];
    RefusalToldUnsynced "refusal-told-unsynced":
        "a person hears of a refusal before it is on the disk",
        ["sim::every"];
    WritesInTrouble "writes-in-trouble":
        "a client goes on sending though the disk did not take a refusal",
        ["sim::every"];
    GoneNotedUnshown "gone-noted-unshown":
        "an acknowledged message leaves the outbox before a person could see that",
        ["sim::every"];
    CursorOfOtherCluster "cursor-of-other-cluster":
        "a cursor counts as noted that was noted for another cluster",
        ["sim::every"];
    DroppedUnnoted "dropped-unnoted":
        "old messages that a person discards stay in the outbox",
        ["sim::every"];
    AnyTermMoves "any-term-moves":
        "a client leaves a slow PRIMARY for one that another server knows of an older term",
        ["client::silence"];
    SilenceIgnored "silence-ignored":
        "a client that is owed an answer asks no other server",
        ["client::silence"];
    RedirectAnywhere "redirect-anywhere":
        "a client takes its password to whatever address of the list a tunnel's end names",
        ["client::scripted"];
    PresenceUntold "presence-untold":
        "somebody who comes and goes within a second is not told to who learned of it in between",
        ["service::presence"];
    TypedUnsynced "typed-unsynced":
        "the file of drafts and history takes the place of the old one before it is synced",
        ["client::typed::a_crash_at_any_operation"];
    CursorPastShown "cursor-past-shown":
        "a client that ends notes messages as shown that it has only received",
        ["client::endings::what_arrives_with_the_signal", "sim::every"];
    SyncOneOff "sync-one-off":
        "catching up goes on one place too far",
        ["client::session::whatever_fails"];
    PushBeforeSync "push-before-sync":
        "a push moves the cursor before all before it was fetched",
        ["client::scripted::a_push_that_overtakes"];
    LaggingDuringSync "lagging-during-sync":
        "messages that a server leaves out while the client catches up are never fetched",
        ["client::scripted::what_is_left_out_while"];
}

/// Whether this bug is planted.
#[cfg(not(mutants))]
pub const fn planted(_: Mutant) -> bool {
    false
}

/// Whether this bug is planted.
#[cfg(mutants)]
pub fn planted(mutant: Mutant) -> bool {
    static AWAKE: std::sync::OnceLock<Option<Mutant>> = std::sync::OnceLock::new();
    *AWAKE.get_or_init(named_by_environment) == Some(mutant)
}

#[cfg(mutants)]
fn named_by_environment() -> Option<Mutant> {
    let name = std::env::var("CHATCTL_MUTANT").ok()?;
    let row = TABLE.iter().find(|row| row.name == name);
    Some(row.unwrap_or_else(|| panic!("CHATCTL_MUTANT: there is no {name:?}")).mutant)
}

/// The clock that [`Mutant::TimeInApply`] looks at, milliseconds since the Unix epoch.
#[cfg(mutants)]
pub fn clock_ms() -> u64 {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since_epoch.map_or(0, |time| time.as_millis() as u64)
}

/// As with the bugs; never asked without them.
#[cfg(not(mutants))]
pub const fn clock_ms() -> u64 {
    0
}
