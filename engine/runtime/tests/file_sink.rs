//! Transactions of files: visible once committed, whoever commits and however often.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::path::Path;
use std::sync::Arc;

use seawall_protocol::{Attempt, AttemptId, CheckpointId, SubtaskId};
use seawall_runtime::connectors::FileSink;
use seawall_runtime::connectors::file_sink::FileSinkWriter;
use seawall_runtime::tokio_env::{self, InProcessNetwork, Unobserved};
use seawall_stream::{ConnectorError, Sink, SinkContext, SinkWriter};

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the sink encodes records of any size")]
fn encode(record: &u64, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(record.to_string().as_bytes());
    bytes.push(b'\n');
}

async fn writer(directory: &Path, index: u32, attempt: u32) -> FileSinkWriter<u64> {
    writer_of(directory, index, 12, attempt).await
}

async fn writer_of(
    directory: &Path,
    index: u32,
    parallelism: u32,
    attempt: u32,
) -> FileSinkWriter<u64> {
    let env = tokio_env::env(Arc::new(InProcessNetwork::new()), Arc::new(Unobserved));
    let attempt = AttemptId { subtask: SubtaskId::new(2, index), attempt: Attempt(attempt) };
    FileSink::new(directory, encode).open(SinkContext { env, attempt, parallelism }).await.unwrap()
}

async fn transaction(writer: &mut FileSinkWriter<u64>, checkpoint: u64, record: u64) -> Vec<u8> {
    writer.write(record);
    writer.flush().await.unwrap();
    writer.pre_commit(CheckpointId(checkpoint)).await.unwrap().unwrap()
}

/// What a reader of the directory sees.
fn visible(directory: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            files.push((name, std::fs::read_to_string(path).unwrap()));
        }
    }
    files.sort();
    files
}

fn pending(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory.join(".pending")).unwrap();
    let mut names: Vec<_> =
        entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn committed(name: &str, content: &str) -> Vec<(String, String)> {
    vec![(name.into(), content.into())]
}

// Rules: K1, K2
#[tokio::test]
async fn output_is_visible_once_it_is_committed_and_not_before() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = writer(directory.path(), 0, 1).await;
    let first = transaction(&mut writer, 7, 1).await;
    let second = transaction(&mut writer, 8, 2).await;
    writer.write(3);
    assert_eq!(visible(directory.path()), []);
    assert_eq!(
        pending(directory.path()),
        ["part-op2-0-attempt-1-0.tmp", "part-op2-0-attempt-1-1.tmp"]
    );

    writer.commit(&first).await.unwrap();
    assert_eq!(visible(directory.path()), committed("part-0-chk-7.csv", "1\n"));
    writer.commit(&second).await.unwrap();
    assert_eq!(visible(directory.path()).len(), 2);
    assert_eq!(pending(directory.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_transaction_without_records_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = writer(directory.path(), 0, 1).await;
    assert_eq!(writer.pre_commit(CheckpointId(1)).await.unwrap(), None);
    transaction(&mut writer, 2, 1).await;
    assert_eq!(writer.pre_commit(CheckpointId(3)).await.unwrap(), None);
}

// Rules: K1
#[tokio::test]
async fn many_records_are_one_file() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = writer(directory.path(), 0, 1).await;
    for record in 0..200_000 {
        writer.write(record);
        if record % 1000 == 0 {
            writer.flush().await.unwrap();
        }
    }
    let committable = writer.pre_commit(CheckpointId(1)).await.unwrap().unwrap();
    writer.commit(&committable).await.unwrap();
    let mut expected = Vec::new();
    for record in 0..200_000 {
        encode(&record, &mut expected);
    }
    let expected = String::from_utf8(expected).unwrap();
    assert!(visible(directory.path()) == committed("part-0-chk-1.csv", &expected));
}

// Rules: K4, K6
#[tokio::test]
async fn a_commit_repeated_by_anyone_has_one_result() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = writer(directory.path(), 0, 1).await;
    let committable = transaction(&mut first, 7, 1).await;
    let mut second = writer(directory.path(), 0, 2).await;
    for _ in 0..2 {
        second.commit(&committable).await.unwrap();
        first.commit(&committable).await.unwrap();
        assert_eq!(visible(directory.path()), committed("part-0-chk-7.csv", "1\n"));
    }
}

// Rules: K4
#[tokio::test]
async fn a_commit_that_left_both_names_is_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = writer(directory.path(), 0, 1).await;
    let committable = transaction(&mut writer, 7, 1).await;
    std::fs::copy(
        directory.path().join(".pending/part-op2-0-attempt-1-0.tmp"),
        directory.path().join("part-0-chk-7.csv"),
    )
    .unwrap();
    writer.commit(&committable).await.unwrap();
    assert_eq!(visible(directory.path()), committed("part-0-chk-7.csv", "1\n"));
    assert_eq!(pending(directory.path()), Vec::<String>::new());
}

fn fatal(result: Result<(), ConnectorError>) -> String {
    let error = result.unwrap_err();
    assert!(error.is_fatal(), "{error}");
    error.to_string()
}

// Rules: K8
#[tokio::test]
async fn a_lost_transaction_is_fatal_and_never_success() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = writer(directory.path(), 0, 1).await;
    let committable = transaction(&mut writer, 7, 1).await;
    std::fs::remove_file(directory.path().join(".pending/part-op2-0-attempt-1-0.tmp")).unwrap();
    let error = fatal(writer.commit(&committable).await);
    assert!(error.starts_with("output is lost: neither "), "{error}");
}

// Rules: K8, R2
#[tokio::test]
async fn a_torn_transaction_is_fatal() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = writer(directory.path(), 0, 1).await;
    let committable = transaction(&mut writer, 7, 1).await;
    std::fs::write(directory.path().join(".pending/part-op2-0-attempt-1-0.tmp"), "").unwrap();
    fatal(writer.commit(&committable).await);
    assert_eq!(visible(directory.path()), []);
}

// Rules: K10
#[tokio::test]
async fn a_restored_transaction_with_other_bytes_is_fatal() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = writer(directory.path(), 0, 1).await;
    let committable = transaction(&mut first, 7, 1).await;
    std::fs::write(directory.path().join(".pending/part-op2-0-attempt-1-0.tmp"), "2\n").unwrap();
    let mut second = writer(directory.path(), 0, 2).await;
    fatal(second.commit(&committable).await);
    assert_eq!(visible(directory.path()), []);
}

// Rules: K5, K6
#[tokio::test]
async fn lingering_output_of_earlier_attempts_is_removed_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = writer(directory.path(), 1, 1).await;
    let kept = transaction(&mut first, 7, 1).await;
    transaction(&mut first, 8, 2).await;
    let mut other_subtask = writer(directory.path(), 11, 1).await;
    transaction(&mut other_subtask, 7, 3).await;
    let mut later = writer(directory.path(), 1, 3).await;
    transaction(&mut later, 9, 4).await;
    let mut own = writer(directory.path(), 1, 2).await;
    transaction(&mut own, 9, 5).await;

    assert_eq!(own.abort_lingering(std::slice::from_ref(&kept)).await.unwrap(), 1);
    assert_eq!(
        pending(directory.path()),
        [
            "part-op2-1-attempt-1-0.tmp",
            "part-op2-1-attempt-2-0.tmp",
            "part-op2-1-attempt-3-0.tmp",
            "part-op2-11-attempt-1-0.tmp",
        ]
    );
    own.commit(&kept).await.unwrap();
    assert_eq!(visible(directory.path()), committed("part-1-chk-7.csv", "1\n"));
}

// Rules: K5, K10
#[tokio::test]
async fn with_fewer_subtasks_each_takes_the_place_of_some_that_are_gone() {
    let directory = tempfile::tempdir().unwrap();
    let mut kept = Vec::new();
    for index in 0..5 {
        let mut former = writer(directory.path(), index, 1).await;
        kept.push(transaction(&mut former, 7, index.into()).await);
        transaction(&mut former, 8, 100 + u64::from(index)).await;
    }
    let mut first = writer_of(directory.path(), 0, 2, 2).await;
    let inherited = [kept[0].clone(), kept[2].clone(), kept[4].clone()];
    assert_eq!(first.abort_lingering(&inherited).await.unwrap(), 3);
    let of_second = pending(directory.path());
    let of_second = of_second.iter().filter(|it| it.contains("-1-att") || it.contains("-3-att"));
    assert_eq!(of_second.count(), 4, "what the other subtask takes over is not touched");
    for committable in &inherited {
        first.commit(committable).await.unwrap();
    }
    let names: Vec<_> = visible(directory.path()).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["part-0-chk-7.csv", "part-2-chk-7.csv", "part-4-chk-7.csv"]);
}

#[tokio::test]
async fn a_foreign_committable_is_fatal() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = writer(directory.path(), 0, 1).await;
    fatal(writer.commit(&[0xff; 3]).await);
}
