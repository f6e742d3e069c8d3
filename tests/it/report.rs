//! `mux report` with the real binary: where the page goes, and what it never overwrites.

use crate::bench::{Ran, World, manifest, run};
use fs_err as fs;
use std::os::unix::fs::{PermissionsExt, symlink};

/// A world whose ledger is the recorded one.
pub fn world(name: &str) -> World {
    let world = World::new(name);
    let state = world.root.join("state/mux");
    fs::create_dir_all(&state).unwrap();
    let ledger = state.join("run_ledger.jsonl");
    fs::copy(manifest().join("fixtures/report/ledger.jsonl"), &ledger).unwrap();
    fs::set_permissions(&ledger, PermissionsExt::from_mode(0o600)).unwrap();
    world
}

#[track_caller]
fn report(world: &World, args: &[&str], exit: i32) -> Ran {
    let mut command = world.mux();
    command.arg("report").args(args);
    let ran = run(command, b"");
    assert_eq!(ran.exit, exit, "{}", ran.report());
    ran
}

#[test]
fn a_pipe_gets_the_page() {
    let world = world("report-pipe");
    for args in [&[][..], &["-o", "-"]] {
        let ran = report(&world, args, 0);
        let page = String::from_utf8(ran.stdout).unwrap();
        assert!(page.starts_with("<!DOCTYPE html>\n") && page.ends_with("</html>\n"), "{page}");
    }
    assert_eq!(fs::read_dir(&world.work).unwrap().count(), 0);
}

#[test]
fn numbers_of_nonsense_end_no_look_at_the_ledger() {
    let world = world("report-numbers");
    let ledger = world.root.join("state/mux/run_ledger.jsonl");
    let mut text = fs::read_to_string(&ledger).unwrap();
    for name in ["duration_ms", "predicted_ms", "bytes", "calls"] {
        let parts: Vec<&str> = text.split(&format!("\"{name}\":")).collect();
        let rest = |part: &&str| part.trim_start_matches(|c: char| c.is_ascii_digit()).to_string();
        let huge: Vec<String> = parts[1..].iter().map(rest).collect();
        text = format!("{}\"{name}\":18446744073709551615{}", parts[0], huge.join(&format!("\"{name}\":{}", u64::MAX)));
    }
    fs::write(&ledger, text).unwrap();
    for args in
        [&["status"][..], &["status", "--json"], &["log"], &["replay", "--threshold", "0.9"], &["tune"], &["report"]]
    {
        let mut command = world.mux();
        command.args(args);
        let ran = run(command, b"");
        assert!(ran.exit == 0 && !ran.stdout.is_empty(), "{}", ran.report());
    }
}

#[test]
fn a_report_is_private_and_replaced_by_the_next() {
    let world = world("report-file");
    let path = world.work.join("r.html");
    let ran = report(&world, &["-o", "r.html"], 0);
    let said = String::from_utf8(ran.stdout.clone()).unwrap();
    assert!(
        said.starts_with(&format!("report: {} (", path.display())) && said.lines().count() == 1,
        "{}",
        ran.report()
    );
    let whole = fs::read(&path).unwrap().len();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    // Whoever made it readable for others, or cut it, gets a private whole one again.
    fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    let page = fs::read(&path).unwrap();
    fs::write(&path, &page[..40]).unwrap();
    report(&world, &["-o", "r.html"], 0);
    assert_eq!(fs::read(&path).unwrap().len(), whole);
    report(&world, &["-o", "r.html", "--since", "1s"], 0);
    assert!(fs::read_to_string(&path).unwrap().contains("There are no runs here yet."));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_is_no_report_is_left_as_it_is() {
    let world = world("report-refused");
    fs::write(world.work.join("notes.html"), "<!DOCTYPE html>\n<p>mine").unwrap();
    fs::write(world.root.join("outside"), "").unwrap();
    symlink(world.root.join("outside"), world.work.join("link.html")).unwrap();
    fs::create_dir(world.work.join("dir")).unwrap();
    for (file, why) in [
        ("notes.html", "it holds something that is not a report of mux"),
        ("link.html", "it is a symbolic link"),
        ("dir", "it is a directory"),
        ("/dev/null", "it is not a regular file"),
    ] {
        let ran = report(&world, &["-o", file], 4);
        let said = String::from_utf8(ran.stderr.clone()).unwrap();
        assert!(said.contains(why) && said.contains("`-o -`") && ran.stdout.is_empty(), "{}", ran.report());
    }
    report(&world, &["-o", "no/such/dir.html"], 3);
    assert_eq!(fs::read_to_string(world.work.join("notes.html")).unwrap(), "<!DOCTYPE html>\n<p>mine");
    assert_eq!(fs::read(world.root.join("outside")).unwrap(), b"");
}
