//! The nearest known word to a mistyped one.

/// Longest word that is compared, bytes: nobody mistypes a flag into more.
const WORD_BYTES: usize = 64;

/// The word of `known` that `typed` was most likely meant to be: the nearest within a third of its
/// length, else the only one that begins with it.
pub fn nearest<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if typed.is_empty() || typed.len() > WORD_BYTES {
        return None;
    }
    let known: Vec<&str> = known.collect();
    let within = (typed.chars().count() / 3).max(1);
    let best = known
        .iter()
        .map(|word| (distance(typed, word), *word))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= within);
    if let Some((_, word)) = best {
        return Some(word);
    }
    let mut longer = known.into_iter().filter(|word| word.starts_with(typed));
    longer.next().filter(|_| longer.next().is_none())
}

/// Insertions, deletions, replacements and swaps of neighbours that make `a` into `b` (optimal
/// string alignment).
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before_last[j - 2] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_fingers_finds_the_word_and_a_stranger_finds_none() {
        let known = ["serve", "chat", "dump-log", "bench-codec", "bench-load"];
        for (typed, meant) in [
            ("sevre", Some("serve")),
            ("server", Some("serve")),
            ("dumplog", Some("dump-log")),
            ("caht", Some("chat")),
            ("du", Some("dump-log")),
            ("bench", None),
            ("frobnicate", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, known.into_iter()), meant, "{typed}");
        }
    }

    #[test]
    fn distances_are_those_known() {
        for (a, b, expected) in
            [("kitten", "sitting", 3), ("ab", "ba", 1), ("", "abc", 3), ("same", "same", 0)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }
}
