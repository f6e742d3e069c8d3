//! A terminal of so many columns, as far as mux moves its cursor: what came to it becomes what a person reads, from the
//! first row that has scrolled away to the last. Characters are one column wide. An unknown sequence fails the test.

/// Rows on the screen; those above have scrolled away, and nothing reaches them.
const HEIGHT: usize = 24;

struct Row {
    chars: Vec<char>,
    /// Whether its text goes on in the next row.
    goes_on: bool,
}

pub struct Emulator {
    columns: usize,
    rows: Vec<Row>,
    /// Row and column; a column behind the last is one that waits for a character to go on.
    at: (usize, usize),
    saved: (usize, usize),
}

impl Emulator {
    pub fn new(columns: usize) -> Emulator {
        let rows = (0..HEIGHT).map(|_| Row { chars: Vec::new(), goes_on: false }).collect();
        Emulator { columns, rows, at: (0, 0), saved: (0, 0) }
    }

    /// Returns what a person reads after `seen` has come: rows as they are, those that one text fills as one line.
    pub fn shows(columns: usize, seen: &str) -> String {
        let mut emulator = Emulator::new(columns);
        emulator.feed(seen);
        let end = emulator.at.0;
        let below = emulator.rows.iter().skip(end).flat_map(|row| &row.chars).all(|char| *char == ' ');
        assert!(below && emulator.at.1 == 0, "something is left below or before the cursor");
        let line = |row: &Row| {
            let text: String = row.chars.iter().collect();
            if row.goes_on { text } else { format!("{}\n", text.trim_end()) }
        };
        emulator.rows.iter().take(end).map(line).collect()
    }

    fn feed(&mut self, seen: &str) {
        let mut rest = seen;
        while let Some(char) = rest.chars().next() {
            rest = if let Some(sequence) = rest.strip_prefix('\x1b') {
                self.sequence(sequence)
            } else {
                self.put(char);
                &rest[char.len_utf8()..]
            };
        }
    }

    fn put(&mut self, char: char) {
        match char {
            '\r' => self.at.1 = 0,
            '\n' => self.down(),
            _ => {
                if self.at.1 == self.columns {
                    self.rows[self.at.0].goes_on = true;
                    self.down();
                    self.at.1 = 0;
                }
                let (row, column) = self.at;
                let chars = &mut self.rows[row].chars;
                chars.resize(chars.len().max(column + 1), ' ');
                chars[column] = char;
                self.at.1 += 1;
            }
        }
    }

    /// Goes a row down; at the bottom everything scrolls.
    fn down(&mut self) {
        if self.at.0 + 1 == self.rows.len() {
            self.rows.push(Row { chars: Vec::new(), goes_on: false });
            // The saved place is one of the screen, and does not scroll with the text.
            self.saved.0 += 1;
        }
        self.at.0 += 1;
    }

    fn sequence<'a>(&mut self, text: &'a str) -> &'a str {
        // The first character over the last column of a row: what most terminals do when they are told to move.
        self.at.1 = self.at.1.min(self.columns - 1);
        let (row, column) = self.at;
        for (sequence, act) in [("7", 0), ("8", 1), ("D", 2), ("[A", 3), ("[B", 4), ("[J", 5)] {
            let Some(rest) = text.strip_prefix(sequence) else { continue };
            match act {
                0 => self.saved = self.at,
                1 => self.at = self.saved,
                2 => self.down(),
                3 => self.at.0 = row.saturating_sub(1).max(self.rows.len() - HEIGHT),
                4 => self.at.0 = (row + 1).min(self.rows.len() - 1),
                _ => {
                    self.rows[row].chars.truncate(column);
                    self.rows[row].goes_on = false;
                    for below in &mut self.rows[row + 1..] {
                        *below = Row { chars: Vec::new(), goes_on: false };
                    }
                }
            }
            return rest;
        }
        // A colour.
        let end = text.find('m').filter(|end| text[1..*end].chars().all(|char| char.is_ascii_digit() || char == ';'));
        &text[end.unwrap_or_else(|| panic!("an unknown sequence: {:?}", &text[..text.len().min(8)])) + 1..]
    }
}

#[test]
fn a_row_that_is_full_goes_on_and_what_is_erased_is_gone() {
    assert_eq!(Emulator::shows(4, "abcdef\r\ngh\x1b[J\r\n"), "abcdef\ngh\n");
    assert_eq!(Emulator::shows(4, "ab\x1bD\x1b[A\x1b7\r\x1b[Blive\x1b8\x1b[Jcd\r\n"), "abcd\n");
    assert_eq!(Emulator::shows(4, "live\r\x1b[Jab\r\n"), "ab\n");
    let many = "x\r\n".repeat(30);
    let live = "ab\x1bD\x1b[A\x1b7\r\x1b[Blive\x1b8\x1b[Jc\r\n";
    assert_eq!(Emulator::shows(4, &format!("{many}{live}")), format!("{}abc\n", "x\n".repeat(30)));
}

#[test]
#[should_panic(expected = "something is left")]
fn what_is_left_below_is_seen() {
    Emulator::shows(9, "ab\x1bD\x1b[A\x1b7\r\x1b[Blive\x1b8\r\n");
}
