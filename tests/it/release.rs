//! What is released: the installer with a real archive, and the size that the checks allow.

use crate::bench::{Ran, World, manifest, run};
use fs_err as fs;
use std::path::Path;
use std::process::Command;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const TARGETS: [&str; 3] = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl", "universal-apple-darwin"];

/// Runs a shell script with the machine's own tools.
fn sh(world: &World, script: &str) -> Ran {
    let mut command = world.command("/bin/sh");
    command.env("PATH", "/usr/local/bin:/usr/bin:/bin").args(["-c", script]);
    run(command, b"")
}

/// Lays a release below `dist`: a file packed as the program for each target, checksums, and what `fill.sh` makes of them.
fn release(world: &World, mux: &str) {
    let release = manifest().join("release");
    let pack = |target: &&str| {
        let name = format!("mux-{VERSION}-{target}");
        format!(
            "mkdir {name}; ln {mux} {name}/mux || cp {mux} {name}/mux; tar -cf - {name} | gzip -1 >dist/{name}.tar.gz"
        )
    };
    let script = format!(
        "set -e; mkdir dist; {}; cd dist; (sha256sum *.tar.gz || shasum -a 256 *.tar.gz) >SHA256SUMS; \
         {}/fill.sh somebody/mux {VERSION} .",
        TARGETS.iter().map(pack).collect::<Vec<_>>().join("; "),
        release.display()
    );
    let ran = sh(world, &script);
    assert!(ran.exit == 0, "{}", ran.report());
}

fn install(world: &World) -> Ran {
    installer(world, "")
}

fn installer(world: &World, args: &str) -> Ran {
    let dist = world.work.join("dist");
    sh(
        world,
        &format!(
            "MUX_RELEASE_URL=file://{0} MUX_BIN={1}/own/bin sh {0}/install.sh {args}",
            dist.display(),
            world.root.display()
        ),
    )
}

#[test]
fn the_installer_takes_what_was_released_and_nothing_else() {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("not tested: there is no curl");
        return;
    }
    let world = World::new("install");
    release(&world, env!("CARGO_BIN_EXE_mux"));
    let installed = world.root.join("own/bin/mux");
    let sums = world.work.join("dist/SHA256SUMS");
    let right = fs::read_to_string(&sums).unwrap();

    // Another file than the one that was summed; a release that does not name it; one whose archive is missing.
    let wrong = right.lines().map(|line| format!("{}{}\n", "0".repeat(64), &line[64..])).collect::<Vec<_>>().concat();
    for (text, says) in [(wrong.as_str(), "is not what was released"), ("", "SHA256SUMS does not name")] {
        fs::write(&sums, text).unwrap();
        let ran = install(&world);
        assert!(ran.exit == 1 && String::from_utf8_lossy(&ran.stderr).contains(says), "{}", ran.report());
        assert!(!installed.exists(), "{}", ran.report());
    }

    fs::write(&sums, &right).unwrap();
    let ran = install(&world);
    assert!(ran.exit == 0 && fs::read(&installed).unwrap() == fs::read(env!("CARGO_BIN_EXE_mux")).unwrap());
    assert!(String::from_utf8_lossy(&ran.stdout).contains(&format!("(mux {VERSION})")), "{}", ran.report());
    let temporary: Vec<_> = fs::read_dir(world.root.join("tmp")).unwrap().collect();
    assert!(temporary.is_empty(), "{temporary:?}");

    fs::remove_dir_all(world.work.join("dist")).unwrap();
    let ran = install(&world);
    assert!(ran.exit != 0 && installed.exists(), "what was installed stays\n{}", ran.report());
}

#[test]
fn the_installer_brings_what_shells_and_man_read_and_takes_all_of_it_out() {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("not tested: there is no curl");
        return;
    }
    let world = World::new("pages");
    release(&world, env!("CARGO_BIN_EXE_mux"));
    let root = |path: &str| world.root.join(path);
    let pages = [
        ("data/bash-completion/completions/mux", &["completions", "bash"][..]),
        ("data/zsh/site-functions/_mux", &["completions", "zsh"]),
        ("own/share/man/man1/mux.1", &["man"]),
    ];
    // An older mux is there with a page of its own, and a page that somebody else has written.
    let older = "#!/bin/sh\n[ \"$1\" = setup ] || echo \"older: $*\"\n";
    let yours = "data/fish/vendor_completions.d/mux.fish";
    for (path, text) in [("own/bin/mux", older), (pages[2].0, "older: man\n"), (yours, "# mine\n")] {
        fs::create_dir_all(root(path).parent().unwrap()).unwrap();
        fs::write(root(path), text).unwrap();
    }
    assert_eq!(sh(&world, &format!("chmod 755 {}", root("own/bin/mux").display())).exit, 0);
    for _ in 0..2 {
        let ran = install(&world);
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.exit == 0 && said.contains("mux.fish is not of this installer and stays"), "{}", ran.report());
        for (path, args) in pages {
            let mut mux = world.mux();
            mux.args(args);
            assert_eq!(fs::read(root(path)).unwrap_or_default(), run(mux, b"").stdout, "{path}\n{}", ran.report());
        }
    }
    let help = installer(&world, "--help");
    let said = String::from_utf8_lossy(&help.stdout);
    for (path, _) in pages {
        assert!(help.exit == 0 && said.contains(&*root(path).to_string_lossy()), "{path}\n{}", help.report());
    }
    assert_eq!(installer(&world, "--remove").exit, 2, "no option of it");

    fs::write(root(pages[0].0), "# changed\n").unwrap();
    let ran = installer(&world, "--uninstall");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.exit == 0 && said.contains("completions/mux: it is not what mux prints"), "{}", ran.report());
    let left = ["own/bin/mux", pages[0].0, pages[1].0, pages[2].0, yours].map(|path| root(path).exists());
    assert_eq!(left, [false, true, false, false, true], "{}", ran.report());
    assert_eq!(fs::read(root(yours)).unwrap(), b"# mine\n");
    let again = installer(&world, "--uninstall");
    assert!(again.exit == 1 && String::from_utf8_lossy(&again.stderr).contains("there is no"), "{}", again.report());
}

#[test]
fn the_formula_names_the_checksum_of_each_archive() {
    let world = World::new("formula");
    release(&world, "/bin/sh");
    let formula = fs::read_to_string(world.work.join("dist/mux.rb")).unwrap();
    let sums = fs::read_to_string(world.work.join("dist/SHA256SUMS")).unwrap();
    assert_eq!(sums.lines().count(), TARGETS.len());
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").unwrap();
        let url = format!("https://github.com/somebody/mux/releases/download/v{VERSION}/{name}\"\n");
        let (_, after) = formula.split_once(&url).unwrap_or_else(|| panic!("{name} is not in\n{formula}"));
        assert!(after.trim_start().starts_with(&format!("sha256 \"{sum}\"")), "{after}");
    }
}

#[test]
fn the_workflows_name_each_action_by_its_commit() {
    let mut faults = Vec::new();
    for entry in fs::read_dir(manifest().join(".github/workflows")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("\npermissions:"), "{}: no permissions, so all", path.display());
        for line in text.lines().filter(|line| line.contains("uses: ")) {
            let version = line.split_once('@').map_or("", |(_, version)| version);
            let is_commit =
                version.split(' ').next().is_some_and(|it| it.len() == 40 && it.chars().all(|c| c.is_ascii_hexdigit()));
            if !is_commit || !version.contains(" # v") {
                faults.push(format!("{}: {}", name(&path), line.trim()));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}
