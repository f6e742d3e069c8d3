//! A model that has not begun its reply in time. Where its pace explains that, the next try shows it less.

use crate::bench::{Ran, World, run};
use crate::kill::response;
use crate::replay::Server;
use fs_err as fs;
use serde_json::{Value, json};
use std::fmt::Write as _;

const HELLO: &str = "```python\nprint('Hello, world!')\n```\n";

/// A server that says nothing to the first question. `calls`: as they are remembered.
fn create(name: &str, calls: &[[u64; 4]]) -> (Ran, Vec<String>) {
    let world = World::new(name);
    let http = world.root.join("http");
    fs::create_dir(&http).unwrap();
    fs::write(http.join("1.response.json"), "{}").unwrap();
    fs::write(http.join("1.play"), "hang\n").unwrap();
    fs::write(http.join("every.response.raw"), response(HELLO)).unwrap();
    let server = Server::start(&http);
    world.configure(&format!(
        "providers: {{local: {{base_url: \"{}/v1\", model: m, auto_detect: false, first_token_timeout_sec: 1}}}}\n",
        server.url()
    ));
    let state = world.root.join("state/mux");
    fs::create_dir_all(&state).unwrap();
    let known = json!({
        "server": format!("{}/v1", server.url()), "model": "m", "window": 32768, "window_seen": 0, "used": 0,
        "answers": calls, "changes": []
    });
    fs::write(state.join("paces.json"), json!({"schema": 1, "models": [known]}).to_string()).unwrap();
    let test = (0..60).fold(String::from("import hello\n"), |mut text, n| {
        let _ = writeln!(text, "assert 'Hello' in hello.text({n}), 'says {n} times hello'");
        text
    });
    fs::write(world.work.join("test_hello.py"), test).unwrap();
    let mut command = world.mux();
    command.args(["run", "--verify", "grep -q Hello hello.py", "Create hello.py. It prints `Hello, world!`."]);
    let ran = run(command, b"");
    let prompt = |body: &Vec<u8>| {
        let body: Value = serde_json::from_slice(body).unwrap();
        body["messages"][1]["content"].as_str().unwrap().to_string()
    };
    (ran, server.end().iter().map(prompt).collect())
}

#[test]
fn a_model_that_reads_too_slowly_is_shown_less() {
    let (ran, prompts) = create("slow", &[[1000, 1000, 10, 1000]; 3]);
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.exit == 0 && prompts.len() == 2, "{}", ran.report());
    assert!(said.contains("mux: local try 1 failed: no token within 1."), "{said}");
    let note = "bytes, tests hello.py) is not shown to the model: the model reads about 700 tokens in time";
    assert!(said.contains(note), "{said}");
    assert!(prompts[0].contains("says 59 times hello") && !prompts[1].contains("test_hello.py"), "{}", prompts[1]);
}

#[test]
fn a_silence_that_the_pace_does_not_explain_is_the_end_of_local_tries() {
    // Quick enough for the prompt; too slow for any; nothing is known.
    let (quick, slow) = ([[1000, 100, 10, 1000]; 3], [[1000, 90_000, 10, 1000]; 3]);
    for (name, calls) in [("slow-quick", &quick[..]), ("slow-any", &slow), ("slow-unknown", &[])] {
        let (ran, prompts) = create(name, calls);
        assert!(ran.exit == 1 && prompts.len() == 1, "{}", ran.report());
        assert!(String::from_utf8_lossy(&ran.stdout).contains("\nreason: local_failed:timeout\n"), "{}", ran.report());
    }
}
