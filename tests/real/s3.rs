//! Checkpoints in S3: a server of its own process, started on a free port by each test.
//!
//! The server is moto (`moto[server]` of `PyPI`), which honours `If-None-Match` and `If-Match`. It looks and
//! then writes, in Python threads, so of two requests at the same moment both may win; the claims about
//! that are judged over the store in memory. Where moto is not installed the tests say how to install it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use object_store::aws::AmazonS3Builder;
use seawall::runtime::storage::contract::{self, Condition};
use seawall::runtime::storage::{Storage, record};
use tokio::runtime::Builder;

use crate::support::{Running, Said, Scratch, wait_until};

const BUCKET: &str = "checkpoints";

/// A running server; ends with it.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    /// `None`, with a line that says what to do, where the server is not installed.
    fn start() -> Option<Self> {
        let installed = concat!(env!("CARGO_MANIFEST_DIR"), "/target/moto/bin/moto_server");
        let program = if Path::new(installed).exists() { installed } else { "moto_server" };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(program);
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(process) = command.spawn() else {
            eprintln!(
                "skipped: no S3 server; install it with: \
                 python3 -m venv target/moto && target/moto/bin/pip install 'moto[server]==5.2.5'"
            );
            return None;
        };
        let server = Self { process, port };
        let began = Instant::now();
        while server.create_bucket().is_err() {
            assert!(began.elapsed() < Duration::from_mins(1), "the server does not answer");
            sleep(Duration::from_millis(100));
        }
        Some(server)
    }

    fn create_bucket(&self) -> std::io::Result<()> {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port))?;
        write!(
            connection,
            "PUT /{BUCKET} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        Ok(())
    }

    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The storage at the prefix, as this process reaches it.
    fn storage(&self, prefix: &str) -> Storage {
        let store = AmazonS3Builder::new()
            .with_bucket_name(BUCKET)
            .with_endpoint(self.endpoint())
            .with_allow_http(true)
            .with_region("us-east-1")
            .with_access_key_id("test")
            .with_secret_access_key("test")
            .build()
            .unwrap();
        Storage::over(Arc::new(store), prefix.into(), format!("s3://{BUCKET}/{prefix}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn command(scratch: &Scratch, endpoint: &str, arguments: &str) -> Command {
    let mut command = scratch.command(arguments);
    command.env("AWS_ENDPOINT_URL", endpoint).env("AWS_REGION", "us-east-1");
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    command
}

fn run(scratch: &Scratch, server: &Server, arguments: &str) -> Said {
    scratch.said(command(scratch, &server.endpoint(), arguments).output().unwrap())
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

// Rules: R1, R2, H6, I9
#[test]
fn a_bucket_keeps_the_contract() {
    let Some(server) = Server::start() else { return };
    block_on(contract::all(&server.storage("some/job"), Condition::LookedAt));
}

// Rules: R1, I9
#[test]
fn a_large_file_is_sent_in_parts_and_read_whole() {
    let Some(server) = Server::start() else { return };
    let storage = server.storage("large");
    block_on(async {
        let path = storage.root().join("chk-1/large");
        let bytes: Vec<u8> = (0..70_u32 << 20).map(|it| (it >> 12).to_le_bytes()[0]).collect();
        storage.put_new(&path, bytes.clone()).await.unwrap();
        assert!(storage.get(&path).await.unwrap() == bytes, "what was sent is read");
        storage.put_new(&path, bytes).await.expect_err("it is there");
    });
}

// Rules: H2, K3, K4
#[test]
fn a_job_that_is_killed_continues_from_its_checkpoint_in_the_bucket() {
    let Some(server) = Server::start() else { return };
    let scratch = Scratch::new();
    let options = "-o records=4000 -o keys=20 -o seed=3";
    scratch.finish(&format!("run ledger {options} -o output=undisturbed --state local"));
    let job = format!(
        "run ledger {options} -o output=out -o rate=800 --checkpoint-interval 50ms \
         --checkpoint-dir s3://{BUCKET}/jobs"
    );
    for _ in 0..2 {
        let mut running = command(&scratch, &server.endpoint(), &job);
        let mut running = running.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let before = newest(&server);
        let began = Instant::now();
        while newest(&server) <= before + 2 {
            assert!(began.elapsed() < Duration::from_mins(2), "no checkpoint completes");
            assert_eq!(running.try_wait().unwrap(), None, "the job was too fast to be killed");
            sleep(Duration::from_millis(20));
        }
        running.kill().unwrap();
        running.wait().unwrap();
    }
    let said = run(&scratch, &server, &job);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(scratch.output("out"), scratch.output("undisturbed"));

    let verified = run(&scratch, &server, &format!("checkpoint verify s3://{BUCKET}/jobs"));
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
    let again = run(&scratch, &server, &job);
    assert_eq!(again.code, 0, "a job that has its result does not run again: {}", again.stderr);
}

/// Runs and expects success; nothing of what is said is replaced.
fn finish(scratch: &Scratch, server: &Server, arguments: &str) -> String {
    let output = command(scratch, &server.endpoint(), arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

// Rules: H7, I7, N7
#[test]
fn savepoints_in_the_bucket_are_taken_listed_started_from_and_disposed_of() {
    let Some(server) = Server::start() else { return };
    let scratch = Scratch::new();
    let run = |arguments: &str| run(&scratch, &server, arguments);
    let finish = |arguments: &str| finish(&scratch, &server, arguments);
    let savepoint_of = |arguments: &str| {
        let said = finish(arguments);
        said.split_whitespace().last().unwrap().to_owned()
    };
    let job = "run keyed-count -o records=200000 -o keys=50";
    finish(&format!("{job} -o output=undisturbed --state local"));
    let expected = scratch.output("undisturbed");

    // Its input lasts longer than anybody's patience.
    let slow = format!(
        "{job} -o output=out -o rate=1000 --checkpoint-interval 50ms --checkpoint-dir s3://{BUCKET}/jobs"
    );
    let running = Running::spawn(&mut command(&scratch, &server.endpoint(), &slow));
    wait_until("a checkpoint is completed", || newest(&server) > 0);
    let own = savepoint_of("savepoint trigger seawall-data");
    assert!(own.starts_with(&format!("s3://{BUCKET}/jobs/keyed-count-")), "{own}");
    let kept = savepoint_of(&format!("savepoint trigger seawall-data --target s3://{BUCKET}/kept"));
    assert!(kept.starts_with(&format!("s3://{BUCKET}/kept/savepoint-")), "{kept}");
    let stopped = savepoint_of(&format!("stop seawall-data --savepoint-dir s3://{BUCKET}/stopped"));
    let ended = running.wait(&scratch);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.contains(&stopped), "{}", ended.stdout);

    let listed = finish(&format!("checkpoint list s3://{BUCKET}/jobs"));
    assert!(listed.contains(" triggered: "), "the history is there as well: {listed}");

    for (place, savepoint) in [("jobs", &own), ("kept", &kept), ("stopped", &stopped)] {
        let listed = finish(&format!("savepoint list s3://{BUCKET}/{place}"));
        let lines: Vec<_> = listed.lines().filter(|it| it.contains("savepoint-")).collect();
        assert!(
            matches!(lines[..], [line] if line.contains(savepoint.as_str()) && line.ends_with("intact")),
            "{listed}"
        );
        finish(&format!("checkpoint verify {savepoint}"));
        finish(&format!("checkpoint show {savepoint}"));
    }

    // Into a directory, into the bucket, and into another prefix of it with a claim.
    finish(&format!("{job} -o output=one --state first --from-savepoint {own}"));
    assert_eq!(scratch.output("one"), expected);
    finish(&format!(
        "{job} -o output=two --checkpoint-dir s3://{BUCKET}/two --from-savepoint {kept}"
    ));
    assert_eq!(scratch.output("two"), expected);
    for savepoint in [&own, &kept] {
        finish(&format!("checkpoint verify {savepoint}"));
    }
    finish(&format!(
        "{job} -o output=out --checkpoint-dir s3://{BUCKET}/three --from-savepoint {stopped} \
         --claim-mode claim"
    ));
    assert_eq!(scratch.output("out"), expected);
    let left = finish(&format!("savepoint list s3://{BUCKET}/stopped"));
    assert!(left.starts_with("no savepoints in "), "it was replaced by a checkpoint: {left}");

    for (place, savepoint) in [("jobs", &own), ("kept", &kept)] {
        let said = finish(&format!("savepoint dispose {savepoint}"));
        assert_eq!(said, format!("disposed of {savepoint}\n"));
        let left = finish(&format!("savepoint list s3://{BUCKET}/{place}"));
        assert!(left.starts_with("no savepoints in "), "{left}");
        let again = run(&format!("savepoint dispose {savepoint}"));
        assert_eq!(again.code, 2, "{}", again.stdout);
        assert!(again.stderr.contains("nothing is there"), "{}", again.stderr);
    }
    finish(&format!("checkpoint verify s3://{BUCKET}/jobs"));
    let left = block_on(async {
        let storage = server.storage("kept");
        storage.list(storage.root()).await.unwrap()
    });
    assert_eq!(left, [], "no file of it is left");
}

/// The newest checkpoint of the only job; 0 for none.
fn newest(server: &Server) -> u64 {
    block_on(async {
        let jobs = server.storage("jobs");
        let jobs = jobs.list(jobs.root()).await.unwrap();
        let Some(job) = jobs.first() else { return 0 };
        let name = job.path.file_name().unwrap().to_str().unwrap();
        let record = record::read(&server.storage(&format!("jobs/{name}"))).await.unwrap();
        record.and_then(|it| it.retained.last().copied()).map_or(0, |it| it.0)
    })
}

// Rules: R4
#[test]
fn a_store_that_cannot_be_used_ends_the_program_with_the_file_and_a_hint() {
    let scratch = Scratch::new();
    let job = "run keyed-count -o records=100 -o output=out --state s3://checkpoints/jobs";
    let nobody = command(&scratch, "http://127.0.0.1:1", job).output().unwrap();
    let said = scratch.said(nobody);
    assert_eq!(said.code, 2, "{}", said.stderr);
    for expected in
        ["cannot read s3://checkpoints/jobs/keyed-count-", "/record: ", "hint: check the address"]
    {
        assert!(said.stderr.contains(expected), "{expected}: {}", said.stderr);
    }

    let Some(server) = Server::start() else { return };
    let said = run(&scratch, &server, &job.replace("s3://checkpoints", "s3://no-such-bucket"));
    assert_ne!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.contains("hint: create the bucket"), "{}", said.stderr);
}
