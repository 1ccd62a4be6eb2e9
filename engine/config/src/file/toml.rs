//! TOML with Flink's keys: tables, dotted keys, or quoted keys with dots.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::{Line, join, not_a_value};
use crate::problem::Problem;

pub(super) fn read(path: &Path, text: &str, lines: &mut Vec<Line>, problems: &mut Vec<Problem>) {
    match DeTable::parse(text) {
        Ok(table) => {
            let reader = Reader { path, text };
            reader.table("", table.get_ref(), lines, problems);
            lines.sort_by_key(|it| it.number);
        }
        Err(error) => problems.push(Problem::Malformed {
            path: path.to_path_buf(),
            format: "TOML",
            reason: error.to_string().trim_end().to_owned(),
        }),
    }
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Reader<'_> {
    fn table(
        &self,
        parent: &str,
        table: &DeTable<'_>,
        lines: &mut Vec<Line>,
        problems: &mut Vec<Problem>,
    ) {
        for (name, value) in table {
            let key = join(parent, name.get_ref());
            let line = self.text[..value.span().start].matches('\n').count() + 1;
            let value = match value.get_ref() {
                DeValue::String(text) => text.to_string(),
                DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) => {
                    self.text[value.span()].to_owned()
                }
                DeValue::Table(table) => {
                    self.table(&key, table, lines, problems);
                    continue;
                }
                DeValue::Array(_) => {
                    problems.push(not_a_value(self.path, &key, "a list", line));
                    continue;
                }
                DeValue::Datetime(_) => {
                    problems.push(not_a_value(self.path, &key, "a date", line));
                    continue;
                }
            };
            lines.push(Line { key, value, number: line });
        }
    }
}
