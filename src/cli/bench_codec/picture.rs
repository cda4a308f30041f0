//! Bars of bytes, as wide as the terminal lets them be.

use std::io::{self, Write};

use super::fields::{Cost, Part};

/// What the output can show.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Columns of a line.
    pub columns: usize,
    /// Blocks in the place of signs of ASCII.
    pub blocks: bool,
    /// Colours.
    pub colour: bool,
}

impl Default for Look {
    fn default() -> Look {
        Look { columns: 80, blocks: false, colour: false }
    }
}

/// The colours of the two codecs, as a terminal is told them.
const JSON: &str = "33";
const BINARY: &str = "36";
/// The narrowest bar that still shows something, columns.
const LEAST: usize = 8;
/// The widest that is needed.
const MOST: usize = 100;

/// The bytes of one message of a kind in both codecs.
#[derive(Clone, Copy, Debug)]
pub struct Bytes {
    pub kind: &'static str,
    pub json: usize,
    pub binary: usize,
}

impl Look {
    /// Two bars for each kind, whose longer one is full: JSON against binary.
    pub fn kinds(self, kinds: &[Bytes], out: &mut dyn Write) -> io::Result<()> {
        const BESIDE: usize = 14 + 7 + 7 + 2 + 6;
        let width = self.columns.saturating_sub(BESIDE).clamp(LEAST, MOST);
        for Bytes { kind, json, binary } in kinds {
            let most = *json.max(binary);
            for (name, codec, bytes, colour) in
                [(*kind, "json", *json, JSON), ("", "binary", *binary, BINARY)]
            {
                let bar = self.bar(Part { content: bytes, around: 0 }, most, width, colour);
                let share = bytes as f64 * 100.0 / (*json).max(1) as f64;
                let share = if codec == "json" { "" } else { &format!(" {share:.0} %") };
                writeln!(out, "{name:<14}{codec:<7}{bytes:>7}  {bar}{share}")?;
            }
        }
        Ok(())
    }

    /// A bar for each field in both codecs, all on one scale: what it says, and what is around it.
    pub fn fields(self, costs: &[Cost], out: &mut dyn Write) -> io::Result<()> {
        const BESIDE: usize = 9 + 2 * 13;
        let width = (self.columns.saturating_sub(BESIDE) / 2).clamp(LEAST, MOST);
        let bytes = costs.iter().flat_map(|cost| [cost.json.bytes(), cost.binary.bytes()]);
        let most = bytes.max().unwrap_or(0);
        let shown = |part: Part| format!("{}+{}", part.content, part.around);
        let gap = " ".repeat(width);
        writeln!(out, "{:<9}{:>8}  {gap} {:>8}", "field", "json", "binary")?;
        for Cost { field, json, binary } in costs {
            let (in_json, in_binary) = (shown(*json), shown(*binary));
            let json_bar = self.bar(*json, most, width, JSON);
            // The bar is padded by what is seen of it.
            let pad = " ".repeat(width - lengths(*json, most, width).iter().sum::<usize>());
            let binary_bar = self.bar(*binary, most, width, BINARY);
            let line =
                format!("{field:<9}{in_json:>8}  {json_bar}{pad} {in_binary:>8}  {binary_bar}");
            writeln!(out, "{}", line.trim_end())?;
        }
        let total = |part: fn(&Cost) -> Part| {
            let parts = || costs.iter().map(part);
            let (content, around) =
                (parts().map(|part| part.content).sum(), parts().map(|part| part.around).sum());
            shown(Part { content, around })
        };
        let (json, binary) = (total(|cost| cost.json), total(|cost| cost.binary));
        writeln!(out, "{:<9}{json:>8}  {gap} {binary:>8}", "all")
    }

    /// A bar of so many bytes, of which `most` fill `width` columns.
    fn bar(self, part: Part, most: usize, width: usize, colour: &str) -> String {
        let [content, around] = lengths(part, most, width);
        let (full, light) = if self.blocks { ("\u{2588}", "\u{2591}") } else { ("#", "-") };
        let bar = full.repeat(content) + &light.repeat(around);
        match self.colour && !bar.is_empty() {
            true => format!("\x1b[{colour}m{bar}\x1b[0m"),
            false => bar,
        }
    }
}

/// Columns of what a field says and of what is around it: together as long as they should be, and
/// nothing that is there unseen.
fn lengths(part: Part, most: usize, width: usize) -> [usize; 2] {
    let scaled = |bytes: usize| (bytes * width).div_ceil(most.max(1)).min(width);
    let all = scaled(part.bytes());
    let least = usize::from(part.around > 0).min(all);
    let content = scaled(part.content).min(all - least);
    [content, all - content]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Bytes; 2] = [
        Bytes { kind: "typical", json: 162, binary: 86 },
        Bytes { kind: "small", json: 83, binary: 13 },
    ];

    fn printed(print: impl Fn(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        print(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn bars_stand_for_bytes_at_any_width_and_never_leave_the_line() {
        for columns in [0, 40, 80, 132, 1_000] {
            let look = Look { columns, ..Look::default() };
            let text = printed(|out| look.kinds(&KINDS, out));
            let bars: Vec<usize> = text.lines().map(|line| line.matches('#').count()).collect();
            assert!(text.lines().all(|line| line.len() <= columns.max(44)), "{columns}: {text}");
            assert!(bars[0] >= LEAST && bars[0] <= MOST && bars[0] == bars[2], "{text}");
            assert_eq!(bars[1], (86 * bars[0]).div_ceil(162), "{text}");
            assert_eq!(bars[3], (13 * bars[0]).div_ceil(83), "{text}");
        }
    }

    #[test]
    fn a_field_shows_what_it_says_and_what_is_around_it_on_one_scale() {
        let part = |content, around| Part { content, around };
        let costs = [
            Cost { field: "msg_ids", json: part(36, 15), binary: part(36, 4) },
            Cost { field: "error", json: part(5, 11), binary: part(1, 0) },
        ];
        let look = Look::default();
        let text = printed(|out| look.fields(&costs, out));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.iter().all(|line| line.len() <= 80), "{text}");
        let first = format!(
            "msg_ids     36+15  {}{}     36+4  {}{}",
            "#".repeat(16),
            "-".repeat(6),
            "#".repeat(16),
            "-".repeat(2)
        );
        assert_eq!(lines[1], first);
        assert!(lines[2].ends_with("1+0  #"), "{text}");
        let last: Vec<&str> = lines[3].split_whitespace().collect();
        assert_eq!(last, ["all", "41+26", "37+4"]);
        let seen: Vec<usize> = text.lines().skip(1).map(|line| line.find('+').unwrap()).collect();
        assert!(seen.windows(2).all(|pair| pair[0].abs_diff(pair[1]) <= 1), "aligned: {text}");
    }

    #[test]
    fn blocks_and_colours_are_for_terminals_that_want_them() {
        let plain = printed(|out| Look::default().kinds(&KINDS, out));
        assert!(plain.is_ascii() && !plain.contains('\u{1b}'));
        let look = Look { blocks: true, ..Look::default() };
        let blocks = printed(|out| look.kinds(&KINDS, out));
        assert_eq!(blocks.replace('\u{2588}', "#"), plain);
        let look = Look { colour: true, ..Look::default() };
        let coloured = printed(|out| look.kinds(&KINDS, out));
        assert_eq!(coloured.matches("\u{1b}[33m").count(), 2);
        assert_eq!(coloured.matches("\u{1b}[36m").count(), 2);
        let without = ["\u{1b}[33m", "\u{1b}[36m", "\u{1b}[0m"]
            .iter()
            .fold(coloured, |text, code| text.replace(code, ""));
        assert_eq!(without, plain);
    }
}
