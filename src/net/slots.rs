//! A table of things by key, whose keys are never used twice.

/// A key: a slot's number in the low half, how often the slot was used in the high half. An event
/// for something that has gone finds nothing, even when its slot is taken again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(u64);

impl Key {
    /// No other comes before it.
    pub const LEAST: Key = Key(0);
    /// No other comes after it.
    pub const MOST: Key = Key(u64::MAX);

    /// As mio wants it.
    pub fn token(self) -> mio::Token {
        mio::Token(self.0 as usize)
    }

    /// Back from mio.
    pub fn from_token(token: mio::Token) -> Key {
        Key(token.0 as u64)
    }

    /// Back from [`Key::number`].
    pub fn from_number(number: u64) -> Key {
        Key(number)
    }

    /// The number itself, unique for the life of the table.
    pub fn number(self) -> u64 {
        self.0
    }

    /// The slot: things that belong to it may stand in a table of their own.
    pub fn slot(self) -> usize {
        (self.0 & 0xFFFF_FFFF) as usize
    }

    fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// The table.
pub struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    used: usize,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots { slots: Vec::new(), free: Vec::new(), used: 0 }
    }
}

impl<T> Slots<T> {
    /// How many are in it.
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Puts it in and gives its key.
    pub fn insert(&mut self, value: T) -> Key {
        self.used += 1;
        match self.free.pop() {
            Some(number) => {
                let slot = &mut self.slots[number as usize];
                slot.generation += 1;
                slot.value = Some(value);
                Key(u64::from(slot.generation) << 32 | u64::from(number))
            }
            None => {
                self.slots.push(Slot { generation: 1, value: Some(value) });
                Key(1 << 32 | (self.slots.len() - 1) as u64)
            }
        }
    }

    /// What `key` stands for, unless it has gone.
    pub fn get(&self, key: Key) -> Option<&T> {
        let slot = self.slots.get(key.slot())?;
        slot.value.as_ref().filter(|_| slot.generation == key.generation())
    }

    /// As [`Slots::get`], to change it.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.slot())?;
        slot.value.as_mut().filter(|_| slot.generation == key.generation())
    }

    /// Takes it out. The slot is used again only while its generations last.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        let slot = &mut self.slots[key.slot()];
        self.used -= 1;
        if slot.generation < u32::MAX {
            self.free.push(key.slot() as u32);
        }
        slot.value.take()
    }

    /// All keys in use.
    pub fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        self.slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.value.is_some())
            .map(|(number, slot)| Key(u64::from(slot.generation) << 32 | number as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(slots: &mut Slots<u32>, value: u32) -> Key {
        slots.insert(value)
    }

    #[test]
    fn a_key_that_was_removed_finds_nothing_when_its_slot_is_used_again() {
        let mut slots = Slots::default();
        let first = insert(&mut slots, 1);
        assert_eq!(slots.remove(first), Some(1));
        let second = insert(&mut slots, 2);
        assert_ne!(first, second);
        assert_eq!(slots.get(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get(second), Some(&2));
        assert_eq!(slots.len(), 1);
    }

    #[test]
    fn keys_are_those_in_use() {
        let mut slots = Slots::default();
        let keys: Vec<Key> = (0..5).map(|value| insert(&mut slots, value)).collect();
        slots.remove(keys[2]);
        let left: Vec<Key> = slots.keys().collect();
        assert_eq!(left, [keys[0], keys[1], keys[3], keys[4]]);
    }
}
