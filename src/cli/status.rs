//! `chatctl status`: what every server of a cluster says of itself, over the peers' port.

use std::io::Write;
use std::time::{Duration, Instant};

use super::dump_log::text::put_json;
use super::error::Error;
use super::operator::{self, Answer};
use super::parse::{Environment, Parsed};
use crate::auth::hmac;
use crate::limits;
use crate::server::peers::wire::Frame;

/// A row of the table.
struct Row {
    /// Its name, where it is known, else its address.
    id: String,
    address: String,
    answer: Answer,
}

/// Runs `chatctl status`.
pub fn run(parsed: &Parsed, _: Environment<'_>, out: &mut dyn Write) -> Result<u8, Error> {
    let name = parsed.subcommand().name;
    let (addresses, secret) = operator::reads(parsed)?;
    let patience = Duration::from_millis(parsed.number_as("timeout-ms"));
    let rows = gather(addresses, &secret, patience);
    let text = if parsed.flag("json") { json(&rows) } else { table(&rows) };
    out.write_all(text.as_bytes())?;
    let is_primary = |row: &Row| row.value("role") == "PRIMARY";
    if rows.iter().any(is_primary) {
        return Ok(0);
    }
    let answered = rows.iter().filter(|row| row.answer.is_ok()).count();
    let count = rows.len();
    Err(Error::failed(name, format!("no server is PRIMARY; {answered} of {count} answer")))
}

/// Asks these, then those of whom they tell, and sorts the rows by name.
fn gather(addresses: Vec<String>, secret: &hmac::Key, patience: Duration) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut to_ask: Vec<(String, String)> =
        addresses.into_iter().map(|address| (address.clone(), address)).collect();
    while !to_ask.is_empty() {
        let asked = ask_all(std::mem::take(&mut to_ask), secret, patience);
        rows.extend(asked);
        let members: Vec<(String, String)> = rows.iter().flat_map(Row::members).collect();
        for (name, address) in members {
            let known = |row: &Row| row.id == name || row.address == address;
            if let Some(row) = rows.iter_mut().find(|row| known(row)) {
                row.id = name;
            } else if rows.len() + to_ask.len() < limits::STATUS_SERVERS
                && !to_ask.iter().any(|(to_ask, _)| *to_ask == name)
            {
                to_ask.push((name, address));
            }
        }
    }
    rows.sort_by(|one, other| one.id.cmp(&other.id));
    // One server may be asked at two addresses.
    rows.dedup_by(|later, first| later.id == first.id && later.answer.is_ok());
    rows
}

fn ask_all(servers: Vec<(String, String)>, secret: &hmac::Key, patience: Duration) -> Vec<Row> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = servers
            .into_iter()
            .map(|(id, address)| {
                scope.spawn(move || {
                    let by = Instant::now() + patience;
                    let answer = operator::ask(&address, &Frame::Ask, secret, by);
                    let mut row = Row { id, address, answer };
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
        let pairs = self.answer.as_ref().ok()?;
        pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    fn value(&self, key: &str) -> &str {
        self.get(key).unwrap_or("-")
    }

    fn number(&self, key: &str) -> u64 {
        self.get(key).and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    /// Names and addresses of the servers that it names.
    fn members(&self) -> Vec<(String, String)> {
        operator::members(self.answer.as_deref().unwrap_or_default())
    }

    /// How many committed entries it has not applied yet, as far as anybody knows.
    fn lag(&self, rows: &[Row]) -> u64 {
        let newest = rows.iter().map(|row| row.number("commit")).max().unwrap_or(0);
        newest.saturating_sub(self.number("applied"))
    }
}

/// The table's columns: heading, and key of the answer. Lag is worked out.
const COLUMNS: [(&str, &str); 10] = [
    ("ROLE", "role"),
    ("TERM", "term"),
    ("COMMIT", "commit"),
    ("APPLIED", "applied"),
    ("LAG", "lag"),
    ("FSYNC-US", "sync_us"),
    ("CONNECTIONS", "connections"),
    ("SEGMENTS", "segments"),
    ("BYTES", "bytes"),
    ("VERSION", "version"),
];

fn cells(row: &Row, rows: &[Row]) -> Vec<String> {
    let cell = |(_, key): &(&str, &str)| match *key {
        "lag" => row.lag(rows).to_string(),
        key => row.value(key).escape_debug().to_string(),
    };
    COLUMNS.iter().map(cell).collect()
}

fn table(rows: &[Row]) -> String {
    let mut lines: Vec<Vec<String>> = vec![vec!["ID".to_owned()]];
    lines[0].extend(COLUMNS.iter().map(|(heading, _)| (*heading).to_owned()));
    for row in rows {
        let mut line = vec![row.id.escape_debug().to_string()];
        match &row.answer {
            Ok(_) => line.extend(cells(row, rows)),
            Err(why) => line.push(format!("unreachable at {}: {why}", row.address)),
        }
        lines.push(line);
    }
    let width = |column: usize| {
        let whole = lines.iter().filter(|line| line.len() > 2 || column == 0);
        whole.filter_map(|line| line.get(column)).map(String::len).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..=COLUMNS.len()).map(width).collect();
    operator::lay_out(&lines, &widths)
}

/// A JSON object a line.
fn json(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let mut put = |key: &str, value: &str, bare: bool| {
            text.push_str(if key == "id" { "{" } else { ", " });
            put_json(&mut text, key);
            text.push_str(": ");
            if bare { text.push_str(value) } else { put_json(&mut text, value) }
        };
        put("id", &row.id, false);
        put("address", &row.address, false);
        match &row.answer {
            Ok(_) => {
                for ((_, key), cell) in COLUMNS.iter().zip(cells(row, rows)) {
                    put(key, &cell, cell.parse::<u64>().is_ok());
                }
                put("primary", row.value("primary"), false);
            }
            Err(why) => put("unreachable", why, false),
        }
        text.push_str("}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let answer = |text: &str| Ok(text.lines().map(operator::pair).collect());
        let row = |id: &str, address: &str, answer| Row {
            id: id.to_owned(),
            address: address.to_owned(),
            answer,
        };
        let a = "id a\nrole PRIMARY\nterm 3\ncommit 90\napplied 90\nlast 91\nsync_us 340\n\
                 connections 12\nsegments 2\nbytes 2097152\nversion 0.1.0\nprimary a\n\
                 member a h:1 up\nmember b h:2 down";
        let c = "id c\nrole BACKUP\nterm 3\ncommit 88\napplied 80\nlast 90\nsync_us 41000\n\
                 connections 0\nsegments 2\nbytes 2097152\nversion 0.1.0\nprimary a";
        vec![
            row("a", "h:1", answer(a)),
            row("b", "h:2", Err("Connection refused (os error 111)".to_owned())),
            row("c", "h:3", answer(c)),
        ]
    }

    #[test]
    fn the_table_has_a_row_for_each_server_and_the_reason_of_one_that_says_nothing() {
        let expected = "\
ID  ROLE     TERM  COMMIT  APPLIED  LAG  FSYNC-US  CONNECTIONS  SEGMENTS  BYTES    VERSION
a   PRIMARY  3     90      90       0    340       12           2         2097152  0.1.0
b   unreachable at h:2: Connection refused (os error 111)
c   BACKUP   3     88      80       10   41000     0            2         2097152  0.1.0
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
        assert!(lines[1].contains("\"unreachable\": \"Connection refused"), "{}", lines[1]);
    }

    #[test]
    fn the_servers_that_one_names_are_asked_too() {
        let rows = rows();
        let expected = [("a", "h:1"), ("b", "h:2")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(rows[0].members(), expected);
    }
}
