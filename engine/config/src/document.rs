//! The table as a page for people. `docs/configuration.md` is this text; a test compares them.

use std::fmt::Write as _;

use crate::table::{self, GROUPS, Key, Source, Support};

const HEAD: &str = "\
# Configuration

Made from the table in `engine/config/src/table`; `UPDATE_DOCS=1 cargo test -p seawall-config` writes it anew.

Keys, defaults and spellings are Apache Flink's. Give them in a file (`--config FILE`: YAML as Flink's
`config.yaml`, nested or flat, or TOML with the same keys), on the command line (`-D key=value`), or in code
(`Configuration::new().set(key, value)`). The command line wins over the file, the file over code, code over
the defaults. A flag such as `--checkpoint-interval` stands for its key; a flag and a `-D` that differ are an
error. `seawall config` prints every key with the value that counts and where it was given.

Nothing is ignored. An unknown key is an error that names the nearest one. A key of Flink whose feature
Seawall does not have is refused, unless it has its default value. `none` leaves a key unset that has no
default.

Times are `10 min`, `10 s`, `500 ms` or `PT10S`, and milliseconds without a unit; sizes are `20 kb` or
`32 mb`, and bytes without a unit. Names take any case, and `-` for `_`.
";

/// The page, in Markdown.
pub fn markdown() -> String {
    let mut text = HEAD.to_owned();
    for group in GROUPS {
        let _ = write!(
            text,
            "\n## {}\n\n| key | default | allowed | meaning |\n|---|---|---|---|\n",
            group.title
        );
        for key in group.keys {
            let default = key.default.map_or_else(|| "none".to_owned(), |it| format!("`{it}`"));
            let _ = writeln!(
                text,
                "| `{}` | {default} | {} | {} |",
                key.key,
                allowed(key),
                meaning(key)
            );
        }
    }
    text.push_str(
        "\n## Other names\n\nUnderstood, with a warning.\n\n| name | key | from |\n|---|---|---|\n",
    );
    for key in table::keys() {
        for alias in key.aliases {
            let from = match alias.from {
                Source::OldFlink => "older versions of Flink",
                Source::Articles => "articles about Flink",
            };
            let _ = writeln!(text, "| `{}` | `{}` | {from} |", alias.key, key.key);
        }
    }
    text
}

fn allowed(key: &Key) -> String {
    match key.support {
        Support::Works(_) => key.kind.allowed(),
        Support::Fixed { accepts, .. } => accepts.join(" or "),
        Support::Absent(_) => "the default only".to_owned(),
    }
}

fn meaning(key: &Key) -> String {
    let mut text = key.about.to_owned();
    if let Some((needed, values)) = key.needs {
        let values = values.join("` or `");
        let is = if values.is_empty() { " is set".to_owned() } else { format!(" is `{values}`") };
        let _ = write!(text, " Only where `{needed}`{is}.");
    }
    match key.support {
        Support::Works(setting) => {
            let _ = write!(text, " In code: `{setting}`.");
        }
        Support::Fixed { why, .. } => {
            let _ = write!(text, " **Fixed:** {why}.");
        }
        Support::Absent(missing) => {
            let _ = write!(text, " **Not there:** {missing}.");
        }
    }
    text
}
