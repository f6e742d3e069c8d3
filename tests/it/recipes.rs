//! The recipes of `docs/recipes.md`, run by a shell with a real jq on a recorded ledger. What the page shows below each
//! is what it has to print. `BLESS=1` writes the page anew.

use crate::bench::{is_blessing, manifest, run};
use crate::kill;
use crate::replay::Server;
use crate::report;
use fs_err as fs;
use std::os::unix::fs::symlink;

/// Returns the commands of the page with what it shows below them.
fn recipes(page: &str) -> Vec<(&str, &str)> {
    page.split("```sh\n")
        .skip(1)
        .map(|part| {
            let (command, rest) = part.split_once("\n```\n").unwrap();
            let rest = rest.strip_prefix("\n```text\n").unwrap_or_else(|| panic!("no output below `{command}`"));
            (command, rest.split("```").next().unwrap())
        })
        .collect()
}

#[test]
fn every_recipe_prints_what_the_page_shows() {
    if !["/usr/local/bin", "/usr/bin", "/bin"].iter().any(|at| std::path::Path::new(at).join("jq").exists()) {
        // .ci/run installs it.
        assert!(std::env::var_os("CI").is_none(), "there is no jq");
        eprintln!("not tested: there is no jq");
        return;
    }
    let path = manifest().join("docs/recipes.md");
    let page = fs::read_to_string(&path).unwrap();
    let recipes = recipes(&page);
    assert!(recipes.len() >= 8, "{}", recipes.len());
    let (mut blessed, mut faults) = (page.clone(), Vec::new());
    for (command, shown) in recipes {
        let world = report::world("recipe");
        symlink(env!("CARGO_BIN_EXE_mux"), world.root.join("bin/mux")).unwrap();
        let http = world.root.join("http");
        fs::create_dir(&http).unwrap();
        fs::write(http.join("every.response.raw"), kill::response("It puts changes aside.")).unwrap();
        let server = Server::start(&http);
        let yaml = format!("providers:\n  local:\n    base_url: \"{}/v1\"\n    model: qwen-coder-1.5b\n", server.url());
        world.configure(&yaml);
        let mut shell = world.command(world.root.join("bin/sh"));
        shell.args(["-c", command]).env_remove("MUX_VERIFICATION_SANDBOX");
        let ran = run(shell, b"");
        let printed = String::from_utf8_lossy(&ran.stdout).replace(&server.url(), "http://127.0.0.1:8080");
        if ran.exit != 0 || printed != shown {
            faults.push(ran.report());
        }
        let block = |output: &str| format!("{command}\n```\n\n```text\n{output}```");
        blessed = blessed.replace(&block(shown), &block(&printed));
        server.end();
    }
    if is_blessing() {
        fs::write(path, blessed).unwrap();
    } else {
        assert!(faults.is_empty(), "docs/recipes.md shows something else:\n{}", faults.join("\n"));
    }
}
