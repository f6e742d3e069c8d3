//! The twenty small fixes of `fixtures/bench` with a real model server, once for each edit format. How many a model gets
//! right is printed and not asserted; that nothing is called done which is not is asserted, and that what is not done
//! left no trace.
//!
//!     BENCH=http://127.0.0.1:8080 cargo test --locked --test it fixes -- --ignored --nocapture
//!
//! `BENCH_TRIES` is the number of tries for each task (1), `BENCH_FORMATS` the formats (`whole edits auto`), and
//! `BENCH_KEEP` a directory where the replies are kept, to make fixtures of.

use crate::bench::{Ran, World, copy_tree, manifest, run, tree};
use fs_err as fs;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

struct Task {
    name: String,
    words: String,
    verify: String,
    input: PathBuf,
}

fn tasks() -> Vec<Task> {
    let mut tasks = Vec::new();
    for entry in fs::read_dir(manifest().join("fixtures/bench")).unwrap() {
        let folder = entry.unwrap().path();
        if folder.is_dir() {
            let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap().trim().to_string();
            let name = folder.file_name().unwrap().to_str().unwrap().to_string();
            tasks.push(Task { name, words: text("task"), verify: text("verify"), input: folder.join("input") });
        }
    }
    tasks.sort_by(|one, two| one.name.cmp(&two.name));
    tasks
}

fn verify(world: &World, task: &Task) -> Ran {
    let mut command = world.command(world.root.join("bin/sh"));
    command.env("PYTHONDONTWRITEBYTECODE", "1").args(["-c", &task.verify]);
    run(command, b"")
}

fn lay_out(world: &World, task: &Task) {
    fs::remove_dir_all(&world.work).unwrap();
    copy_tree(&task.input, &world.work);
}

#[test]
fn every_fix_of_the_table_is_red_before() {
    let tasks = tasks();
    assert_eq!(tasks.len(), 20);
    let world = World::new("fixes-red");
    for task in &tasks {
        lay_out(&world, task);
        let before = verify(&world, task);
        assert_ne!(before.exit, 0, "{}: nothing to fix\n{}", task.name, before.report());
    }
}

#[test]
#[ignore = "needs a real model server in BENCH, and minutes"]
fn small_fixes_are_counted_for_each_edit_format() {
    let server = std::env::var("BENCH").expect("BENCH=http://127.0.0.1:PORT names a model server");
    let tries = std::env::var("BENCH_TRIES").unwrap_or("1".to_string());
    let formats = std::env::var("BENCH_FORMATS").unwrap_or("whole edits auto".to_string());
    let keep = std::env::var("BENCH_KEEP").ok().map(PathBuf::from);
    let mut table = Vec::new();
    for format in formats.split_whitespace() {
        let world = World::new(&format!("fixes-{format}"));
        // What counts is what a model can, not how fast the machine is that it shares with others.
        let patience = "    first_token_timeout_sec: 900\n    idle_timeout_sec: 600\n";
        let server = server.trim_end_matches('/');
        let local = format!("providers:\n  local:\n    base_url: \"{server}/v1\"\n{patience}");
        world.configure(&format!(
            "{local}local_executor:\n  max_attempts: {tries}\n  edit_format: {format}\nledger:\n  store_text: true\n"
        ));
        let begun = Instant::now();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for task in tasks() {
            let (how, ran) = one(&world, &task);
            *counts.entry(how).or_default() += 1;
            eprintln!("{format:6} {:24} {how}", task.name);
            if let Some(keep) = &keep {
                let folder = keep.join(format).join(&task.name);
                fs::create_dir_all(&folder).unwrap();
                fs::write(folder.join("report"), ran.report()).unwrap();
            }
        }
        if let Some(keep) = &keep {
            fs::copy(world.root.join("state/mux/run_ledger.jsonl"), keep.join(format!("{format}.jsonl"))).unwrap();
        }
        let count = |how: &str| counts.get(how).copied().unwrap_or(0);
        table.push(format!(
            "{format:6} {:2} of 20 verified, {} red, {} unusable, {} s",
            count("verified"),
            count("red"),
            count("unusable"),
            begun.elapsed().as_secs()
        ));
    }
    eprintln!("{tries} try a task:\n{}", table.join("\n"));
}

/// Does one task; returns how it ended: `verified`, `red` or `unusable`.
fn one(world: &World, task: &Task) -> (&'static str, Ran) {
    lay_out(world, task);
    let before = tree(&world.work);
    let mut command = world.mux();
    command.args(["run", "--change", "--verify", &task.verify, &task.words]);
    let ran = run(command, b"");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    if ran.exit == 0 {
        assert!(said.contains("\nreason: verified\n"), "{}", ran.report());
        let after = verify(world, task);
        assert_eq!(after.exit, 0, "{} is called done and is not\n{}{}", task.name, ran.report(), after.report());
        return ("verified", ran);
    }
    let is_same = without_caches(world) == before;
    assert!(ran.exit == 1 && is_same, "{} left something behind\n{}", task.name, ran.report());
    (if said.contains("\nreason: verify_failed\n") { "red" } else { "unusable" }, ran)
}

/// Python's caches are the check's, not mux's.
fn without_caches(world: &World) -> crate::bench::Files {
    let is_cache = |name: &str| Path::new(name).components().any(|part| part.as_os_str() == "__pycache__");
    tree(&world.work).into_iter().filter(|(name, _)| !is_cache(name)).collect()
}
