//! Tab: a command or a name from its beginning; pressed again, the next one that fits.

use super::super::commands::COMMANDS;
use super::super::session::Request;
use super::Screen;
use super::answers::Asked;
use crate::protocol::Message;

/// What Tab goes through.
#[derive(Debug)]
pub(super) struct Completion {
    /// Where the word begins in the text.
    start: usize,
    candidates: Vec<String>,
    at: usize,
}

impl Screen {
    pub(super) fn complete(&mut self) {
        if let Some(mut completion) = self.completion.take() {
            completion.at = (completion.at + 1) % completion.candidates.len();
            return self.put_candidate(completion);
        }
        let typed = &self.editor.text()[..self.editor.cursor()];
        let start = typed.rfind(char::is_whitespace).map_or(0, |at| at + 1);
        let (before, word) = (&typed[..start], &typed[start..]);
        let candidates = match (before, word) {
            ("", word) if word.starts_with('/') => commands_from(word),
            _ if !words_of(before).is_empty() => {
                let words = words_of(before).into_iter().filter(|known| known.starts_with(word));
                words.map(str::to_string).collect()
            }
            _ => self.names_from(word, takes_name(before)),
        };
        match (candidates.is_empty(), word) {
            (false, _) => self.put_candidate(Completion { start, candidates, at: 0 }),
            (true, word) if word.is_empty() || word.starts_with('/') => {
                self.tell("nothing to complete");
            }
            // Perhaps the server knows one.
            (true, word) => {
                let pattern = format!("{}*", word.to_lowercase());
                let text = self.editor.text().to_string();
                let request = Request::List { pattern, after: String::new() };
                self.ask(request, Asked::Complete { text });
            }
        }
    }

    /// The candidate before, while Tab goes through them.
    pub(super) fn complete_back(&mut self) {
        if let Some(mut completion) = self.completion.take() {
            completion.at = completion.at.checked_sub(1).unwrap_or(completion.candidates.len() - 1);
            self.put_candidate(completion);
        }
    }

    fn names_from(&self, word: &str, may_be_empty: bool) -> Vec<String> {
        if word.is_empty() && !may_be_empty {
            return Vec::new();
        }
        let word = word.to_lowercase();
        // Those who are spoken with come first.
        let own = self.book.all().iter().map(|talk| &talk.name);
        let others = self.names.iter().chain(&self.online);
        let mut names: Vec<String> = Vec::new();
        for name in own.chain(others).filter(|name| name.starts_with(&word)) {
            if !names.contains(name) {
                names.push(name.clone());
            }
            if names.len() >= CANDIDATES {
                break;
            }
        }
        names
    }

    fn put_candidate(&mut self, completion: Completion) {
        let (text, cursor) = (self.editor.text(), self.editor.cursor());
        let (start, candidates) = (completion.start, &completion.candidates);
        let shared = shared_beginning(candidates);
        // First as far as all agree, then one after the other.
        let is_first = self.completion.is_none() && completion.at == 0;
        let longer = is_first && candidates.len() > 1 && shared.len() > cursor - start;
        let word = match longer {
            true => shared.to_string(),
            false => candidates[completion.at].clone() + " ",
        };
        let (before, behind) = (&text[..start], text[cursor..].trim_start());
        let place = before.len() + word.len();
        let whole = format!("{before}{word}{behind}");
        if candidates.len() > 1 {
            self.tell(&candidates.join("  "));
        }
        self.editor.replace(whole);
        self.editor.set_cursor(place);
        self.completion = (candidates.len() > 1 && !longer).then_some(completion);
    }

    /// Names that begin as the typed word, which may have changed meanwhile.
    pub(super) fn on_completion(&mut self, text: &str, last: &Message<'_>) {
        if self.editor.text() != text || self.is_asking() {
            return;
        }
        let typed = &text[..self.editor.cursor()];
        let start = typed.rfind(char::is_whitespace).map_or(0, |at| at + 1);
        let word = typed[start..].to_lowercase();
        let names = last.body.split(',').filter(|name| !name.is_empty() && name.starts_with(&word));
        let candidates: Vec<String> = names.take(CANDIDATES).map(str::to_string).collect();
        if candidates.is_empty() {
            return self.tell("no account begins so");
        }
        for name in &candidates {
            self.note_name(name);
        }
        self.put_candidate(Completion { start, candidates, at: 0 });
    }
}

/// Candidates that are offered; further ones need more letters.
const CANDIDATES: usize = 50;

fn commands_from(word: &str) -> Vec<String> {
    let names = COMMANDS.iter().map(|spec| spec.name);
    names.filter(|name| name.starts_with(word)).map(str::to_string).collect()
}

/// Whether what stands before is a command that takes a name next.
fn takes_name(before: &str) -> bool {
    let command = before.trim_end();
    let spec = COMMANDS.iter().find(|spec| spec.name == command);
    spec.is_some_and(|spec| spec.args.starts_with("NAME") || spec.args.starts_with("[NAME"))
}

/// The words that the command before takes: `send` and `drop` of `[send|drop]`.
fn words_of(before: &str) -> Vec<&'static str> {
    let command = before.trim_end();
    let spec = COMMANDS.iter().find(|spec| spec.name == command);
    let args = spec.map_or("", |spec| spec.args.trim_matches(['[', ']']));
    let is_word = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
    args.split('|').filter(is_word).collect()
}

fn shared_beginning(words: &[String]) -> &str {
    let Some((first, rest)) = words.split_first() else {
        return "";
    };
    let same = |other: &String| {
        let pairs = first.bytes().zip(other.bytes());
        pairs.take_while(|(a, b)| a == b).count()
    };
    let length = rest.iter().map(same).min().unwrap_or(first.len());
    // Names are ASCII; whatever is not is left whole.
    first.get(..length).unwrap_or("")
}
