//! Lines for an operator, and how those that repeat are folded. Pure: time comes in.
//!
//! Each line has a topic. The first [`limits::FOLD_FREE`] lines of a topic are told at once, unless
//! one says the same as the line before it but for its numbers. After that a topic has one line,
//! then a gap; the gap grows fourfold with each line told, from [`limits::FOLD_FIRST_MS`] up to
//! [`limits::FOLD_MOST_MS`]. Lines that come within the gap are left out and counted, and at its end
//! the last of them is told with the count. A topic that is silent for [`limits::FOLD_MOST_MS`] gets
//! one of its free lines back.
//!
//! A line with another state than the topic's last one, such as another role of the server, is told
//! at once whatever was told before, with the count of what it ends.
//!
//! So a state that lasts, whatever it is, comes to a line in ten minutes for each topic. Where topics
//! are many their gaps are longer, so that all of them together have less than 200 lines an hour.
//! Debug lines are not folded.

use std::fmt;
use std::str::FromStr;

use crate::limits;

/// How much a line on standard error matters, and how much a server tells there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TraceLevel {
    /// Something failed, and an operator must act.
    Error,
    /// Something may need an operator, or is worse than it should be.
    Warning,
    /// Something changed: start, stop, roles, members.
    #[default]
    Info,
    /// Details, such as every connection.
    Debug,
}

impl fmt::Display for TraceLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TraceLevel::Error => "error",
            TraceLevel::Warning => "warning",
            TraceLevel::Info => "info",
            TraceLevel::Debug => "debug",
        })
    }
}

impl FromStr for TraceLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<TraceLevel, String> {
        match text {
            "error" => Ok(TraceLevel::Error),
            "warning" => Ok(TraceLevel::Warning),
            "info" => Ok(TraceLevel::Info),
            "debug" => Ok(TraceLevel::Debug),
            _ => Err(format!("unknown level {text:?}: use error, warning, info or debug")),
        }
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How much it matters.
    pub level: TraceLevel,
    /// What it is about: lines of one topic are folded together.
    pub topic: String,
    /// What it says.
    pub text: String,
    /// What is so from now on: told at once where the topic's last state is another one. May be empty.
    pub state: String,
}

impl Line {
    /// A line that is folded with those that differ from it in numbers only.
    pub fn new(level: TraceLevel, text: impl Into<String>) -> Line {
        let text = text.into();
        Line { level, topic: without_numbers(&text), text, state: String::new() }
    }

    /// A line that is folded with the others of its topic.
    pub fn of(level: TraceLevel, topic: impl Into<String>, text: impl Into<String>) -> Line {
        Line { level, topic: topic.into(), text: text.into(), state: String::new() }
    }

    /// The same, of a state that an operator must not miss.
    pub fn with_state(self, state: impl Into<String>) -> Line {
        Line { state: state.into(), ..self }
    }
}

/// What was told and left out of each topic.
#[derive(Default)]
pub struct Folder {
    topics: Vec<Topic>,
}

struct Topic {
    name: String,
    /// How many lines were told, less what was given back for silence.
    told: u32,
    /// When the last line was told, and when the next may be.
    told_ms: u64,
    next_ms: u64,
    /// When the last line came, told or not.
    last_ms: u64,
    /// That line, without its numbers.
    same: String,
    /// The last state, told or not.
    state: String,
    left_out: Option<LeftOut>,
}

struct LeftOut {
    count: u64,
    first_ms: u64,
    level: TraceLevel,
    /// What the last one says.
    text: String,
}

impl Folder {
    /// Returns the line if it must be told now.
    pub fn take(&mut self, now_ms: u64, line: Line) -> Option<Line> {
        if line.level == TraceLevel::Debug {
            return Some(line);
        }
        let rest_ms = self.rest_ms();
        let at = self.place_of(now_ms, rest_ms, &line);
        let topic = &mut self.topics[at];
        topic.rest(now_ms, rest_ms);
        let same = without_numbers(&line.text);
        if same == topic.same && topic.told > 0 {
            topic.told = topic.told.max(limits::FOLD_FREE);
            topic.next_ms = topic.next_ms.max(topic.told_ms + limits::FOLD_FIRST_MS);
        }
        topic.same = same;
        topic.last_ms = now_ms;
        let is_news = !line.state.is_empty() && line.state != topic.state;
        if is_news {
            topic.state.clone_from(&line.state);
        }
        if (is_news || now_ms >= topic.next_ms) && topic.left_out.is_none() {
            topic.tell(now_ms, rest_ms);
            return Some(line);
        }
        let Line { level, text, .. } = line;
        let left_out = topic.left_out.get_or_insert_with(|| LeftOut {
            count: 0,
            first_ms: now_ms,
            level,
            text: String::new(),
        });
        left_out.count += 1;
        left_out.level = left_out.level.min(level);
        left_out.text = text;
        if !is_news {
            return None;
        }
        topic.tell(now_ms, rest_ms);
        topic.sum_up(now_ms)
    }

    /// When [`Folder::due`] has a line at the earliest, milliseconds.
    pub fn next_ms(&self) -> Option<u64> {
        let pending = self.topics.iter().filter(|topic| topic.left_out.is_some());
        pending.map(|topic| topic.next_ms).min()
    }

    /// What is told of lines that were left out, where a gap is over.
    pub fn due(&mut self, now_ms: u64) -> Option<Line> {
        let rest_ms = self.rest_ms();
        let is_due = |topic: &&mut Topic| topic.left_out.is_some() && topic.next_ms <= now_ms;
        let topic = self.topics.iter_mut().find(is_due)?;
        topic.tell(now_ms, rest_ms);
        topic.sum_up(now_ms)
    }

    /// The same at the end, when nothing is told later.
    pub fn finish(&mut self, now_ms: u64) -> Option<Line> {
        self.topics.iter_mut().find_map(|topic| topic.sum_up(now_ms))
    }

    /// The longest gap, and the silence that gives a free line back: the more topics there are, the
    /// longer.
    fn rest_ms(&self) -> u64 {
        limits::FOLD_MOST_MS.max(self.topics.len() as u64 * limits::FOLD_EACH_MS)
    }

    /// The topic's place. Where there are too many, it is one for all others of the line's level.
    fn place_of(&mut self, now_ms: u64, rest_ms: u64, line: &Line) -> usize {
        let place = |topics: &[Topic], name: &str| topics.iter().position(|t| t.name == name);
        if let Some(at) = place(&self.topics, &line.topic) {
            return at;
        }
        self.topics.retain(|topic| !topic.is_over(now_ms, rest_ms));
        let others = format!("other {} lines", line.level);
        let is_full = self.topics.len() >= limits::FOLD_TOPICS;
        let name = if is_full { &others } else { &line.topic };
        place(&self.topics, name).unwrap_or_else(|| {
            self.topics.push(Topic {
                name: name.clone(),
                told: 0,
                told_ms: now_ms,
                next_ms: 0,
                last_ms: now_ms,
                same: String::new(),
                state: String::new(),
                left_out: None,
            });
            self.topics.len() - 1
        })
    }
}

impl Topic {
    /// Gives back what silence earns.
    fn rest(&mut self, now_ms: u64, rest_ms: u64) {
        let silent_ms = now_ms.saturating_sub(self.last_ms);
        let rests = u32::try_from(silent_ms / rest_ms).unwrap_or(u32::MAX);
        self.told = self.told.saturating_sub(rests);
    }

    /// Whether nothing needs to be known of it any more.
    fn is_over(&self, now_ms: u64, rest_ms: u64) -> bool {
        let silent_ms = now_ms.saturating_sub(self.last_ms);
        self.left_out.is_none() && silent_ms >= u64::from(self.told).max(1) * rest_ms
    }

    /// A line is told now: the next waits.
    fn tell(&mut self, now_ms: u64, rest_ms: u64) {
        self.told = (self.told + 1).min(limits::FOLD_FREE + u64::BITS);
        let steps = self.told.checked_sub(limits::FOLD_FREE + 1);
        let gap_ms = steps.map_or(0, |n| limits::FOLD_FIRST_MS.saturating_mul(4u64.pow(n.min(16))));
        self.told_ms = now_ms;
        self.next_ms = now_ms + gap_ms.min(rest_ms);
    }

    /// What is told of the lines that were left out.
    fn sum_up(&mut self, now_ms: u64) -> Option<Line> {
        let LeftOut { count, first_ms, level, mut text } = self.left_out.take()?;
        if count > 1 {
            let seconds = now_ms.saturating_sub(first_ms).div_ceil(1000).max(1);
            text = format!("{text} (last of {count} similar lines within {seconds} s)");
        }
        Some(Line::of(level, &self.name, text))
    }
}

/// The text with `#` for each number in it. A name such as `s1` is none.
fn without_numbers(text: &str) -> String {
    let mut same = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(length.max(c.len_utf8()));
        let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
        same.push_str(if is_number { "#" } else { word });
        rest = behind;
    }
    same
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    fn info(text: &str) -> Line {
        Line::new(TraceLevel::Info, text)
    }

    /// Feeds lines, in the order of their times, and gives what is told, with the time.
    fn told(lines: impl IntoIterator<Item = (u64, Line)>, until_ms: u64) -> Vec<(u64, String)> {
        let mut folder = Folder::default();
        let mut told = Vec::new();
        let catch_up = |folder: &mut Folder, told: &mut Vec<(u64, String)>, to_ms| {
            while let Some(at_ms) = folder.next_ms().filter(|at_ms| *at_ms <= to_ms) {
                let line = folder.due(at_ms).expect("it is due");
                told.push((at_ms, line.text));
            }
        };
        for (at_ms, line) in lines {
            catch_up(&mut folder, &mut told, at_ms);
            if let Some(line) = folder.take(at_ms, line) {
                told.push((at_ms, line.text));
            }
        }
        catch_up(&mut folder, &mut told, until_ms);
        while let Some(line) = folder.finish(until_ms) {
            told.push((until_ms, line.text));
        }
        told
    }

    #[test]
    fn a_line_that_repeats_is_told_once_and_then_ever_more_rarely_with_its_count() {
        let lines = (0..100).map(|second| (second * 1000, info(&format!("try {second} failed"))));
        let told = told(lines, 300_000);
        let expected = [
            (0, "try 0 failed"),
            (10_000, "try 9 failed (last of 9 similar lines within 9 s)"),
            (20_000, "try 19 failed (last of 10 similar lines within 10 s)"),
            (60_000, "try 59 failed (last of 40 similar lines within 40 s)"),
            (220_000, "try 99 failed (last of 40 similar lines within 160 s)"),
        ];
        let told: Vec<(u64, &str)> = told.iter().map(|(ms, text)| (*ms, text.as_str())).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn the_first_changes_of_a_topic_are_told_at_once_and_flapping_is_folded() {
        let of = |second: u64| {
            let state = if second.is_multiple_of(2) { "down" } else { "up" };
            (second * 1000, Line::of(TraceLevel::Info, "peer b", format!("peer b is {state}")))
        };
        let free = u64::from(limits::FOLD_FREE);
        let few = told((0..free).map(of), free * 1000);
        assert_eq!(few.len() as u64, free, "{few:?}");
        let many = told((0..3600).map(of), HOUR_MS);
        assert!(many.len() as u64 > free && many.len() < 25, "{many:?}");
        assert!(many.last().unwrap().1.starts_with("peer b is up (last of "), "{many:?}");
    }

    #[test]
    fn a_new_state_is_told_within_a_gap_and_ends_it_and_the_same_again_is_folded() {
        let of = |second: u64, text: &str| {
            let line = Line::of(TraceLevel::Info, "role", text);
            let state = text.strip_prefix("under ").unwrap_or_default();
            (second * 1000, line.with_state(state))
        };
        let flapping = (0..20).map(|second| of(second, ["alone", "under a"][second as usize % 2]));
        let then = [of(20, "alone"), of(21, "under b"), of(22, "under b"), of(23, "under a")];
        let told = told(flapping.chain(then), 24_000);
        let expected = [
            (6_000, "alone"),
            (16_000, "under a (last of 9 similar lines within 9 s)"),
            (21_000, "under b (last of 6 similar lines within 5 s)"),
            (23_000, "under a (last of 2 similar lines within 1 s)"),
        ];
        let told: Vec<(u64, &str)> = told.iter().map(|(ms, text)| (*ms, text.as_str())).collect();
        assert_eq!(told[limits::FOLD_FREE as usize..], expected);
    }

    #[test]
    fn lines_of_other_topics_and_names_with_digits_are_told_whatever_repeats() {
        let mut lines: Vec<(u64, Line)> =
            (0..5).map(|s| (s * 1000, info("port 7 is busy"))).collect();
        lines.push((4_500, info("peer s1 is up")));
        lines.push((4_500, info("peer s2 is up")));
        let told = told(lines, 5_000);
        assert_eq!(told[1..3], [(4_500, "peer s1 is up".into()), (4_500, "peer s2 is up".into())]);
        assert_eq!(told[3].1, "port 7 is busy (last of 4 similar lines within 4 s)", "at the end");
    }

    #[test]
    fn silence_gives_free_lines_back_and_a_topic_is_forgotten() {
        let mut folder = Folder::default();
        for second in 0..60 {
            folder.take(second * 1000, info("x"));
        }
        while folder.due(HOUR_MS).is_some() {}
        let later_ms = 4 * HOUR_MS;
        for letter in ["a", "b", "c", "d"] {
            let line = Line::of(TraceLevel::Info, "x", letter);
            assert!(folder.take(later_ms, line).is_some(), "{letter} is told at once");
        }
        folder.take(9 * HOUR_MS, info("y"));
        assert_eq!(folder.topics.len(), 1, "only y is known");
    }

    #[test]
    fn debug_lines_are_not_folded_and_what_was_left_out_keeps_its_worst_level() {
        let mut folder = Folder::default();
        for _ in 0..100 {
            assert!(folder.take(0, Line::new(TraceLevel::Debug, "x")).is_some());
        }
        for level in [TraceLevel::Info, TraceLevel::Error, TraceLevel::Info] {
            folder.take(1, Line::of(level, "t", "same"));
        }
        assert_eq!(folder.finish(2).unwrap().level, TraceLevel::Error);
        assert!(folder.finish(2).is_none());
    }

    /// Any lines at any pace, of few topics and of more than are known at a time.
    #[test]
    fn no_steady_state_has_more_than_200_lines_an_hour() {
        for topics in [1, 3, 10, 30, limits::FOLD_TOPICS as u64, 500] {
            for period_ms in [50, 700, 10_001, 31_000, 61_000, 300_000, 601_000, 1_300_000] {
                // Each topic has a burst of lines every period, out of step with the others.
                let burst = 8;
                let mut lines: Vec<(u64, Line)> = Vec::new();
                let most = (100_000 / topics / burst).max(4 * HOUR_MS / 1_300_000);
                let rounds = (4 * HOUR_MS / period_ms).min(most);
                let step_ms = 4 * HOUR_MS / rounds;
                for round in 0..rounds {
                    for topic in 0..topics {
                        for n in 0..burst {
                            let at_ms = round * step_ms + topic * step_ms / topics;
                            let text = format!("{} {topic}", ["up", "down"][n as usize % 2]);
                            let line = Line::of(TraceLevel::Info, topic.to_string(), text);
                            lines.push((at_ms, line));
                        }
                    }
                }
                let told = told(lines, 4 * HOUR_MS);
                for hour in 1..4 {
                    let within = hour * HOUR_MS..(hour + 1) * HOUR_MS;
                    let count = told.iter().filter(|(ms, _)| within.contains(ms)).count();
                    let case = format!("{topics} topics every {step_ms} ms, hour {hour}");
                    assert!(count <= 200, "{case}: {count}");
                    assert!(count >= 1, "{case}: nothing is told");
                }
            }
        }
    }

    #[test]
    fn the_longest_gap_is_bounded_and_longer_where_there_are_many_topics() {
        for topics in [1, 50] {
            let line = |second: u64, topic: u64| {
                let text = format!("try {second} of {topic} failed");
                (second * 1000, Line::of(TraceLevel::Info, topic.to_string(), text))
            };
            let seconds = (0..8 * 3600).step_by(10);
            let lines =
                seconds.flat_map(|second| (0..topics).map(move |topic| line(second, topic)));
            let mut told = told(lines, 8 * HOUR_MS - 1);
            told.retain(|(_, text)| text.contains(" of 0 failed"));
            told.pop();
            let gap = |pair: &[(u64, String)]| pair[1].0 - pair[0].0;
            let longest = told.windows(2).map(gap).max();
            assert_eq!(longest, Some(limits::FOLD_MOST_MS.max(topics * limits::FOLD_EACH_MS)));
        }
    }

    #[test]
    fn topics_are_bounded() {
        let mut folder = Folder::default();
        for topic in 0..10 * limits::FOLD_TOPICS {
            folder.take(1, Line::of(TraceLevel::Info, format!("topic {topic}"), "x"));
        }
        assert_eq!(folder.topics.len(), limits::FOLD_TOPICS + 1);
    }
}
