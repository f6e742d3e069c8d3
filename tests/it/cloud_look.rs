//! `mux doctor`, `status` and `egress` with cloud CLIs that are played by `tests/fake_cli.sh`: what is asked, what is
//! remembered, and that looking starts nothing.

use crate::bench::{Ran, World, manifest, run, tree};
use fs_err as fs;

/// A world whose claude says its version and then, twice, that it is logged in.
fn world(name: &str) -> World {
    let world = World::new(name);
    let data = world.root.join("data/claude");
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("1.stdout"), "2.1.330 (Claude Code)\n").unwrap();
    for call in [2, 3] {
        fs::write(data.join(format!("{call}.stdout")), "{\"loggedIn\": true}\n").unwrap();
    }
    world.install_cli("claude", &data);
    // Nothing listens there.
    world.configure("providers:\n  local:\n    base_url: \"http://127.0.0.1:9/v1\"\n    model: m\n");
    world
}

fn mux(world: &World, args: &[&str]) -> (Ran, String) {
    let mut command = world.mux();
    command.args(args);
    let ran = run(command, b"");
    let text = String::from_utf8(ran.stdout.clone()).unwrap().replace(world.root.to_str().unwrap(), "~");
    (ran, text)
}

/// What the fake was called with, a call a line.
fn calls(world: &World) -> Vec<String> {
    let files = tree(&world.root.join("calls")).into_iter().filter(|(name, _)| name.strip_suffix(".argv").is_some());
    files.map(|(name, argv)| format!("{name} {}", String::from_utf8(argv).unwrap().replace('\n', " "))).collect()
}

#[test]
fn doctor_asks_the_clis_and_status_remembers() {
    let world = world("doctor_asks");
    // The first run makes the state directory; without one there is no place to remember.
    fs::create_dir(world.root.join("state/mux")).unwrap();
    fs::set_permissions(world.root.join("state/mux"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let line = "claude ~/bin/claude, version 2.1.330, logged in";
    let (ran, text) = mux(&world, &["doctor"]);
    assert!(ran.exit == 0 && text.contains(&format!("ok    cloud    {line}\n")), "{}", ran.report());
    assert_eq!(calls(&world), ["claude.1.argv --version ", "claude.2.argv auth status "]);
    let before = tree(&world.root);
    let (ran, text) = mux(&world, &["status"]);
    assert!(text.contains(&format!("provider: {line}\n")), "{}", ran.report());
    assert!(text.contains("budget: 50 of 50 cloud calls left today, 0.00 USD spent, no limit in dollars\n"), "{text}");
    assert_eq!(tree(&world.root), before, "status starts nothing and writes nothing");
    mux(&world, &["doctor"]);
    assert_eq!(calls(&world).last().unwrap(), "claude.3.argv auth status ", "the version is known");
}

#[test]
fn offline_no_cli_is_started_not_even_for_its_version() {
    let world = world("doctor_offline");
    let mut command = world.mux();
    command.args(["doctor"]).env("MUX_OFFLINE", "1");
    let ran = run(command, b"");
    let text = String::from_utf8(ran.stdout.clone()).unwrap();
    assert!(ran.exit == 1 && text.contains("login unknown; not used: local only\n"), "{}", ran.report());
    assert_eq!(calls(&world), [""; 0]);
}

#[test]
fn egress_lists_and_prunes_what_was_recorded() {
    let world = world("egress");
    let before = tree(&world.root);
    assert_eq!(mux(&world, &["egress"]).1, "nothing was sent\n");
    assert_eq!(tree(&world.root), before, "looking makes nothing");
    let file = world.root.join("state/mux/egress.jsonl");
    fs::create_dir(file.parent().unwrap()).unwrap();
    fs::set_permissions(file.parent().unwrap(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let sent = r#"{"event":"sent","schema":1,"id":"R.1","run_id":"R","ts":"2026-01-02T03:04:05.000Z","provider":"codex","step":"advice","scope":"prompt","reason":"verify_failed","bytes":1234,"sha256":"2cf24dba5fb0a30e","files":[{"path":"a.py","bytes":7,"sha256":"ab"}],"may_read":null,"exact":true}"#;
    let ended = r#"{"event":"ended","schema":1,"id":"R.1","ts":"2026-01-02T03:04:06.000Z","outcome":"ok","usd":0.5,"duration_ms":9}"#;
    fs::write(&file, format!("{sent}\n{ended}\n")).unwrap();
    let expected = "\
2026-01-02T03:04:05.000Z R codex advice verify_failed
  sent: 1.2 kB, sha256 2cf24dba5fb0…, scope prompt; ok, 0.5000 USD
  file: a.py, 7 B
total: 1 call, 1.2 kB sent by mux
  codex: 1 call, 1.2 kB
cost: 0.5000 USD for the 1 of 1 call whose price is known
not counted: the system prompt that each CLI adds itself, 15 to 50 kB a call, is unknown to mux
";
    assert_eq!(mux(&world, &["egress"]).1, expected);
    assert_eq!(mux(&world, &["egress", "--since", "1s"]).1, "nothing was sent\n");
    let (ran, text) = mux(&world, &["egress", "--prune", "1s"]);
    assert!(text.starts_with("forgotten: 1 call before "), "{}", ran.report());
    assert_eq!((mux(&world, &["egress"]).1.as_str(), fs::read(&file).unwrap().len()), ("nothing was sent\n", 0));
}

/// What a call of `--deep` and the run of it left in the world.
fn deep(world: &World, args: &[&str], env: &[(&str, &str)]) -> (Ran, String) {
    let mut command = world.mux();
    command.args(["doctor", "--deep"]).args(args).envs(env.iter().copied());
    let ran = run(command, b"");
    let egress = mux(world, &["egress"]).1;
    (ran, egress)
}

fn answers(world: &World, call: u32) {
    let reply = manifest().join("fixtures/cli/claude/success-readonly-json/stdout");
    fs::copy(reply, world.root.join(format!("cli/claude/{call}.stdout"))).unwrap();
}

#[test]
fn a_deep_look_says_what_it_spends_and_calls_each_cli_once() {
    let world = world("deep");
    fs::remove_file(world.root.join("cli/claude/3.stdout")).unwrap();
    answers(&world, 3);
    let (ran, egress) = deep(&world, &[], &[]);
    let (told, said) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    let announced = "mux: --deep calls claude once, each with 32 bytes and no tools: 1 of the 50 cloud calls left today; \
                     a call whose price is unknown counts 0.25 USD\nmux: escalating to claude (probe): requested\n";
    assert!(ran.exit == 0 && said == announced, "{}", ran.report());
    assert!(told.contains("ok    deep     claude answered in ") && told.ends_with("mux can work\n"), "{told}");
    assert!(told.contains("budget   49 of 50 cloud calls left today"), "{told}");
    assert_eq!(fs::read(world.root.join("calls/claude.3.stdin")).unwrap(), b"Reply with the single word: pong");
    let argv = fs::read_to_string(world.root.join("calls/claude.3.argv")).unwrap();
    assert!(argv.contains("--tools\n\n"), "no tool is offered: {argv}");
    assert!(
        egress.contains(" claude probe requested\n  sent: 32 B, ") && egress.contains("scope prompt; ok"),
        "{egress}"
    );
    assert!(tree(&world.root.join("tmp")).is_empty() && tree(&world.root.join("state/mux/runs")).is_empty());
}

#[test]
fn a_deep_look_finds_a_login_that_is_refused_and_one_that_works_again() {
    let world = world("deep_auth");
    fs::create_dir(world.root.join("state/mux")).unwrap();
    fs::set_permissions(world.root.join("state/mux"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let cli = |call: u32, end: &str| world.root.join(format!("cli/claude/{call}.{end}"));
    fs::copy(manifest().join("fixtures/cli/claude/auth-missing/stdout"), cli(3, "stdout")).unwrap();
    fs::write(cli(3, "exit"), "1\n").unwrap();
    let (ran, _) = deep(&world, &[], &[]);
    let told = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.exit == 1 && told.contains("FAIL  deep     claude: auth: "), "{}", ran.report());
    assert!(told.contains("; fix: claude /login\n") && told.contains("left alone until"), "{told}");
    assert!(told.contains("; fix: mux doctor --deep\n"), "{told}");
    // The version is known. 4: auth status. 5: the call.
    fs::write(cli(4, "stdout"), "{\"loggedIn\": true}\n").unwrap();
    answers(&world, 5);
    let (ran, _) = deep(&world, &["--json"], &[]);
    let report: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    let of = |name: &str| {
        let checks = report["checks"].as_array().unwrap();
        checks.iter().find(|check| check["name"] == name).map(|check| check["state"].clone()).unwrap()
    };
    assert_eq!((ran.exit, of("deep"), of("cloud")), (0, "ok".into(), "ok".into()), "{}", ran.report());
}

#[test]
fn a_deep_look_calls_nobody_where_nothing_may_leave() {
    for (name, value, why) in [("MUX_OFFLINE", "1", "local_only"), ("MUX_DEPTH", "1", "recursion")] {
        let world = world("deep_refused");
        let (ran, egress) = deep(&world, &[], &[(name, value)]);
        let told = String::from_utf8_lossy(&ran.stdout);
        let line = format!("warn  deep     claude was not called: {why}");
        assert!(told.contains(&line), "{}", ran.report());
        assert_eq!(egress, "nothing was sent\n");
    }
}
