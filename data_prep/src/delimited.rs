//! Tables as CSV and TSV, after RFC 4180.

use crate::PrepError;
use crate::listing::each_line;
use std::path::{Path, PathBuf};

/// How fields are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fields {
    /// Between these; in double quotes where they hold one, a quote doubled.
    Quoted(char),
    /// Between tabs, as they are.
    Tabs,
}

/// The rows of a file, one a line, by the names in its first line.
#[derive(Debug)]
pub(crate) struct Table {
    path: PathBuf,
    header: Vec<String>,
    rows: Vec<(usize, Vec<String>)>,
}

impl Table {
    /// Reads a file.
    ///
    /// # Errors
    /// A line with another number of fields than the first, or a quote that is not closed.
    pub fn read(path: &Path, fields: Fields) -> Result<Self, PrepError> {
        let mut table = Self { path: path.to_owned(), header: Vec::new(), rows: Vec::new() };
        each_line(path, |number, line| {
            let fail = |reason: String| {
                PrepError::layout(
                    path,
                    format!("line {number}: {reason}; correct the line or get the file again"),
                )
            };
            let row = match fields {
                Fields::Tabs => line.split('\t').map(str::to_owned).collect(),
                Fields::Quoted(delimiter) => {
                    split(line, delimiter).ok_or_else(|| fail("a quote that is not closed".to_owned()))?
                }
            };
            if table.header.is_empty() {
                table.header = row;
                if let Some(first) = table.header.first_mut() {
                    *first = first.trim_start_matches('\u{feff}').to_owned();
                }
            } else if row.len() != table.header.len() {
                return Err(fail(format!(
                    "{} fields, not the {} of the first line",
                    row.len(),
                    table.header.len()
                )));
            } else {
                table.rows.push((number, row));
            }
            Ok(())
        })?;
        Ok(table)
    }

    /// The position of a column.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn column(&self, name: &str) -> Result<usize, PrepError> {
        self.header.iter().position(|other| other.trim() == name).ok_or_else(|| {
            let known = self.header.join(", ");
            PrepError::layout(
                &self.path,
                format!("no column `{name}` (there are {known}); get the file again"),
            )
        })
    }

    /// Lines by number, and fields in the order of `columns`.
    ///
    /// # Errors
    /// A column that is not there.
    pub fn rows<const N: usize>(
        &self,
        columns: [&str; N],
    ) -> Result<impl Iterator<Item = (usize, [&str; N])>, PrepError> {
        let mut at = [0; N];
        for (at, name) in at.iter_mut().zip(columns) {
            *at = self.column(name)?;
        }
        Ok(self.rows.iter().map(move |(number, row)| (*number, at.map(|at| row[at].as_str()))))
    }
}

/// The fields of a line; `None` where a quote is open at its end.
fn split(line: &str, delimiter: char) -> Option<Vec<String>> {
    let (mut fields, mut field) = (Vec::new(), String::new());
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                field.push('"');
                characters.next();
            }
            '"' if quoted || field.is_empty() => quoted = !quoted,
            c if c == delimiter && !quoted => fields.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    fields.push(field);
    (!quoted).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_with_and_without_quotes() {
        let row = |line| split(line, ';');
        assert_eq!(row("1;alarm;\"a; \"\"b\"\"\";c").unwrap(), ["1", "alarm", "a; \"b\"", "c"]);
        assert_eq!(row(";x\"y;").unwrap(), ["", "x\"y", ""]);
        assert_eq!(row("a;\"b"), None);
    }

    #[test]
    fn columns_go_by_name_and_faults_by_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, "\u{feff},b,c\r\n1,2,3\n").unwrap();
        let table = Table::read(&path, Fields::Quoted(',')).unwrap();
        assert_eq!(table.rows(["c", "b"]).unwrap().collect::<Vec<_>>(), [(2, ["3", "2"])]);
        let message = table.column("d").unwrap_err().to_string();
        assert!(message.contains("`d`") && message.contains("b, c"), "{message}");
        std::fs::write(&path, "a\tb\n\n1\n").unwrap();
        let message = Table::read(&path, Fields::Tabs).unwrap_err().to_string();
        assert!(message.contains("line 3") && message.contains("1 fields"), "{message}");
    }
}
