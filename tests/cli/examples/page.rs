//! The commands of a page, and the output that it shows: of a man page its section EXAMPLES, of
//! chatctl-cluster(7) every block that begins with a prompt, of README every block marked `sh`.

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
    /// Returns true if the command is a server in the foreground, or in the background and
    /// nothing else.
    pub fn is_server(&self) -> bool {
        let command = self.command.trim_end_matches(" &");
        command.starts_with("chatctl serve")
            && !command.contains("--new-secret")
            && !command.contains('&')
    }

    /// The file that it shows, where it does nothing else.
    pub fn shows_file(&self) -> Option<&str> {
        self.command.strip_prefix("cat ").filter(|file| !file.contains([' ', '|', '>']))
    }
}

/// Returns the examples of a page in order, or `None` if it has no such section.
pub fn examples(page: &str) -> Option<Vec<Example>> {
    let section = page.split("\n.Sh ").find_map(|part| part.strip_prefix("EXAMPLES\n"))?;
    Some(prompted(&literal_lines(section), &["$ "]))
}

/// Returns the commands of a guide in order: those of each block that begins with a prompt.
pub fn guide(page: &str) -> Vec<Example> {
    const PROMPTS: [&str; 2] = ["$ ", "# "];
    let blocks = page.replace("\n.Dl ", "\n.Ed\n.Dl ").replace("\n.Bd ", "\n.Ed\n.Bd ");
    let blocks = blocks.split("\n.Ed\n").map(literal_lines);
    let commands = blocks.filter(|lines| {
        lines.first().is_some_and(|line| PROMPTS.iter().any(|prompt| line.starts_with(prompt)))
    });
    commands.flat_map(|lines| prompted(&lines, &PROMPTS)).collect()
}

/// Returns the commands behind a prompt, with the lines below each.
fn prompted(lines: &[String], prompts: &[&str]) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut goes_on = false;
    for line in lines {
        if let Some(command) = prompts.iter().find_map(|prompt| line.strip_prefix(prompt)) {
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
    examples
}

/// Returns README's commands in order: those of its blocks marked `sh`. README does not show their
/// output.
pub fn readme(text: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for block in text.split("\n```sh\n").skip(1) {
        let (block, _) = block.split_once("\n```\n").expect("a block of README has an end");
        let mut goes_on = false;
        let mut within = false;
        for line in block.lines() {
            match examples.last_mut() {
                Some(example) if goes_on => {
                    example.command = format!("{}\n{line}", example.command);
                }
                _ => examples.push(Example { command: line.to_owned(), output: Vec::new() }),
            }
            within = (within || line.ends_with("() {")) && line != "}";
            goes_on = within || GOES_ON.iter().any(|end| line.ends_with(end));
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
fn a_guide_s_commands_are_in_its_blocks_that_begin_with_a_prompt() {
    let page = ".Sh ONE\n.Bd -literal\n$ a\n# b\nc\n.Ed\n.Pp\n.Dl # d\n.Sh TWO\n\
                .Bd -literal\ne\n.Ed\n.Pp\n.Dl f\n";
    let commands: Vec<(String, Vec<String>)> =
        guide(page).into_iter().map(|example| (example.command, example.output)).collect();
    let expected = [("a", vec![]), ("b", vec!["c"]), ("d", vec![])];
    let expected: Vec<(String, Vec<String>)> = expected
        .map(|(command, output)| (command.into(), output.into_iter().map(str::to_owned).collect()))
        .into();
    assert_eq!(commands, expected);
}

#[test]
fn readme_s_commands_are_in_its_blocks_of_shell() {
    let readme = "# x\n\n```text\nno\n```\n\n```sh\na\nb \\\n    c\n```\n\nText `d`.\n\n\
                  ```sh\ne() {\n    f &\n}\ng; h\n```\n";
    let commands: Vec<String> =
        self::readme(readme).into_iter().map(|example| example.command).collect();
    assert_eq!(commands, ["a", "b \\\n    c", "e() {\n    f &\n}", "g; h"]);
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
