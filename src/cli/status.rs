//! `chatctl status`: what every server of a cluster says of itself, over the peers' port or through
//! the server on this machine.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use super::error::Error;
use super::operator::{self, Answer, Server};
use super::terminal;
use super::values::{Status, Target};
use crate::auth::hmac;
use crate::limits;
use crate::node::peers::wire::Frame;
use crate::sys::clock::{unix_ms, utc};

struct Row {
    /// Its name, where it is known, else its address.
    id: String,
    address: String,
    server: Server,
    answer: Answer,
}

/// Runs `chatctl status`.
pub fn run(values: &Status, target: &Target, out: &mut dyn Write) -> Result<u8, Error> {
    let (servers, secret) = operator::servers(target)?;
    let patience = Duration::from_millis(target.timeout_ms);
    let Some(seconds) = values.watch else {
        let rows = gather(servers, &secret, patience);
        out.write_all(shown(values, &rows).as_bytes())?;
        return no_primary(&rows).map_or(Ok(0), |why| Err(Error::failed(why)));
    };
    // Until a signal arrives, or the reader of the output goes away.
    loop {
        let rows = gather(servers.clone(), &secret, patience);
        let mut text = shown(values, &rows);
        if !values.json {
            let clear = if io::stdout().is_terminal() { CLEAR } else { "" };
            let why = no_primary(&rows).map(|why| format!("{why}\n")).unwrap_or_default();
            text = format!("{clear}{}\n{text}{why}\n", utc(unix_ms()));
        }
        out.write_all(text.as_bytes())?;
        out.flush()?;
        std::thread::sleep(Duration::from_secs(seconds));
    }
}

/// Clears a terminal's screen, and puts the cursor at its top.
const CLEAR: &str = "\x1b[H\x1b[2J";

fn shown(values: &Status, rows: &[Row]) -> String {
    if values.json { json(rows) } else { table(rows) }
}

/// A sentence where no server is PRIMARY.
fn no_primary(rows: &[Row]) -> Option<String> {
    let is_primary = |row: &Row| row.value("role") == "PRIMARY";
    if rows.iter().any(is_primary) {
        return None;
    }
    let answered = rows.iter().filter(|row| row.answer.is_ok()).count();
    Some(format!("no server is PRIMARY; {answered} of {} answered", rows.len()))
}

/// Asks these, then those of whom they tell, and sorts the rows by name.
fn gather(servers: Vec<Server>, secret: &hmac::Key, patience: Duration) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let named = |server: Server| (server.to_string(), server.to_string(), server);
    let mut to_ask: Vec<(String, String, Server)> = servers.into_iter().map(named).collect();
    while !to_ask.is_empty() {
        let asked = ask_all(std::mem::take(&mut to_ask), secret, patience);
        rows.extend(asked);
        let members: Vec<(String, String, Server)> = rows.iter().flat_map(Row::members).collect();
        for (name, address, server) in members {
            let known = |row: &Row| row.id == name || row.address == address;
            if let Some(row) = rows.iter_mut().find(|row| known(row)) {
                row.id = name;
                row.address = address;
            } else if rows.len() + to_ask.len() < limits::STATUS_SERVERS
                && !to_ask.iter().any(|(to_ask, ..)| *to_ask == name)
            {
                to_ask.push((name, address, server));
            }
        }
    }
    rows.sort_by(|one, other| one.id.cmp(&other.id));
    // One server may be asked at two addresses.
    rows.dedup_by(|later, first| later.id == first.id && later.answer.is_ok());
    rows
}

fn ask_all(
    servers: Vec<(String, String, Server)>,
    secret: &hmac::Key,
    patience: Duration,
) -> Vec<Row> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = servers
            .into_iter()
            .map(|(id, address, server)| {
                scope.spawn(move || {
                    let by = Instant::now() + patience;
                    let answer = operator::ask(&server, &Frame::Ask, secret, by);
                    let mut row = Row { id, address, server, answer };
                    if let Some(id) = row.get("id") {
                        row.id = id.to_owned();
                    }
                    row
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("asking does not panic")).collect()
    })
}

impl Row {
    fn get(&self, key: &str) -> Option<&str> {
        operator::value(self.answer.as_ref().ok()?, key)
    }

    fn value(&self, key: &str) -> &str {
        self.get(key).unwrap_or("-")
    }

    fn number(&self, key: &str) -> u64 {
        self.get(key).and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    /// Names and addresses of the servers that it names, and how to ask them.
    fn members(&self) -> Vec<(String, String, Server)> {
        let members = operator::members(self.answer.as_deref().unwrap_or_default());
        let reached = |(name, address): (String, String)| {
            let server = self.server.other(&name, &address);
            (name, address, server)
        };
        members.into_iter().map(reached).collect()
    }

    /// How many committed entries it has not applied yet, as far as anybody knows.
    fn lag(&self, rows: &[Row]) -> u64 {
        let newest = rows.iter().map(|row| row.number("commit")).max().unwrap_or(0);
        newest.saturating_sub(self.number("applied"))
    }
}

/// The values of a JSON object. Lag is worked out.
const VALUES: [&str; 10] = [
    "role",
    "term",
    "commit",
    "applied",
    "lag",
    "sync_us",
    "connections",
    "segments",
    "bytes",
    "version",
];

fn values(row: &Row, rows: &[Row]) -> Vec<String> {
    let value = |key: &&str| match *key {
        "lag" => row.lag(rows).to_string(),
        key => row.value(key).escape_debug().to_string(),
    };
    VALUES.iter().map(value).collect()
}

/// The table's columns, behind the server's id: heading, and key of the answer.
const COLUMNS: [(&str, &str); 8] = [
    ("ROLE", "role"),
    ("TERM", "term"),
    ("COMMIT", "commit"),
    ("LAG", "lag"),
    ("FSYNC", "sync_us"),
    ("CLIENTS", "connections"),
    ("LOG", "bytes"),
    ("VERSION", "version"),
];

/// What fits everywhere.
const TABLE_WIDTH: usize = 80;

fn cells(row: &Row, rows: &[Row]) -> Vec<String> {
    let cell = |(_, key): &(&str, &str)| match *key {
        "lag" => row.lag(rows).to_string(),
        "sync_us" => row.get(key).map_or_else(dash, |_| duration(row.number(key))),
        "bytes" => row.get(key).map_or_else(dash, |_| size(row.number(key))),
        key => row.value(key).escape_debug().to_string(),
    };
    COLUMNS.iter().map(cell).collect()
}

fn dash() -> String {
    "-".to_owned()
}

/// A time for people: `340us`, `41ms`, `1.2s`.
fn duration(us: u64) -> String {
    match us {
        0..1_000 => format!("{us}us"),
        1_000..10_000 => format!("{:.1}ms", us as f64 / 1e3),
        10_000..1_000_000 => format!("{}ms", us / 1_000),
        _ => format!("{:.1}s", us as f64 / 1e6),
    }
}

/// A number of bytes for people: `512B`, `2.0MiB`, `128MiB`.
fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        // What would be shown as 1000 or more is not.
        if value < 999.5 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    let is_whole = unit == "B" || value >= 9.95;
    if is_whole { format!("{value:.0}{unit}") } else { format!("{value:.1}{unit}") }
}

fn table(rows: &[Row]) -> String {
    let mut lines: Vec<Vec<String>> = vec![vec!["ID".to_owned()]];
    lines[0].extend(COLUMNS.iter().map(|(heading, _)| (*heading).to_owned()));
    for row in rows {
        let mut line = vec![row.id.escape_debug().to_string()];
        match &row.answer {
            Ok(_) => line.extend(cells(row, rows)),
            Err(why) => line.push(format!("unreachable: {}", why.escape_debug())),
        }
        lines.push(line);
    }
    let width = |column: usize| {
        let whole = lines.iter().filter(|line| line.len() > 2 || column == 0);
        whole.filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max()
    };
    let mut widths: Vec<usize> =
        (0..=COLUMNS.len()).map(|column| width(column).unwrap_or(0)).collect();
    // Long names make room for the figures, and a long reason is cut.
    let others: usize = widths[1..].iter().map(|width| width + 2).sum();
    widths[0] = widths[0].min(TABLE_WIDTH.saturating_sub(others).max(8));
    for line in &mut lines {
        cut(&mut line[0], widths[0]);
        if let [_, why] = &mut line[..] {
            cut(why, TABLE_WIDTH.saturating_sub(widths[0] + 2));
        }
    }
    operator::lay_out(&lines, &widths)
}

/// Cuts a text to so many characters, of which the last says that some are missing.
fn cut(text: &mut String, width: usize) {
    if text.chars().count() > width {
        *text = text.chars().take(width.saturating_sub(1)).chain(['~']).collect();
    }
}

fn json(rows: &[Row]) -> String {
    let object = |row: &Row| {
        let object = terminal::object().text("id", &row.id).text("address", &row.address);
        let object = match &row.answer {
            Ok(_) => {
                let values = VALUES.iter().zip(values(row, rows));
                let object =
                    values.fold(object, |object, (key, value)| operator::put(object, key, &value));
                object.text("primary", row.value("primary"))
            }
            Err(why) => object.text("unreachable", why),
        };
        format!("{object}\n")
    };
    rows.iter().map(object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let answer = |text: &str| Ok(text.lines().map(operator::pair).collect());
        let row = |id: &str, address: &str, answer| Row {
            id: id.to_owned(),
            address: address.to_owned(),
            server: Server::At(address.to_owned()),
            answer,
        };
        let a = "id a\nrole PRIMARY\nterm 3\ncommit 90\napplied 90\nlast 91\nsync_us 340\n\
                 connections 12\nsegments 2\nbytes 2097152\nversion 0.1.0\nprimary a\n\
                 member a h:1 up\nmember b h:2 down";
        let c = "id c\nrole BACKUP\nterm 3\ncommit 88\napplied 80\nlast 90\nsync_us 41000\n\
                 connections 0\nsegments 2\nbytes 2097152\nversion 0.1.0\nprimary a";
        vec![
            row("a", "h:1", answer(a)),
            row("b", "h:2", Err("connection refused".to_owned())),
            row("c", "h:3", answer(c)),
        ]
    }

    #[test]
    fn the_table_has_a_row_for_each_server_and_the_reason_of_one_that_says_nothing() {
        let expected = "\
ID  ROLE     TERM  COMMIT  LAG  FSYNC  CLIENTS  LOG     VERSION
a   PRIMARY  3     90      0    340us  12       2.0MiB  0.1.0
b   unreachable: connection refused
c   BACKUP   3     88      10   41ms   0        2.0MiB  0.1.0
";
        assert_eq!(table(&rows()), expected);
    }

    #[test]
    fn each_server_is_a_json_object() {
        let lines = json(&rows());
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(
            lines[2],
            "{\"id\": \"c\", \"address\": \"h:3\", \"role\": \"BACKUP\", \"term\": 3, \
             \"commit\": 88, \"applied\": 80, \"lag\": 10, \"sync_us\": 41000, \
             \"connections\": 0, \"segments\": 2, \"bytes\": 2097152, \"version\": \"0.1.0\", \
             \"primary\": \"a\"}"
        );
        assert!(lines[1].contains("\"unreachable\": \"connection refused"), "{}", lines[1]);
    }

    #[test]
    fn the_servers_that_one_names_are_asked_too() {
        let rows = rows();
        let at = |name: &str, at: &str| (name.to_owned(), at.to_owned(), Server::At(at.to_owned()));
        assert_eq!(rows[0].members(), [at("a", "h:1"), at("b", "h:2")]);
        let socket = Server::Through("d/operator.sock".into(), String::new());
        let through = Server::Through("d/operator.sock".into(), "b".to_owned());
        assert_eq!(socket.other("b", "h:2"), through);
    }

    #[test]
    fn the_table_fits_80_columns_whatever_is_in_it() {
        let mut rows = rows();
        let long = "x".repeat(limits::NAME_BYTES);
        for row in &mut rows {
            row.id = format!("{}{long}", row.id)[..limits::NAME_BYTES].to_owned();
            match &mut row.answer {
                Ok(pairs) => {
                    for (key, value) in pairs {
                        match key.as_str() {
                            "term" => *value = "123456".to_owned(),
                            "commit" | "applied" => *value = "12345678901".to_owned(),
                            "role" => *value = "RESTORING".to_owned(),
                            "bytes" => *value = (u64::MAX / 3).to_string(),
                            "connections" => *value = "1000000".to_owned(),
                            _ => {}
                        }
                    }
                }
                Err(why) => *why = format!("wrong secret: {}", "give it ".repeat(30)),
            }
        }
        let table = table(&rows);
        for line in table.lines() {
            assert!(line.len() <= TABLE_WIDTH, "{}: {line}", line.len());
        }
        assert!(table.contains("axxx") && table.contains("wrong secret"), "{table}");
    }

    #[test]
    fn times_and_sizes_are_for_people() {
        let times = [(0, "0us"), (999, "999us"), (1_000, "1.0ms"), (41_234, "41ms")];
        for (us, shown) in times.into_iter().chain([(1_234_567, "1.2s"), (90_000_000, "90.0s")]) {
            assert_eq!(duration(us), shown);
        }
        for (bytes, shown) in [
            (0, "0B"),
            (999, "999B"),
            (1_000, "1.0KiB"),
            (1 << 20, "1.0MiB"),
            (128 << 20, "128MiB"),
            (1_000 << 20, "1.0GiB"),
            (u64::MAX, "16EiB"),
        ] {
            assert_eq!(size(bytes), shown);
        }
    }

    #[test]
    fn what_a_server_says_is_harmless_to_a_terminal() {
        let said = "\u{1b}[2J\u{9b}\u{202e}\u{2066}\u{200f}\r\u{7}";
        let text = format!(
            "id {said}\nrole {said}\nterm {said}\ncommit {said}\nsync_us {said}\nversion {said}\n\
             connections {said}\nsegments {said}\nbytes {said}\nprimary {said}"
        );
        let answer: Vec<(String, String)> = text.lines().map(operator::pair).collect();
        let (id, address) = (said.to_owned(), said.to_owned());
        let server = Server::At(address.clone());
        let why = Err(said.to_owned());
        let silent =
            Row { id: "b".into(), address: said.to_owned(), server: server.clone(), answer: why };
        let rows = [Row { id, address, server, answer: Ok(answer) }, silent];
        for text in [table(&rows), json(&rows)] {
            let is_bad =
                |c: char| c != '\n' && c.is_control() || "\u{202e}\u{2066}\u{200f}".contains(c);
            assert!(!text.contains(is_bad) && text.contains("2J"), "{text:?}");
        }
    }
}
