//! Two at once: a second change in a work directory waits and says for whom; what a user saves during a run stands.

use crate::bench::{World, copy_tree, manifest, wait};
use crate::replay::Server;
use fs_err as fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const TASK: &str = "Create hello.py. It prints `Hello, world!` and nothing else.";
/// The recorded reply to [`TASK`].
const FIXTURE: &str = "fixtures/run/004_change_is_proved/http";
/// Says that it runs, then waits for leave.
const VERIFY: &str = r#"["sh", "-c", "touch begun; while ! test -e go; do sleep 0.02; done; exec $0", "EXIT"]"#;

fn change(world: &World, url: &str, exit: &str) -> Command {
    world.configure(&format!("providers:\n  local:\n    base_url: \"{url}/v1\"\n    model: m\n"));
    let mut command = world.mux();
    command.args(["run", "--change", "--verify", &VERIFY.replace("EXIT", exit)]).arg(TASK);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn until(path: &Path) {
    let end = Instant::now() + Duration::from_secs(30);
    while !path.exists() {
        assert!(Instant::now() < end, "{} does not come", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn ended(mut child: Child) -> (i32, String) {
    let exit = wait(&mut child).0;
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (exit, said)
}

#[test]
fn a_second_change_waits_and_says_for_whom() {
    let world = World::new("two");
    let servers = [(); 2].map(|()| Server::start(&manifest().join(FIXTURE)));
    let first = change(&world, &servers[0].url(), "true").spawn().unwrap();
    until(&world.work.join("begun"));
    let mut second = change(&world, &servers[1].url(), "true").spawn().unwrap();
    let mut lines = BufReader::new(second.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("holds the work directory")), "it says so while it waits");
    assert!(second.try_wait().unwrap().is_none() && servers[1].heads().is_empty(), "it waits before it asks anything");
    fs::write(world.work.join("go"), "").unwrap();
    let (exit, said) = ended(first);
    assert_eq!(exit, 0, "{said}");
    // Nobody keeps the second one from its work now.
    for line in lines {
        eprintln!("{line}");
    }
    wait(&mut second);
    let asked = servers.map(|server| server.end().len());
    assert!(asked[0] == 1 && asked[1] >= 1, "{asked:?}");
}

/// Has a user save `hello.py` while a run verifies it; returns the exit and what was said.
#[track_caller]
fn saved_while_verifying(name: &str, exit: &str) -> (i32, String) {
    let world = World::new(name);
    let server = Server::start(&manifest().join(FIXTURE));
    fs::write(world.work.join("hello.py"), "old\n").unwrap();
    let child = change(&world, &server.url(), exit).spawn().unwrap();
    until(&world.work.join("begun"));
    fs::write(world.work.join("hello.py"), "saved by hand\n").unwrap();
    fs::write(world.work.join("go"), "").unwrap();
    let (exit, said) = ended(child);
    assert_eq!(fs::read_to_string(world.work.join("hello.py")).unwrap(), "saved by hand\n", "{said}");
    server.end();
    (exit, said)
}

#[test]
fn what_a_user_saves_during_a_run_stands() {
    let (exit, said) = saved_while_verifying("saved-red", "false");
    assert!(
        exit == 1 && said.contains("`hello.py` was changed by someone else since; left as it is"),
        "{exit}\n{said}"
    );
    let (exit, said) = saved_while_verifying("saved-green", "true");
    assert_eq!(exit, 0, "{said}");
}

#[test]
fn what_a_user_saves_while_the_model_writes_stands() {
    let world = World::new("saved-early");
    let http = world.root.join("http");
    copy_tree(&manifest().join(FIXTURE), &http);
    fs::write(http.join("1.play"), "until saved").unwrap();
    let server = Server::start(&http);
    fs::write(world.work.join("hello.py"), "old\n").unwrap();
    fs::write(world.work.join("go"), "").unwrap();
    let child = change(&world, &server.url(), "true").spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    while !server.heads().iter().any(|head| head.starts_with("POST /v1/chat")) {
        assert!(Instant::now() < end, "no request comes");
        std::thread::sleep(Duration::from_millis(5));
    }
    fs::write(world.work.join("hello.py"), "saved by hand\n").unwrap();
    fs::write(http.join("saved"), "").unwrap();
    let (exit, said) = ended(child);
    assert_eq!(fs::read_to_string(world.work.join("hello.py")).unwrap(), "saved by hand\n", "{said}");
    // The second try, which nobody has recorded, is shown what the user wrote.
    let asked = server.end();
    let second = String::from_utf8_lossy(&asked[1]).into_owned();
    assert!(second.contains("saved by hand") && second.contains("`hello.py` has changed while you wrote"), "{second}");
    assert!(exit == 1 && said.contains("`hello.py` was saved by someone else meanwhile"), "{exit}: {said}");
    assert!(!world.work.join("begun").exists(), "nothing was written, so nothing is verified: {said}");
}
