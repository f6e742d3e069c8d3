//! What `mux` costs in a repository of 10 000 files. Prints the time that the processor worked, and asserts none of it.

use crate::bench::{World, run};
use fs_err as fs;
use std::fmt::Write as _;

const FILES: usize = 10_000;
const RUNS: u64 = 10;

#[test]
#[ignore = "writes 10 000 files; prints a number"]
fn the_context_of_a_task_is_found_among_ten_thousand_files() {
    let world = World::new("many");
    for n in 0..FILES {
        let mut text = format!("\"\"\"Module {n}.\"\"\"\n\nimport os\n\n\n");
        for step in 0..12 {
            let _ =
                write!(text, "def step_{n}_{step}(value):\n    total = value * {step}\n    return total + {n}\n\n\n");
        }
        if n == 7_777 {
            text.push_str("class UserService:\n    def email_of(self, name):\n        return self.users[name].email\n");
        }
        let path = world.work.join(format!("src/part_{}/module_{n}.py", n % 100));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    for line in ["init -q", "add -A"] {
        let mut git = world.command(world.root.join("bin/git"));
        git.args(line.split(' '));
        let ran = run(git, b"");
        assert_eq!(ran.exit, 0, "{}", ran.report());
    }
    let tasks = [
        ("defined in one file", "Fix the null pointer bug in UserService and keep tests passing"),
        ("defined nowhere", "Fix the null pointer bug in OrderService and keep tests passing"),
        ("plain words", "Fix the bug in the pager"),
    ];
    for (what, task) in tasks {
        let before = ticks();
        for _ in 0..RUNS {
            let mut command = world.mux();
            command.args(["run", "--dry-run", "--change", task]);
            let ran = run(command, b"");
            let said = String::from_utf8_lossy(&ran.stdout).into_owned();
            let is_found = said.contains("src/part_77/module_7777.py (");
            assert!(ran.exit == 0 && is_found == task.contains("UserService"), "{}", ran.report());
        }
        eprintln!("{FILES} files, {what}: {} ms of CPU a task, git included", (ticks() - before) * 10 / RUNS);
    }
}

/// What the children that have ended have used, in hundredths of a second. A thread of its own is a process's: another
/// test at the same time would count too, so this one is run alone.
fn ticks() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let field = |at: usize| fields[at].parse::<u64>().unwrap();
    field(13) + field(14)
}
