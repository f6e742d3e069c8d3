//! Tests of what stands around children that write, with real git and real children: every kind of repository and of
//! change is taken back, kept, undone, and the undo undone; whole trees are compared, the user's `.git` among them.

#![expect(clippy::disallowed_methods, reason = "scripts prepare and change real repositories, and a victim is killed")]

use super::*;
use crate::engine::heal::{self, State as Healed};
use crate::engine::undo::{self, Undone, Wish};
use crate::sys::disk::{Left, RollBack, Why};
use crate::sys::snapshot::Unkept;
use crate::sys::state::{Patience, State, new_run_id};
use crate::words::env::Env;
use crate::words::event::{Event, Watcher};
use crate::words::task::{Provider, Source};
use crate::words::time::Utc;
use fs_err as fs;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
const VICTIM: &str = "MUX_TEST_AROUND";

struct Deaf;

impl Watcher for Deaf {
    fn event(&mut self, _: &Event<'_>) {}

    fn allow_hands(&mut self, _: Provider, _: Instant) -> bool {
        false
    }
}

/// A work directory, a state, and room beside them.
struct Bench {
    root: PathBuf,
    work: PathBuf,
    env: Env,
    state: State,
}

/// Permissions and content (of a link: its target) by path.
type Tree = BTreeMap<Vec<u8>, (u32, Vec<u8>)>;

impl Bench {
    fn new() -> Bench {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("mux-around-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
        let root = fs::canonicalize(std::env::temp_dir()).unwrap().join(name);
        fs::create_dir_all(root.join("work")).unwrap();
        Bench::at(root)
    }

    fn at(root: PathBuf) -> Bench {
        let vars = [("PATH", PathBuf::from(PATH)), ("HOME", root.clone()), ("XDG_STATE_HOME", root.join("state"))];
        let vars = vars.map(|(name, value)| (name.into(), value.into())).into();
        let env = Env { vars, cwd: Some(root.clone()), now: Utc(1_795_402_440_123) };
        let state = State::locate(&env).unwrap();
        state.make().unwrap();
        Bench { work: root.join("work"), root, env, state }
    }

    fn house(&self) -> House<'_> {
        House { env: &self.env, state: &self.state, config_file: None }
    }

    /// Runs a script in the work directory.
    #[track_caller]
    fn sh(&self, script: &str) {
        let mut command = Command::new("/bin/sh");
        command.args(["-e", "-u", "-c", script]).current_dir(&self.work).env_clear().stdin(Stdio::null());
        command.envs([("PATH", PATH), ("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_SYSTEM", "/dev/null")]);
        command.envs([("GIT_AUTHOR_NAME", "a"), ("GIT_COMMITTER_NAME", "a"), ("HOME", "/nonexistent")]);
        command.envs([("GIT_AUTHOR_EMAIL", "a@b"), ("GIT_COMMITTER_EMAIL", "a@b"), ("LC_ALL", "C")]);
        let ran = command.output().unwrap();
        assert!(ran.status.success(), "{script}\n{}", String::from_utf8_lossy(&ran.stderr));
    }

    fn dir(&self) -> WorkDir {
        WorkDir::open(&self.work).unwrap()
    }

    fn run_dir(&self) -> PathBuf {
        let dir = self.state.runs().join(new_run_id(self.env.now));
        fs::create_dir(&dir).unwrap();
        dir
    }

    /// A run whose child is a script; returns its id and what came of it.
    #[track_caller]
    fn run(&self, script: &str) -> (String, Around) {
        let (dir, run_dir) = (self.dir(), self.run_dir());
        let git = self.git();
        let snapshot = before(&self.house(), &dir, &run_dir, &never()).unwrap();
        assert!(self.git() == git, "the snapshot has changed a `.git`");
        self.sh(script);
        let git = self.git();
        let around = after(snapshot, &dir, &never()).unwrap();
        assert!(self.git() == git, "the second look has changed a `.git`");
        assert_eq!(heal::report(&self.state.runs()).unwrap(), [], "the run lives, and has no snapshot open");
        (run_dir.file_name().unwrap().to_str().unwrap().to_string(), around)
    }

    #[track_caller]
    fn undo(&self, run_id: &str, force: bool) -> Undone {
        let wish = Wish { run_id, force, patience: Patience::Wait, source: Source::Cli };
        undo::undo(&self.house(), None, &wish, &mut Deaf, &never()).unwrap()
    }

    /// All that is not in a `.git`.
    fn tree(&self) -> Tree {
        let mut tree = tree(&self.work);
        tree.retain(|path, _| !path.split(|byte| *byte == b'/').any(|name| name == b".git"));
        tree
    }

    /// All that is in a `.git`, wherever it is.
    fn git(&self) -> Tree {
        let mut tree = tree(&self.root);
        tree.retain(|path, _| {
            let mut names = path.split(|byte| *byte == b'/');
            names.next() != Some(b"state".as_slice()) && names.any(|name| name == b".git" || name.ends_with(b".git"))
        });
        tree
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = Command::new("chmod").args(["-R", "u+rwX"]).arg(&self.root).output();
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn tree(dir: &Path) -> Tree {
    let (mut tree, mut dirs) = (Tree::new(), vec![dir.to_path_buf()]);
    while let Some(here) = dirs.pop() {
        for entry in fs::read_dir(&here).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let content = if meta.is_dir() {
                dirs.push(path.clone());
                b"dir".to_vec()
            } else if meta.is_symlink() {
                [b"-> ", fs::read_link(&path).unwrap().as_os_str().as_bytes()].concat()
            } else if meta.is_file() {
                fs::read(&path).unwrap()
            } else {
                b"special".to_vec()
            };
            let name = path.strip_prefix(dir).unwrap().as_os_str().as_bytes().to_vec();
            tree.insert(name, (meta.permissions().mode() & 0o7777, content));
        }
    }
    tree
}

fn never() -> Stop {
    Stop::at(Instant::now() + Duration::from_mins(5))
}

#[track_caller]
fn same(now: &Tree, want: &Tree, what: &str) {
    let differs = |(path, is): &(&Vec<u8>, &(u32, Vec<u8>))| want.get(*path) != Some(*is);
    let show = |(path, (mode, content)): (&Vec<u8>, &(u32, Vec<u8>))| {
        format!("{} {mode:o} {}", String::from_utf8_lossy(path), String::from_utf8_lossy(content).escape_debug())
    };
    let extra: Vec<_> = now.iter().filter(differs).map(show).collect();
    let missing: Vec<_> = want.iter().filter(|(path, is)| now.get(*path) != Some(*is)).map(show).collect();
    assert!(now == want, "{what}\nis: {extra:#?}\nshould be: {missing:#?}");
}

/// Prepares a work directory with one script and changes it with another, twice: the first run is rolled back, the
/// second kept, undone, and its undo undone.
#[track_caller]
fn comes_back(prepare: &str, change: &str) -> Bench {
    let bench = Bench::new();
    bench.sh(prepare);
    comes_back_at(bench, change)
}

#[track_caller]
fn comes_back_at(bench: Bench, change: &str) -> Bench {
    let old = bench.tree();
    let (_, around) = bench.run(change);
    assert_eq!(around.beyond, [], "all of it can be restored");
    assert_ne!(bench.tree(), old, "the script changes something");
    assert_eq!(around.applied.roll_back().left, []);
    same(&bench.tree(), &old, "rolled back");
    let (id, around) = bench.run(change);
    let new = bench.tree();
    let git = bench.git();
    assert!(!around.diff.is_empty() || around.applied.ops().is_empty());
    around.applied.keep().unwrap();
    same(&bench.tree(), &new, "kept");
    let undone = bench.undo(&id, false);
    assert_eq!((undone.exit, &undone.left, &undone.why), (0, &vec![], &None));
    same(&bench.tree(), &old, "undone");
    let again = bench.undo(&undone.run_id.unwrap(), false);
    assert_eq!((again.exit, &again.left), (0, &vec![]));
    same(&bench.tree(), &new, "the undo undone");
    let last = bench.undo(&again.run_id.unwrap(), false);
    assert_eq!(last.exit, 0);
    same(&bench.tree(), &old, "undone once more");
    assert!(bench.git() == git, "a `.git` has changed");
    bench
}

/// Files of every kind, changed in every way.
const FILES: &str = "
    printf 'old' > changed; printf 'old' > gone; printf 'old' > mode; chmod 640 mode; printf '#!\\n' > run; chmod 755 run
    mkdir -p dir/deep empty/er; chmod 2750 dir; chmod 700 empty; printf 'x' > dir/deep/file; chmod 400 dir/deep/file
    printf 'a\\0\\377\\r\\n' > bytes; ln -s changed link; ln -s /nowhere dangling; ln -s dir dirlink";
const CHANGES: &str = "
    printf 'new, and longer' > changed; rm gone; chmod 600 mode; chmod 644 run; printf 'b' > bytes
    rm -rf dir empty; rm dangling; ln -sfn mode link; printf 'no link' > plain; rm dirlink; printf 'file' > dirlink
    mkdir -p made/here made/empty; printf 'n' > made/here/file; chmod 555 made/here/file; ln -s ../x made/link
    touch bytes2; chmod 711 made";

#[test]
fn without_a_repository_everything_comes_back() {
    comes_back(FILES, CHANGES);
}

#[test]
fn in_a_repository_it_makes_no_difference_what_git_thinks_of_a_file() {
    let all = format!("git init -q; {FILES}; git add .; git commit -qm one");
    comes_back(&all, CHANGES);
    let some =
        format!("git init -q; {FILES}; git add changed dir; printf 'staged' > gone; git add gone; printf 'uns' > gone");
    comes_back(&some, CHANGES);
    comes_back(&format!("git init -q; {FILES}; printf '*\\n' > .gitignore"), CHANGES);
    // What the children do with git is theirs: the files come back all the same.
    comes_back(&all, &format!("{CHANGES}\ngit add .; git commit -qm two --allow-empty; git branch -f side; git gc -q"));
}

#[test]
fn a_directory_inside_a_repository_is_looked_at_alone() {
    let bench = Bench::new();
    bench.sh(&format!("cd ..; git init -q; cd work; {FILES}; printf 'ignored\\n' > ../.gitignore; git add ."));
    bench.sh("printf 'old' > ignored; head -c 2000000 /dev/zero > big; git add big");
    comes_back_at(bench, &format!("{CHANGES}; printf 'new' > ignored; printf 'small' > big"));
}

#[test]
fn line_ends_idents_and_encodings_come_back_as_they_were() {
    let prepare = "git init -q
        printf '* text=auto eol=lf\\n*.c ident\\n*.u working-tree-encoding=UTF-16LE\\n' > .gitattributes
        printf 'a\\r\\nb\\r\\n' > crlf; printf 'a\\r\\nb\\n' > mixed; printf 'h\\0i\\0' > enc.u; printf '$Id$\\n' > id.c
        git add .; git commit -qm one; rm id.c; git checkout -q id.c; printf '\\r\\n' >> mixed
        git config core.autocrlf true; git config core.safecrlf true";
    let bench = comes_back(prepare, "printf 'a\\n' > crlf; rm mixed; printf 'x\\0' > enc.u; printf '$Id$' > id.c");
    let id = fs::read_to_string(bench.work.join("id.c")).unwrap();
    assert!(id.starts_with("$Id: "), "git has expanded it, so there was something to lose: {id}");
}

#[test]
fn no_code_of_a_repository_runs() {
    let prepare = "git init -q; printf 'text\\n' > file; mkdir node_modules; touch node_modules/x
        printf 'node_modules\\n' > .gitignore; git add .; git commit -qm one
        printf '* filter=evil diff=evil\\n' > .gitattributes
        printf '#!/bin/sh\\ntouch \"%s/ran\"\\ncat\\n' \"$PWD/..\" > ../evil; chmod 755 ../evil
        for key in filter.evil.clean filter.evil.smudge filter.evil.process diff.evil.textconv core.fsmonitor \\
            core.pager core.sshCommand core.editor; do git config $key \"$PWD/../evil\"; done
        git config filter.evil.required true; git config core.hooksPath \"$PWD/../hooks\"
        mkdir ../hooks; for hook in post-index-change fsmonitor-watchman pre-commit post-checkout reference-transaction
        do cp ../evil ../hooks/$hook; done";
    let bench = comes_back(prepare, "printf 'other' > file; rm .gitattributes; printf 'new' > more");
    assert!(!bench.root.join("ran").exists(), "something ran");
    bench.sh("git add more || true");
    assert!(bench.root.join("ran").exists(), "it was armed");
}

#[test]
fn nested_repositories_come_back_even_when_they_were_removed() {
    let nested = "for repo in . sub sub/deep other; do
            mkdir -p $repo; git init -q $repo; printf \"of $repo\\n\" > $repo/file; git -C $repo add file
            git -C $repo commit -qm one; done
        printf 'untracked' > sub/more; printf 'ignored\\n' > other/.gitignore; printf 'x' > other/ignored";
    comes_back(nested, "printf 'new' > sub/file; rm sub/deep/file; printf 'y' > other/ignored; printf 'n' > file");
    let bench = Bench::new();
    bench.sh(nested);
    let (old, (_, around)) = (bench.tree(), bench.run("rm -rf sub"));
    let beyond = |path: &str| Beyond { path: path.into(), why: Unkept::Repository };
    assert_eq!(around.beyond, [beyond("sub/.git"), beyond("sub/deep/.git")]);
    assert_eq!(around.applied.roll_back().left, []);
    same(&bench.tree(), &old, "all but the `.git`");
}

#[test]
fn submodules_come_back() {
    let prepare = "git init -q ../lib; cd ../lib; printf 'lib\\n' > file; git add .; git commit -qm one; cd ../work
        git init -q; git -c protocol.file.allow=always submodule --quiet add ../lib sub; git commit -qm one
        printf 'mine' > sub/more";
    comes_back(prepare, "printf 'new' > sub/file; rm sub/more; rm .gitmodules");
}

#[test]
fn linked_worktrees_come_back() {
    let prepare =
        "git init -q ../main; cd ../main; printf 'a\\n' > file; printf 'b' > gone; git add .; git commit -qm one
        git worktree add -q ../work; cd ../work; printf 'mine' > more";
    comes_back(prepare, "printf 'new' > file; rm gone more");
}

#[test]
fn repositories_of_the_longer_hash_come_back() {
    let prepare = format!(
        "git init -q --object-format=sha256; {FILES}; git add .; git commit -qm one; printf 'dirty' > changed
        mkdir sub; git init -q sub; printf 'short' > sub/file; git -C sub add ."
    );
    comes_back(&prepare, &format!("{CHANGES}; printf 'x' > sub/file"));
}

#[test]
fn partial_clones_come_back_without_a_fetch() {
    let bench = Bench::new();
    bench.sh(
        "git init -q ../origin; cd ../origin; printf 'a\\n' > file; printf 'b\\n' > gone; mkdir far; printf 'c' > far/away
        git add .; git commit -qm one; git config uploadpack.allowFilter true; cd ../work
        git clone -q --no-checkout --filter=blob:none \"file://$PWD/../origin\" .
        git sparse-checkout set --no-cone /file /gone; git checkout -q; mv ../origin ../moved
        printf 'c' > same-as-far; mkdir far; printf 'c' > far/away",
    );
    comes_back_at(bench, "printf 'new' > file; rm gone; rm -r far; rm same-as-far");
}

#[test]
fn an_undo_needs_nothing_of_the_users_repository() {
    let bench = Bench::new();
    bench.sh(&format!("git init -q; {FILES}; git add .; git commit -qm one"));
    let old = bench.tree();
    let (id, around) = bench.run(CHANGES);
    around.applied.keep().unwrap();
    bench.sh("git add -A; git commit -q --amend -m other; git reflog expire --expire=now --all; git gc -q --prune=now
        test $(git rev-list --all --objects | wc -l) -lt 20");
    fs::remove_dir_all(bench.state.snapshots()).unwrap();
    assert_eq!(bench.undo(&id, false).exit, 0);
    same(&bench.tree(), &old, "undone");
}

#[test]
fn objects_that_no_index_names_are_not_relied_on() {
    let bench = Bench::new();
    // The content of `file` is in the repository, but only because it was staged once.
    bench.sh("git init -q; printf 'precious' > file; git add file; printf 'x' > file; git add file; printf 'precious' > file");
    comes_back_at(bench, "printf 'new' > file; git add file; git gc -q --prune=now");
    // The last snapshot knows the content from an index that holds it no longer.
    let bench = Bench::new();
    bench.sh("git init -q; printf 'precious' > file; git add file; touch -d '1 hour ago' file; sleep 2.1");
    assert_eq!(bench.run("printf 'y' > other").1.applied.keep().unwrap().len(), 1);
    bench.sh("git rm -q --cached file; git gc -q --prune=now");
    comes_back_at(bench, "printf 'new' > file");
}

#[test]
fn replaced_objects_are_not_taken_for_the_real_ones() {
    let prepare = "git init -q; printf 'real' > file; printf 'fake' > fake; git add .; git commit -qm one
        git replace $(git hash-object file) $(git hash-object fake); rm fake";
    comes_back(prepare, "printf 'new' > file");
}

#[test]
fn what_is_ignored_comes_back_if_it_is_small_and_is_named_if_not() {
    let prepare = "git init -q; printf 'target\\nnode_modules/\\n*.log\\n.env\\n' > .gitignore
        mkdir target node_modules dist; printf 'made' > target/out; printf 'kept' > target/forced; printf 'x' > node_modules/x
        printf 'work' > dist/file; printf 'SECRET=1' > .env; printf 'small' > small.log
        head -c 1048577 /dev/zero > big.log; head -c 1048577 /dev/zero > big.dat; git add -f target/forced .gitignore";
    let changes =
        "printf 'SECRET=2' > .env; rm small.log; printf 'y' >> target/forced; rm dist/file; printf 'z' >> big.dat";
    let bench = comes_back(prepare, changes);
    let (_, around) =
        bench.run(&format!("{changes}; printf 'y' >> target/out; rm -r node_modules; printf 'y' >> big.log"));
    let beyond = |path: &str, why| Beyond { path: path.into(), why };
    let want = [beyond("big.log", Unkept::File), beyond("node_modules", Unkept::Bulk), beyond("target", Unkept::Bulk)];
    assert_eq!(around.beyond, want);
    let told = "`big.log` changed and cannot be restored: it is ignored and large, very large, or unreadable";
    assert_eq!(around.beyond[0].to_string(), told);
    // Ignored meanwhile, it is what it was before all the same.
    around.applied.keep().unwrap();
    let (_, around) =
        bench.run("printf 'dist\\n*.dat\\n' >> .gitignore; rm -r dist; printf 'q' >> big.dat; touch target/forced");
    assert_eq!(around.beyond, []);
    let paths: Vec<_> = around.applied.ops().iter().map(|op| op.path.as_str()).collect();
    assert_eq!(paths, [".gitignore", "big.dat"], "`dist` was empty, and a touch is no change");
    assert_eq!(around.applied.roll_back(), RollBack { restored: 2, left: Vec::new() });
}

#[test]
fn odd_names_come_back_and_what_is_no_text_is_named() {
    let names = "'a\nb' '\"quoted\"' 'back\\slash' '-dash' ' space ' 'cr\r' 'é' '*' ':(top)x' 'tab\t'";
    let prepare = format!("for name in {names}; do printf 'old' > \"./$name\"; done");
    let change = format!("for name in {names}; do printf 'new' > \"./$name\"; done");
    comes_back(&prepare, &change);
    comes_back(&format!("git init -q; {prepare}; git add ."), &change);
    let bench = Bench::new();
    bench.sh("printf 'old' > \"$(printf 'x\\377')\"; mkfifo fifo");
    let (_, around) = bench.run("printf 'new' > \"$(printf 'x\\377')\"; rm fifo");
    let why: Vec<_> = around.beyond.iter().map(|one| one.why).collect();
    assert_eq!(why, [Unkept::Special, Unkept::Name]);
}

#[test]
fn only_directories_and_only_permissions_come_back_too() {
    comes_back("mkdir gone; chmod 700 gone; touch x", "rmdir gone; mkdir -p new/er");
    let bench = comes_back("mkdir dir; touch dir/x run; chmod 600 run", "chmod 700 dir; chmod 755 run dir/x");
    let (_, around) = bench.run("chmod 755 run");
    assert_eq!(around.diff, "mode of run: 600 -> 755\n");
    let op = &around.applied.ops()[0];
    assert!(op.op == Op::Change && op.before.as_ref().unwrap().ends_with("+600"), "{op:?}");
}

#[test]
fn a_file_in_place_of_a_directory_is_rolled_back_and_not_undone_in_silence() {
    let bench = Bench::new();
    bench.sh("mkdir dir; printf 'in' > dir/file; printf 'was' > plain; ln -s plain link");
    let old = bench.tree();
    let change =
        "rm -r dir; printf 'now' > dir; rm plain; mkdir plain; printf 'x' > plain/x; rm link; mkdir link; touch link/y";
    let (_, around) = bench.run(change);
    assert_eq!(around.applied.roll_back().left, []);
    same(&bench.tree(), &old, "rolled back");
    let (id, around) = bench.run(change);
    around.applied.keep().unwrap();
    let new = bench.tree();
    let undone = bench.undo(&id, true);
    let left: Vec<_> = undone.left.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!((undone.exit, left), (1, vec!["link", "plain", "dir/file"]));
    same(&bench.tree(), &new, "nothing was undone");
}

#[test]
fn what_the_user_changed_since_is_left() {
    let bench = Bench::new();
    bench.sh("git init -q; for name in a b c d e; do printf 'old' > $name; done; git add .");
    let change =
        "for name in a b c; do printf 'new' > $name; done; rm d; printf 'new' > f; chmod 600 e; mkdir dir; touch dir/x";
    let (_, around) = bench.run(change);
    bench.sh("printf 'mine' > a; rm b; printf 'mine' > d; printf 'mine' > f; chmod 640 e; touch dir/mine");
    let done = around.applied.roll_back();
    let left = |path: &str, why| Left { path: path.into(), why };
    let mut want: Vec<_> = ["a", "b", "e", "f"].map(|path| left(path, Why::ChangedSince)).into();
    want.extend([left("dir", Why::NotEmpty), left("d", Why::ChangedSince)]);
    assert_eq!((done.restored, done.left), (2, want), "`c` and `dir/x`");
    let read = |name: &str| fs::read_to_string(bench.work.join(name)).ok();
    assert_eq!(
        ["a", "b", "c", "d", "f"].map(read),
        [Some("mine"), None, Some("old"), Some("mine"), Some("mine")].map(|text| text.map(String::from))
    );
    let bench = Bench::new();
    bench.sh("printf 'old' > a");
    let (id, around) = bench.run("printf 'new' > a; printf 'new' > b");
    around.applied.keep().unwrap();
    bench.sh("printf 'mine' > a");
    let undone = bench.undo(&id, false);
    assert_eq!((undone.exit, undone.left), (1, vec![("a".to_string(), "it has changed since the run".to_string())]));
    let undone = bench.undo(&id, true);
    assert_eq!((undone.exit, bench.tree().len()), (0, 1));
    bench.undo(&undone.run_id.unwrap(), false);
    assert_eq!(fs::read_to_string(bench.work.join("a")).unwrap(), "mine", "it was kept by the undo");
}

#[test]
fn a_child_that_changes_nothing_leaves_nothing() {
    let bench = Bench::new();
    bench.sh(&format!("git init -q; {FILES}; git add ."));
    let (id, around) = bench.run("touch changed; cp -p bytes x; mv x bytes; chmod 700 run; chmod 755 run");
    assert_eq!((around.applied.ops().len(), around.diff.as_str(), &around.beyond), (0, "", &vec![]));
    around.applied.keep().unwrap();
    assert_eq!(fs::read_dir(bench.state.runs().join(id)).unwrap().count(), 0, "nothing is kept of nothing");
}

#[test]
fn without_git_there_is_no_snapshot() {
    let mut bench = Bench::new();
    bench.env.vars.insert("PATH".into(), "/nonexistent".into());
    let why = before(&bench.house(), &bench.dir(), &bench.run_dir(), &never()).unwrap_err();
    assert_eq!(why.to_string(), "git could not be found: there is no `git` in PATH");
    let bench = Bench::new();
    let over = Stop::at(Instant::now());
    let why = before(&bench.house(), &bench.dir(), &bench.run_dir(), &over).unwrap_err();
    assert_eq!(why, NoSnapshot::Stopped);
    assert_eq!(heal::report(&bench.state.runs()).unwrap(), [], "nothing is open");
}

/// Not a test: prints what snapshots cost beside what git costs, in ms of processor time. As a table, because times are
/// of a machine. Wants a build that optimises: `CARGO_PROFILE_TEST_OPT_LEVEL=3`.
#[test]
#[ignore = "a measurement"]
fn cost() {
    fn spent() -> u64 {
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        let words: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        // User and system time, of this process and of the children it has waited for, in hundredths of a second.
        words[11..15].iter().map(|ticks| 10 * ticks.parse::<u64>().unwrap()).sum::<u64>()
    }
    fn measure<T>(what: &str, work: impl FnOnce() -> T) -> T {
        let (cpu, wall) = (spent(), Instant::now());
        let done = work();
        println!("{what:<48} {:>8} ms cpu {:>8} ms", spent() - cpu, wall.elapsed().as_millis());
        done
    }
    for is_repo in [true, false] {
        let bench = Bench::new();
        bench.sh("awk 'BEGIN { for (d = 0; d < 1000; d++) { dir = \"d\" d % 40 \"/e\" d; system(\"mkdir -p \" dir)
            for (f = 0; f < 100; f++) { name = dir \"/f\" f; for (l = 0; l < 60; l++) print d, f, l, \"text\" > name; close(name) } } }'");
        println!("100000 files, {}", if is_repo { "in a repository" } else { "in none" });
        if is_repo {
            bench.sh("git init -q; git add -A; git commit -qm one; git repack -adq; sleep 3");
            measure("git add -A into a fresh index", || bench.sh("GIT_INDEX_FILE=$PWD/../index git add -A"));
            measure("git add -A into it again", || bench.sh("GIT_INDEX_FILE=$PWD/../index git add -A"));
            bench.sh("git status --porcelain");
            measure("git status", || bench.sh("git status --porcelain"));
        } else {
            measure("git init, git add -A", || bench.sh("git init -q; git add -A"));
            bench.sh("rm -rf .git; sleep 3");
        }
        for what in ["first snapshot", "second snapshot, as it was", "third snapshot, 3 files written"] {
            let (dir, run_dir) = (bench.dir(), bench.run_dir());
            let snapshot = measure(what, || before(&bench.house(), &dir, &run_dir, &never()).unwrap());
            if what.starts_with("second") {
                bench.sh("printf 'x' >> d1/e1/f1; rm -f d2/e2/f2; printf 'y' > new");
            }
            let around = measure("  after it", || after(snapshot, &dir, &never()).unwrap());
            measure("  taken back", || assert_eq!(around.applied.roll_back().left, []));
            bench.sh("sleep 2.5");
        }
    }
}

/// Not a test: what [`a_killed_run_is_kept_and_can_be_undone`] starts and kills.
#[test]
#[ignore = "the victim of the kill test"]
fn victim() {
    let Ok(root) = std::env::var(VICTIM) else { return };
    let bench = std::mem::ManuallyDrop::new(Bench::at(root.into()));
    let snapshot = before(&bench.house(), &bench.dir(), &bench.run_dir(), &never()).unwrap();
    bench.sh("printf 'new' > a; rm b; printf 'new' > c; chmod 700 dir");
    println!("\nready {}", snapshot.run_dir().display());
    std::thread::sleep(Duration::from_mins(5));
}

#[test]
fn a_killed_run_is_kept_and_can_be_undone() {
    let bench = Bench::new();
    bench.sh("git init -q; printf 'old' > a; printf 'old' > b; mkdir dir; chmod 750 dir; git add .");
    let old = bench.tree();
    let mut victim = Command::new(std::env::current_exe().unwrap());
    victim.args(["engine::around::tests::victim", "--exact", "--ignored", "--nocapture"]).env(VICTIM, &bench.root);
    let mut victim = victim.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let ready = lines.map(Result::unwrap).find_map(|line| line.strip_prefix("ready ").map(PathBuf::from)).unwrap();
    assert_eq!(heal::report(&bench.state.runs()).unwrap(), [], "a living run is left alone");
    victim.kill().unwrap();
    victim.wait().unwrap();
    // The user goes on in the meantime.
    bench.sh("printf 'mine' > mine");
    let new = bench.tree();
    let id = ready.file_name().unwrap().to_str().unwrap();
    let report = heal::report(&bench.state.runs()).unwrap();
    let told = format!("run {id} was killed while a provider wrote in `{}`", bench.work.display());
    assert_eq!(report.iter().map(ToString::to_string).collect::<Vec<_>>(), [told.as_str()]);
    let healed = heal::heal(&bench.state.runs()).unwrap();
    assert_eq!((healed.len(), healed[0].files, &healed[0].state), (1, 4, &Healed::Kept { beyond: vec![] }));
    let more = "; changed since it began, and left as it is: 4 files; `mux undo ";
    assert_eq!(healed[0].to_string(), format!("{told}{more}{id}` takes that back"));
    same(&bench.tree(), &new, "nothing was taken back");
    assert_eq!(
        (heal::heal(&bench.state.runs()).unwrap(), heal::report(&bench.state.runs()).unwrap()),
        (vec![], vec![])
    );
    let diff = fs::read_to_string(ready.join("diff.patch")).unwrap();
    assert!(diff.contains("--- a/a\n+++ b/a\n@@ -1,1 +1,1 @@\n-old\n"), "{diff}");
    assert_eq!(bench.undo(id, false).exit, 0);
    same(&bench.tree(), &old, "undone");
}

#[test]
fn a_run_that_is_killed_once_it_has_journaled_is_rolled_back() {
    let bench = Bench::new();
    bench.sh("git init -q; printf 'old' > a; mkdir -p dir/sub; git add .");
    let old = bench.tree();
    let runs = bench.state.runs();
    for is_closed in [false, true] {
        let (dir, run_dir) = (bench.dir(), bench.run_dir());
        let snapshot = before(&bench.house(), &dir, &run_dir, &never()).unwrap();
        let (marker, id) = (run_dir.with_extension("snapshot"), run_dir.file_name().unwrap().to_str().unwrap());
        let says = fs::read(&marker).unwrap();
        let store = fs::read_dir(bench.state.snapshots()).unwrap().next().unwrap().unwrap().path();
        let manifest = fs::read(store.join(id)).unwrap();
        bench.sh("printf 'new' > a; printf 'new' > b; rm -r dir");
        std::mem::forget(after(snapshot, &dir, &never()).unwrap().applied);
        // As a kill leaves it: files of the same content, whose locks are lost.
        let journal = runs.join(format!("{id}.undo-1"));
        let plan = fs::read(&journal).unwrap();
        fs::remove_file(&journal).unwrap();
        fs::write(&journal, plan).unwrap();
        if !is_closed {
            fs::write(marker, says).unwrap();
            fs::write(store.join(id), manifest).unwrap();
        }
        let healed: Vec<_> = heal::heal(&runs).unwrap().into_iter().map(|one| one.state).collect();
        let back = Healed::RolledBack(RollBack { restored: 2, left: vec![] });
        let want = if is_closed { vec![back] } else { vec![back, Healed::Kept { beyond: vec![] }] };
        assert_eq!(healed, want);
        same(&bench.tree(), &old, "rolled back");
        assert_eq!(heal::heal(&runs).unwrap(), []);
    }
}

#[test]
fn a_snapshot_that_was_never_whole_or_whose_directory_is_away_does_no_harm() {
    let bench = Bench::new();
    let runs = bench.state.runs();
    fs::create_dir(runs.join("01A")).unwrap();
    fs::write(runs.join("01A.snapshot"), "{\"schema\":1,\"git").unwrap();
    fs::write(runs.join("01B.snapshot"), "{}\n").unwrap();
    assert_eq!(heal::report(&runs).unwrap(), []);
    assert_eq!(heal::heal(&runs).unwrap(), []);
    assert_eq!(fs::read_dir(&runs).unwrap().count(), 1, "they are gone");
    bench.sh("printf 'old' > a");
    let snapshot = before(&bench.house(), &bench.dir(), &bench.run_dir(), &never()).unwrap();
    // Another file of the same content has lost the lock, whatever children of other tests hold for a moment.
    let marker = snapshot.run_dir().with_extension("snapshot");
    let text = fs::read(&marker).unwrap();
    fs::remove_file(&marker).unwrap();
    fs::write(&marker, text).unwrap();
    bench.sh("printf 'new' > a; mv ../work ../away");
    let healed = heal::heal(&runs).unwrap();
    assert!(matches!(healed[0].state, Healed::Unreachable(_)), "{healed:?}");
    fs::rename(bench.root.join("away"), &bench.work).unwrap();
    assert_eq!(heal::heal(&runs).unwrap()[0].state, Healed::Kept { beyond: vec![] });
}
