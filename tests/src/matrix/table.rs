//! The report as tables in Markdown.

use std::fmt;

use super::{COLUMNS, Cell, GENERATORS, Report, Tally};

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.claims(out)?;
        self.recall(out)?;
        self.random(out)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.claims, self.of)
    }
}

impl Report {
    /// Views of flows, by capture and plugin.
    fn claims(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "Claims / flows shown, over all views; the plugin alone; bold: its own protocol, whole flows only"
        )?;
        writeln!(out)?;
        let mut header = vec!["capture".to_owned(), "flows".to_owned()];
        header.extend(self.plugins.iter().cloned());
        header.push("all loaded: right, whole".to_owned());
        header.push("all loaded: wrong".to_owned());
        let mut rows = vec![header];
        for (index, (name, flows)) in self.traffic.iter().enumerate() {
            let mut row = vec![name.clone(), flows.to_string()];
            let of_capture = |is_among_all| {
                self.cells.iter().filter(move |cell| cell.traffic == index && cell.is_among_all == is_among_all)
            };
            row.extend(of_capture(false).map(|cell| match cell.is_own {
                true => format!("**{}**", cell.columns[0]),
                false => sum(cell).to_string(),
            }));
            let right: Vec<&Cell> = of_capture(true).filter(|cell| cell.is_own).collect();
            row.push(right.first().map_or("-".to_owned(), |cell| cell.columns[0].to_string()));
            let wrong = of_capture(true).filter(|cell| !cell.is_own).map(|cell| sum(cell).claims).sum::<u64>();
            row.push(wrong.to_string());
            rows.push(row);
        }
        table(out, &rows)
    }

    /// What is recognised of a plugin's own protocol in each view.
    fn recall(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "Own protocol: flows claimed / flows shown, the plugin alone, on a port that nobody hints at")?;
        writeln!(out)?;
        let mut header = vec!["plugin".to_owned(), "capture".to_owned()];
        header.extend(COLUMNS.map(|column| format!("{column:?}")));
        let mut rows = vec![header];
        for cell in self.cells.iter().filter(|cell| cell.is_own && !cell.is_among_all) {
            let mut row = vec![self.plugins[cell.plugin].clone(), self.traffic[cell.traffic].0.clone()];
            row.extend(cell.columns.iter().map(ToString::to_string));
            rows.push(row);
        }
        table(out, &rows)
    }

    /// Random heads, by plugin and how they were made.
    fn random(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "Random heads: claims / heads")?;
        writeln!(out)?;
        let mut header = vec!["plugin".to_owned()];
        header.extend(GENERATORS.map(|generator| format!("{generator:?}")));
        let mut rows = vec![header];
        for (name, tallies) in self.plugins.iter().zip(&self.heads) {
            let mut row = vec![name.clone()];
            row.extend(tallies.iter().map(ToString::to_string));
            rows.push(row);
        }
        table(out, &rows)
    }
}

fn sum(cell: &Cell) -> Tally {
    cell.columns
        .iter()
        .fold(Tally::default(), |sum, tally| Tally { claims: sum.claims + tally.claims, of: sum.of + tally.of })
}

/// A table whose first row is its header.
fn table(out: &mut fmt::Formatter<'_>, rows: &[Vec<String>]) -> fmt::Result {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    for (index, row) in rows.iter().enumerate() {
        let cells = row.iter().enumerate().map(|(column, cell)| format!("{cell:width$}", width = width(column)));
        writeln!(out, "| {} |", cells.collect::<Vec<_>>().join(" | "))?;
        if index == 0 {
            let dashes = (0..columns).map(|column| "-".repeat(width(column) + 2));
            writeln!(out, "|{}|", dashes.collect::<Vec<_>>().join("|"))?;
        }
    }
    writeln!(out)
}
