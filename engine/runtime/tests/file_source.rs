//! Every line of every file once, however the input is cut and wherever reading stops.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use seawall_env::Env;
use seawall_runtime::connectors::FileSource;
use seawall_runtime::connectors::file_source::FileSplit;
use seawall_runtime::tokio_env::{self, InProcessNetwork, Unobserved};
use seawall_stream::{Collect, ConnectorError, Progress, Source, SourceReader};

struct Lines(Vec<String>);

impl Collect<String> for Lines {
    fn push(&mut self, line: String) {
        self.0.push(line);
    }
}

fn env() -> Env {
    tokio_env::env(Arc::new(InProcessNetwork::new()), Arc::new(Unobserved))
}

fn source(path: &Path) -> FileSource {
    FileSource::new(path).with_split_bytes_min(1)
}

/// Reads up to `limit` lines and returns them with the splits at their new positions.
async fn read(
    source: &FileSource,
    splits: Vec<FileSplit>,
    limit: usize,
) -> (Vec<String>, Vec<FileSplit>) {
    let mut reader = source.open(&env(), splits).await.unwrap();
    let mut lines = Lines(Vec::new());
    let mut progress = Progress::NeedsInput;
    while progress != Progress::Ended && lines.0.len() < limit {
        if progress == Progress::NeedsInput && reader.fill().await.unwrap() == Progress::Ended {
            break;
        }
        let rest = limit - lines.0.len();
        progress = reader.emit(rest.min(3), &mut lines).unwrap();
    }
    // Positions go through their stored form.
    let stored = |it: &FileSplit| postcard::to_allocvec(it).unwrap();
    let splits = reader.splits();
    let splits = splits.iter().map(|it| postcard::from_bytes(&stored(it)).unwrap()).collect();
    (lines.0, splits)
}

async fn read_all(source: &FileSource, splits: Vec<FileSplit>) -> Vec<String> {
    read(source, splits, usize::MAX).await.0
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// The lines as the standard library sees them.
fn expected(content: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(content).lines().map(str::to_owned).collect()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => Just(b"\n".to_vec()),
        2 => Just(b"\r\n".to_vec()),
        1 => Just(b"\r".to_vec()),
        4 => "[a-c]{1,12}".prop_map(String::into_bytes),
        1 => Just("ä€".as_bytes().to_vec()),
        1 => Just(vec![0xff]),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    // Rules: J2
    #[test]
    fn every_line_is_read_once_for_every_number_of_splits(content in content()) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lines.txt");
        std::fs::write(&path, &content).unwrap();
        run(async {
            for parallelism in 1..12 {
                let splits = source(&path).enumerate(&env(), parallelism).await.unwrap();
                prop_assert!(splits.len() <= parallelism as usize);
                let mut lines = Vec::new();
                for split in splits {
                    lines.extend(read_all(&source(&path), vec![split]).await);
                }
                prop_assert_eq!(lines, expected(&content), "parallelism {}", parallelism);
            }
            Ok(())
        })?;
    }

    // Rules: J1
    #[test]
    fn reading_on_from_any_position_gives_the_rest(content in content(), is_gzip: bool) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(if is_gzip { "lines.gz" } else { "lines.txt" });
        std::fs::write(&path, if is_gzip { gzip(&content) } else { content.clone() }).unwrap();
        run(async {
            let splits = source(&path).enumerate(&env(), 3).await.unwrap();
            for stop in 0..=expected(&content).len() {
                let (mut lines, rest) = read(&source(&path), splits.clone(), stop).await;
                prop_assert_eq!(lines.len(), stop);
                lines.extend(read_all(&source(&path), rest).await);
                prop_assert_eq!(lines, expected(&content), "stopped after {}", stop);
            }
            Ok(())
        })?;
    }
}

#[test]
fn lines_longer_than_a_chunk_are_whole() {
    let directory = tempfile::tempdir().unwrap();
    let line = |byte: char, length: usize| byte.to_string().repeat(length);
    let lines = [line('a', 700_000), line('b', 3), line('c', 300_000), String::new(), line('d', 9)];
    let content = lines.join("\n");
    for (name, bytes) in
        [("plain.txt", content.clone().into_bytes()), ("some.gz", gzip(content.as_bytes()))]
    {
        let path = directory.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        run(async {
            let splits = source(&path).enumerate(&env(), 5).await.unwrap();
            assert!(read_all(&source(&path), splits).await == lines, "{name}");
        });
    }
}

#[test]
fn a_gzip_file_of_several_members_is_read_to_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.gz");
    std::fs::write(&path, [gzip(b"a\nb"), gzip(b"c\n"), gzip(b"d\n")].concat()).unwrap();
    run(async {
        let splits = source(&path).enumerate(&env(), 4).await.unwrap();
        assert_eq!(splits.len(), 1);
        assert_eq!(read_all(&source(&path), splits).await, ["a", "bc", "d"]);
    });
}

#[test]
fn a_damaged_gzip_file_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.gz");
    let whole = gzip(b"one\ntwo\nthree\n");
    std::fs::write(&path, &whole[..whole.len() - 4]).unwrap();
    run(async {
        let splits = source(&path).enumerate(&env(), 1).await.unwrap();
        let mut reader = source(&path).open(&env(), splits).await.unwrap();
        let error = reader.fill().await.unwrap_err();
        assert!(error.is_fatal(), "{error}");
        assert!(error.to_string().contains("is no intact gzip file"), "{error}");
    });
}

#[test]
fn a_directory_is_read_in_the_order_of_names_without_hidden_files() {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in
        [("b.txt", "3\n4\n"), ("a.txt", "1\n2"), (".hidden", "no\n"), ("empty.txt", "")]
    {
        std::fs::write(directory.path().join(name), content).unwrap();
    }
    std::fs::create_dir(directory.path().join("c")).unwrap();
    std::fs::write(directory.path().join("c/nested.txt"), "no\n").unwrap();
    std::fs::write(directory.path().join("d.gz"), gzip(b"5\n")).unwrap();
    run(async {
        let splits = source(directory.path()).enumerate(&env(), 1).await.unwrap();
        assert_eq!(splits.len(), 3);
        assert_eq!(read_all(&source(directory.path()), splits).await, ["1", "2", "3", "4", "5"]);
    });
}

// Rules: J1, J5
#[test]
fn lines_appended_after_the_start_are_left_to_the_next_job() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    std::fs::write(&path, "1\n2").unwrap();
    run(async {
        let splits = source(&path).enumerate(&env(), 1).await.unwrap();
        std::fs::write(&path, "1\n2345\n6\n").unwrap();
        assert_eq!(read_all(&source(&path), splits).await, ["1", "2"]);
    });
}

#[test]
fn a_file_that_became_shorter_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    std::fs::write(&path, "1\n2\n").unwrap();
    run(async {
        let splits = source(&path).enumerate(&env(), 1).await.unwrap();
        std::fs::write(&path, "1\n").unwrap();
        let mut reader = source(&path).open(&env(), splits).await.unwrap();
        let error = reader.fill().await.unwrap_err().to_string();
        assert!(error.contains("became shorter: it had 4 bytes and has 2"), "{error}");
    });
}

async fn no_input(path: &Path) -> String {
    let error = source(path).enumerate(&env(), 2).await.unwrap_err();
    assert!(matches!(error, ConnectorError::NoInput { .. }), "{error}");
    error.to_string()
}

#[test]
fn missing_input_is_told_with_a_hint() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let missing = no_input(&directory.path().join("missing")).await;
        assert!(missing.contains("missing cannot be read"), "{missing}");
        assert!(missing.contains("\nhint: name a readable file"), "{missing}");
        let empty = no_input(directory.path()).await;
        assert!(empty.contains("has no files in it\nhint: put text files"), "{empty}");
    });
}

#[test]
fn an_empty_file_has_no_splits() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("empty");
    std::fs::write(&path, "").unwrap();
    run(async {
        let splits = source(&path).enumerate(&env(), 2).await.unwrap();
        assert_eq!(splits, []);
        assert_eq!(read_all(&source(&path), splits).await, Vec::<String>::new());
    });
}
