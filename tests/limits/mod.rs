//! Every bound has a test that shows what happens there; which one, this table says. A bound that is
//! new, or a test that has another name, is noticed here.

use std::fs;
use std::path::Path;

use crate::imports::{root, rust_files};

/// The bounds, each with the test that fails when it is not held.
const HELD_BY: &[(&str, &str)] = &[
    // What a message may be.
    ("PAYLOAD_BYTES", "a_frame_is_taken_up_to_a_mebibyte_and_refused_by_its_length_alone_past_it"),
    ("FRAME_BYTES", "a_line_is_taken_up_to_a_mebibyte_without_its_end"),
    ("CMD_BYTES", "an_empty_cmd_is_refused_and_one_over_its_bound_is_too_long"),
    ("NAME_FIELD_BYTES", "a_field_is_taken_up_to_its_bound_and_too_long_past_it"),
    ("BODY_BYTES", "a_field_is_taken_up_to_its_bound_and_too_long_past_it"),
    ("MSG_IDS", "a_field_is_taken_up_to_its_bound_and_too_long_past_it"),
    ("MSG_IDS_TEXT_BYTES", "a_field_is_taken_up_to_its_bound_and_too_long_past_it"),
    ("JSON_DEPTH", "the_seventeenth_level_of_nesting_is_refused"),
    // What is asked and kept.
    ("NAME_BYTES", "names_and_passwords_that_are_none_are_refused"),
    ("PASSWORD_BYTES", "names_and_passwords_that_are_none_are_refused"),
    ("VERIFIER_ITERATIONS", "iterations_are_bounded"),
    ("LIST_PAGE", "list_and_who_page_in_order_and_match_patterns"),
    ("LIST_SCAN", "a_page_looks_at_so_many_names_and_gives_a_cursor_to_go_on"),
    (
        "LIST_WORK",
        "a_page_of_names_ends_where_the_pattern_has_cost_enough_and_the_cursor_brings_all",
    ),
    ("WATCHED_NAMES", "a_session_watches_a_bounded_number_of_accounts"),
    ("PRESENCE_MS", "comings_and_goings_within_a_second_are_told_once_and_as_they_are_in_the_end"),
    ("TURN_PRESENCE", "a_turn_tells_a_bounded_number_and_all_are_told_in_the_end"),
    ("PATTERN_BYTES", "what_is_no_pattern_is_refused_with_a_reason"),
    ("HISTORY_PAGE", "deliver_0_brings_what_was_received_a_thousand_a_page_and_keeps_it"),
    ("HISTORY_PAGE_DEFAULT", "history_pages_back_and_forth_with_an_exact_more"),
    ("PAGE_BYTES", "pages_of_long_messages_end_early_and_the_cursor_brings_the_rest"),
    ("ID_WINDOW", "an_id_older_than_what_is_known_is_id_expired_where_seq_says_so"),
    ("DELETE_TARGETS", "so_many_messages_are_deleted_at_once_and_the_oldest_go_first"),
    // The command line and the client.
    ("CONFIG_FILE_BYTES", "a_file_of_the_most_bytes_is_read_and_a_longer_one_refused"),
    ("OUTBOX_MESSAGES", "a_full_outbox_refuses_and_takes_again_when_there_is_room"),
    ("OUTBOX_BYTES", "a_full_outbox_refuses_by_bytes_too"),
    ("OUTBOX_FILE_BYTES", "a_rewrite_keeps_what_counts_at_every_point_where_it_may_be_cut"),
    ("SEND_WINDOW", "no_more_than_a_window_of_sends_is_on_its_way"),
    ("CLIENT_OUTPUT_BYTES", "what_lies_ready_for_a_socket_that_takes_nothing_is_bounded"),
    (
        "CLIENT_REQUESTS",
        "a_window_of_requests_is_on_its_way_the_rest_wait_and_past_the_bound_they_are_refused",
    ),
    (
        "REQUEST_WINDOW",
        "a_window_of_requests_is_on_its_way_the_rest_wait_and_past_the_bound_they_are_refused",
    ),
    ("READ_MARKERS", "of_too_many_markers_that_wait_the_oldest_is_given_up"),
    ("KNOWN_RECEIVERS", "of_too_many_known_names_one_is_forgotten_and_its_next_message_goes_alone"),
    ("OWN_RECENT", "sends_wait_for_a_sync_where_too_many_own_messages_are_remembered"),
    ("OUTBOX_OWN", "of_too_many_own_messages_the_older_half_is_forgotten"),
    (
        "SCREEN_CONVERSATIONS",
        "the_list_is_bounded_and_who_was_silent_for_longest_goes_without_changing_a_key",
    ),
    ("SCREEN_MESSAGES", "of_too_many_messages_the_oldest_go"),
    ("SCREEN_BYTES", "what_was_not_looked_at_for_longest_goes_first_then_the_oldest_messages"),
    ("SCREEN_DRAFTS", "conversations_are_switched_by_number_and_in_turn_and_drafts_stay_with_them"),
    ("TYPED_BYTES", "of_more_than_the_file_may_have_the_oldest_is_left_out"),
    ("SCREEN_NAMES", "names_and_conversations_are_bounded"),
    ("SCREEN_INPUT_ROWS", "the_input_grows_to_several_lines_and_a_paste_never_sends"),
    ("SCREEN_SIDE", "whatever_the_size_the_screen_is_drawn_and_the_cursor_is_inside"),
    ("MUTED_NAMES", "a_muted_name_neither_rings_nor_notifies_until_it_is_unmuted"),
    ("NOTIFY_RUNS", "a_command_that_does_not_end_is_run_only_so_often"),
    ("NOTIFY_BYTES", "a_long_text_is_cut_and_has_no_controls"),
    ("LINK_BYTES", "an_address_longer_than_terminals_take_is_only_text"),
    ("SEARCH_PAGES", "a_search_is_bounded_by_pages"),
    (
        "SHOWN_SENDERS",
        "of_too_many_senders_one_is_forgotten_and_remembered_again_by_its_next_message",
    ),
    ("SHOWN_PLACES", "of_too_many_places_the_oldest_is_forgotten_and_all_others_can_be_deleted"),
    ("PIPE_BATCH", "messages_are_read_ahead_and_synced_together_a_batch_at_a_time"),
    ("CLIENT_SLOTS", "more_clients_than_places_are_refused_with_a_sentence"),
    ("LINE_BYTES", "a_line_longer_than_any_command_is_passed_over_and_told_once"),
    ("HISTORY_LINES", "of_too_many_lines_the_oldest_is_forgotten"),
    ("REDIRECTS", "a_redirect_is_followed_at_once_and_a_circle_of_redirects_is_left"),
    ("BENCH_RUNS", "more_than_the_most_of_a_figure_is_wrong_usage_and_the_most_is_not"),
    ("BENCH_CLIENTS", "more_than_the_most_of_a_figure_is_wrong_usage_and_the_most_is_not"),
    ("BENCH_PIPELINE", "more_than_the_most_of_a_figure_is_wrong_usage_and_the_most_is_not"),
    ("STATUS_SERVERS", "more_servers_than_are_asked_at_once_are_wrong_usage"),
    ("SECRET_FILE_BYTES", "a_file_that_holds_no_secret_is_refused"),
    // The log.
    ("WAL_ENTRY_BYTES", "the_longest_payload_fits_and_no_length_leads_out_of_the_bytes"),
    ("WAL_BATCH_BYTES", "more_than_a_batch_holds_goes_in_several_within_the_bound"),
    ("WAL_INDEX", "a_record_with_a_hostile_value_is_refused_by_place_by_all_who_read_it"),
    ("WAL_SEGMENTS", "a_segment_with_a_hostile_number_is_not_one_or_refused"),
    (
        "WAL_READ_FILES",
        "so_many_segments_are_open_at_a_time_and_the_one_unused_for_longest_is_closed",
    ),
    ("WAL_READ_GAP_BYTES", "entries_close_to_each_other_are_read_together_and_others_apart"),
    ("WAL_READ_BYTES", "entries_close_to_each_other_are_read_together_and_others_apart"),
    // The server's connections and queues.
    ("OUTPUT_BYTES", "so_many_bytes_of_answers_are_left_unread_and_the_other_requests_wait"),
    ("PUSH_BACKLOG_BYTES", "so_many_bytes_of_pushes_are_left_unread_and_the_others_are_left_out"),
    (
        "INPUT_TOTAL_BYTES",
        "unfinished_requests_take_so_much_for_all_together_and_a_little_for_each_all_the_same",
    ),
    (
        "INPUT_SURE_BYTES",
        "unfinished_requests_take_so_much_for_all_together_and_a_little_for_each_all_the_same",
    ),
    (
        "OUTPUT_TOTAL_BYTES",
        "unread_answers_take_so_much_for_all_together_and_those_held_for_too_long_make_way",
    ),
    (
        "HOLD_MS",
        "unread_answers_take_so_much_for_all_together_and_those_held_for_too_long_make_way",
    ),
    (
        "SENDS_IN_FLIGHT",
        "a_connection_has_a_bounded_number_of_sends_in_flight_and_the_rest_wait_in_its_input",
    ),
    (
        "GATHERED_BYTES",
        "sends_wait_in_their_connections_while_the_disk_takes_nothing_and_none_is_lost",
    ),
    (
        "VISIT_WORK",
        "one_ping_among_a_hundred_floods_is_answered_after_a_bounded_work_whatever_they_ask",
    ),
    ("SHARE_WORK", "who_asks_for_much_one_request_at_a_time_is_served_behind_those_who_do_not"),
    (
        "TURN_WORK",
        "one_ping_among_a_hundred_floods_is_answered_after_a_bounded_work_whatever_they_ask",
    ),
    (
        "TURN_REST_WORK",
        "one_ping_among_a_hundred_floods_is_answered_after_a_bounded_work_whatever_they_ask",
    ),
    ("TURN_APPLY_WORK", "applying_much_is_spread_over_turns_and_others_are_answered_meanwhile"),
    ("HASH_JOBS", "when_too_many_passwords_wait_for_their_hash_logins_are_busy_and_nothing_else"),
    (
        "HASH_JOBS_AHEAD",
        "a_flood_of_logins_from_one_network_makes_another_wait_for_a_password_or_two",
    ),
    ("GUESSES", "guessing_from_many_networks_is_slowed_down_and_does_not_lock_out_the_owner"),
    ("GUESS_WAIT_MS", "guessing_from_many_networks_slows_down_and_the_owner_is_let_through"),
    ("GUESS_FORGIVEN_MS", "names_are_bounded_and_those_at_rest_make_room"),
    ("GUESSED_NAMES", "names_are_bounded_and_those_at_rest_make_room"),
    ("KNOWN_NETWORKS", "places_are_bounded_for_each_account_and_in_all"),
    ("KNOWN_ACCOUNTS", "places_are_bounded_for_each_account_and_in_all"),
    ("COUNTED_MS", "failed_logins_leave_a_bounded_number_of_lines_that_count_them_all"),
    ("COUNTED_LINES", "failed_logins_leave_a_bounded_number_of_lines_that_count_them_all"),
    (
        "COUNTED_NETWORKS",
        "from_however_many_networks_the_lines_are_bounded_and_none_is_left_uncounted",
    ),
    ("READ_JOBS", "reads_past_the_queue_of_the_reading_thread_are_busy_and_the_rest_goes_on"),
    ("LIMITER_ADDRESSES", "addresses_are_bounded_and_those_at_rest_make_room"),
    ("RESERVED_DESCRIPTORS", "a_small_limit_on_descriptors_bounds_the_connections"),
    ("PEER_DESCRIPTORS", "in_a_cluster_some_descriptors_are_kept_back_for_the_peers_port"),
    ("DRAIN_MS", "who_is_told_to_go_and_stays_is_cut_off_after_a_moment"),
    ("STOP_MS", "who_does_not_read_does_not_hold_up_a_stop"),
    ("TRACE_LINES", "a_full_standard_error_holds_up_nobody_and_what_was_dropped_is_counted"),
    ("TRACE_LINE_BYTES", "a_line_stays_one_line_and_is_cut_where_it_is_too_long"),
    ("TRACE_FLUSH_MS", "a_server_whose_standard_error_is_full_stops_at_sigterm_in_the_usual_time"),
    ("FOLD_FREE", "the_first_changes_of_a_topic_are_told_at_once_and_flapping_is_folded"),
    ("FOLD_FIRST_MS", "a_line_that_repeats_is_told_once_and_then_ever_more_rarely_with_its_count"),
    ("FOLD_MOST_MS", "the_longest_gap_is_bounded_and_longer_where_there_are_many_topics"),
    ("FOLD_EACH_MS", "the_longest_gap_is_bounded_and_longer_where_there_are_many_topics"),
    ("FOLD_TOPICS", "topics_are_bounded"),
    // The time of entries.
    ("CLOCK_STEP_MS", "a_step_is_told_and_followed_once_it_has_lasted"),
    ("CLOCK_NEAR_MS", "three_clocks_keep_time_near_their_median"),
    ("CLOCK_TRIP_MS", "a_clock_that_was_late_is_ignored"),
    // The consensus core.
    ("RAFT_VOTERS", "a_wrong_list_says_what_is_wrong"),
    ("RAFT_TERM", "an_absurd_term_and_what_a_server_says_to_itself_are_ignored"),
    ("RAFT_UNCOMMITTED_BYTES", "proposals_are_refused_while_too_much_waits"),
    ("RAFT_COPY", "an_answer_of_an_absurd_copy_is_ignored"),
    (
        "RAFT_READS_WAITING",
        "reads_are_refused_while_too_many_wait_for_a_round_and_taken_again_after_it",
    ),
    // The peers' connections.
    ("PEER_ADDRESS_BYTES", "a_wrong_list_says_what_is_wrong"),
    ("PEER_HANDSHAKE_BYTES", "who_proves_nothing_is_let_go_and_takes_no_room"),
    ("PEER_HANDSHAKE_MS", "who_proves_nothing_is_let_go_and_takes_no_room"),
    (
        "PEER_ADDRESSES",
        "all_addresses_of_a_name_are_tried_within_one_time_and_no_more_than_the_bound",
    ),
    ("LOOKUPS", "so_many_names_are_looked_up_at_once_others_wait_and_past_the_bound_they_fail"),
    (
        "LOOKUPS_WAITING",
        "so_many_names_are_looked_up_at_once_others_wait_and_past_the_bound_they_fail",
    ),
    ("PEER_PROBE_LOOKUP_MS", "it_is_said_why_nobody_answers_at_a_name"),
    ("PEER_UNPROVEN", "who_proves_nothing_is_let_go_and_takes_no_room"),
    ("PEER_OPERATORS", "of_too_many_operators_the_one_that_came_first_is_let_go"),
    ("LOCAL_OPERATORS", "operators_on_this_machine_are_bounded_and_may_be_nothing_else"),
    ("PEER_STRANGERS", "no_more_strangers_are_heard_than_there_may_be_members"),
    ("PEER_FRAME_BYTES", "a_frame_longer_than_any_that_is_sent_ends_the_connection"),
    ("BOOTS", "the_newest_starts_are_remembered_up_to_a_bound"),
    ("BOOTS_MET", "what_was_met_is_bounded_and_members_are_not_forgotten"),
    (
        "PEER_HELD_BYTES",
        "what_waits_for_a_save_is_bounded_and_the_core_makes_up_for_what_is_dropped",
    ),
    ("PEER_READ_BYTES", "what_is_read_at_once_is_little_from_those_who_have_proven_nothing"),
    ("PEER_OUTPUT_BYTES", "what_waits_for_a_peer_that_does_not_read_is_bounded"),
];

/// Those that nothing can run into, and why.
const NOT_MET: &[(&str, &str)] = &[
    ("DUMP_BUFFER_BYTES", "how much is gathered for one write"),
    ("EXPORT_BUFFER_BYTES", "how much is gathered for one write"),
    ("SYNC_PAGE", "what the client asks for"),
    ("TOKEN_BYTES", "no longer text has a token's form; it is refused before it is decoded"),
    ("INPUT_BYTES", "one whole request is there first, and behind it nothing is read"),
    ("EVENTS", "how many are taken from one poll; the rest comes with the next"),
    ("TURN_READ_BYTES", "how much is taken from one socket in one turn; the rest in the next"),
    ("TURN_ACCEPTS", "how many are taken in one turn; the rest in the next"),
    ("TURN_CLOSES", "how many are closed in one turn; the rest in the next"),
    ("SWEEP_MS", "how often a full table is searched; the search has its test"),
    ("TURN_ENTRIES_BYTES", "how much is read back in one turn; the rest in the next"),
    ("TURN_ENTRIES_LEAST_BYTES", "what an entry counts as"),
    ("READS_IN_TURN", "how many answers are made at once; the rest behind them"),
    ("TURN_DRAIN_BYTES", "how much is thrown away in one turn; the rest in the next"),
    ("WAL_SEGMENT_BYTES", "a default"),
    ("READ_ONLY_AFTER_MS", "a default"),
    ("RAFT_ELECTION_TIMEOUT_MS", "a default"),
    ("RAFT_HEARTBEAT_MS", "a default"),
    ("CLOCK_STANDS_MS", "a default; that it is kept to is tested"),
    ("RAFT_WINDOW", "a default; that it is kept to is tested with others"),
    ("RAFT_BATCH_BYTES", "a default; that it is kept to is tested with others"),
    ("RAFT_CACHE_BYTES", "a default; that it is kept to is tested with others"),
    ("PEER_READS", "twice as many as a cluster has backups, each of which is read for once"),
    ("WAL_SPARE_RETRY_MS", "when something is tried again"),
    ("ACCEPT_AGAIN_MS", "when something is tried again"),
    ("PEER_DIAL_FIRST_MS", "when something is tried again"),
    ("PEER_STAGGER_MS", "when something is tried again"),
    ("PEER_LOOKUP_AGAIN_MS", "when something is tried again"),
    ("OPEN_FIRST_MS", "when something is tried again"),
    ("OPEN_MOST_MS", "when something is tried again"),
    ("PEER_LOOKUP_SLOW_MS", "when something is told"),
    ("PEER_DIAL_MOST_MS", "when something is tried again"),
    ("PEER_DIAL_REFUSED_MS", "when something is tried again"),
    ("PEER_CALL_MS", "when something is tried again"),
    ("FORMING_PROBE_MS", "when something is tried again"),
    ("MEMBERS_ASK_MS", "when something is tried again"),
    ("MEMBERS_AGAIN_MS", "when something is tried again"),
    ("FOLLOW_LOOK_MS", "when something is done"),
    ("MARK_AFTER_MS", "when something is done"),
    ("PEER_SILENCE_TIMEOUTS", "when something is done"),
    ("PEER_LINGER_MS", "when something is done"),
    ("CHANGE_MS", "when something is told"),
    ("SLOW_SYNC_US", "when something is told"),
    ("CLOCK_LOOK_MS", "when something is done"),
    ("CLOCK_TELL_MS", "when something is told"),
    ("CLOCK_TELL_AGAIN_MS", "when something is told"),
    ("FORMING_TELL_MS", "when something is told"),
];

/// The names of the public constants in a source's text.
fn constants(text: &str) -> Vec<&str> {
    let named = text.lines().filter_map(|line| line.strip_prefix("pub const "));
    let named = named.filter(|rest| !rest.starts_with("fn "));
    named.filter_map(|rest| rest.split(':').next()).collect()
}

#[test]
fn every_bound_has_its_row_and_every_row_its_bound() {
    let text = fs::read_to_string(root().join("src/limits.rs")).expect("it is there");
    let bounds = constants(&text);
    assert!(bounds.len() > 90, "only {} found", bounds.len());
    let rows: Vec<&str> = HELD_BY.iter().chain(NOT_MET).map(|(bound, _)| *bound).collect();
    for bound in &bounds {
        let count = rows.iter().filter(|row| *row == bound).count();
        assert_eq!(count, 1, "{bound}: which test shows what happens there? tests/limits has it");
    }
    for row in rows {
        assert!(bounds.contains(&row), "{row} is no bound any more");
    }
}

#[test]
fn every_test_that_holds_a_bound_is_there() {
    let mut tests = String::new();
    for folder in ["src", "tests"] {
        for file in rust_files(&root().join(folder)) {
            let path = root().join(folder).join(&file);
            if file != Path::new("limits/mod.rs") {
                tests.push_str(&fs::read_to_string(path).expect("it is there"));
            }
        }
    }
    for (bound, test) in HELD_BY {
        let is_there =
            |indent: &str| tests.contains(&format!("{indent}#[test]\n{indent}fn {test}() {{"));
        assert!(is_there("") || is_there("    "), "{bound}: there is no test {test}");
    }
}
