//! Text as clusters: what a reader takes for one character, however many code points it has; and the
//! columns that clusters and lines take on a terminal. Pure.
//!
//! These are the extended grapheme clusters of UAX #29 as far as a chat needs them: marks and
//! joiners with their base (GB9), skin tones, emoji joined by U+200D (GB11), and flags made of two
//! regional indicators (GB12, GB13). Syllables that UAX #29 joins by other rules stay apart; each
//! of their parts has columns, so nothing is drawn wrongly by that.

use super::show;
use super::width::{char_width, contains};

/// After this many characters no other emoji joins a cluster. The longest sequence that Unicode
/// recommends has 10.
const JOINED_CHARS: usize = 16;
/// Joins the emoji on both sides of it.
const JOINER: char = '\u{200d}';

/// Where the first cluster of `text` ends: a byte index, 0 only for an empty text.
pub fn first(text: &str) -> usize {
    // ASCII joins nothing: a short way for most text.
    if let [base, rest @ ..] = text.as_bytes()
        && base.is_ascii()
        && rest.first().is_none_or(u8::is_ascii)
    {
        return 1;
    }
    let mut chars = text.char_indices();
    let Some((_, base)) = chars.next() else {
        return 0;
    };
    if base.is_control() || show::is_harmful(base) {
        return base.len_utf8();
    }
    // The last emoji (or other base); its skin tone; a joiner behind it; and how many came so far.
    let (mut last, mut is_joined, mut count) = (base, false, 1);
    let mut is_toned = is_tone(base);
    for (at, char) in chars {
        count += 1;
        if extends(char) {
            is_joined = char == JOINER;
            continue;
        }
        let joins = match char {
            char if is_tone(char) => !is_joined && !is_toned && is_pictograph(last),
            _ if is_flag_half(char) => count == 2 && is_flag_half(base),
            char => {
                is_joined && count <= JOINED_CHARS && is_pictograph(last) && is_pictograph(char)
            }
        };
        if !joins {
            return at;
        }
        is_joined = false;
        is_toned = is_tone(char);
        if !is_toned {
            last = char;
        }
    }
    text.len()
}

/// The clusters of a text, and where each begins.
pub fn all(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let end = start + first(&text[start..]);
        let cluster = (end > start).then(|| (start, &text[start..end]));
        start = end;
        cluster
    })
}

/// Where the cluster before `place` begins; 0 at the start. `place` is a boundary of characters.
pub fn before(text: &str, place: usize) -> usize {
    // No cluster reaches over an ASCII character, so nothing before the last one matters.
    let ascii = text[..place].rfind(|char: char| char.is_ascii()).unwrap_or(0);
    let starts = all(&text[ascii..]).map(|(start, _)| ascii + start);
    starts.take_while(|start| *start < place).last().unwrap_or(0)
}

/// Columns of one cluster: 0 for a mark that has no base, 2 for every emoji. Terminals disagree
/// about flags, keycaps and joined emoji; 2 is what those that draw them as one give them.
pub fn width(cluster: &str) -> usize {
    let mut chars = cluster.chars();
    let Some(base) = chars.next() else {
        return 0;
    };
    if cluster.len() == base.len_utf8() {
        return char_width(base);
    }
    let widest = chars.clone().map(char_width).max().unwrap_or(0).max(char_width(base));
    let is_emoji = match chars.next() {
        // U+FE0F asks for the emoji, U+20E3 draws the key around the character.
        Some('\u{fe0f}') => is_pictograph(base) || chars.next() == Some('\u{20e3}'),
        Some(second) => is_flag_half(base) && is_flag_half(second),
        None => false,
    };
    if is_emoji { 2 } else { widest }
}

/// Columns of a line of text, which [`show::line`] has made harmless.
pub fn text_width(text: &str) -> usize {
    if text.bytes().all(|byte| (0x20..0x7F).contains(&byte)) {
        return text.len();
    }
    all(text).map(|(_, cluster)| width(cluster)).sum()
}

/// The byte index at which to cut `text` so that it takes at most `columns`. Cuts no cluster.
pub fn take_width(text: &str, columns: usize) -> usize {
    let mut taken = 0;
    for (at, cluster) in all(text) {
        taken += width(cluster);
        if taken > columns {
            return at;
        }
    }
    text.len()
}

/// A mark, a joiner, a variation selector: something that has no column and no effect of its own.
fn extends(char: char) -> bool {
    char_width(char) == 0 && !char.is_control() && !show::is_harmful(char)
}

fn is_tone(char: char) -> bool {
    matches!(char, '\u{1f3fb}'..='\u{1f3ff}')
}

/// A regional indicator: two of them are a flag.
fn is_flag_half(char: char) -> bool {
    matches!(char, '\u{1f1e6}'..='\u{1f1ff}')
}

/// Extended_Pictographic (Unicode 15.1, emoji-data.txt).
fn is_pictograph(char: char) -> bool {
    contains(&PICTOGRAPHS, u32::from(char))
}

/// Ranges, rising: the first and the last code of each in turn.
static PICTOGRAPHS: [u32; 156] = [
    0xA9, 0xA9, 0xAE, 0xAE, 0x203C, 0x203C, 0x2049, 0x2049, 0x2122, 0x2122, 0x2139, 0x2139, 0x2194,
    0x2199, 0x21A9, 0x21AA, 0x231A, 0x231B, 0x2328, 0x2328, 0x2388, 0x2388, 0x23CF, 0x23CF, 0x23E9,
    0x23F3, 0x23F8, 0x23FA, 0x24C2, 0x24C2, 0x25AA, 0x25AB, 0x25B6, 0x25B6, 0x25C0, 0x25C0, 0x25FB,
    0x25FE, 0x2600, 0x2605, 0x2607, 0x2612, 0x2614, 0x2685, 0x2690, 0x2705, 0x2708, 0x2712, 0x2714,
    0x2714, 0x2716, 0x2716, 0x271D, 0x271D, 0x2721, 0x2721, 0x2728, 0x2728, 0x2733, 0x2734, 0x2744,
    0x2744, 0x2747, 0x2747, 0x274C, 0x274C, 0x274E, 0x274E, 0x2753, 0x2755, 0x2757, 0x2757, 0x2763,
    0x2767, 0x2795, 0x2797, 0x27A1, 0x27A1, 0x27B0, 0x27B0, 0x27BF, 0x27BF, 0x2934, 0x2935, 0x2B05,
    0x2B07, 0x2B1B, 0x2B1C, 0x2B50, 0x2B50, 0x2B55, 0x2B55, 0x3030, 0x3030, 0x303D, 0x303D, 0x3297,
    0x3297, 0x3299, 0x3299, 0x1F000, 0x1F0FF, 0x1F10D, 0x1F10F, 0x1F12F, 0x1F12F, 0x1F16C, 0x1F171,
    0x1F17E, 0x1F17F, 0x1F18E, 0x1F18E, 0x1F191, 0x1F19A, 0x1F1AD, 0x1F1E5, 0x1F201, 0x1F20F,
    0x1F21A, 0x1F21A, 0x1F22F, 0x1F22F, 0x1F232, 0x1F23A, 0x1F23C, 0x1F23F, 0x1F249, 0x1F3FA,
    0x1F400, 0x1F53D, 0x1F546, 0x1F64F, 0x1F680, 0x1F6FF, 0x1F774, 0x1F77F, 0x1F7D5, 0x1F7FF,
    0x1F80C, 0x1F80F, 0x1F848, 0x1F84F, 0x1F85A, 0x1F85F, 0x1F888, 0x1F88F, 0x1F8AE, 0x1F8FF,
    0x1F90C, 0x1F93A, 0x1F93C, 0x1F945, 0x1F947, 0x1FAFF, 0x1FC00, 0x1FFFD,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reader_takes_for_one_character_is_one_cluster() {
        for (cluster, columns) in [
            ("a", 1),
            ("e\u{301}", 1),
            ("\u{4e2d}\u{301}", 2),
            ("\u{915}\u{94d}\u{200d}", 1),
            ("\u{1f44d}", 2),
            ("\u{1f44d}\u{1f3fd}", 2),
            ("\u{261d}\u{1f3fd}", 2),
            ("\u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467}\u{200d}\u{1f466}", 2),
            ("\u{1f469}\u{1f3fd}\u{200d}\u{2764}\u{fe0f}\u{200d}\u{1f48b}\u{200d}\u{1f469}", 2),
            ("\u{1f3f3}\u{fe0f}\u{200d}\u{1f308}", 2),
            ("\u{2764}\u{200d}\u{1f525}", 2),
            ("\u{1f1e9}\u{1f1ea}", 2),
            ("1\u{fe0f}\u{20e3}", 2),
            ("#\u{20e3}", 1),
            ("\u{2764}\u{fe0f}", 2),
            ("\u{2764}", 1),
            ("a\u{fe0f}", 1),
            ("\u{1f6dc}", 2),
            ("\u{1fae8}", 2),
            ("\u{1fabf}", 2),
            ("\u{1f1e9}", 1),
            ("\u{301}", 0),
        ] {
            assert_eq!(first(cluster), cluster.len(), "{cluster}");
            assert_eq!(width(cluster), columns, "{cluster}");
            // Nor does it take anything of what is around it.
            let text = format!("x{cluster}y");
            let starts: Vec<usize> = all(&text).map(|(start, _)| start).collect();
            let own = if columns == 0 { vec![0] } else { vec![0, 1] };
            assert_eq!(starts, [own, vec![1 + cluster.len()]].concat(), "{cluster}");
        }
    }

    #[test]
    fn what_only_looks_like_a_sequence_is_cut() {
        for (text, parts) in [
            ("ab", &["a", "b"][..]),
            ("a\u{1f3fd}", &["a", "\u{1f3fd}"]),
            ("\u{1f44d}\u{1f3fd}\u{1f3fd}", &["\u{1f44d}\u{1f3fd}", "\u{1f3fd}"]),
            ("a\u{200d}\u{1f467}", &["a\u{200d}", "\u{1f467}"]),
            ("\u{1f467}\u{200d}a", &["\u{1f467}\u{200d}", "a"]),
            ("\u{1f1e9}\u{1f1ea}\u{1f1eb}", &["\u{1f1e9}\u{1f1ea}", "\u{1f1eb}"]),
            ("\u{1f1e9}\u{301}\u{1f1ea}", &["\u{1f1e9}\u{301}", "\u{1f1ea}"]),
            ("a\u{202e}\u{1b}\u{301}", &["a", "\u{202e}", "\u{1b}", "\u{301}"]),
            ("\n\r", &["\n", "\r"]),
            ("", &[]),
        ] {
            let cut: Vec<&str> = all(text).map(|(_, cluster)| cluster).collect();
            assert_eq!(cut, parts, "{text:?}");
        }
    }

    #[test]
    fn a_chain_without_an_end_is_many_clusters() {
        let chain = "\u{1f469}\u{200d}".repeat(10_000);
        let mut whole = 0;
        for (_, cluster) in all(&chain) {
            assert!(cluster.chars().count() <= JOINED_CHARS + 1);
            assert_eq!(width(cluster), 2);
            whole += cluster.len();
        }
        assert_eq!(whole, chain.len());
    }

    #[test]
    fn before_finds_the_boundary_that_all_has() {
        let text = "ab\u{1f1e9}\u{1f1ea}\u{1f1eb}\u{1f1f7}e\u{301}\u{1f44d}\u{1f3fd}\n\u{301}x";
        let mut expected = 0;
        for (start, cluster) in all(text) {
            assert_eq!(before(text, start), expected);
            expected = start;
            assert_eq!(before(text, start + cluster.len()), start);
        }
        assert_eq!(before("", 0), 0);
        // From within one, it is the boundary before.
        assert_eq!(before("\u{1f1e9}\u{1f1ea}", 4), 0);
    }

    #[test]
    fn the_table_is_in_order_and_apart() {
        let (ranges, rest) = PICTOGRAPHS.as_chunks::<2>();
        assert!(rest.is_empty());
        assert!(ranges.iter().all(|[first, last]| first <= last));
        assert!(ranges.windows(2).all(|pair| pair[0][1] + 1 < pair[1][0]));
    }

    #[test]
    fn the_width_of_text_is_the_sum() {
        assert_eq!(text_width(""), 0);
        assert_eq!(text_width("na\u{ef}ve"), 5);
        assert_eq!(text_width("nai\u{308}ve"), 5);
        assert_eq!(text_width("\u{4e2d}\u{6587} ok"), 7);
    }

    #[test]
    fn text_is_cut_between_characters_with_their_marks() {
        let text = "a\u{4e2d}e\u{301}z";
        let cuts: Vec<&str> = (0..7).map(|columns| &text[..take_width(text, columns)]).collect();
        let whole = text;
        let expected = ["", "a", "a", "a\u{4e2d}", "a\u{4e2d}e\u{301}", whole, whole];
        assert_eq!(cuts, expected);
        assert_eq!(take_width("", 0), 0);
        assert_eq!(take_width("\u{301}a", 0), 2, "a mark alone takes no column");
        for columns in 0..7 {
            assert!(text_width(&text[..take_width(text, columns)]) <= columns);
        }
    }
}
