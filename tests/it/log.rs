//! `mux log -f`: each run as it ends, through rotation, until a signal or a closed pipe.

use crate::bench::{World, wait};
use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Stdio};

/// A ledger that others write, one line after the other.
struct Book(PathBuf);

impl Book {
    fn new(world: &World) -> Book {
        fs::create_dir(world.root.join("state/mux")).unwrap();
        Book(world.root.join("state/mux/run_ledger.jsonl"))
    }

    fn add(&self, seq: u32, route: &str) {
        let line = format!(
            "{{\"schema\":1,\"run_id\":\"01M83B56WQR58GX95Z0TR9E8{seq:02}\",\"seq\":{seq},\
             \"timestamp\":\"2026-11-20T02:54:00.123Z\",\"kind\":\"answer\",\"route\":\"{route}\",\
             \"reason\":\"confident\",\"workdir\":\"/w\"}}\n"
        );
        let mut file = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&self.0).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }

    /// As the ledger does it when it is full.
    fn rotate(&self) {
        fs::rename(&self.0, self.0.with_file_name("run_ledger.jsonl.1")).unwrap();
    }
}

fn follow(world: &World, args: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let mut command = world.mux();
    command.args(["log", "-f"]).args(args).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    (child, stdout)
}

/// The next line, without the blanks that align it.
fn next(stdout: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn each_run_is_shown_as_it_ends_through_rotation_until_a_signal_comes() {
    let world = World::new("follow");
    let book = Book::new(&world);
    book.add(1, "claude");
    book.add(2, "local");
    book.add(3, "local");
    let (mut child, mut stdout) = follow(&world, &["--route", "local", "-n", "1"]);
    let row =
        |seq: u32| format!("01M83B56WQR58GX95Z0TR9E8{seq:02} 2026-11-20 02:54:00 answer local confident - 0 0.0 /w");
    assert_eq!(next(&mut stdout), "run_id time (UTC) kind route reason proof files seconds workdir");
    assert_eq!(next(&mut stdout), row(3));
    book.add(4, "claude");
    book.add(5, "local");
    assert_eq!(next(&mut stdout), row(5));
    book.rotate();
    book.add(6, "local");
    book.add(7, "local");
    assert_eq!([next(&mut stdout), next(&mut stdout)], [row(6), row(7)]);
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(wait(&mut child), (130, true));
    assert_eq!(next(&mut stdout), "");
}

#[test]
fn a_closed_pipe_ends_it_without_another_run() {
    let world = World::new("pipe");
    let book = Book::new(&world);
    book.add(1, "local");
    let (mut child, mut stdout) = follow(&world, &["--json"]);
    let line: serde_json::Value = serde_json::from_str(&next(&mut stdout)).unwrap();
    assert_eq!(line["seq"], 1);
    drop(stdout);
    assert_eq!(wait(&mut child), (0, true));
}
