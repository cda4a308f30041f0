//! `chatctl members`: which servers a cluster has, and how that is changed. The PRIMARY does it; it is
//! looked for first, and again where it hands over meanwhile.

use std::io::Write;
use std::time::{Duration, Instant};

use super::error::Error;
use super::operator::{self, Server};
use super::terminal;
use super::values::{Members, Target};
use crate::auth::hmac;
use crate::limits;
use crate::node::Listed;
use crate::node::flags::server_name;
use crate::node::peers::change::{Change, Verb};
use crate::node::peers::wire::Frame;

/// What a server says, `key value` by `key value`.
type Pairs = Vec<(String, String)>;

struct Operator {
    servers: Vec<Server>,
    secret: hmac::Key,
    by: Instant,
}

/// Runs `chatctl members`.
pub fn run(values: &Members, target: &Target, out: &mut dyn Write) -> Result<u8, Error> {
    let change = change(values)?;
    let (servers, secret) = operator::servers(target)?;
    let by = Instant::now() + Duration::from_millis(target.timeout_ms);
    let operator = Operator { servers, secret, by };
    let Some(change) = change else {
        let (_, answer) = operator.primary()?;
        let rows = rows(&answer);
        let text = if values.json { json(&rows) } else { table(&rows) };
        out.write_all(text.as_bytes())?;
        return Ok(0);
    };
    operator.ask_for(&change)?;
    let name = &change.name;
    match change.verb {
        Verb::Remove => writeln!(out, "{name} is no longer a member")?,
        Verb::Add | Verb::Replace => {
            writeln!(out, "{name} is a member now; it gets a vote when it has caught up")?;
        }
    }
    Ok(0)
}

/// The change to ask for; `None`: only the list is wanted.
fn change(values: &Members) -> Result<Option<Change>, Error> {
    let wrong = |what: &str| Err(Error::usage(what));
    let (verb, server) = match (values.verb, &values.server) {
        (None, None) => return Ok(None),
        (None, Some(_)) => return wrong("list takes no NAME"),
        (Some(Verb::Add), None) => return wrong("add needs the server's NAME"),
        (Some(Verb::Remove), None) => return wrong("remove needs the server's NAME"),
        (Some(Verb::Replace), None) => return wrong("replace needs the server's NAME"),
        (Some(_), Some(_)) if values.json => return wrong("--json works only with list"),
        (Some(verb), Some(server)) => (verb, server),
    };
    let with_address = server.contains('=');
    match verb {
        Verb::Add if !with_address => return wrong("add needs NAME=HOST[:PORT]"),
        Verb::Remove if with_address => return wrong("remove needs a NAME only"),
        _ => {}
    }
    if with_address {
        let Listed { name, address } = server.parse().map_err(Error::usage)?;
        return Ok(Some(Change { verb, name, address }));
    }
    let name = server_name(server).map_err(|why| Error::usage(format!("'{server}': {why}")))?;
    Ok(Some(Change { verb, name, address: String::new() }))
}

impl Operator {
    fn primary(&self) -> Result<(Server, Pairs), Error> {
        loop {
            let mut why = "no server is PRIMARY".to_owned();
            for server in &self.servers {
                match self.primary_by(server) {
                    Ok(found) => return Ok(found),
                    Err(reason) => why = format!("{server}: {reason}"),
                }
            }
            self.wait(&why)?;
        }
    }

    /// The same, as one server tells it.
    fn primary_by(&self, server: &Server) -> Result<(Server, Pairs), String> {
        let at_most = Instant::now() + Duration::from_millis(limits::MEMBERS_ASK_MS);
        let ask = |server: &Server| {
            operator::ask(server, &Frame::Ask, &self.secret, self.by.min(at_most))
        };
        let answer = ask(server)?;
        let role = |answer: &Pairs| operator::value(answer, "role").unwrap_or("-").to_owned();
        if role(&answer) == "PRIMARY" {
            return Ok((server.clone(), answer));
        }
        let primary = operator::value(&answer, "primary").unwrap_or("-").to_owned();
        let members = operator::members(&answer);
        let Some((_, address)) = members.into_iter().find(|(name, _)| *name == primary) else {
            return Err(format!("it is {} and knows no PRIMARY", role(&answer)));
        };
        let there = server.other(&primary, &address);
        let answer = ask(&there)?;
        match role(&answer).as_str() {
            "PRIMARY" => Ok((there, answer)),
            other => Err(format!("it names {primary} as PRIMARY, but {primary} is {other}")),
        }
    }

    fn ask_for(&self, change: &Change) -> Result<(), Error> {
        loop {
            let (server, _) = self.primary()?;
            let frame = Frame::Change(change.clone());
            let answer = operator::ask(&server, &frame, &self.secret, self.by);
            let answer = answer.map_err(|why| {
                let what = "the result is unknown, check with chatctl members list";
                Error::failed(format!("{server}: {why}; {what}"))
            })?;
            let value = |key: &str| operator::value(&answer, key).unwrap_or_default();
            let why = value("why");
            match value("result") {
                "done" => return Ok(()),
                "later" | "elsewhere" => self.wait(why)?,
                "unknown" => {
                    let what = "the result is unknown";
                    return Err(Error::failed(format!("{what}: {why}")));
                }
                _ => return Err(Error::failed(format!("refused: {why}"))),
            }
        }
    }

    /// A moment, after which things may be otherwise; an error when the time is over.
    fn wait(&self, why: &str) -> Result<(), Error> {
        let again = Instant::now() + Duration::from_millis(limits::MEMBERS_AGAIN_MS);
        if again >= self.by {
            return Err(Error::failed(format!("timed out: {why}")));
        }
        std::thread::sleep(again - Instant::now());
        Ok(())
    }
}

/// A row of the list, cell by cell.
type Row = Vec<String>;

/// The columns: heading, and key of the JSON objects.
const COLUMNS: [(&str, &str); 9] = [
    ("NAME", "name"),
    ("ADDRESS", "address"),
    ("VOTE", "vote"),
    ("UP", "up"),
    ("MATCH", "match"),
    ("LAG", "lag"),
    ("NUMBER", "number"),
    ("DIRECTORY", "directory"),
    ("WHY", "why"),
];

fn rows(answer: &[(String, String)]) -> Vec<Row> {
    let last = operator::value(answer, "last").unwrap_or("0");
    let matches = |name: &str| {
        let matches = answer.iter().filter(|(key, _)| key == "match");
        let mut pairs = matches.filter_map(|(_, value)| value.split_once(' '));
        // The PRIMARY has all of its own log.
        pairs
            .find(|(of, _)| *of == name)
            .map_or(last, |(_, index)| index)
            .escape_debug()
            .to_string()
    };
    let whys = answer.iter().filter(|(key, _)| key == "why");
    let whys: Vec<(&str, &str)> = whys.filter_map(|(_, value)| value.split_once(' ')).collect();
    let members = answer.iter().filter(|(key, _)| key == "member");
    let row = |(_, value): &(String, String)| {
        let mut words = value.split(' ').map(|word| word.escape_debug().to_string());
        let mut word = || words.next().unwrap_or_else(|| "-".to_owned());
        let (name, address, up, vote) = (word(), word(), word(), word());
        let (directory, number) = (word(), word());
        let index = matches(&name);
        let lag = |index: u64| last.parse().unwrap_or(index).saturating_sub(index);
        let lag = index.parse().map_or_else(|_| "-".to_owned(), |index| lag(index).to_string());
        let why = whys.iter().find(|(down, _)| *down == name).map_or("-", |(_, why)| why);
        let why = why.escape_debug().to_string();
        vec![name, address, vote, up, index, lag, number, directory, why]
    };
    members.map(row).collect()
}

fn table(rows: &[Row]) -> String {
    let headings = COLUMNS.iter().map(|(heading, _)| (*heading).to_owned()).collect();
    let mut lines: Vec<Row> = std::iter::once(headings).chain(rows.iter().cloned()).collect();
    // The last column says why servers are down.
    if rows.iter().all(|row| row.last().is_none_or(|why| why == "-")) {
        lines.iter_mut().for_each(|line| line.truncate(COLUMNS.len() - 1));
    }
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
    operator::lay_out(&lines, &widths)
}

fn json(rows: &[Row]) -> String {
    let object = |row: &Row| {
        let cells = COLUMNS.iter().zip(row);
        let object = cells.fold(terminal::object(), |object, ((_, key), cell)| match *key {
            "directory" => object.text(key, cell),
            key => operator::put(object, key, cell),
        });
        format!("{object}\n")
    };
    rows.iter().map(object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Pairs {
        let text = "id a\nrole PRIMARY\nlast 91\nprimary a\n\
                    member a h:1 up voter 00000000000000a1 1\n\
                    member b h:22 down voter 00000000000000b1 2\n\
                    member d h:4 up non-voter 00000000000000d1 5\nmatch b 80\nmatch d 3\n\
                    why b connection refused\n";
        text.lines().map(operator::pair).collect()
    }

    #[test]
    fn the_table_has_a_row_for_each_member() {
        let expected = "\
NAME  ADDRESS  VOTE       UP    MATCH  LAG  NUMBER  DIRECTORY         WHY
a     h:1      voter      up    91     0    1       00000000000000a1  -
b     h:22     voter      down  80     11   2       00000000000000b1  connection refused
d     h:4      non-voter  up    3      88   5       00000000000000d1  -
";
        assert_eq!(table(&rows(&answer())), expected);
        let mut all_up = rows(&answer());
        all_up[1][8] = "-".to_owned();
        assert!(!table(&all_up).contains("WHY"), "{}", table(&all_up));
    }

    #[test]
    fn each_member_is_a_json_object() {
        let lines = json(&rows(&answer()));
        assert_eq!(
            lines.lines().nth(2),
            Some(
                "{\"name\": \"d\", \"address\": \"h:4\", \"vote\": \"non-voter\", \"up\": \"up\", \
                 \"match\": 3, \"lag\": 88, \"number\": 5, \"directory\": \"00000000000000d1\", \
                 \"why\": \"-\"}"
            )
        );
    }

    #[test]
    fn what_a_server_says_is_harmless_to_a_terminal() {
        let said = "\u{1b}[2J\u{9b}\u{202e}\u{2066}\u{200f}\r\u{7}";
        let text = format!(
            "last {said}\nmember {said} {said} {said} {said} {said} {said}\nmatch {said} {said}\n\
             member a h:1 up voter 1 1\nwhy a {said}"
        );
        let answer: Pairs = text.lines().map(operator::pair).collect();
        let rows = rows(&answer);
        for text in [table(&rows), json(&rows)] {
            let is_bad =
                |c: char| c != '\n' && c.is_control() || "\u{202e}\u{2066}\u{200f}".contains(c);
            assert!(!text.contains(is_bad) && text.contains("2J"), "{text:?}");
        }
    }
}
