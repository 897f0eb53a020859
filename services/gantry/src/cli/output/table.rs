//! Columns as wide as their widest cell, without lines, so that other programs can cut them.

/// The titles and rows as text; the last column is not padded.
pub(super) fn text(titles: Vec<String>, rows: Vec<Vec<String>>) -> String {
    let all: Vec<Vec<String>> = std::iter::once(titles).chain(rows).collect();
    let count = all.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| all.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0)).collect();
    let lines: Vec<String> = all
        .iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            cells.collect::<Vec<_>>().join("   ").trim_end().to_owned()
        })
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_their_letters() {
        let cells = |row: [&str; 2]| row.map(str::to_owned).to_vec();
        let text = text(cells(["RUN", "STATUS"]), vec![cells(["ä", "completed"]), cells(["longer", ""])]);
        assert_eq!(text, "RUN      STATUS\nä        completed\nlonger");
    }
}
