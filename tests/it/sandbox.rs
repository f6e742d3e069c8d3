//! Verification commands under Landlock, as real children of a real run: what they may write and what not, that
//! ordinary test runners notice nothing, and that the result says what applied.

use crate::bench::{Files, Ran, World, manifest, run, tree};
use crate::replay::Server;
use crate::signals::until;
use fs_err as fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TASK: &str = "Create hello.py. It prints `Hello, world!` and nothing else.";

/// A world whose home and state are no place for temporary files, as those of a user are.
struct Home {
    world: World,
    server: Server,
    /// Holds `home` and `state`, and what somebody else put there.
    outside: PathBuf,
}

impl Home {
    fn new(name: &str, settings: &str) -> Home {
        let world = World::new(name);
        let built = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let base = if built.starts_with("/tmp") { Path::new("/var/tmp") } else { built };
        let outside = base.join(world.root.file_name().unwrap());
        for folder in ["home/.cache", "home/.cargo/registry", "home/.cargo/bin", "state", "more"] {
            fs::create_dir_all(outside.join(folder)).unwrap();
        }
        for file in ["victim", "home/.bashrc", "home/.cargo/bin/cargo"] {
            fs::write(outside.join(file), "as it was\n").unwrap();
        }
        let server = Server::start(&manifest().join("fixtures/run/004_change_is_proved/http"));
        let settings = settings.replace("{{more}}", outside.join("more").to_str().unwrap());
        world.configure(&format!("providers: {{local: {{base_url: \"{}/v1\", model: m}}}}\n{settings}", server.url()));
        Home { world, server, outside }
    }

    fn mux(&self) -> Command {
        let mut command = self.world.mux();
        command.env_remove("MUX_VERIFICATION_SANDBOX").env("OUT", &self.outside);
        command.env("HOME", self.outside.join("home")).env("XDG_STATE_HOME", self.outside.join("state"));
        command.env_remove("XDG_CACHE_HOME");
        command
    }

    /// Does the task, proved by a script.
    fn proved_by(self, script: &str) -> (Ran, Files, Files) {
        let mut command = self.mux();
        command.args(["run", "--verify", &serde_json::to_string(&["sh", "-c", script]).unwrap(), TASK]);
        let ran = run(command, b"");
        self.server.end();
        let mut outside = tree(&self.outside);
        outside.retain(|name, _| !name.starts_with("state/"));
        fs::remove_dir_all(&self.outside).unwrap();
        (ran, tree(&self.world.work), outside)
    }
}

/// Whether this machine can: `required` is refused where it can't.
fn can_confine() -> bool {
    let home = Home::new("no-landlock", "verification: {sandbox: required}\n");
    let mut command = home.mux();
    command.args(["run", "--dry-run", "--verify", "true", TASK]);
    let ran = run(command, b"");
    fs::remove_dir_all(&home.outside).unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.exit == 0 || (ran.exit == 2 && said.contains("there is no Landlock here")), "{}", ran.report());
    ran.exit == 0
}

/// Tries every way to write outside, and says of each whether it worked; then writes where it may.
const TRIES: &str = r#"
try() { name=$1; shift; if "$@" 2>/dev/null; then echo "$name" >>worked; fi; }
try create      sh -c 'echo x >"$OUT/new"'
try append      sh -c 'echo x >>"$OUT/victim"'
try truncate    python3 -c 'import os; os.truncate(os.environ["OUT"] + "/victim", 0)'
try remove      rm "$OUT/victim"
try rename      mv "$OUT/victim" "$OUT/renamed"
try move_in     mv "$OUT/victim" stolen
try move_out    mv hello.py "$OUT/moved"
try link        ln -s "$PWD" "$OUT/link"
try hard_link   ln hello.py "$OUT/hard"
try folder      mkdir "$OUT/folder"
try shell       sh -c 'echo x >>"$HOME/.bashrc"'
try program     sh -c 'echo x >"$HOME/.cargo/bin/cargo"'
try state       sh -c 'echo x >"$OUT/state/x"'
try more        sh -c 'echo x >"$OUT/more/x"'
try setsid      setsid sh -c 'echo x >"$OUT/new"'
try node        python3 -c 'import os, stat; os.mknod("node", stat.S_IFCHR | 0o600, os.makedev(1, 3))'
echo inside >made && mkdir sub && mv made sub/made && ln sub/made sub/again && rm sub/again &&
echo x >"$TMPDIR/x" && rm "$TMPDIR/x" && echo x >"$HOME/.cache/x" && echo x >"$HOME/.cargo/registry/x" &&
echo x >/dev/null && cat "$OUT/victim" >/dev/null
"#;

fn names(files: &Files) -> Vec<&str> {
    files.keys().map(String::as_str).collect()
}

#[test]
fn a_proof_writes_inside_and_nowhere_else() {
    if !can_confine() {
        return;
    }
    for (setting, more) in [("auto", ""), ("required", ", writable: [\"{{more}}\"]")] {
        let home = Home::new(setting, &format!("verification: {{sandbox: {setting}{more}}}\n"));
        let (ran, work, outside) = home.proved_by(TRIES);
        let said = String::from_utf8_lossy(&ran.stdout);
        let verify = said.lines().find(|line| line.starts_with("verify: ")).unwrap_or_default();
        assert!(ran.exit == 0 && verify.starts_with("verify: passed"), "{}", ran.report());
        // Nothing of the list worked, but for the place that the user has named.
        let worked = work.get("worked").map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default();
        let more_file = if more.is_empty() { "more/.empty" } else { "more/x" };
        let files =
            ["home/.bashrc", "home/.cache/x", "home/.cargo/bin/cargo", "home/.cargo/registry/x", more_file, "victim"];
        let (said, made): (&str, &[&str]) = match more {
            "" => ("", &["hello.py", "sub/made"]),
            _ => ("more\n", &["hello.py", "sub/made", "worked"]),
        };
        assert_eq!((worked.as_str(), &names(&work)[..]), (said, made));
        assert_eq!(names(&outside), files);
        for file in ["home/.bashrc", "home/.cargo/bin/cargo", "victim"] {
            assert_eq!(outside[file], b"as it was\n", "{file}");
        }
    }
}

#[test]
fn the_result_says_whether_a_proof_was_confined() {
    let is_confined = can_confine();
    for (setting, wanted) in [("auto", is_confined), ("off", false)] {
        let home = Home::new(setting, &format!("verification: {{sandbox: {setting}}}\n"));
        let (ran, _, outside) = home.proved_by("echo x >\"$OUT/new\" || true");
        let said = String::from_utf8_lossy(&ran.stdout);
        let verify = said.lines().find(|line| line.starts_with("verify: passed")).unwrap_or_default();
        assert_eq!(verify.ends_with(" s, confined)"), wanted, "{setting}\n{}", ran.report());
        assert_eq!(outside.contains_key("new"), !wanted, "{setting}");
        let is_told = String::from_utf8_lossy(&ran.stderr).contains("this kernel has no Landlock");
        assert_eq!(is_told, setting == "auto" && !wanted && cfg!(target_os = "linux"), "{}", ran.report());
    }
}

#[test]
fn a_proof_that_fails_at_the_fence_comes_with_the_key_that_moves_it() {
    if !can_confine() {
        return;
    }
    let home = Home::new("fence", "local_executor: {max_attempts: 1}\n");
    let (ran, _, _) = home.proved_by("echo x >\"$OUT/new\"");
    assert_eq!(ran.exit, 1, "{}", ran.report());
    assert!(String::from_utf8_lossy(&ran.stderr).contains("`verification.writable` names more"), "{}", ran.report());
}

/// A server's own files are its own business, unless the user wants no command unconfined.
#[test]
fn a_restart_is_confined_where_that_is_required() {
    let is_possible = can_confine();
    for setting in ["auto", "required"] {
        let home = Home::new(setting, "");
        home.world.configure(&format!(
            "providers: {{local: {{base_url: \"http://127.0.0.1:1/v1\", model: m}}}}\n\
             verification: {{sandbox: {setting}}}\nlocal_runtime:\n  health_retries: 1\n  health_retry_delay_sec: 0\n  \
             restart_cmd: [sh, -c, 'echo x >\"$OUT/free\"; echo x >\"$HOME/.cache/started\"']\n"
        ));
        let mut command = home.mux();
        command.args(["run", "Explain what a semaphore is"]);
        let ran = run(command, b"");
        assert_eq!(ran.exit, 1, "{}", ran.report());
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        if setting == "required" && !is_possible {
            assert!(said.contains("was not restarted: cannot confine commands"), "{said}");
        } else {
            let started = home.outside.join("home/.cache/started");
            let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
            while fs::read(&started).unwrap_or_default().is_empty() {
                assert!(std::time::Instant::now() < end, "it was not started: {said}");
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            assert_eq!(home.outside.join("free").exists(), setting == "auto");
        }
        home.server.end();
        fs::remove_dir_all(&home.outside).unwrap();
    }
}

#[test]
fn a_restart_does_not_get_the_key_of_the_server() {
    let world = World::new("restart_key");
    let started = world.root.join("started");
    world.configure(&format!(
        "providers: {{local: {{base_url: \"http://127.0.0.1:1/v1\", model: m, api_key_env: SERVER_LOGIN}}}}\n\
         local_runtime:\n  health_retries: 1\n  health_retry_delay_sec: 0\n  \
         restart_cmd: [sh, -c, 'env >{0}.part; mv {0}.part {0}']\n",
        started.display()
    ));
    let mut command = world.mux();
    command
        .args(["run", "Explain what a semaphore is"])
        .env("SERVER_LOGIN", "open sesame")
        .env("HF_TOKEN", "for the server");
    let ran = run(command, b"");
    assert_eq!(ran.exit, 1, "{}", ran.report());
    until("it was started", || started.exists());
    let env = fs::read_to_string(&started).unwrap();
    assert!(
        env.contains("HF_TOKEN=for the server") && !env.contains("SERVER_LOGIN") && !env.contains("sesame"),
        "{env}"
    );
}

/// Names and texts of files.
type Project = &'static [(&'static str, &'static str)];

/// A test runner, what has to be there for it, and a project that it is to find good.
const RUNNERS: &[(&str, &str, Project)] = &[
    (
        "cargo",
        "cargo test -q --offline",
        &[
            ("Cargo.toml", "[package]\nname = \"p\"\nversion = \"0.1.0\"\nedition = \"2021\"\n"),
            ("src/lib.rs", "#[test]\nfn adds() {\n    assert_eq!(1 + 1, 2);\n}\n"),
        ],
    ),
    (
        "npm",
        "npm test",
        &[
            ("package.json", "{\"name\": \"p\", \"version\": \"1.0.0\", \"scripts\": {\"test\": \"node --test\"}}\n"),
            ("p.test.js", "require('node:test')('adds', () => require('node:assert').equal(1 + 1, 2));\n"),
        ],
    ),
    (
        "python3",
        "python3 -m unittest -q",
        &[(
            "test_p.py",
            "import multiprocessing, tempfile, unittest\n\n\nclass T(unittest.TestCase):\n    def test_adds(self):\n        \
             multiprocessing.Lock()\n        with tempfile.TemporaryFile() as file:\n            file.write(b'x')\n",
        )],
    ),
    (
        "pytest",
        "pytest -q",
        &[("test_p.py", "def test_adds(tmp_path):\n    (tmp_path / 'x').write_text('x')\n    assert 1 + 1 == 2\n")],
    ),
    (
        "go",
        "go test ./...",
        &[
            ("go.mod", "module p\n\ngo 1.20\n"),
            (
                "p_test.go",
                "package p\n\nimport \"testing\"\n\nfunc TestAdds(t *testing.T) {\n\tif 1+1 != 2 {\n\t\tt.Fatal()\n\t}\n}\n",
            ),
        ],
    ),
];

#[test]
fn ordinary_test_runners_notice_nothing() {
    let is_confined = can_confine();
    let path = std::env::var_os("PATH").unwrap();
    let mut seen = Vec::new();
    for (program, verify, files) in RUNNERS {
        if !std::env::split_paths(&path).any(|place| place.join(program).exists()) {
            continue;
        }
        let home = Home::new(program, "");
        for (name, text) in *files {
            let file = home.world.work.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        // Tool chains live in the user's own home; what they write there is what this is about.
        let mut command = home.mux();
        command.env("PATH", &path);
        for (name, below) in [("HOME", ""), ("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            let own = std::env::var_os(name).map(PathBuf::from);
            let own = own.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(below)));
            if let Some(own) = own {
                command.env(name, own);
            }
        }
        command.env("npm_config_update_notifier", "false");
        command.args(["run", "--verify", verify, TASK]);
        let ran = run(command, b"");
        let said = String::from_utf8_lossy(&ran.stdout);
        let wanted = if is_confined { " s, confined)" } else { " s)" };
        let is_proved = said.lines().any(|line| line.starts_with("verify: passed (") && line.ends_with(wanted));
        assert!(ran.exit == 0 && is_proved, "{}", ran.report());
        home.server.end();
        fs::remove_dir_all(&home.outside).unwrap();
        seen.push(*program);
    }
    assert!(seen.contains(&"cargo"), "cargo runs this test");
}
