//! A hostile model server that is no part of this project: `MUX_HOSTILE` names the directory of its `evil_model.py`, which
//! lists its scenarios (`--list --json`), serves each below `/s/NAME+SHAPE/v1`, and keeps a record of who asked it.
//! `fixtures/evil` holds a selection of its replies, recorded; here are all, in each shape that a reply may have, with a
//! second program that swaps a directory for a link meanwhile.

use crate::bench::{Files, World, run, tree};
use crate::soak::{harm_from, say};
use fs_err as fs;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

const SHAPES: [&str; 5] = ["files", "edits", "fenced", "heading", "diff"];
/// Runs at a time: many only wait for a server that says nothing.
const AT_ONCE: usize = 8;

/// The server, ended with the test.
struct Hostile {
    child: Child,
    port: u16,
    scenarios: Vec<String>,
}

impl Hostile {
    /// `world` holds the directory that it aims at by its absolute path.
    fn start(world: &World) -> Hostile {
        let place = std::env::var("MUX_HOSTILE").expect("MUX_HOSTILE names the directory of evil_model.py");
        let script = Path::new(&place).join("evil_model.py");
        let listed = Command::new("python3").arg(&script).args(["--list", "--json"]).output().unwrap();
        let listed: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
        let scenarios = listed.iter().map(|one| one["name"].as_str().unwrap().to_string()).collect();
        let outside = world.root.join("outside");
        fs::create_dir(&outside).unwrap();
        let mut command = Command::new("python3");
        command.arg(&script).arg("--outside").arg(outside).args(["--drip", "0.2", "--big-mb", "64", "--bomb-mb", "64"]);
        command.args(["--cap-bytes", "67108864", "--cap-seconds", "20"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.split_whitespace().nth(1).and_then(|port| port.parse().ok());
        Hostile { child, port: port.unwrap_or_else(|| panic!("it did not start: {line:?}")), scenarios }
    }

    fn url(&self, scenario: &str, shape: &str) -> String {
        format!("http://127.0.0.1:{}/s/{scenario}+{shape}", self.port)
    }

    /// Who asked what, also on the port that nobody may ask.
    fn log(&self) -> Vec<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(b"GET /_log HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "some minutes, and a server that is not here: tests/soak.sh"]
fn no_scenario_of_a_hostile_server_does_harm() {
    let aim = World::new("aim");
    let server = Hostile::start(&aim);
    let pairs: Vec<(&String, &str)> =
        server.scenarios.iter().flat_map(|name| SHAPES.iter().map(move |shape| (name, *shape))).collect();
    let (next, harm) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((name, shape)) = pairs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let world = World::new("hostile");
                    let found = harm_from(&format!("{name} as {shape}"), &world, &server.url(name, shape));
                    harm.lock().unwrap().extend(found);
                }
            });
        }
    });
    let mut harm = harm.into_inner().unwrap();
    let asked = server.log();
    let elsewhere = asked.iter().filter(|one| one["where"] == "canary").count();
    if elsewhere > 0 || !tree(&aim.root.join("outside")).is_empty() {
        harm.push(format!("{elsewhere} requests to another port, or files outside"));
    }
    let n = pairs.len();
    say(&format!("hostile scenarios {}, in each shape {n}, requests {}, escapes {}", n / 5, asked.len(), harm.len()));
    assert!(harm.is_empty(), "\n{}", harm.join("\n"));
    assert!(n >= 500 && asked.len() > n, "too little was tested");
}

/// 200 files for a directory that is a link to the outside every other microsecond.
#[test]
#[ignore = "some minutes, and a server that is not here: tests/soak.sh"]
fn a_run_that_races_with_a_swap_writes_nothing_outside() {
    let aim = World::new("aim");
    let server = Hostile::start(&aim);
    let (mut refused, mut swaps, runs) = (0, 0, 20);
    for n in 0..runs {
        let world = World::new("race");
        let outside = world.root.join("outside");
        fs::create_dir(&outside).unwrap();
        world.configure(&format!(
            "providers: {{local: {{base_url: \"{}/v1\", model: evil}}}}\nlocal_executor: {{max_attempts: 1}}\n",
            server.url("path_race", SHAPES[n % SHAPES.len()])
        ));
        let (race, link, end) = (world.work.join("race"), world.work.join("race.lnk"), AtomicBool::new(false));
        fs::create_dir(&race).unwrap();
        symlink(&outside, &link).unwrap();
        let exit = thread::scope(|scope| {
            let attacker = scope.spawn(|| {
                let mut n = 0;
                while !end.load(Ordering::SeqCst) {
                    renameat_with(CWD, &race, CWD, &link, RenameFlags::EXCHANGE).unwrap();
                    n += 1;
                }
                n
            });
            let mut command = world.mux();
            command.args(["run", "--change", "--no-verify", "Create the text files below race"]);
            let exit = run(command, b"").exit;
            end.store(true, Ordering::SeqCst);
            swaps += attacker.join().unwrap();
            exit
        });
        refused += usize::from(exit != 0);
        assert_eq!(tree(&outside), Files::new(), "exit {exit}");
    }
    say(&format!("runs beside {swaps} swaps of a directory for a link {runs}, refused {refused}, escapes 0"));
    assert!(refused > 0 && swaps > 10_000, "{swaps} swaps, {refused} refused: no race took place");
}
