//! The patterns of `list` and `who`.
//!
//! `*` any text, `?` any one character, `[a-z0-9_]` one of a class, `[!a-z]` or `[^a-z]` one
//! outside it. A pattern without any of these is a substring; an empty one, and `all`, match every
//! name. Patterns are folded as names are. Names hold none of the special characters, so there is
//! no escape: a backslash is a character that no name has.

use crate::limits::{LIST_SCAN, LIST_WORK, NAME_BYTES, PATTERN_BYTES};
use crate::mutants::{Mutant, planted};
use std::fmt;

/// A set of byte values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Class([u64; 4]);

impl Class {
    fn of(low: u8, high: u8) -> Class {
        let mut class = Class([0; 4]);
        class.add(low, high);
        class
    }

    fn add(&mut self, low: u8, high: u8) {
        for byte in low..=high {
            self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
        }
    }

    fn holds(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }
}

/// A step of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    One(Class),
    AnyText,
}

/// A pattern that names are matched against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    steps: Vec<Step>,
    /// What every name that matches begins with.
    prefix: String,
}

/// Why a text is not a pattern: one sentence without the code `bad-pattern`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPattern(&'static str);

impl fmt::Display for BadPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for BadPattern {}

/// A page of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePage<'a> {
    /// Those that match, in order.
    pub names: Vec<&'a str>,
    /// The cursor of the next page: the last name that was looked at; none at the end.
    pub next: Option<&'a str>,
    /// Units of work that it took.
    pub work: u64,
}

/// What looking at a name costs besides the steps of the match, in units of work.
const NAME_WORK: u64 = 16;

impl Pattern {
    /// Reads a pattern, at most [`PATTERN_BYTES`] long.
    pub fn parse(text: &str) -> Result<Pattern, BadPattern> {
        if text.len() > PATTERN_BYTES {
            return Err(BadPattern("the pattern is longer than 255 bytes; names have at most 32"));
        }
        let folded = text.to_ascii_lowercase();
        let literal = |byte| Step::One(Class::of(byte, byte));
        let steps = if folded.is_empty() || folded == "all" {
            vec![Step::AnyText]
        } else if !folded.contains(['*', '?', '[']) {
            let inner = folded.bytes().map(literal);
            [Step::AnyText].into_iter().chain(inner).chain([Step::AnyText]).collect()
        } else {
            parse_steps(folded.as_bytes())?
        };
        let special = folded.find(['*', '?', '[']);
        let prefix = special.map_or("", |at| &folded[..at]).to_string();
        Ok(Pattern { steps, prefix })
    }

    /// What every name that matches begins with; may be empty.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether the whole name matches.
    pub fn matches(&self, name: &str) -> bool {
        self.match_counted(name, &mut 0)
    }

    /// As [`Pattern::matches`]; adds the steps that it took, at most steps of the pattern times bytes
    /// of the name: of two `*`, only the later is ever tried again.
    fn match_counted(&self, name: &str, work: &mut u64) -> bool {
        let (steps, name) = (&self.steps, name.as_bytes());
        let (mut step, mut at) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        loop {
            *work += 1;
            match steps.get(step) {
                Some(Step::AnyText) => {
                    retry = Some((step + 1, at));
                    step += 1;
                    continue;
                }
                Some(Step::One(class)) if at < name.len() && class.holds(name[at]) => {
                    (step, at) = (step + 1, at + 1);
                    continue;
                }
                None if at == name.len() => return true,
                _ => {}
            }
            match retry {
                Some((after, from)) if from < name.len() => {
                    retry = Some((after, from + 1));
                    (step, at) = (after, from + 1);
                }
                _ => return false,
            }
        }
    }

    /// A page of those names, given in order, that match: at most `limit`. At most [`LIST_SCAN`] are
    /// looked at, and about [`LIST_WORK`] is done, so that the page may be short, even empty, and
    /// still have a next one.
    pub fn page<'a>(&self, names: impl Iterator<Item = &'a str>, limit: usize) -> NamePage<'a> {
        let mut page = NamePage { names: Vec::new(), next: None, work: 0 };
        let mut last = None;
        for (looked_at, name) in names.enumerate() {
            let enough = page.work >= LIST_WORK && !planted(Mutant::ListUnbounded);
            if page.names.len() == limit || looked_at == LIST_SCAN || enough {
                page.next = last;
                break;
            }
            page.work += NAME_WORK;
            if self.match_counted(name, &mut page.work) {
                page.names.push(name);
            }
            last = Some(name);
        }
        page
    }
}

/// Steps of a pattern with wildcards. Stars in a row are one; a pattern with more single characters
/// than a name can have is cut after one too many, which matches no name either.
fn parse_steps(text: &[u8]) -> Result<Vec<Step>, BadPattern> {
    let (mut steps, mut rest, mut singles) = (Vec::new(), text, 0);
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let class = match byte {
            b'*' => {
                if steps.last() != Some(&Step::AnyText) {
                    steps.push(Step::AnyText);
                }
                continue;
            }
            b'?' => Class::of(0, u8::MAX),
            b'[' => parse_class(&mut rest)?,
            _ => Class::of(byte, byte),
        };
        singles += 1;
        if singles <= NAME_BYTES + 1 {
            steps.push(Step::One(class));
        }
    }
    Ok(steps)
}

/// A class, from behind its `[` to behind its `]`.
fn parse_class(rest: &mut &[u8]) -> Result<Class, BadPattern> {
    let Some(end) = rest.iter().position(|&byte| byte == b']') else {
        return Err(BadPattern("[ has no closing ]"));
    };
    let (inner, after) = (&rest[..end], &rest[end + 1..]);
    *rest = after;
    let (negated, mut inner) = match inner {
        [b'!' | b'^', inner @ ..] => (true, inner),
        _ => (false, inner),
    };
    if inner.is_empty() {
        return Err(BadPattern("[] is empty"));
    }
    let mut class = Class([0; 4]);
    loop {
        inner = match inner {
            [low, b'-', high, after @ ..] => {
                if low > high {
                    return Err(BadPattern("a range in [] runs backwards"));
                }
                class.add(*low, *high);
                after
            }
            [byte, after @ ..] => {
                class.add(*byte, *byte);
                after
            }
            [] => break,
        };
    }
    Ok(if negated { Class(class.0.map(|bits| !bits)) } else { class })
}
