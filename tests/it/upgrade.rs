//! A state directory that a later mux has written: every document with a higher schema and with members that this mux
//! does not know. What is known of it is read, what would have to be written is refused and said, and not one byte is
//! lost.

use crate::bench::{Ran, World, manifest, run};
use crate::replay::Server;
use fs_err as fs;
use std::path::PathBuf;

const TASK: &str = "Create hello.py. It prints `Hello, world!` and nothing else.";
const JOURNAL: &str = "01KAP5V0XQ3T0000000000000A";
const SNAPSHOT: &str = "01KAP5V0XQ3T0000000000000B";
const RECORD: &str = "01KAP5V0XQ3T0000000000000D";

/// Documents that stand in one file, as a later mux might write them.
const DOCUMENTS: &[(&str, &str)] = &[
    (
        "budget.json",
        r#"{"schema":2,"content":{"day":"2999-01-01","calls":7,"usd_micros":5,"runs":{},"euros":1},"by":"later"}"#,
    ),
    (
        "cooldowns.json",
        r#"{"schema":2,"content":{"gemini":{"until":4102444800000,"since":0,"why":"quota","how":[1]}},"by":"later"}"#,
    ),
    ("tools.json", r#"{"schema":2,"content":{},"by":"later"}"#),
    (
        "weights.json",
        r#"{"schema":2,"content":{"now":{"id":"x","pass_rate":0.5,"base":1,"weights":{"mood":1}},"before":null},"by":"later"}"#,
    ),
    ("trust.json", r#"{"schema":2,"content":{"/elsewhere/mux.yaml":"00"},"by":"later"}"#),
    (
        "egress.jsonl",
        r#"{"event":"sent","schema":2,"id":"01KAP5V0XQ3T0000000000000C.1","run_id":"01KAP5V0XQ3T0000000000000C","ts":"2999-01-01T00:00:00.000Z","provider":"claude","step":"advice","scope":"prompt","reason":"verify_failed","bytes":12,"sha256":"00","files":[],"may_read":null,"exact":true,"mood":"good"}"#,
    ),
    ("runs/01KAP5V0XQ3T0000000000000A.undo-1", r#"{"schema":2,"base":"/elsewhere","steps":[],"by":"later"}"#),
    ("runs/01KAP5V0XQ3T0000000000000B.snapshot", r#"{"schema":2,"by":"later"}"#),
    ("runs/01KAP5V0XQ3T0000000000000D.record", r#"{"schema":2,"ledger":"elsewhere","by":"later"}"#),
];

struct Later {
    world: World,
    state: PathBuf,
    run_id: String,
}

impl Later {
    fn mux(&self, args: &[&str]) -> Ran {
        let mut command = self.world.mux();
        command.args(args);
        run(command, b"")
    }

    /// Raises the schema in a file that this mux has written, and puts a member in front that it does not know.
    fn raise(&self, name: &str) -> (PathBuf, Vec<u8>) {
        let path = self.state.join(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("{\"schema\":1,"), "{name}: {text}");
        let text = text.replacen("{\"schema\":1,", "{\"by\":\"later\",\"schema\":2,", 1);
        fs::write(&path, &text).unwrap();
        (path, text.into_bytes())
    }
}

#[track_caller]
fn check(ran: &Ran, exit: i32, words: &[&str]) {
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    let missing: Vec<_> = words.iter().filter(|words| !said.contains(**words)).collect();
    assert!(ran.exit == exit && missing.is_empty(), "exit {exit} and {missing:?} wanted\n{}", ran.report());
}

#[test]
fn what_a_later_version_wrote_is_read_as_far_as_known_and_never_destroyed() {
    let world = World::new("later");
    let reply = manifest().join("fixtures/run/004_change_is_proved/http");
    let servers = [(); 2].map(|()| Server::start(&reply));
    let configure = |world: &World, server: &Server| {
        world.configure(&format!("providers: {{local: {{base_url: \"{}/v1\", model: m}}}}\n", server.url()));
    };
    configure(&world, &servers[0]);
    for cli in ["claude", "gemini"] {
        world.install_cli(cli, &world.root.join("data"));
    }
    let mut first = world.mux();
    first.args(["run", "--verify", "python3 hello.py", TASK]);
    let first = run(first, b"");
    check(&first, 0, &["verify: passed"]);
    let said = String::from_utf8_lossy(&first.stdout).into_owned();
    let run_id = said.lines().find_map(|line| line.strip_prefix("run_id: ")).unwrap().to_string();
    let later = Later { state: world.root.join("state/mux"), world, run_id };

    // Everything becomes later than this mux.
    let mut files = vec![later.raise("run_ledger.jsonl"), later.raise(&format!("runs/{}/undo-1", later.run_id))];
    for run in [JOURNAL, SNAPSHOT] {
        fs::create_dir(later.state.join("runs").join(run)).unwrap();
    }
    for (name, text) in DOCUMENTS {
        let path = later.state.join(name);
        fs::write(&path, format!("{text}\n")).unwrap();
        files.push((path, format!("{text}\n").into_bytes()));
    }

    // What is known is read.
    let id = later.run_id.as_str();
    check(&later.mux(&["log"]), 0, &["verified"]);
    check(&later.mux(&["log", "--json"]), 0, &[id]);
    check(&later.mux(&["status"]), 0, &[]);
    check(&later.mux(&["egress"]), 0, &["claude", "advice"]);
    check(&later.mux(&["report"]), 0, &[]);
    check(
        &later.mux(&["doctor"]),
        0,
        &["3 runs unfinished, of a later mux: this one leaves them alone", "43 of 50 cloud calls left", "quota"],
    );
    check(
        &later.mux(&["diff", id]),
        0,
        &["+print(", JOURNAL, SNAPSHOT, RECORD, "cannot be read by this version of mux"],
    );
    // What is not, is said.
    check(&later.mux(&["why", id]), 2, &["a later version of mux has written it"]);
    check(&later.mux(&["undo", id]), 3, &["cannot read `undo-1`: another version of mux has written it"]);
    let project = later.world.work.join("mux.yaml");
    fs::write(&project, "verification:\n  commands: [\"true\"]\n").unwrap();
    check(&later.mux(&["trust"]), 3, &["a later mux has written them (schema 2)"]);
    fs::remove_file(&project).unwrap();
    // Nothing is spent where nothing can be counted; work at home goes on.
    check(
        &later.mux(&["run", "--route", "claude", "Explain"]),
        4,
        &["a later mux has written it (schema 2", "update mux"],
    );
    configure(&later.world, &servers[1]);
    fs::remove_file(later.world.work.join("hello.py")).unwrap();
    check(&later.mux(&["run", "--verify", "python3 hello.py", TASK]), 0, &["route: local"]);

    for (path, text) in files {
        let now = fs::read(&path).unwrap_or_default();
        let shown = String::from_utf8_lossy(&now);
        // Ledgers grow; what stood there stands.
        let is_kept =
            if path.extension().is_some_and(|ending| ending == "jsonl") { now.starts_with(&text) } else { now == text };
        assert!(is_kept, "{} has become: {shown}", path.display());
    }
    for server in servers {
        server.end();
    }
}
