use super::super::shell::driver::tests::Offline;
use super::*;

fn message(from: &str, seq: u64) -> Incoming {
    Incoming {
        id: id::format(seq.into()),
        from: from.to_string(),
        to: "alice".to_string(),
        body: "hello".to_string(),
        time: 1,
        seq,
    }
}

#[test]
fn of_too_many_places_the_oldest_is_forgotten_and_all_others_can_be_deleted() {
    let agent = &mut Offline::new().driver.agent;
    let mut line = Line::new(Style::Text, "alice", false);
    let most = limits::SHOWN_PLACES as u64;
    for seq in 1..=most {
        line.on_message(agent, 0, &message("bob", seq));
    }
    line.on_line(agent, 0, "/delete #1");
    assert_eq!((line.asked.len(), line.problems()), (1, 0), "at the bound all are known");
    // An own message takes a place too.
    let (to, body) = ("bob".to_string(), "hi".to_string());
    line.on_event(agent, 0, Event::Sent { id: 7, to, body, seq: most + 1, time: 1 });
    assert_eq!(line.places.len(), limits::SHOWN_PLACES);
    line.printer.take();
    line.on_line(agent, 0, "/delete #1");
    assert_eq!((line.asked.len(), line.problems()), (1, 1));
    let told = String::from_utf8(line.printer.take()).expect("text");
    assert!(told.contains("was not shown in this run"), "{told}");
    for kept in [2, most, most + 1] {
        line.on_line(agent, 0, &format!("/delete #{kept}"));
    }
    assert_eq!((line.asked.len(), line.problems()), (4, 1));
}

#[test]
fn of_too_many_senders_one_is_forgotten_and_remembered_again_by_its_next_message() {
    let agent = &mut Offline::new().driver.agent;
    let mut line = Line::new(Style::Text, "alice", false);
    let most = limits::SHOWN_SENDERS;
    let name = |number: usize| format!("user{number:05}");
    for number in 0..most {
        line.on_message(agent, 0, &message(&name(number), number as u64 + 1));
    }
    line.on_message(agent, 0, &message(&name(3), 5_000));
    assert_eq!(line.shown_from.len(), most, "who is known already makes nobody forgotten");
    assert_eq!(line.shown_from[&name(3)], (2, 5_000));
    line.on_message(agent, 0, &message(&name(most), 5_001));
    assert_eq!(line.shown_from.len(), most);
    assert!(!line.shown_from.contains_key(&name(0)));
    assert_eq!(line.shown_from[&name(most)], (1, 5_001));
    line.on_message(agent, 0, &message(&name(0), 5_002));
    assert_eq!((line.shown_from.len(), line.shown_from[&name(0)]), (most, (1, 5_002)));
}

#[test]
fn a_login_to_a_server_without_a_majority_says_once_that_accounts_may_be_out_of_date() {
    let agent = &mut Offline::new().driver.agent;
    for style in [Style::Terminal { colour: false }, Style::Text, Style::Json] {
        let mut line = Line::new(style, "alice", false);
        for read_only in [true, false, true] {
            let name = "alice".to_string();
            let login = Event::LoggedIn { name, unread: 0, resumed: false, read_only };
            line.on_event(agent, 0, login);
            let told = String::from_utf8(line.printer.take()).expect("text");
            let count = told.matches("passwords and accounts may be out of date").count();
            assert_eq!(count, usize::from(read_only), "{style:?}: {told}");
            let lines = told.lines().count();
            assert_eq!(lines, 1 + usize::from(read_only), "a line of its own: {told}");
        }
    }
}

#[test]
fn msg_without_a_text_chooses_whom_to_talk_to_where_somebody_types() {
    let agent = &mut Offline::new().driver.agent;
    let mut line = Line::new(Style::Text, "alice", true);
    line.on_line(agent, 0, "/msg Bob");
    assert_eq!((line.current(), line.problems()), (Some("bob"), 0));
    // In a script a text was meant: what comes next must not go there.
    let mut line = Line::new(Style::Text, "alice", false);
    line.on_line(agent, 0, "/msg bob ");
    assert_eq!((line.current(), line.problems()), (None, 1));
    let told = String::from_utf8(line.printer.take()).expect("text");
    assert!(told.contains("there is no text to send"), "{told}");
}
