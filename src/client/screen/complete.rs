//! Tab: completes a command or a name.

use super::super::commands::COMMANDS;
use super::super::session::Request;
use super::Screen;
use super::layers::{Completion, Layer};
use super::types::Asked;
use crate::protocol::Message;

impl Screen {
    pub(super) fn complete(&mut self) {
        let typed = &self.composer.editor.text()[..self.composer.editor.cursor()];
        let (before, word) = typed.split_at(word_start(typed));
        let candidates = match (before, word) {
            ("", word) if word.starts_with('/') => commands_from(word),
            _ if !words_of(before).is_empty() => {
                let words = words_of(before).into_iter().filter(|known| known.starts_with(word));
                words.map(str::to_string).collect()
            }
            _ => self.names_from(word, takes_name(before)),
        };
        match (candidates.is_empty(), word) {
            (false, _) => self.offer(before.len(), candidates),
            (true, word) if word.is_empty() || word.starts_with('/') => {
                self.tell("nothing to complete");
            }
            // Perhaps the server knows a name.
            (true, word) => {
                let pattern = format!("{}*", word.to_lowercase());
                let text = self.composer.editor.text().to_string();
                let request = Request::List { pattern, after: String::new() };
                self.ask(request, Asked::Complete { text });
            }
        }
    }

    fn names_from(&self, word: &str, may_be_empty: bool) -> Vec<String> {
        if word.is_empty() && !may_be_empty {
            return Vec::new();
        }
        let word = word.to_lowercase();
        // The names of conversations come first.
        let own = self.book.all().iter().map(|talk| &talk.name);
        let mut names: Vec<String> = Vec::new();
        for name in own.chain(self.people.all()).filter(|name| name.starts_with(&word)) {
            if !names.contains(name) {
                names.push(name.clone());
            }
            if names.len() >= CANDIDATES {
                break;
            }
        }
        names
    }

    /// Completes the word as far as all candidates agree, or else with the first one; further Tabs go
    /// through the others.
    fn offer(&mut self, start: usize, candidates: Vec<String>) {
        let shared = shared_beginning(&candidates);
        if candidates.len() > 1 && shared.len() > self.composer.editor.cursor() - start {
            self.composer.put_word(start, shared);
            return self.tell(&candidates.join("  "));
        }
        self.composer.put_word(start, &(candidates[0].clone() + " "));
        if candidates.len() > 1 {
            self.layers.open(Layer::Completion(Completion::new(start, candidates)));
        }
    }

    /// Names that begin with the word that was typed when the server was asked.
    pub(super) fn on_completion(&mut self, text: &str, last: &Message<'_>) {
        if self.composer.editor.text() != text || !self.layers.is_free() {
            return;
        }
        let typed = &text[..self.composer.editor.cursor()];
        let start = word_start(typed);
        let word = typed[start..].to_lowercase();
        let names = last.body.split(',').filter(|name| !name.is_empty() && name.starts_with(&word));
        let candidates: Vec<String> = names.take(CANDIDATES).map(str::to_string).collect();
        if candidates.is_empty() {
            return self.tell("no account name begins with that");
        }
        candidates.iter().for_each(|name| self.people.note(name));
        self.offer(start, candidates);
    }
}

/// Candidates that are offered; further ones need more letters.
const CANDIDATES: usize = 50;

/// Where the last word of a text begins.
fn word_start(typed: &str) -> usize {
    typed.rfind(char::is_whitespace).map_or(0, |at| at + 1)
}

fn commands_from(word: &str) -> Vec<String> {
    let names = COMMANDS.iter().map(|spec| spec.name);
    names.filter(|name| name.starts_with(word)).map(str::to_string).collect()
}

/// Returns true if the text before the word is a command that takes a name next.
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
    let Some((first, rest)) = words.split_first() else { return "" };
    let same = |other: &String| {
        let pairs = first.bytes().zip(other.bytes());
        pairs.take_while(|(a, b)| a == b).count()
    };
    let length = rest.iter().map(same).min().unwrap_or(first.len());
    // Names are ASCII; other words are left whole.
    first.get(..length).unwrap_or("")
}
