//! The kinds of values a key takes, and how each is read and written.

use std::fmt;
use std::time::Duration;

use crate::quantity::{
    parse_duration, parse_factor, parse_memory, show_duration, show_factor, show_memory,
};

/// Flink's largest whole number, which stands for "without end".
pub(crate) const INFINITE: i64 = i32::MAX as i64;

/// What values a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A time; not below `least`.
    Duration {
        /// The shortest that is allowed.
        least: Duration,
    },
    /// A number of bytes.
    Memory {
        /// The fewest that are allowed.
        least: u64,
    },
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Whole {
        /// The smallest.
        least: i64,
        /// The largest; Flink's largest is also written `infinite`.
        most: i64,
    },
    /// A number with at most two decimals, held in hundredths.
    Factor {
        /// The smallest.
        least: u32,
        /// The largest.
        most: u32,
    },
    /// One of several names; case does not matter, and `-` is `_`.
    Choice(&'static [Choice]),
    /// Any text.
    Text,
}

/// One name that a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// The name.
    pub name: &'static str,
    /// Flink's other spellings of it.
    pub also: &'static [&'static str],
    /// Spellings that are understood with a warning, and what the warning explains.
    pub old: &'static [(&'static str, &'static str)],
    /// Why it cannot be chosen, when it cannot.
    pub refused: Option<&'static str>,
}

impl Choice {
    /// A name that can be chosen and has one spelling.
    pub const fn new(name: &'static str) -> Self {
        Self { name, also: &[], old: &[], refused: None }
    }

    /// Understood as well.
    #[must_use]
    pub const fn also(self, also: &'static [&'static str]) -> Self {
        Self { also, ..self }
    }

    /// Understood with a warning.
    #[must_use]
    pub const fn old(self, old: &'static [(&'static str, &'static str)]) -> Self {
        Self { old, ..self }
    }

    /// Known, and not to be had.
    #[must_use]
    pub const fn refused(self, why: &'static str) -> Self {
        Self { refused: Some(why), ..self }
    }
}

/// A value of some kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Of [`Kind::Duration`].
    Duration(Duration),
    /// Of [`Kind::Memory`].
    Memory(u64),
    /// Of [`Kind::Boolean`].
    Boolean(bool),
    /// Of [`Kind::Whole`].
    Whole(i64),
    /// Of [`Kind::Factor`], in hundredths.
    Factor(u32),
    /// Of [`Kind::Choice`]: its name.
    Choice(&'static str),
    /// Of [`Kind::Text`].
    Text(String),
    /// `none`, for a key that may be left unset.
    Unset,
}

/// A value that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) value: Value,
    /// What an old spelling stands for.
    pub(crate) note: Option<&'static str>,
}

impl Kind {
    /// A whole number up to a limit of the protocol.
    #[expect(clippy::cast_possible_wrap, reason = "limits are small")]
    pub(crate) const fn up_to(least: i64, limit: usize) -> Self {
        Self::Whole { least, most: limit as i64 }
    }

    /// Reads a value; the error says what is allowed.
    pub(crate) fn read(&self, text: &str) -> Result<Read, String> {
        let text = text.trim();
        let plain = |value: Option<Value>| {
            value.map(|value| Read { value, note: None }).ok_or_else(|| self.allowed())
        };
        match self {
            Self::Duration { least } => {
                plain(parse_duration(text).filter(|it| it >= least).map(Value::Duration))
            }
            Self::Memory { least } => {
                plain(parse_memory(text).filter(|it| it >= least).map(Value::Memory))
            }
            Self::Boolean => plain(match text.to_ascii_lowercase().as_str() {
                "true" => Some(Value::Boolean(true)),
                "false" => Some(Value::Boolean(false)),
                _ => None,
            }),
            Self::Whole { least, most } => {
                let is_infinite = *most == INFINITE && text.eq_ignore_ascii_case("infinite");
                let number = if is_infinite { Some(INFINITE) } else { text.parse().ok() };
                plain(number.filter(|it| (least..=most).contains(&it)).map(Value::Whole))
            }
            Self::Factor { least, most } => plain(
                parse_factor(text).filter(|it| (least..=most).contains(&it)).map(Value::Factor),
            ),
            Self::Choice(choices) => read_choice(choices, text).ok_or_else(|| self.allowed()),
            Self::Text => plain((!text.is_empty()).then(|| Value::Text(text.to_owned()))),
        }
    }

    /// What is allowed, as a hint and as documentation.
    pub fn allowed(&self) -> String {
        match self {
            Self::Duration { least } if least.is_zero() => {
                "a time, such as 10 min, 10 s or 500 ms".to_owned()
            }
            Self::Duration { least } => format!("a time of {} or longer", show_duration(*least)),
            Self::Memory { least: 0 } => "a size, such as 20 kb or 32 mb".to_owned(),
            Self::Memory { least } => format!("a size of {} or more", show_memory(*least)),
            Self::Boolean => "true or false".to_owned(),
            Self::Whole { least, most: i64::MAX } => format!("a whole number from {least}"),
            Self::Whole { least, most: INFINITE } => {
                format!("a whole number from {least}, or infinite")
            }
            Self::Whole { least, most } => format!("a whole number from {least} to {most}"),
            Self::Factor { least, most: u32::MAX } => {
                format!("a number from {}", show_factor(*least))
            }
            Self::Factor { least, most } => {
                format!("a number from {} to {}", show_factor(*least), show_factor(*most))
            }
            Self::Choice(choices) => {
                let names: Vec<_> =
                    choices.iter().filter(|it| it.refused.is_none()).map(|it| it.name).collect();
                match names.split_last() {
                    None => "nothing".to_owned(),
                    Some((last, [])) => (*last).to_owned(),
                    Some((last, others)) => format!("{} or {last}", others.join(", ")),
                }
            }
            Self::Text => "a text".to_owned(),
        }
    }
}

/// The name without what does not matter: case, and which of `-` and `_`.
fn folded(text: &str) -> String {
    text.to_ascii_lowercase().replace('_', "-")
}

fn read_choice(choices: &[Choice], text: &str) -> Option<Read> {
    let text = folded(text);
    choices.iter().find_map(|it| {
        let old = it.old.iter().find(|(old, _)| folded(old) == text).map(|(_, note)| *note);
        let is_meant = folded(it.name) == text || it.also.iter().any(|it| folded(it) == text);
        (is_meant || old.is_some()).then_some(Read { value: Value::Choice(it.name), note: old })
    })
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duration(it) => f.write_str(&show_duration(*it)),
            Self::Memory(it) => f.write_str(&show_memory(*it)),
            Self::Boolean(it) => write!(f, "{it}"),
            Self::Whole(INFINITE) => f.write_str("infinite"),
            Self::Whole(it) => write!(f, "{it}"),
            Self::Factor(it) => f.write_str(&show_factor(*it)),
            Self::Choice(it) => f.write_str(it),
            Self::Text(it) => f.write_str(it),
            Self::Unset => f.write_str("none"),
        }
    }
}
