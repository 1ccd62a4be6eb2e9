//! What two failures have in common: the property, and its message without the numbers.
//!
//! A thousand seeds that fail for one reason are one thing to look at. The numbers in a message (ids,
//! times, counts) differ from seed to seed; its words do not.

use crate::verdict::{Result as Outcome, Verdict};

/// What the failures of one group share, for people.
pub fn signature(verdict: &Verdict) -> String {
    match &verdict.result {
        Outcome::Holds => "holds".to_owned(),
        Outcome::Violated { property: _, message } => words(first_line(message)),
        Outcome::Stuck { pending } => format!("stuck: {}", words(first_line(pending))),
        Outcome::NotDeterministic { .. } => "not deterministic".to_owned(),
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// The text with `#` for each number, and without what is quoted from the input.
fn words(text: &str) -> String {
    let mut out = String::new();
    let mut is_in_number = false;
    for letter in text.chars() {
        let is_number = letter.is_ascii_digit() || (is_in_number && matches!(letter, '.' | '_'));
        if is_number && !is_in_number {
            out.push('#');
        }
        if !is_number {
            out.push(letter);
        }
        is_in_number = is_number;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_do_not_tell_failures_apart() {
        assert_eq!(words("checkpoint 7 expired after 5.25s"), "checkpoint # expired after #s");
        assert_eq!(words("worker-2 count/0#13"), "worker-# count/###");
    }
}
