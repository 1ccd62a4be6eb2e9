//! How a property did not hold, for people first.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::Property;
use crate::history::Recorded;

/// At most this many details are kept; the message says how many there were.
const DETAILS_MAX: usize = 8;

/// A property and what was seen against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The property.
    pub property: &'static str,
    /// Its rules.
    pub rule: &'static str,
    /// One sentence with the values.
    pub message: String,
    /// The first few things seen, one a line.
    pub details: Vec<String>,
    /// The lines of output, or keys of state, that they are about; whoever knows the input can say where
    /// those come from.
    pub subjects: Vec<Vec<u8>>,
}

impl Violation {
    pub(crate) fn of(property: &Property, message: String) -> Self {
        Self {
            property: property.name,
            rule: property.rule,
            message,
            details: Vec::new(),
            subjects: Vec::new(),
        }
    }

    /// What the details are about, in their order.
    pub(crate) fn about<'a>(mut self, subjects: impl IntoIterator<Item = &'a [u8]>) -> Self {
        self.subjects = subjects.into_iter().take(DETAILS_MAX).map(<[u8]>::to_vec).collect();
        self
    }

    pub(crate) fn with_details(mut self, details: impl IntoIterator<Item = String>) -> Self {
        let mut details = details.into_iter();
        self.details.extend(details.by_ref().take(DETAILS_MAX));
        let left = details.count();
        if left > 0 {
            self.details.push(format!("and {left} more"));
        }
        self
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.property, self.rule, self.message)?;
        for detail in &self.details {
            write!(f, "\n  {detail}")?;
        }
        Ok(())
    }
}

/// When and where, as messages show it.
pub(crate) fn stamp(recorded: &Recorded) -> String {
    format!("at {:.6}s on {}", recorded.at.as_secs_f64(), recorded.node)
}

/// A line or key as people read it, cut to a width that fits a terminal.
pub(crate) fn shown(bytes: &[u8]) -> String {
    const WIDTH_MAX: usize = 60;
    let text = String::from_utf8_lossy(bytes);
    if text.chars().count() <= WIDTH_MAX {
        return text.into_owned();
    }
    let head: String = text.chars().take(WIDTH_MAX).collect();
    format!("{head}... ({} bytes)", bytes.len())
}
