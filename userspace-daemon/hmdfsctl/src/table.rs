// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tables of text.

/// Rows below a heading, each column as wide as its widest cell. The last column is not padded.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with this heading.
    pub fn new(heading: &[&str]) -> Self {
        let heading = heading.iter().map(|cell| (*cell).to_owned()).collect();
        Table {
            rows: vec![heading],
        }
    }

    /// Appends a row. Control characters, which another device's words may hold, are shown and
    /// not obeyed.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        let clean = cells.iter().map(|cell| printable(cell));
        self.rows.push(clean.collect());
    }

    /// The table as text; `bold` marks the heading for a terminal.
    pub fn render(&self, bold: bool) -> String {
        let mut widths = Vec::new();
        for row in &self.rows {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        for (index, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&format!("{cell:<width$}  "));
            }
            let line = line.trim_end();
            if bold && index == 0 {
                text.push_str(&format!("\x1b[1m{line}\x1b[0m\n"));
            } else {
                text.push_str(&format!("{line}\n"));
            }
        }
        text
    }
}

/// The text without control characters.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// Octets for people: `1.5 MiB`.
pub fn octets(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let (mut value, mut unit) = (count as f64, 0);
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    match (unit, units.get(unit)) {
        (0, _) | (_, None) => format!("{count} B"),
        (_, Some(name)) => format!("{value:.1} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["NAME", "STATE"]);
        table.row(["tablet".into(), "online".into()]);
        table.row(["tv".into(), "offline".into()]);
        let expected = "NAME    STATE\ntablet  online\ntv      offline\n";
        assert_eq!(table.render(false), expected);
        assert!(table
            .render(true)
            .starts_with("\x1b[1mNAME    STATE\x1b[0m\n"));
    }

    #[test]
    fn control_characters_are_not_obeyed() {
        let mut table = Table::new(&["NAME"]);
        table.row(["a\x1b[31m\nb".into()]);
        assert_eq!(table.render(false), "NAME\na\u{fffd}[31m\u{fffd}b\n");
    }

    #[test]
    fn octets_have_units() {
        assert_eq!(octets(1023), "1023 B");
        assert_eq!(octets(1536), "1.5 KiB");
        assert_eq!(octets(5 << 30), "5.0 GiB");
    }
}
