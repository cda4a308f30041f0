//! The examples of a page: its commands, and what it says that they print. README's are the
//! commands of its quick start, of which it does not say what they print.

/// What a line of a command ends with that goes on in the next.
const GOES_ON: [&str; 3] = ["\\", "|", "&&"];

/// A command, and the lines that the page shows below it.
#[derive(Debug, PartialEq, Eq)]
pub struct Example {
    /// The command, of several lines where it goes on.
    pub command: String,
    /// What it prints; nothing: the page does not say.
    pub output: Vec<String>,
}

impl Example {
    /// Whether it is a server, which goes on.
    pub fn is_server(&self) -> bool {
        self.command.starts_with("chatctl serve") && !self.command.contains("--new-secret")
    }

    /// Whether it leaves servers behind that serve on.
    pub fn leaves_servers(&self) -> bool {
        self.command.contains("chatctl serve ") && self.command.contains('&')
    }

    /// The file that it shows, where it does nothing else.
    pub fn shows_file(&self) -> Option<&str> {
        self.command.strip_prefix("cat ").filter(|file| !file.contains([' ', '|', '>']))
    }
}

/// The examples of a page, in order; none where it has no such section.
pub fn examples(page: &str) -> Option<Vec<Example>> {
    let section = page.split("\n.Sh ").find_map(|part| part.strip_prefix("EXAMPLES\n"))?;
    let mut examples = Vec::new();
    let mut goes_on = false;
    for line in literal_lines(section) {
        if let Some(command) = line.strip_prefix("$ ") {
            examples.push(Example { command: command.to_owned(), output: Vec::new() });
        } else if let Some(example) = examples.last_mut() {
            if goes_on {
                example.command = format!("{}\n{line}", example.command);
            } else {
                example.output.push(line.clone());
                continue;
            }
        } else {
            panic!("no command before '{line}'");
        }
        goes_on = GOES_ON.iter().any(|end| line.ends_with(end));
    }
    Some(examples)
}

/// README's commands, in order: all of its quick start, and those behind a `#`, which have what
/// they print.
pub fn readme(text: &str) -> Vec<Example> {
    let mut examples = quick_start(text);
    for block in text.split("\n\n").filter(|block| block.starts_with("        # ")) {
        let mut goes_on = true;
        let mut example = Example { command: String::new(), output: Vec::new() };
        for line in block.lines().map(|line| line.get(8..).unwrap_or_default()) {
            match goes_on {
                true => example.command.push_str(line.strip_prefix("# ").unwrap_or(line)),
                false => example.output.push(line.to_owned()),
            }
            goes_on = goes_on && GOES_ON.iter().any(|end| line.ends_with(end));
            if goes_on {
                example.command.push('\n');
            }
        }
        examples.push(example);
    }
    examples
}

/// The commands of README's quick start, in order. What they print is not shown there.
fn quick_start(readme: &str) -> Vec<Example> {
    let section = readme.split("\n## ").find_map(|part| part.strip_prefix("Quick start\n"));
    let section = section.expect("README has a quick start");
    let mut examples: Vec<Example> = Vec::new();
    let blocks = section.split("\n\n").map(|block| block.trim_matches('\n'));
    for block in blocks.filter(|block| block.starts_with("    ")) {
        // What has a rule down its middle is a picture of the screen.
        if block.contains('│') {
            continue;
        }
        let mut goes_on = false;
        let mut within_loop = false;
        for line in block.lines().map(|line| line.strip_prefix("    ").unwrap_or(line)) {
            match examples.last_mut() {
                Some(example) if goes_on => {
                    example.command = format!("{}\n{line}", example.command);
                }
                _ => examples.push(Example { command: line.to_owned(), output: Vec::new() }),
            }
            within_loop = (within_loop || line.starts_with("for ")) && line != "done";
            goes_on = within_loop || GOES_ON.iter().any(|end| line.ends_with(end));
        }
    }
    examples
}

/// The lines that are shown as they are typed: those of `.Dl`, and those between `.Bd -literal` and
/// `.Ed`.
fn literal_lines(section: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut within = false;
    for line in section.lines() {
        match line {
            line if line.starts_with(".Bd -literal") => within = true,
            ".Ed" => within = false,
            line if within => lines.push(plain(line)),
            line => lines.extend(line.strip_prefix(".Dl ").map(plain)),
        }
    }
    lines
}

/// Text of a page as a terminal shows it.
fn plain(line: &str) -> String {
    let line = line.strip_prefix("\\&").unwrap_or(line);
    let mut out = line.replace("\\-", "-").replace("\\(ga", "`").replace("\\(ti", "~");
    out = out.replace("\\(dq", "\"").replace("\\(aq", "'").replace("\\(ha", "^").replace("\\&", "");
    out.replace("\\e", "\\")
}

/// Whether what was printed is what the page shows. What differs from run to run may differ: a number
/// stands for any number, a time or a size for any such, eight hexadecimal digits or more for any such, and the width of gaps
/// does not count. A word `...` stands for any words of its line, a line of it alone for any lines.
pub fn matches(shown: &str, printed: &str) -> bool {
    let lines = |text: &str| -> Vec<Vec<String>> {
        let words = |line: &str| line.split_whitespace().map(shape).collect();
        text.lines().map(words).collect()
    };
    let gap = vec!["...".to_owned()];
    like(&lines(shown), &lines(printed), &gap, &|shown, printed| {
        like(shown, printed, &gap[0], &|shown, printed| shown == printed)
    })
}

/// A word with each number in it made 0.
fn shape(word: &str) -> String {
    if word.len() >= 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return "0".to_owned();
    }
    let unit = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    if unit.len() < word.len() {
        for units in [&["us", "ms", "s"][..], &["B", "KiB", "MiB", "GiB"]] {
            if units.contains(&unit) {
                return format!("0{}", units[0]);
            }
        }
    }
    let mut out = String::new();
    for c in word.chars() {
        match c.is_ascii_digit() {
            true if out.ends_with('0') => {}
            true => out.push('0'),
            false => out.push(c),
        }
    }
    out
}

/// Whether the one row is the other, where `gap` in it stands for any items.
fn like<T: PartialEq>(shown: &[T], printed: &[T], gap: &T, same: &dyn Fn(&T, &T) -> bool) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((first, rest)) if first == gap => {
            (0..=printed.len()).any(|from| like(rest, &printed[from..], gap, same))
        }
        Some((first, rest)) => printed
            .split_first()
            .is_some_and(|(next, behind)| same(first, next) && like(rest, behind, gap, same)),
    }
}

#[test]
fn a_page_s_commands_are_told_from_what_they_print() {
    let page = ".Sh EXAMPLES\nText:\n.Dl $ one \\-\\-two\n.Bd -literal\n$ three \\e\n    four\nfive\n\
                .Ed\n.Sh SEE ALSO\n.Dl $ six\n";
    let page = format!(".Sh NAME\n{page}");
    let example = |command: &str, output: &[&str]| Example {
        command: command.to_owned(),
        output: output.iter().map(|line| line.to_string()).collect(),
    };
    let expected = vec![example("one --two", &[]), example("three \\\n    four", &["five"])];
    assert_eq!(examples(&page), Some(expected));
    assert_eq!(examples(".Sh NAME\n"), None);
}

#[test]
fn readme_s_commands_behind_a_prompt_have_what_they_print() {
    let text = "# x\n\n## Quick start\n\n    a\n\n## Then\n\n1. Do:\n\n        # b \\\n\
                \x20           c\n        d\n        e\n\n2. Not:\n\n        f\n";
    let example = |command: &str, output: &[&str]| Example {
        command: command.to_owned(),
        output: output.iter().map(|line| line.to_string()).collect(),
    };
    let expected = vec![example("a", &[]), example("b \\\n    c", &["d", "e"])];
    assert_eq!(readme(text), expected);
}

#[test]
fn the_quick_start_s_commands_are_its_blocks_without_the_picture() {
    let readme = "# x\n\n## Try it\n\n    no\n\n## Quick start\n\n### One\n\n    a\n\
                  \x20   b \\\n        c\n\nText:\n\n    1│2\n    3│4\n\n    for n in 1; do\n\
                  \x20       d &\n    done\n    e\n\n## Next\n\n    f\n";
    let commands: Vec<String> =
        quick_start(readme).into_iter().map(|example| example.command).collect();
    assert_eq!(commands, ["a", "b \\\n    c", "for n in 1; do\n    d &\ndone", "e"]);
}

#[test]
fn numbers_digests_and_gaps_may_differ_and_nothing_else() {
    assert!(matches("a  12 at 51c3c0e6f0a4", "a 7    at 0123456789ab"));
    assert!(matches("a 340us 128MiB", "a 1.2ms 9B") && !matches("a 340us", "a 3MiB"));
    assert!(matches("a ...\n...\nz", "a b c\nd\ne\nz"));
    for (shown, printed) in [("a 1", "a b"), ("a", "a\nb"), ("a ... z", "a y"), ("a", "")] {
        assert!(!matches(shown, printed), "{shown:?} {printed:?}");
    }
}
