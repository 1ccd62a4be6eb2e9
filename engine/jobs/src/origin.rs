//! Where output comes from: the input records that a line, or a key of the state, stems from, and whether a
//! checkpoint's positions are behind them. Plain folds, as in [`mod@crate::reference`].
//!
//! A line of `buffered` or `sorted` names its record; a line of a job that counts stems from every record of its key, and
//! only positions tell them apart.

use std::fmt;
use std::path::PathBuf;

use seawall_runtime::connectors::file_source::FileSplit;
use seawall_runtime::connectors::generator::GeneratorSplit;

use crate::options::Options;
use crate::reference::windows;
use crate::reference::{InputFile, client_of, keys, lines_of, turned, words_of};

/// One input record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Of the generator.
    Generated {
        /// Its number, from 0.
        index: u64,
        /// Its key.
        key: u64,
    },
    /// A line of a file.
    Line {
        /// Which file.
        file: PathBuf,
        /// The line's number, from 1.
        number: usize,
        /// Where it begins, in bytes of the decompressed file.
        start: u64,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Generated { index, key } => write!(f, "record {index} (key {key})"),
            Self::Line { file, number, start: _ } => write!(f, "{}:{number}", file.display()),
        }
    }
}

/// The records that a line of output, or a key of the state, stems from, in input order; none when the line is
/// not one that `job` writes.
///
/// # Panics
/// When there is no built-in job of this name.
pub fn origins(job: &str, options: &Options, files: &[InputFile], line: &str) -> Vec<Origin> {
    let key = line.split(',').next().unwrap_or_default();
    match job {
        "buffered" | "sorted" => {
            let number = line.split_once(',').and_then(|(_, it)| it.parse::<u64>().ok());
            let index = if job == "sorted" { number.map(turned) } else { number };
            let index = index.filter(|it| *it < options.number("records"));
            index.map(|index| generated(options, index)).into_iter().collect()
        }
        "keyed-count" | "ledger" => {
            let Ok(key) = key.parse::<u64>() else { return Vec::new() };
            let records = (0..options.number("records")).map(|it| generated(options, it));
            records
                .filter(|it| matches!(it, Origin::Generated { key: of, .. } if *of == key))
                .collect()
        }
        "word-count" => of_lines(files, |line| words_of(line).iter().any(|it| it == key)),
        "access-log" => match line.split_once(": ") {
            Some(("malformed", text)) => of_lines(files, |line| line == text),
            _ => of_lines(files, |line| client_of(line).is_some_and(|it| it == key)),
        },
        "access-windows" => of_lines(files, |of| windows::has_part_in(of, line)),
        other => panic!("no reference for job {other}"),
    }
}

/// Whether the record is before the position of one of these splits. A split that is not of a built-in source
/// is behind nothing.
pub fn is_before(origin: &Origin, splits: &[Vec<u8>]) -> bool {
    splits.iter().any(|bytes| match origin {
        Origin::Generated { index, .. } => {
            postcard::from_bytes::<GeneratorSplit>(bytes).is_ok_and(|split| {
                index % split.step == split.next % split.step && *index < split.next
            })
        }
        Origin::Line { file, start, .. } => {
            postcard::from_bytes::<FileSplit>(bytes).is_ok_and(|split| {
                let is_of_split = split.is_gzip || (split.start..split.end).contains(start);
                file.as_os_str() == split.path.as_str()
                    && is_of_split
                    && (*start < split.position || split.is_ended)
            })
        }
    })
}

fn generated(options: &Options, index: u64) -> Origin {
    Origin::Generated { index, key: keys(options)(index) }
}

fn of_lines(files: &[InputFile], is_origin: impl Fn(&str) -> bool) -> Vec<Origin> {
    let mut origins = Vec::new();
    for file in files {
        for (index, (start, line)) in lines_of(&file.bytes).enumerate() {
            if is_origin(&line) {
                let (file, number) = (file.path.clone(), index + 1);
                origins.push(Origin::Line { file, number, start: start as u64 });
            }
        }
    }
    origins
}
