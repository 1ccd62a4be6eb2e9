//! Flink's `config.yaml`: nested keys, flat keys with dots, or both.
//!
//! Values are taken as they are written, so that `1.50`, `yes` or `0x10` mean what the key's kind says,
//! not what YAML would make of them. Lists, anchors, tags and further documents are refused.

use std::path::Path;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::{Line, join, not_a_value};
use crate::problem::Problem;

pub(super) fn read(path: &Path, text: &str, lines: &mut Vec<Line>, problems: &mut Vec<Problem>) {
    let mut reader = Reader { path, parser: Parser::new_from_str(text), lines, problems };
    if let Err(malformed) = reader.document() {
        let reason = match malformed.line {
            0 => malformed.reason,
            line => format!("line {line}: {}", malformed.reason),
        };
        let path = path.to_path_buf();
        problems.push(Problem::Malformed { path, format: "YAML", reason });
    }
}

struct Reader<'a, 'text> {
    path: &'a Path,
    parser: Parser<'text, saphyr_parser::StrInput<'text>>,
    lines: &'a mut Vec<Line>,
    problems: &'a mut Vec<Problem>,
}

/// Why reading cannot go on.
struct Malformed {
    line: usize,
    reason: String,
}

impl<'text> Reader<'_, 'text> {
    fn document(&mut self) -> Result<(), Malformed> {
        loop {
            let (event, at) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(()),
                Event::Scalar(text, ScalarStyle::Plain, ..) if text.is_empty() || text == "~" => {}
                Event::MappingStart(anchor, tag) => {
                    refuse_extras(anchor, tag.is_some(), at)?;
                    self.mapping("")?;
                }
                Event::Scalar(..) => {
                    let line = at.start.line();
                    self.problems.push(not_a_value(self.path, "", "a text without a key", line));
                }
                Event::SequenceStart(..) => {
                    let line = at.start.line();
                    self.problems.push(not_a_value(self.path, "", "a list", line));
                    self.skip()?;
                }
                Event::DocumentStart(_) => self.refuse_further_documents(at)?,
                Event::Nothing
                | Event::StreamStart
                | Event::DocumentEnd
                | Event::Alias(_)
                | Event::SequenceEnd
                | Event::MappingEnd => {}
            }
        }
    }

    fn refuse_further_documents(&self, at: Span) -> Result<(), Malformed> {
        if self.lines.is_empty() && self.problems.is_empty() {
            return Ok(());
        }
        let reason = "a second document begins here, and a configuration is one".to_owned();
        Err(Malformed { line: at.start.line(), reason })
    }

    /// What follows the start of a mapping, to its end.
    fn mapping(&mut self, parent: &str) -> Result<(), Malformed> {
        loop {
            let (name, at) = self.next()?;
            let line = at.start.line();
            let name = match name {
                Event::MappingEnd => return Ok(()),
                Event::Scalar(name, ..) => name,
                Event::Nothing
                | Event::StreamStart
                | Event::StreamEnd
                | Event::DocumentStart(_)
                | Event::DocumentEnd
                | Event::Alias(_)
                | Event::SequenceStart(..)
                | Event::SequenceEnd
                | Event::MappingStart(..) => {
                    let reason = "a key is not a text".to_owned();
                    return Err(Malformed { line, reason });
                }
            };
            let key = join(parent, &name);
            let (value, _) = self.next()?;
            match value {
                Event::Scalar(text, style, anchor, tag) => {
                    refuse_extras(anchor, tag.is_some(), at)?;
                    let is_null =
                        style == ScalarStyle::Plain && matches!(text.as_ref(), "" | "~" | "null");
                    if is_null {
                        self.problems.push(not_a_value(self.path, &key, "no value", line));
                    } else {
                        self.lines.push(Line { key, value: text.into_owned(), number: line });
                    }
                }
                Event::MappingStart(anchor, tag) => {
                    refuse_extras(anchor, tag.is_some(), at)?;
                    self.mapping(&key)?;
                }
                Event::SequenceStart(..) => {
                    self.problems.push(not_a_value(self.path, &key, "a list", line));
                    self.skip()?;
                }
                Event::Alias(_) => {
                    self.problems.push(not_a_value(self.path, &key, "an alias", line));
                }
                Event::Nothing
                | Event::StreamStart
                | Event::StreamEnd
                | Event::DocumentStart(_)
                | Event::DocumentEnd
                | Event::SequenceEnd
                | Event::MappingEnd => {
                    let reason = format!("{key} has no value");
                    return Err(Malformed { line, reason });
                }
            }
        }
    }

    /// Passes over what has begun.
    fn skip(&mut self) -> Result<(), Malformed> {
        let mut depth = 1;
        while depth > 0 {
            match self.next()?.0 {
                Event::MappingStart(..) | Event::SequenceStart(..) => depth += 1,
                Event::MappingEnd | Event::SequenceEnd => depth -= 1,
                Event::Nothing
                | Event::StreamStart
                | Event::StreamEnd
                | Event::DocumentStart(_)
                | Event::DocumentEnd
                | Event::Alias(_)
                | Event::Scalar(..) => {}
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Result<(Event<'text>, Span), Malformed> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => {
                Err(Malformed { line: error.marker().line(), reason: error.info().to_owned() })
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }
}

fn refuse_extras(anchor: usize, has_tag: bool, at: Span) -> Result<(), Malformed> {
    let what = match (anchor, has_tag) {
        (0, false) => return Ok(()),
        (0, true) => "a tag",
        (_, _) => "an anchor",
    };
    let reason = format!("{what} is not understood in a configuration");
    Err(Malformed { line: at.start.line(), reason })
}
