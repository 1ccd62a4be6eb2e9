//! What each job must output and hold, folded plainly from its input: no operators, no batches, no
//! checkpoints. The oracles compare the engine with this.
//!
//! Everything is text, because a violation is read by people: a line of output, or a key and its state.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::iter;
use std::path::PathBuf;

use seawall_runtime::connectors::file_source::FileSplit;
use seawall_runtime::connectors::generator::GeneratorSplit;
use seawall_stream::state::EncodedGroup;

use crate::access_log::Totals;
use crate::options::Options;

pub(crate) mod windows;

/// An input file as it was when the job started, decompressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// Where.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Lines of output, in no order, by directory below the output directory ("" is the output directory itself).
pub type Output = BTreeMap<String, Vec<String>>;

/// Keys and their state, as text.
pub type State = BTreeMap<String, String>;

/// The output of `job` for its whole input.
///
/// # Panics
/// When there is no built-in job of this name.
pub fn output(job: &str, options: &Options, files: &[InputFile]) -> Output {
    let lines = files.iter().flat_map(|file| lines_of(&file.bytes)).map(|(_, line)| line);
    let records =
        if files.is_empty() { (0..options.number("records")).collect() } else { Vec::new() };
    output_of(job, options, lines, &records)
}

/// The output of `job` when its input counts as ended at the positions of these splits.
///
/// # Panics
/// When there is no built-in job of this name, or a split is not one of its splits.
pub fn output_before(
    job: &str,
    options: &Options,
    files: &[InputFile],
    splits: &[Vec<u8>],
) -> Output {
    if files.is_empty() {
        output_of(job, options, iter::empty(), &records_before(splits))
    } else {
        output_of(job, options, lines_before(files, splits), &[])
    }
}

/// The sequence that a line of `job`'s output belongs to, and its number in it. A sink subtask writes the
/// lines of one sequence in ascending order, because all of them come to it through one channel. `None` for
/// jobs without such lines, and for a line that is not the job's.
///
/// # Panics
/// When there is no built-in job of this name.
pub fn place_in_sequence(
    job: &str,
    options: &Options,
    parallelism: u32,
    line: &str,
) -> Option<(String, u64)> {
    let (key, number) = line.split_once(',')?;
    let number: u64 = number.parse().ok()?;
    match job {
        // One subtask numbers all records of a key.
        "ledger" => Some((["key ", key].concat(), number)),
        // The number is the record's index, and each source subtask reads every `parallelism`-th.
        "buffered" => Some((format!("split {}", number % u64::from(parallelism)), number)),
        // Each subtask writes all it gets by time, but for what comes from a source that was silent.
        "sorted" => {
            let is_awaited = options.optional_number("idle-after").is_none();
            is_awaited.then(|| ("event time".to_owned(), number))
        }
        // Nothing comes before the end.
        "word-count" | "access-log" | "access-windows" | "keyed-count" => None,
        other => panic!("no reference for job {other}"),
    }
}

fn output_of<'a>(
    job: &str,
    options: &Options,
    lines: impl IntoIterator<Item = Cow<'a, str>>,
    records: &[u64],
) -> Output {
    let mut output = Output::new();
    match job {
        "word-count" => {
            let counts = count_words(lines);
            output.insert(String::new(), joined(counts));
        }
        "access-log" => {
            let (totals, malformed) = sum_requests(lines);
            output.insert(String::new(), joined(totals));
            if !malformed.is_empty() {
                output.insert("malformed".to_owned(), malformed);
            }
        }
        "access-windows" => {
            let lines: Vec<String> = lines.into_iter().map(Cow::into_owned).collect();
            output = windows::output(&lines);
        }
        "keyed-count" => {
            let counts = count_keys(options, records.iter().copied());
            let lines = counts.iter().map(|(key, count)| format!("{key},{count}"));
            output.insert(String::new(), lines.collect());
        }
        "ledger" => {
            let counts = count_keys(options, records.iter().copied());
            let numbered = counts.into_iter().flat_map(|(key, count)| {
                let key = key.to_string();
                (1..=count).map(move |n| [key.as_str(), ",", &n.to_string()].concat())
            });
            output.insert(String::new(), numbered.collect());
        }
        "buffered" => {
            let key_of = keys(options);
            let lines = records.iter().map(|index| format!("{},{index}", key_of(*index)));
            output.insert(String::new(), lines.collect());
        }
        "sorted" => {
            let key_of = keys(options);
            let lines =
                records.iter().map(|index| format!("{},{}", key_of(*index), turned(*index)));
            output.insert(String::new(), lines.collect());
        }
        other => panic!("no reference for job {other}"),
    }
    output
}

/// Records that were emitted before the positions of the generator's splits.
fn records_before(splits: &[Vec<u8>]) -> Vec<u64> {
    let splits = splits.iter().map(|bytes| {
        postcard::from_bytes::<GeneratorSplit>(bytes).expect("a split of the generator")
    });
    let records = splits.flat_map(|split| {
        // Splits hold every `step`-th record; those before `next` were emitted.
        let step = usize::try_from(split.step).expect("a step fits into memory");
        (split.next % split.step..split.next).step_by(step)
    });
    records.collect()
}

/// The keyed state of `job` after exactly the input before the positions of these splits.
///
/// # Panics
/// When there is no built-in job of this name, or a split is not one of its splits.
pub fn state(job: &str, options: &Options, files: &[InputFile], splits: &[Vec<u8>]) -> State {
    match job {
        "word-count" => count_words(lines_before(files, splits)),
        "access-log" => sum_requests(lines_before(files, splits)).0,
        "keyed-count" | "ledger" => count_keys(options, records_before(splits).into_iter())
            .into_iter()
            .map(|(key, count)| (key.to_string(), count.to_string()))
            .collect(),
        // Its state is of subtasks, not of keys, or of windows; what is lost of it is missing in the output.
        "buffered" | "sorted" | "access-windows" => State::new(),
        other => panic!("no reference for job {other}"),
    }
}

/// The keyed state after the input before positions that move on: the same as [`state`], at the price of what
/// is new since the last call.
#[derive(Debug, Clone, Default)]
pub struct Fold {
    /// How far each split is folded in: a file's with its range, or every n-th generated record.
    folded: BTreeMap<(String, u64, u64), u64>,
    /// The sums of each key.
    sums: BTreeMap<String, Vec<u64>>,
}

impl Fold {
    /// The state of `job` after exactly the input before the positions of these splits.
    ///
    /// # Panics
    /// As [`state`].
    pub fn advance(
        &mut self,
        job: &str,
        options: &Options,
        files: &[InputFile],
        splits: &[Vec<u8>],
    ) -> State {
        if matches!(job, "buffered" | "sorted" | "access-windows") {
            return State::new();
        }
        let limits: Vec<_> = splits.iter().map(|it| limit(files, it)).collect();
        let is_further = |(key, limit): &((String, u64, u64), u64)| {
            self.folded.get(key).is_none_or(|folded| folded <= limit)
        };
        let is_known = |key: &(String, u64, u64)| limits.iter().any(|(it, _)| it == key);
        if !limits.iter().all(is_further) || !self.folded.keys().all(is_known) {
            // A restore went back behind what was folded.
            *self = Self::default();
        }
        for (key, limit) in limits {
            let (name, start, step) = key.clone();
            // At its start a position may be within a line of the split before.
            let from = self.folded.insert(key, limit).filter(|it| *it > start);
            if files.is_empty() {
                let step = usize::try_from(step).expect("a step fits into memory");
                let records = (from.unwrap_or(start)..limit).step_by(step);
                for (key, count) in count_keys(options, records) {
                    self.add(&key.to_string(), &[count]);
                }
                continue;
            }
            let file = files.iter().find(|it| it.path.as_os_str() == name.as_str());
            let bytes = &file.expect("the split's file is part of the input").bytes;
            // A split begins with the first line that starts in it.
            let place = |it: u64| usize::try_from(it).expect("a file in memory").min(bytes.len());
            let from = match from {
                Some(from) => place(from),
                None if start == 0 => 0,
                None => {
                    let before = place(start - 1);
                    let end = bytes[before..].iter().position(|it| *it == b'\n');
                    end.map_or(bytes.len(), |it| before + it + 1)
                }
            };
            let until = place(limit);
            let mut at = from;
            while at < until {
                let end = bytes[at..]
                    .iter()
                    .position(|it| *it == b'\n')
                    .map_or(bytes.len(), |it| at + it);
                let line = bytes[at..end].strip_suffix(b"\r").unwrap_or(&bytes[at..end]);
                self.add_line(job, &text(line));
                at = end + 1;
            }
        }
        self.sums.iter().map(|(key, sums)| (key.clone(), sums_text(sums))).collect()
    }

    fn add_line(&mut self, job: &str, line: &str) {
        if job == "word-count" {
            for word in words_of(line) {
                self.add(&word, &[1]);
            }
        } else if let Some((client, status, bytes)) = fields(line) {
            self.add(client, &[1, bytes, u64::from(status >= 400)]);
        }
    }

    fn add(&mut self, key: &str, numbers: &[u64]) {
        let Some(sums) = self.sums.get_mut(key) else {
            self.sums.insert(key.to_owned(), numbers.to_vec());
            return;
        };
        for (sum, number) in sums.iter_mut().zip(numbers) {
            *sum = sum.saturating_add(*number);
        }
    }
}

/// What names a split for ever, and up to where it is read: a place in its file, or a record.
fn limit(files: &[InputFile], split: &[u8]) -> ((String, u64, u64), u64) {
    if files.is_empty() {
        let split: GeneratorSplit = postcard::from_bytes(split).expect("a split of the generator");
        return ((String::new(), split.next % split.step, split.step), split.next);
    }
    let split: FileSplit = postcard::from_bytes(split).expect("a split of a file");
    let end = if split.is_gzip { u64::MAX } else { split.end };
    let limit = if split.is_ended { end } else { split.position.max(split.start) };
    ((split.path, split.start, end), limit)
}

/// The keyed state in a snapshot of `job` as text.
///
/// # Errors
/// When the bytes are not state of this job.
pub fn decode_state(job: &str, groups: &[EncodedGroup]) -> Result<State, String> {
    let mut state = State::new();
    if job == "access-windows" {
        return Ok(state);
    }
    for group in groups {
        let mut bytes = group.bytes.as_slice();
        for _ in 0..group.entries {
            let (key, value, rest) = match job {
                "word-count" => take::<String, u64>(bytes, u64::to_string)?,
                "access-log" => take::<String, Totals>(bytes, totals_text)?,
                "keyed-count" | "ledger" => take::<u64, u64>(bytes, u64::to_string)?,
                other => return Err(format!("no reference for job {other}")),
            };
            match state.entry(key) {
                Entry::Vacant(free) => free.insert(value),
                Entry::Occupied(taken) => {
                    return Err(format!("key {} is twice in one snapshot", taken.key()));
                }
            };
            bytes = rest;
        }
    }
    Ok(state)
}

/// Adds to `state` what the records of this in-flight batch on the edge add to it once they are processed.
/// Edges that lead away from the state add nothing.
///
/// # Errors
/// When the bytes are not a batch of this job's edge.
pub fn fold_in_flight(job: &str, state: &mut State, edge: u32, bytes: &[u8]) -> Result<(), String> {
    let is_to_state = match job {
        "word-count" | "keyed-count" | "ledger" => edge == 0,
        "access-log" => edge == 1,
        "buffered" | "sorted" | "access-windows" => false,
        other => return Err(format!("no reference for job {other}")),
    };
    if !is_to_state {
        return Ok(());
    }
    match job {
        "word-count" => {
            for word in batch::<String>(bytes)? {
                add(state, word, &[1])?;
            }
        }
        "access-log" => {
            // A request's fields, in the order of the record.
            for (client, bytes, is_error) in batch::<(String, u64, bool)>(bytes)? {
                add(state, client, &[1, bytes, u64::from(is_error)])?;
            }
        }
        _ => {
            for key in batch::<u64>(bytes)? {
                add(state, key.to_string(), &[1])?;
            }
        }
    }
    Ok(())
}

fn batch<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<Vec<T>, String> {
    postcard::from_bytes(bytes).map_err(|error| format!("in-flight data: {error}"))
}

/// Adds numbers to a state that is numbers separated by commas.
fn add(state: &mut State, key: String, numbers: &[u64]) -> Result<(), String> {
    let before = state.get(&key).map_or("", String::as_str);
    let mut sums = Vec::new();
    let mut fields = before.split(',').filter(|it| !it.is_empty());
    for number in numbers {
        let field = fields.next().unwrap_or("0");
        let field: u64 = field.parse().map_err(|_| format!("{key}: {before} is no number"))?;
        sums.push(field.saturating_add(*number));
    }
    state.insert(key, sums_text(&sums));
    Ok(())
}

fn sums_text(sums: &[u64]) -> String {
    let mut text = String::new();
    for (index, sum) in sums.iter().enumerate() {
        text += if index > 0 { "," } else { "" };
        text += &sum.to_string();
    }
    text
}

fn take<K, V>(bytes: &[u8], text: fn(&V) -> String) -> Result<(String, String, &[u8]), String>
where
    K: serde::de::DeserializeOwned + ToString,
    V: serde::de::DeserializeOwned,
{
    let ((key, value), rest): ((K, V), _) =
        postcard::take_from_bytes(bytes).map_err(|error| error.to_string())?;
    Ok((key.to_string(), text(&value), rest))
}

fn joined(state: State) -> Vec<String> {
    state.into_iter().map(|(key, value)| format!("{key},{value}")).collect()
}

/// Lines with the position at which each starts.
pub(crate) fn lines_of(bytes: &[u8]) -> impl Iterator<Item = (usize, Cow<'_, str>)> {
    let mut start = 0;
    iter::from_fn(move || {
        let rest = bytes.get(start..).filter(|it| !it.is_empty())?;
        let line = rest.split(|it| *it == b'\n').next()?;
        let at = start;
        start += line.len() + 1;
        Some((at, text(line.strip_suffix(b"\r").unwrap_or(line))))
    })
}

/// A line as text. Most are, which this sees faster than [`String::from_utf8_lossy`].
fn text(line: &[u8]) -> Cow<'_, str> {
    str::from_utf8(line).map_or_else(|_| String::from_utf8_lossy(line), Cow::Borrowed)
}

/// The lines before the positions of these splits, in the order of the splits.
///
/// # Panics
/// When a split is not one of a file source over these files.
pub fn lines_before<'a>(files: &'a [InputFile], splits: &[Vec<u8>]) -> Vec<Cow<'a, str>> {
    let mut before = Vec::new();
    for bytes in splits {
        let split: FileSplit = postcard::from_bytes(bytes).expect("a split of a file");
        let file = files.iter().find(|it| it.path.as_os_str() == split.path.as_str());
        let file = file.expect("the split's file is part of the input");
        let is_before = |start: usize| {
            let start = start as u64;
            let owned = split.is_gzip || (split.start..split.end).contains(&start);
            owned && (start < split.position || split.is_ended)
        };
        let lines = lines_of(&file.bytes);
        before.extend(lines.filter(|(start, _)| is_before(*start)).map(|(_, line)| line));
    }
    before
}

fn count_words<'a>(lines: impl IntoIterator<Item = Cow<'a, str>>) -> State {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for line in lines {
        for word in words_of(&line) {
            match counts.get_mut(&*word) {
                Some(count) => *count += 1,
                None => drop(counts.insert(word.into_owned(), 1)),
            }
        }
    }
    counts.into_iter().map(|(word, count)| (word, count.to_string())).collect()
}

/// The words of a line, in lower case, read character by character.
pub(crate) fn words_of(line: &str) -> Vec<Cow<'_, str>> {
    let (mut words, mut start) = (Vec::new(), None);
    for (at, character) in line.char_indices().chain([(line.len(), ' ')]) {
        if character.is_alphanumeric() {
            start.get_or_insert(at);
        } else if let Some(start) = start.take() {
            words.push(lower_case(&line[start..at]));
        }
    }
    words
}

fn lower_case(word: &str) -> Cow<'_, str> {
    let is_plain = word.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit());
    if is_plain { Cow::Borrowed(word) } else { Cow::Owned(word.to_lowercase()) }
}

/// The client of a line in combined format.
pub(crate) fn client_of(line: &str) -> Option<&str> {
    fields(line).map(|(client, _, _)| client)
}

fn count_keys(options: &Options, records: impl Iterator<Item = u64>) -> BTreeMap<u64, u64> {
    let key_of = keys(options);
    let mut counts = BTreeMap::new();
    for index in records {
        *counts.entry(key_of(index)).or_default() += 1;
    }
    counts
}

/// The time of a record of `sorted`, and the record of a time: a number below 64 is 63 less itself, and so on in
/// every block.
pub(crate) fn turned(number: u64) -> u64 {
    number ^ 63
}

/// The key of each generated record.
pub(crate) fn keys(options: &Options) -> impl Fn(u64) -> u64 {
    let (keys, seed) = (options.number("keys"), options.number("seed"));
    move |index| {
        // SplitMix64 (Steele, Lea, Flood 2014), scaled to 0..keys by its high bits.
        let mut z = seed.wrapping_add((index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        let key = (u128::from(z) * u128::from(keys)) >> 64;
        u64::try_from(key).expect("a key is below 2^64")
    }
}

fn totals_text(totals: &Totals) -> String {
    let Totals { requests, bytes, errors } = totals;
    sums_text(&[*requests, *bytes, *errors])
}

/// Clients with their totals, and the lines that are not in combined format.
fn sum_requests<'a>(lines: impl IntoIterator<Item = Cow<'a, str>>) -> (State, Vec<String>) {
    let mut totals: BTreeMap<String, Totals> = BTreeMap::new();
    let mut malformed = Vec::new();
    for line in lines {
        let Some((client, status, bytes)) = fields(&line) else {
            malformed.push(line.into_owned());
            continue;
        };
        let total = totals.entry(client.to_owned()).or_default();
        total.requests += 1;
        total.bytes = total.bytes.saturating_add(bytes);
        total.errors += u64::from(status >= 400);
    }
    let totals = totals.iter().map(|(client, it)| (client.clone(), totals_text(it))).collect();
    (totals, malformed)
}

/// Client, status and bytes of a line in combined format, read character by character.
fn fields(line: &str) -> Option<(&str, u32, u64)> {
    let mut rest = line;
    let client = until(&mut rest, " ")?;
    until(&mut rest, " ")?;
    until(&mut rest, " [")?;
    until(&mut rest, "] \"")?;
    string(&mut rest)?;
    rest = rest.strip_prefix(' ')?;
    let status = until(&mut rest, " ")?;
    let bytes = until(&mut rest, " \"")?;
    string(&mut rest)?;
    rest = rest.strip_prefix(" \"")?;
    string(&mut rest)?;
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|it| it.is_ascii_digit());
    let is_well_formed = !client.is_empty()
        && rest.is_empty()
        && (status.len() == 3 && is_number(status))
        && (bytes == "-" || is_number(bytes));
    if !is_well_formed {
        return None;
    }
    let bytes = if bytes == "-" { 0 } else { bytes.parse().ok()? };
    Some((client, status.parse().ok()?, bytes))
}

fn until<'a>(rest: &mut &'a str, end: &str) -> Option<&'a str> {
    let first = end.chars().next()?;
    let mut places = rest.match_indices(first).map(|(at, _)| at);
    let at = places.find(|at| rest[*at..].starts_with(end))?;
    let text = &rest[..at];
    *rest = &rest[at + end.len()..];
    Some(text)
}

/// Moves past the quote that ends a string; a backslash takes the next character with it.
fn string(rest: &mut &str) -> Option<()> {
    let mut characters = rest.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => {
                characters.next();
            }
            '"' => {
                *rest = &rest[at + 1..];
                return Some(());
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(start: u64, end: u64, position: u64, is_ended: bool) -> Vec<u8> {
        let path = "/input/a".to_owned();
        let split = FileSplit { path, is_gzip: false, length: 40, start, end, position, is_ended };
        postcard::to_allocvec(&split).expect("a split has an encoding")
    }

    #[test]
    fn a_fold_that_goes_on_is_the_fold_from_the_beginning() {
        let spec = crate::find("word-count").expect("it is built in");
        let pairs = ["input=/input".to_owned(), "output=/output".to_owned()];
        let options = Options::parse(spec, &pairs).expect("they are legal");
        let files = [InputFile {
            path: "/input/a".into(),
            bytes: b"one two\ntwo three\nthree\none\nfour".to_vec(),
        }];
        let mut fold = Fold::default();
        let moments = [
            [split(0, 12, 0, false), split(12, 40, 12, false)],
            [split(0, 12, 8, false), split(12, 40, 24, false)],
            [split(0, 12, 18, true), split(12, 40, 28, false)],
            [split(0, 12, 18, true), split(12, 40, 32, true)],
            // A restore goes back.
            [split(0, 12, 8, false), split(12, 40, 24, false)],
            [split(0, 12, 18, true), split(12, 40, 32, true)],
        ];
        for splits in moments {
            let whole = state("word-count", &options, &files, &splits);
            assert_eq!(fold.advance("word-count", &options, &files, &splits), whole);
        }
    }
}
