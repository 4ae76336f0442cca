//! The table's columns: how wide each is, which are left out when there is no room, and how cells are set into them.
//! A cell that is too long for its column takes room that later cells of its line do not need, and is cut only when
//! there is none; the columns after it line up again as soon as they can.

use crate::emit::terminal::{ELLIPSIS, Paint, char_width, text_width};

/// Number of columns.
pub(super) const COLUMNS: usize = 11;

/// One column of the table.
struct Column {
    title: &'static str,
    /// Columns of the terminal that it needs to be of use.
    least: usize,
    /// What it gets if there is room.
    ideal: usize,
    /// Where no room is left, the lowest ranks go first. The highest stays.
    rank: usize,
    is_right_aligned: bool,
}

const fn left(title: &'static str, least: usize, ideal: usize, rank: usize) -> Column {
    Column { title, least, ideal, rank, is_right_aligned: false }
}

const fn right(title: &'static str, least: usize, ideal: usize, rank: usize) -> Column {
    Column { is_right_aligned: true, ..left(title, least, ideal, rank) }
}

/// In the order of [`super::cells`]. All of them fit into 120 columns.
const TABLE: [Column; COLUMNS] = [
    left("time (UTC)", 15, 15, 7),
    left("client", 14, 21, 3),
    left("server", 14, 21, 5),
    left("protocol", 8, 10, 2),
    left("operation", 12, 20, 10),
    left("resource", 8, 32, 6),
    left("status", 13, 28, 9),
    right("latency", 7, 7, 8),
    right("req B", 5, 6, 0),
    right("resp B", 6, 6, 1),
    left("notes", 8, 24, 4),
];

/// The titles, in order.
pub(super) fn titles() -> [&'static str; COLUMNS] {
    TABLE.map(|column| column.title)
}

/// What stands in one place of the table.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) paint: Paint,
    /// Bytes at the end of `text` (ASCII) that are worth more than what comes before: an address is cut before its port.
    pub(super) tail: usize,
}

impl Cell {
    fn width(&self) -> usize {
        text_width(&self.text)
    }
}

/// Width of every column; `None` for those that are left out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    widths: [Option<usize>; COLUMNS],
}

impl Layout {
    /// The best use of `width` terminal columns.
    pub(super) fn choose(width: usize) -> Self {
        let mut lowest = 0;
        while needed(lowest) > width && lowest + 1 < COLUMNS {
            lowest += 1;
        }
        let mut widths = TABLE.map(|column| (column.rank >= lowest).then_some(column.least.min(width.max(1))));
        for _ in needed(lowest)..width {
            grow_narrowest(&mut widths);
        }
        Self { widths }
    }

    /// Appends one line, without its end, that takes no more than the chosen width.
    pub(super) fn put_row(&self, out: &mut Vec<u8>, row: &[Cell; COLUMNS], has_colour: bool) {
        let shown = || self.widths.iter().zip(row).zip(&TABLE).filter_map(|((w, cell), c)| Some(((*w)?, cell, c)));
        // What the cells from here on do not need of their columns, and what the cells up to here took too much.
        let mut spare: usize = shown().map(|(width, cell, _)| width.saturating_sub(cell.width())).sum();
        let (mut debt, mut spaces) = (0, 0);
        for (width, cell, column) in shown() {
            let needed = cell.width();
            spare -= width.saturating_sub(needed);
            // Half of what can be had, so that something is left for the next.
            let used = needed.min(width + spare.saturating_sub(debt) / 2);
            let padding = width.saturating_sub(used + debt);
            debt = (debt + used).saturating_sub(width);
            if column.is_right_aligned {
                spaces += padding;
            }
            if used > 0 {
                out.resize(out.len() + spaces, b' ');
                spaces = 0;
                put_cell(out, cell, used, has_colour);
            }
            spaces += if column.is_right_aligned { 1 } else { padding + 1 };
        }
    }
}

/// Terminal columns that the table's columns of rank `lowest` and up need, spaces between them included.
fn needed(lowest: usize) -> usize {
    TABLE.iter().filter(|column| column.rank >= lowest).map(|column| column.least + 1).sum::<usize>().saturating_sub(1)
}

/// Gives one more to the column that lacks most of its ideal width; once all have theirs, to the last.
fn grow_narrowest(widths: &mut [Option<usize>; COLUMNS]) {
    let lacking = |width: usize, column: &Column| column.ideal.saturating_sub(width);
    let shown = widths.iter_mut().zip(&TABLE).filter_map(|(width, column)| Some((width.as_mut()?, column)));
    if let Some((width, _)) = shown.max_by_key(|(width, column)| lacking(**width, column)) {
        *width += 1;
    }
}

fn put_cell(out: &mut Vec<u8>, cell: &Cell, used: usize, has_colour: bool) {
    let is_painted = has_colour && cell.paint != Paint::Plain;
    if is_painted {
        out.extend_from_slice(cell.paint.on().as_bytes());
    }
    if cell.width() <= used {
        out.extend_from_slice(cell.text.as_bytes());
    } else {
        put_cut(out, cell, used);
    }
    if is_painted {
        out.extend_from_slice(Paint::OFF.as_bytes());
    }
}

/// Appends what fits of the cell's beginning, an ellipsis, and the tail if that leaves anything of the beginning.
fn put_cut(out: &mut Vec<u8>, cell: &Cell, used: usize) {
    let tail = if cell.tail + 1 < used { cell.tail } else { 0 };
    let mut room = used.saturating_sub(1 + tail);
    let fits = |character: &char| {
        let width = char_width(*character);
        let is_fitting = width <= room;
        room = room.saturating_sub(width);
        is_fitting
    };
    let begin: String = cell.text.chars().take_while(fits).collect();
    out.extend_from_slice(begin.as_bytes());
    // A wide character may leave one column over.
    let left_over = used.saturating_sub(1 + tail + text_width(&begin));
    out.extend_from_slice(ELLIPSIS.encode_utf8(&mut [0; 4]).as_bytes());
    out.extend_from_slice(cell.text.get(cell.text.len() - tail..).unwrap_or_default().as_bytes());
    out.resize(out.len() + left_over, b' ');
}

#[cfg(test)]
mod tests {
    use super::{Cell, Layout, TABLE, needed};

    #[test]
    fn columns_take_all_of_the_width() {
        for width in 12..1_000 {
            let widths = Layout::choose(width).widths;
            let taken = widths.into_iter().flatten().map(|width| width + 1).sum::<usize>() - 1;
            assert_eq!(taken, width);
        }
    }

    #[test]
    fn all_columns_fit_into_the_default_width() {
        assert!(needed(0) <= 120);
        assert!(Layout::choose(120).widths.iter().all(Option::is_some));
        assert!(TABLE.iter().all(|column| column.title.len() <= column.least));
    }

    #[test]
    fn columns_line_up_again_after_a_long_cell() {
        let mut row: [Cell; super::COLUMNS] = Default::default();
        row[1].text = "x".repeat(20);
        row[10].text = "note".into();
        let (mut line, mut plain) = (Vec::new(), Vec::new());
        Layout::choose(120).put_row(&mut line, &row, false);
        row[1].text = "x".into();
        Layout::choose(120).put_row(&mut plain, &row, false);
        assert_eq!(line.len(), plain.len());
    }
}
