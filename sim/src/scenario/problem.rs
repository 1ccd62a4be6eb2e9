//! What is wrong with a file: where, what, and what to do, with the line and a caret under it.

use std::fmt::{self, Write as _};
use std::ops::Range;

/// One thing wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where in the text, in bytes; the start of the file when nothing better is known.
    pub span: Option<Range<usize>>,
    /// What is wrong, in lower case, with the legal values.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem at `span`.
    pub fn at(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span: Some(span), message: message.into(), hint: None }
    }

    /// With advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Everything wrong with one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    /// The file, as a user knows it.
    pub file: String,
    /// Its text, for the quoted lines.
    pub text: String,
    /// At least one, in the order of the file.
    pub problems: Vec<Problem>,
}

impl FileError {
    /// A problem without a place, such as a file that cannot be read.
    pub fn whole(file: impl Into<String>, message: impl Into<String>) -> Self {
        let problem = Problem { span: None, message: message.into(), hint: None };
        Self { file: file.into(), text: String::new(), problems: vec![problem] }
    }

    /// What the TOML parser said.
    pub fn toml(file: impl Into<String>, text: &str, error: &toml::de::Error) -> Self {
        let message = error.message().trim_end().to_owned();
        let hint = nearest_in_message(&message);
        let problem = Problem { span: error.span(), message, hint };
        Self { file: file.into(), text: text.to_owned(), problems: vec![problem] }
    }
}

impl std::error::Error for FileError {}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            match &problem.span {
                None => write!(f, "{}: {}", self.file, problem.message)?,
                Some(span) => {
                    let place = Place::of(&self.text, span);
                    let (line, column) = (place.line, place.column);
                    writeln!(f, "{}:{line}:{column}: {}", self.file, problem.message)?;
                    f.write_str(&place.quote())?;
                }
            }
            if let Some(hint) = &problem.hint {
                write!(f, "\nhint: {hint}")?;
            }
        }
        Ok(())
    }
}

struct Place<'a> {
    line: usize,
    column: usize,
    quoted: &'a str,
    length: usize,
}

impl<'a> Place<'a> {
    fn of(text: &'a str, span: &Range<usize>) -> Self {
        let mut start = span.start.min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let line_start = text[..start].rfind('\n').map_or(0, |it| it + 1);
        let quoted = text[line_start..].lines().next().unwrap_or("");
        let column = text[line_start..start].chars().count() + 1;
        let in_line = span.end.min(line_start + quoted.len()).max(start);
        let length = text.get(start..in_line).map_or(1, |it| it.chars().count()).max(1);
        Self { line: text[..start].matches('\n').count() + 1, column, quoted, length }
    }

    fn quote(&self) -> String {
        let number = self.line.to_string();
        let mut out = format!("{number} | {}\n", self.quoted);
        let margin = " ".repeat(number.len());
        let (indent, carets) = (" ".repeat(self.column - 1), "^".repeat(self.length));
        write!(out, "{margin} | {indent}{carets}").expect("writing to a string cannot fail");
        out
    }
}

/// The legal name nearest to `name`, when one is near enough to be meant.
pub fn nearest<'a>(name: &str, legal: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    legal
        .into_iter()
        .map(|it| (strsim::damerau_levenshtein(name, it), it))
        .min()
        .filter(|(distance, it)| *distance <= 1 + it.len() / 4)
        .map(|(_, it)| it)
}

/// A list of names for a message.
pub fn list_names<'a>(legal: impl IntoIterator<Item = &'a str>) -> String {
    let legal: Vec<_> = legal.into_iter().map(|it| format!("`{it}`")).collect();
    legal.join(", ")
}

/// `unknown x `name`, expected one of ...`, with the nearest legal name as the hint.
pub fn unknown<'a>(
    span: Range<usize>,
    what: &str,
    name: &str,
    legal: impl IntoIterator<Item = &'a str> + Clone,
) -> Problem {
    let problem = Problem::at(
        span,
        format!("unknown {what} `{name}`, expected one of {}", list_names(legal.clone())),
    );
    match nearest(name, legal) {
        Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
        None => problem,
    }
}

/// The parser's messages name the unknown field, value or node and the legal ones between backticks.
fn nearest_in_message(message: &str) -> Option<String> {
    let kinds = ["unknown field `", "unknown variant `", "unknown node `"];
    let rest = kinds.iter().find_map(|it| message.strip_prefix(it))?;
    let (name, rest) = rest.split_once('`')?;
    let legal = rest.split('`').skip(1).step_by(2);
    nearest(name, legal).map(|meant| format!("did you mean `{meant}`?"))
}
