//! A terminal without a window: what a program writes becomes cells. It understands what a screen
//! program should need, and remembers everything else as not understood, for tests to hold that
//! there was nothing.

use chatctl::client::cluster;
use chatctl::client::width::char_width;

/// A cell: a character with its marks, empty for the second half of a wide one; and its look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    pub text: String,
    /// The numbers of the last `ESC [ ... m`, without 0.
    pub look: Vec<u16>,
    /// The address that it is a link to.
    pub link: Option<String>,
}

/// What a terminal takes for the columns of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belief {
    /// The client's own: clusters are drawn as one.
    Clusters,
    /// What is not ASCII has two columns, each part of an emoji for itself.
    Wide,
    /// Whatever has columns has one.
    Narrow,
    /// Every character has one, marks and joiners too.
    Every,
}

/// One of the two screens.
#[derive(Clone, Debug)]
struct Page {
    cells: Vec<Vec<Cell>>,
    row: usize,
    column: usize,
}

/// See the module's comment.
pub struct Vt {
    columns: usize,
    rows: usize,
    main: Page,
    other: Page,
    look: Vec<u16>,
    link: Option<String>,
    belief: Belief,
    /// Where the last cluster is, while the next character may join it.
    joinable: Option<(usize, usize)>,
    /// The last column was written: what comes next belongs on the next row.
    is_past_end: bool,
    pending: Vec<u8>,
    pub is_alternate: bool,
    pub shows_cursor: bool,
    pub wraps: bool,
    pub brackets_pastes: bool,
    /// The mouse is reported, and in the SGR form.
    pub reports_mouse: (bool, bool),
    pub bells: usize,
    /// The window's title, and those that were kept.
    pub title: String,
    pub kept_titles: Vec<String>,
    /// What was asked to be shown outside of the window.
    pub notices: Vec<String>,
    /// What was put into the clipboard, in base64.
    pub clipboard: Vec<String>,
    /// Sequences and controls that are none of those above.
    pub not_understood: Vec<String>,
}

fn blank() -> Cell {
    Cell { text: " ".to_string(), look: Vec::new(), link: None }
}

impl Page {
    fn new(columns: usize, rows: usize) -> Page {
        Page { cells: vec![vec![blank(); columns]; rows], row: 0, column: 0 }
    }

    fn resize(&mut self, columns: usize, rows: usize) {
        self.cells.resize(rows, Vec::new());
        self.cells.iter_mut().for_each(|row| row.resize(columns, blank()));
        (self.row, self.column) = (self.row.min(rows - 1), self.column.min(columns - 1));
    }
}

impl Vt {
    /// An empty one.
    pub fn new(columns: usize, rows: usize) -> Vt {
        Vt {
            columns,
            rows,
            main: Page::new(columns, rows),
            other: Page::new(columns, rows),
            look: Vec::new(),
            link: None,
            belief: Belief::Clusters,
            joinable: None,
            is_past_end: false,
            pending: Vec::new(),
            is_alternate: false,
            shows_cursor: true,
            wraps: true,
            brackets_pastes: false,
            reports_mouse: (false, false),
            bells: 0,
            title: String::new(),
            kept_titles: Vec::new(),
            notices: Vec::new(),
            clipboard: Vec::new(),
            not_understood: Vec::new(),
        }
    }

    /// One that believes something else of columns.
    pub fn with(belief: Belief, columns: usize, rows: usize) -> Vt {
        Vt { belief, ..Vt::new(columns, rows) }
    }

    /// Another size; what was beyond is gone, what is new is blank.
    pub fn resize(&mut self, columns: usize, rows: usize) {
        (self.columns, self.rows) = (columns, rows);
        self.main.resize(columns, rows);
        self.other.resize(columns, rows);
        self.is_past_end = false;
    }

    /// Takes what a program wrote, cut anywhere.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        let pending = std::mem::take(&mut self.pending);
        let mut rest = &pending[..];
        while let Some(used) = self.step(rest) {
            rest = &rest[used..];
        }
        self.pending = rest.to_vec();
    }

    /// Row and column of the cursor.
    pub fn cursor(&self) -> (usize, usize) {
        (self.main.row, self.main.column)
    }

    pub fn cell(&self, row: usize, column: usize) -> &Cell {
        &self.main.cells[row][column]
    }

    /// A row's text without blanks at its end.
    pub fn row(&self, row: usize) -> String {
        let text: String = self.main.cells[row].iter().map(|cell| cell.text.as_str()).collect();
        text.trim_end().to_string()
    }

    /// All rows.
    pub fn text(&self) -> String {
        (0..self.rows).map(|row| self.row(row) + "\n").collect()
    }

    /// Handles what stands first, and gives its length; `None`: more bytes are needed.
    fn step(&mut self, bytes: &[u8]) -> Option<usize> {
        let first = *bytes.first()?;
        if first < 0x20 {
            self.joinable = None;
        }
        match first {
            0x1b => self.escape(bytes),
            0x07 => {
                self.bells += 1;
                Some(1)
            }
            b'\r' => {
                (self.main.column, self.is_past_end) = (0, false);
                Some(1)
            }
            b'\n' => {
                self.line_feed();
                Some(1)
            }
            0x08 => {
                self.main.column = self.main.column.saturating_sub(1);
                Some(1)
            }
            0..0x20 | 0x7f => {
                self.not_understood.push(format!("{first:#04x}"));
                Some(1)
            }
            _ => self.character(bytes),
        }
    }

    fn character(&mut self, bytes: &[u8]) -> Option<usize> {
        let most = bytes.len().min(4);
        let length = match std::str::from_utf8(&bytes[..most]) {
            Ok(text) => text.chars().next()?.len_utf8(),
            Err(error) if error.valid_up_to() > 0 => {
                let valid = std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?;
                valid.chars().next()?.len_utf8()
            }
            Err(error) if error.error_len().is_none() => return None,
            Err(_) => {
                self.not_understood.push(format!("no UTF-8: {:#04x}", bytes[0]));
                return Some(1);
            }
        };
        let char = std::str::from_utf8(&bytes[..length]).ok()?.chars().next()?;
        self.print(char);
        Some(length)
    }

    fn print(&mut self, char: char) {
        if char.is_control() {
            return self.not_understood.push(format!("{char:?}"));
        }
        if self.joins(char) {
            return;
        }
        let width = match (self.belief, char_width(char)) {
            (Belief::Every, _) => 1,
            (Belief::Narrow, width) => width.min(1),
            (Belief::Wide, 1..) if !char.is_ascii() => 2,
            (_, width) => width,
        };
        if width == 0 {
            let column = match self.is_past_end {
                true => self.main.column,
                false => self.main.column.saturating_sub(1),
            };
            let row = &mut self.main.cells[self.main.row];
            let back = usize::from(row[column].text.is_empty() && column > 0);
            row[column - back].text.push(char);
            return;
        }
        if self.is_past_end && self.wraps {
            self.main.column = 0;
            self.line_feed();
        }
        if self.main.column + width > self.columns {
            if !self.wraps {
                return;
            }
            self.main.column = 0;
            self.line_feed();
        }
        let (row, column) = (self.main.row, self.main.column);
        self.split(row, column);
        self.split(row, column + width);
        self.main.cells[row][column] =
            Cell { text: char.to_string(), look: self.look.clone(), link: self.link.clone() };
        if width == 2 {
            self.main.cells[row][column + 1] =
                Cell { text: String::new(), look: self.look.clone(), link: self.link.clone() };
        }
        self.main.column = (column + width).min(self.columns - 1);
        self.is_past_end = column + width == self.columns;
        self.joinable = Some((row, column));
    }

    /// The character becomes part of the cluster before, which may get a second column by it.
    fn joins(&mut self, char: char) -> bool {
        let Some((row, column)) = self.joinable.filter(|_| self.belief == Belief::Clusters) else {
            return false;
        };
        let text = format!("{}{char}", self.main.cells[row][column].text);
        if cluster::first(&text) < text.len() {
            return false;
        }
        self.main.cells[row][column].text.clone_from(&text);
        let is_narrow = self.main.column == column + 1 && !self.is_past_end;
        if is_narrow && cluster::width(&text) == 2 {
            self.split(row, column + 2);
            self.main.cells[row][column + 1] =
                Cell { text: String::new(), look: self.look.clone(), link: self.link.clone() };
            self.main.column = (column + 2).min(self.columns - 1);
            self.is_past_end = column + 2 == self.columns;
        }
        true
    }

    /// A wide character of which a half is about to be written over goes as a whole.
    fn split(&mut self, row: usize, column: usize) {
        if column > 0 && column < self.columns && self.main.cells[row][column].text.is_empty() {
            self.main.cells[row][column] = blank();
            self.main.cells[row][column - 1] = blank();
        }
    }

    fn line_feed(&mut self) {
        self.is_past_end = false;
        if self.main.row + 1 < self.rows {
            self.main.row += 1;
        } else {
            self.main.cells.remove(0);
            self.main.cells.push(vec![blank(); self.columns]);
        }
    }

    fn escape(&mut self, bytes: &[u8]) -> Option<usize> {
        match *bytes.get(1)? {
            b'[' => {
                let is_final = |byte: &u8| (0x40..=0x7e).contains(byte);
                let end = 2 + bytes[2..].iter().position(is_final)?;
                let text = String::from_utf8_lossy(&bytes[2..=end]).into_owned();
                if !self.control_sequence(&text) {
                    self.not_understood.push(format!("ESC [ {text}"));
                }
                Some(end + 1)
            }
            b']' => {
                let end = 2 + bytes[2..].iter().position(|byte| *byte < 0x20)?;
                let used = match bytes[end] {
                    0x1b if *bytes.get(end + 1)? == b'\\' => 2,
                    0x07 => 1,
                    _ => 0,
                };
                let text = String::from_utf8_lossy(&bytes[2..end]).into_owned();
                if used == 0 || !self.system_command(&text) {
                    self.not_understood.push(format!("ESC ] {text}"));
                }
                Some(end + used)
            }
            other => {
                self.not_understood.push(format!("ESC {:?}", char::from(other)));
                Some(2)
            }
        }
    }

    fn system_command(&mut self, text: &str) -> bool {
        match text.split_once(';') {
            Some(("52", rest)) => {
                self.clipboard.extend(rest.strip_prefix("c;").map(str::to_string));
            }
            Some(("2", title)) => self.title = title.to_string(),
            Some(("9" | "777", text)) => self.notices.push(text.to_string()),
            Some(("8", rest)) => {
                let (parameters, address) = rest.split_once(';').unwrap_or((rest, ""));
                let is_right = address.is_empty() != parameters.starts_with("id=");
                self.link = Some(address.to_string()).filter(|address| !address.is_empty());
                return is_right;
            }
            _ => return false,
        }
        true
    }

    fn control_sequence(&mut self, text: &str) -> bool {
        let (parameters, last) = text.split_at(text.len() - 1);
        if let Some(mode) = parameters.strip_prefix('?') {
            return self.set_mode(mode, last == "h") && ["h", "l"].contains(&last);
        }
        let number = |text: &str| text.parse::<usize>().unwrap_or(0);
        match last {
            "H" => {
                let (row, column) = parameters.split_once(';').unwrap_or((parameters, ""));
                let at = |text: &str, most: usize| number(text).max(1).min(most) - 1;
                self.main.row = at(row, self.rows);
                self.main.column = at(column, self.columns);
                self.is_past_end = false;
            }
            "K" if parameters.is_empty() => {
                let (row, column) = (self.main.row, self.main.column);
                self.split(row, column);
                self.main.cells[row][column..].fill(blank());
            }
            "J" if parameters == "2" => {
                let page = Page::new(self.columns, self.rows);
                self.main.cells = page.cells;
            }
            "t" if parameters == "22;2" => self.kept_titles.push(self.title.clone()),
            "t" if parameters == "23;2" => self.title = self.kept_titles.pop().unwrap_or_default(),
            "m" => {
                self.look = Vec::new();
                let numbers = parameters.split(';').map(|text| number(text) as u16);
                self.look.extend(numbers.filter(|number| *number != 0));
            }
            _ => return false,
        }
        true
    }

    fn set_mode(&mut self, mode: &str, on: bool) -> bool {
        match mode {
            "1049" if on != self.is_alternate => {
                std::mem::swap(&mut self.main, &mut self.other);
                self.is_alternate = on;
            }
            "1049" => {}
            "2004" => self.brackets_pastes = on,
            "7" => self.wraps = on,
            "1000" => self.reports_mouse.0 = on,
            "1006" => self.reports_mouse.1 = on,
            "25" => self.shows_cursor = on,
            _ => return false,
        }
        true
    }
}

#[test]
fn what_is_written_stands_where_it_should() {
    let mut vt = Vt::new(6, 3);
    vt.feed("ab\u{4e2d}c\r\nx\u{301}".as_bytes());
    assert_eq!(vt.text(), "ab\u{4e2d}c\nx\u{301}\n\n");
    assert_eq!(vt.cursor(), (1, 1));
    vt.feed(b"\x1b[1;4Hz\x1b[2;1H\x1b[K");
    assert_eq!(vt.text(), "ab zc\n\n\n", "half a character goes");
    vt.feed(b"\x1b[3;6H12");
    assert_eq!(vt.text(), "\n     1\n2\n", "the last row scrolls");
    vt.feed(b"\x1b[?7l\x1b[3;6H12\x1b[?1049h");
    assert_eq!((vt.text().as_str(), vt.is_alternate), ("\n\n\n", true));
    vt.feed(b"\x1b[1;31mr\x1b[0mp\x1b[?1049l\x07");
    assert_eq!((vt.row(2).as_str(), vt.bells), ("2    2", 1), "no wrapping: written over");
    assert_eq!(vt.not_understood, [] as [&str; 0]);
    vt.feed("\x1b[5A\x1bc\u{9b}\x00\x1b]0;title\x07".as_bytes());
    assert_eq!(vt.not_understood.len(), 5);
}

#[test]
fn bytes_may_be_cut_anywhere() {
    let bytes = "\x1b[2;3H\u{4e2d}e\u{301}\x1b[0;1;36m!\x1b]52;c;aGk=\x07".as_bytes();
    let (mut whole, mut cut) = (Vt::new(10, 3), Vt::new(10, 3));
    whole.feed(bytes);
    bytes.iter().for_each(|byte| cut.feed(&[*byte]));
    assert_eq!(whole.text(), cut.text());
    assert_eq!((cut.cursor(), &cut.cell(1, 5).look), ((1, 6), &vec![1, 36]));
    assert_eq!(cut.clipboard, ["aGk="]);
}
