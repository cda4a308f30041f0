//! What must hold in the end of what all clients were told and all servers have.

use std::collections::{BTreeMap, HashMap};

use super::chatter::Chats;
use super::receiver::{Readings, Seen};
use super::sender::{Outcome, Sent};

/// Everything that clients know.
#[derive(Default)]
pub struct Records {
    pub sent: Vec<Sent>,
    pub readings: Vec<Readings>,
    pub chats: Vec<Chats>,
}

/// Holds the clients' records against the messages that are stored, in their order.
pub fn check(records: &Records, stored: &[Seen]) {
    assert!(stored.is_sorted_by(|one, other| one.seq < other.seq && one.time <= other.time));
    let by_body: HashMap<&str, &Seen> =
        stored.iter().map(|seen| (seen.body.as_str(), seen)).collect();
    assert_eq!(by_body.len(), stored.len(), "no message is stored twice");
    let mut meant = 0;
    for sent in &records.sent {
        meant += usize::from(check_sent(sent, by_body.get(sent.body.as_str()).copied()));
    }
    if meant != stored.len() {
        let bodies: HashMap<&str, &Sent> =
            records.sent.iter().map(|sent| (sent.body.as_str(), sent)).collect();
        let phantom = stored.iter().find(|seen| !bodies.contains_key(seen.body.as_str()));
        panic!("{meant} messages were sent, {} are stored: {phantom:?}", stored.len());
    }
    check_order_of_senders(records, &by_body);
    records.readings.iter().for_each(|readings| check_readings(readings, stored));
    records.chats.iter().for_each(|chats| check_shown(chats, stored));
}

/// One message; whether it is stored.
fn check_sent(sent: &Sent, found: Option<&Seen>) -> bool {
    match (&sent.outcome, found) {
        (Outcome::Stored { id, seq, time }, Some(found)) => {
            let told = (id, *seq, *time, &sent.from, &sent.to);
            let is = (&found.id, found.seq, found.time, &found.from, &found.to);
            assert_eq!(told, is, "what was acknowledged is what is stored");
        }
        (Outcome::Stored { .. }, None) => panic!("acknowledged and lost: {sent:?}"),
        (Outcome::Refused, Some(found)) => panic!("refused and stored: {sent:?}, {found:?}"),
        (Outcome::Open, Some(found)) => {
            assert_eq!((&sent.from, &sent.to), (&found.from, &found.to), "a phantom");
        }
        (_, None) => {}
    }
    found.is_some()
}

fn check_order_of_senders(records: &Records, by_body: &HashMap<&str, &Seen>) {
    let mut last: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let mut sent: Vec<&Sent> = records.sent.iter().collect();
    sent.sort_by_key(|sent| (&sent.from, sent.number));
    for sent in sent {
        let Some(found) = by_body.get(sent.body.as_str()) else { continue };
        let before = last.insert(&sent.from, (sent.number, found.seq)).unwrap_or((0, 0));
        let this = (sent.number, found.seq);
        assert!(before.0 < this.0 && before.1 < this.1, "{}: {before:?} {this:?}", sent.from);
    }
}

/// What an account can see of what is stored.
pub fn seen_by<'a>(name: &'a str, stored: &'a [Seen]) -> impl Iterator<Item = &'a Seen> {
    stored.iter().filter(move |seen| seen.to == name || seen.from == name)
}

fn check_readings(readings: &Readings, stored: &[Seen]) {
    let name = &readings.name;
    let all: Vec<&Seen> = seen_by(name, stored).collect();
    for (place, seen) in readings.seen.iter().enumerate() {
        assert_eq!(all.get(place), Some(&seen), "{name}: the same as stored, in order, once");
    }
    let upto = all.partition_point(|seen| seen.seq <= readings.cursor);
    assert_eq!(readings.seen.len(), upto, "{name}: nothing is left out");
    for (had, floor) in &readings.floors {
        let due = all.partition_point(|seen| seen.seq <= *floor);
        assert!(*had >= due, "{name}: it read {had} messages, {due} were acknowledged before");
    }
    for early in &readings.early {
        let place = all.binary_search_by_key(&early.seq, |seen| seen.seq);
        assert_eq!(place.ok().map(|place| all[place]), Some(early), "{name}: pushed and not so");
    }
}

fn check_shown(chats: &Chats, stored: &[Seen]) {
    let name = &chats.name;
    let due: Vec<&Seen> = stored.iter().filter(|seen| seen.to == *name).collect();
    for (place, shown) in chats.shown.iter().enumerate() {
        assert_eq!(due.get(place), Some(&shown), "{name}: shown once each, in order");
    }
    assert_eq!(chats.shown.len(), due.len(), "{name}: all is shown");
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    fn message(from: &str, number: u64, seq: u64) -> Seen {
        Seen {
            from: from.to_owned(),
            to: "reader".to_owned(),
            id: format!("id-{from}-{number}"),
            body: format!("{from} {number}"),
            seq,
            time: 1_000 + seq,
        }
    }

    fn meant(seen: &Seen, number: u64) -> Sent {
        let Seen { from, to, id, body, seq, time } = seen.clone();
        Sent { from, to, body, number, outcome: Outcome::Stored { id, seq, time } }
    }

    /// Two senders, a reader and a chat, of whom all is true.
    fn truth() -> (Records, Vec<Seen>) {
        let stored =
            vec![message("a", 1, 3), message("b", 1, 4), message("a", 2, 7), message("b", 2, 9)];
        let sent = stored.iter().zip([1, 1, 2, 2]).map(|(seen, number)| meant(seen, number));
        let readings = Readings {
            name: "reader".to_owned(),
            seen: stored[..3].to_vec(),
            cursor: 8,
            floors: vec![(2, 4), (3, 7)],
            early: vec![stored[3].clone()],
            read_only: 0,
        };
        let chats = Chats {
            name: "reader".to_owned(),
            sent: Vec::new(),
            shown: stored.clone(),
            problems: Vec::new(),
        };
        let records =
            Records { sent: sent.collect(), readings: vec![readings], chats: vec![chats] };
        (records, stored)
    }

    #[test]
    fn what_is_true_is_taken_and_each_planted_fault_is_found() {
        let (records, stored) = truth();
        check(&records, &stored);
        type Fault = (&'static str, fn(&mut Records, &mut Vec<Seen>));
        let faults: [Fault; 15] = [
            ("acknowledged and lost", |_, stored| drop(stored.remove(1))),
            ("stored twice", |_, stored| stored.push(message("b", 2, 10))),
            ("a phantom", |_, stored| stored.push(message("c", 1, 10))),
            ("acknowledged at another place", |_, stored| stored[3].seq = 10),
            ("acknowledged with another time", |_, stored| stored[3].time += 1),
            ("time goes back", |_, stored| stored[3].time = 1),
            ("stored for somebody else", |records, stored| {
                records.sent[3].outcome = Outcome::Open;
                stored[3].to = "another".to_owned();
            }),
            ("refused and stored", |records, _| records.sent[3].outcome = Outcome::Refused),
            ("a sender's order", |records, _| {
                (records.sent[0].number, records.sent[2].number) = (2, 1);
            }),
            ("a message was left out", |records, _| drop(records.readings[0].seen.remove(1))),
            ("a message came twice", |records, stored| {
                records.readings[0].seen.insert(1, stored[0].clone());
            }),
            ("the cursor is past what was read", |records, _| records.readings[0].cursor = 9),
            ("a read that goes back", |records, _| records.readings[0].floors.push((2, 7))),
            ("pushed and not so", |records, _| records.readings[0].early[0].seq = 8),
            ("not shown", |records, _| drop(records.chats[0].shown.pop())),
        ];
        for (what, plant) in faults {
            let (mut records, mut stored) = truth();
            plant(&mut records, &mut stored);
            let found = catch_unwind(AssertUnwindSafe(|| check(&records, &stored)));
            assert!(found.is_err(), "not found: {what}");
        }
    }
}
