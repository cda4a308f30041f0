//! What was acknowledged against what the history has.
//!
//! A run makes its message ids itself: its own random bytes, the sender's number, the message's
//! number. So a bit for each message is all that has to be remembered, and an id tells whose it is.

use crate::protocol::id;

#[derive(Clone, Copy, Debug)]
pub struct Ids {
    run: [u8; 6],
}

/// Messages that one client can send: an id has five bytes for the number.
pub const MESSAGES: u64 = 1 << 40;

impl Ids {
    pub fn new(run: [u8; 6]) -> Ids {
        Ids { run }
    }

    /// The id of the message `number` of `sender`: version 4 with its variant, as any other, then the
    /// sender in two bytes and the number in the last five.
    pub fn id(&self, sender: u16, number: u64) -> u128 {
        debug_assert!(number < MESSAGES, "the number fits its five bytes");
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&self.run);
        bytes[9..11].copy_from_slice(&sender.to_be_bytes());
        bytes[11..].copy_from_slice(&number.to_be_bytes()[3..]);
        id::from_random(bytes)
    }

    /// Whose id it is: (sender, number); none for an id that this run has not made.
    pub fn read(&self, text: &str) -> Option<(u16, u64)> {
        let found = id::parse(text)?;
        let (sender, number) = ((found >> 40) as u16, found as u64 & (MESSAGES - 1));
        (self.id(sender, number) == found).then_some((sender, number))
    }
}

/// In whose history a message was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Sender,
    Receiver,
}

/// A bit for each number from 0 on.
#[derive(Clone, Debug, Default)]
struct Bits {
    words: Vec<u64>,
}

impl Bits {
    /// Sets a bit, and gives whether it was clear.
    fn set(&mut self, number: u64) -> bool {
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let clear = self.words[word] & bit == 0;
        self.words[word] |= bit;
        clear
    }

    fn word(&self, at: usize) -> u64 {
        self.words.get(at).copied().unwrap_or(0)
    }
}

#[derive(Clone, Debug, Default)]
struct Sent {
    /// How many were made: their numbers are below this.
    made: u64,
    acknowledged: Bits,
    at_sender: Bits,
    at_receiver: Bits,
}

#[derive(Clone, Debug)]
pub struct Ledger {
    senders: Vec<Sent>,
    doubled: u64,
    damaged: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Acknowledged messages that were looked for.
    pub checked: u64,
    /// Acknowledged, and not in the sender's or not in the receiver's history.
    pub missing: u64,
    /// Found in one history more often than once, counted each time more.
    pub doubled: u64,
    /// Found with another sender, receiver or text than was sent.
    pub damaged: u64,
}

impl Verdict {
    /// Whether every acknowledged message is where it belongs, once.
    pub fn is_good(&self) -> bool {
        (self.missing, self.doubled, self.damaged) == (0, 0, 0)
    }
}

impl Ledger {
    pub fn new(senders: usize) -> Ledger {
        Ledger { senders: vec![Sent::default(); senders], doubled: 0, damaged: 0 }
    }

    /// The number of the sender's next message.
    pub fn make(&mut self, sender: u16) -> u64 {
        let sent = &mut self.senders[usize::from(sender)];
        sent.made += 1;
        sent.made - 1
    }

    pub fn acknowledged(&mut self, sender: u16, number: u64) {
        let sent = &mut self.senders[usize::from(sender)];
        debug_assert!(number < sent.made, "only what was sent is acknowledged");
        sent.acknowledged.set(number);
    }

    /// The message was found in a history, whole. One that nobody has sent is damaged.
    pub fn found(&mut self, sender: u16, number: u64, side: Side) {
        let sent = self.senders.get_mut(usize::from(sender));
        let Some(sent) = sent.filter(|sent| number < sent.made) else {
            return self.found_damaged();
        };
        let bits = match side {
            Side::Sender => &mut sent.at_sender,
            Side::Receiver => &mut sent.at_receiver,
        };
        if !bits.set(number) {
            self.doubled += 1;
        }
    }

    /// A message was found that is not what was sent.
    pub fn found_damaged(&mut self) {
        self.damaged += 1;
    }

    /// Compares, once every history has been read.
    pub fn verdict(&self) -> Verdict {
        let mut verdict =
            Verdict { doubled: self.doubled, damaged: self.damaged, ..Verdict::default() };
        for sent in &self.senders {
            for (at, &word) in sent.acknowledged.words.iter().enumerate() {
                let lacking = word & !(sent.at_sender.word(at) & sent.at_receiver.word(at));
                verdict.checked += u64::from(word.count_ones());
                verdict.missing += u64::from(lacking.count_ones());
            }
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_whose_it_is_and_those_of_others_are_nobodys() {
        let ids = Ids::new(*b"runrun");
        for (sender, number) in [(0, 0), (1, 2), (9_999, MESSAGES - 1), (u16::MAX, 77)] {
            let text = id::format(ids.id(sender, number));
            assert_eq!(ids.read(&text), Some((sender, number)));
            assert_eq!(Ids::new(*b"ruNrun").read(&text), None);
        }
        assert_eq!(ids.read("8d4a8912-5776-4438-ac14-8b791cfc63f2"), None);
        assert_eq!(ids.read("no id"), None);
    }

    /// Two senders, 100 messages each, acknowledged and found in both histories.
    fn whole() -> Ledger {
        let mut ledger = Ledger::new(2);
        for sender in 0..2 {
            for number in 0..100 {
                assert_eq!(ledger.make(sender), number);
                ledger.acknowledged(sender, number);
                ledger.found(sender, number, Side::Sender);
                ledger.found(sender, number, Side::Receiver);
            }
        }
        ledger
    }

    #[test]
    fn what_is_everywhere_once_is_neither_missing_nor_doubled() {
        let verdict = whole().verdict();
        assert_eq!(verdict, Verdict { checked: 200, ..Verdict::default() });
        assert!(verdict.is_good());
    }

    #[test]
    fn a_message_that_one_of_the_two_histories_lacks_is_missing() {
        for side in [Side::Sender, Side::Receiver] {
            let mut ledger = whole();
            let number = ledger.make(1);
            ledger.acknowledged(1, number);
            ledger.found(1, number, side);
            let verdict = ledger.verdict();
            assert_eq!(verdict, Verdict { checked: 201, missing: 1, ..Verdict::default() });
            assert!(!verdict.is_good());
        }
    }

    #[test]
    fn a_message_that_one_history_has_twice_is_doubled() {
        let mut ledger = whole();
        ledger.found(0, 64, Side::Receiver);
        let verdict = ledger.verdict();
        assert_eq!(verdict, Verdict { checked: 200, doubled: 1, ..Verdict::default() });
        assert!(!verdict.is_good());
    }

    #[test]
    fn what_was_never_acknowledged_may_be_there_or_not() {
        let mut ledger = whole();
        let number = ledger.make(0);
        ledger.make(0);
        ledger.found(0, number, Side::Sender);
        assert!(ledger.verdict().is_good());
    }

    #[test]
    fn a_message_that_nobody_has_sent_is_damaged() {
        let mut ledger = whole();
        ledger.found(2, 0, Side::Sender);
        ledger.found(1, MESSAGES - 1, Side::Receiver);
        assert_eq!(ledger.verdict().damaged, 2);
    }
}
