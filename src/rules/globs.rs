//! `privacy.never_send`: which files never leave this machine, as globs on paths relative to the work directory. Pure.
//!
//! The rules are those of `.gitignore`, read once and for files only:
//! - `*` stands for any characters but `/`, `?` for one, `[a-z]` and `[!a-z]` for one of a set; `\` takes the next
//!   character as it is.
//! - Without a slash (at most one at the end) a glob matches a name in every directory: of the file, or of a directory
//!   above it, and then everything below. With one it matches from the work directory.
//! - `**` as a whole component stands for any directories, also none: `secrets/**` is all below `secrets`.
//! - Upper and lower case are the same: `.ENV` is a `.env`, and on macOS the same file.
//!
//! **Not here:** a `!` that takes a file out again. What never leaves is a list that only grows; a glob that begins with
//! `!` matches names that do.

/// Returns the first glob that keeps a file at home. `path` is relative to the work directory, with `/`.
pub fn keeps<'a>(never_send: &'a [String], path: &str) -> Option<&'a str> {
    let path = path.to_lowercase();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    never_send.iter().map(String::as_str).find(|glob| is_match(glob, &parts))
}

fn is_match(glob: &str, path: &[&str]) -> bool {
    let glob = glob.to_lowercase();
    let glob = glob.strip_prefix("./").unwrap_or(&glob);
    let is_rooted = glob.trim_end_matches('/').contains('/');
    let parts: Vec<&str> = glob.split('/').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return false;
    }
    if is_rooted {
        begins(&parts, path)
    } else {
        (0..path.len()).any(|start| path.get(start..).is_some_and(|path| begins(&parts, path)))
    }
}

/// Whether a glob matches a path or a directory above it: what matches a directory keeps all below it. A `**` takes as
/// little as it can, and only the last one is ever reconsidered: a project's file may add globs, and one of many `**` would
/// otherwise be tried in more ways than anybody waits for.
fn begins(glob: &[&str], path: &[&str]) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut last_stars = None;
    while let Some(name) = path.get(seen) {
        match glob.get(at) {
            // At the end of the glob it is what is below: this name.
            None => return true,
            Some(&"**") => {
                at += 1;
                last_stars = Some((at, seen));
            }
            Some(part) if name_matches(part, name) => (at, seen) = (at + 1, seen + 1),
            Some(_) => {
                let Some((behind, taken)) = last_stars else { return false };
                (at, seen) = (behind, taken + 1);
                last_stars = Some((behind, taken + 1));
            }
        }
    }
    at == glob.len()
}

/// Whether a component of a glob matches a name. A `*` takes as little as it can and more when the rest does not fit;
/// only the last one is ever reconsidered, so the cost is at most the product of both lengths.
fn name_matches(glob: &str, name: &str) -> bool {
    let (glob, name): (Vec<char>, Vec<char>) = (glob.chars().collect(), name.chars().collect());
    let (mut at, mut seen) = (0, 0);
    let mut last_star = None;
    while let Some(c) = name.get(seen) {
        if glob.get(at) == Some(&'*') {
            at += 1;
            last_star = Some((at, seen));
        } else if let Some(next) = one(&glob, at, *c) {
            (at, seen) = (next, seen + 1);
        } else if let Some((behind, taken)) = last_star {
            (at, seen) = (behind, taken + 1);
            last_star = Some((behind, taken + 1));
        } else {
            return false;
        }
    }
    glob.get(at..).is_some_and(|rest| rest.iter().all(|c| *c == '*'))
}

/// Matches one character; returns where the glob goes on.
fn one(glob: &[char], at: usize, c: char) -> Option<usize> {
    match glob.get(at)? {
        '?' => Some(at + 1),
        '\\' => (*glob.get(at + 1)? == c).then_some(at + 2),
        '[' => match set(glob, at + 1, c) {
            Some((is_in, next)) => is_in.then_some(next),
            // Not closed: the bracket is itself.
            None => (c == '[').then_some(at + 1),
        },
        same => (*same == c).then_some(at + 1),
    }
}

/// Returns whether a character is in the set that begins at `at`, and what follows the set.
fn set(glob: &[char], mut at: usize, c: char) -> Option<(bool, usize)> {
    let is_negated = matches!(glob.get(at)?, '!' | '^');
    at += usize::from(is_negated);
    let first = at;
    let mut is_in = false;
    loop {
        let low = *glob.get(at)?;
        if low == ']' && at > first {
            return Some((is_in != is_negated, at + 1));
        }
        match (glob.get(at + 1), glob.get(at + 2)) {
            (Some('-'), Some(high)) if *high != ']' => {
                is_in |= (low..=*high).contains(&c);
                at += 3;
            }
            (Some(_) | None, _) => {
                is_in |= low == c;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::config::Config;

    #[track_caller]
    fn check(glob: &str, kept: &[&str], sent: &[&str]) {
        let globs = [glob.to_string()];
        for path in kept {
            assert_eq!(keeps(&globs, path), Some(glob), "`{glob}` keeps {path}");
        }
        for path in sent {
            assert_eq!(keeps(&globs, path), None, "`{glob}` does not keep {path}");
        }
    }

    #[test]
    fn names_match_in_every_directory() {
        check(
            ".env*",
            &[".env", ".env.local", "a/b/.env", ".ENV", ".envrc", ".env.d/x"],
            &["env", "a.env", "x/env.py"],
        );
        check("*.pem", &["a.pem", "x/y/B.PEM", ".pem"], &["a.pem.txt", "pem"]);
        check("id_*", &["id_rsa", "a/id_ed25519.pub", "id_"], &["my_id_rsa", "id"]);
        check("a?c", &["abc", "x/aéc"], &["ac", "abbc", "a/c"]);
        check("[a-c]x[!0-9]", &["axy", "CX_"], &["dxy", "ax1", "ax"]);
        check("node_modules", &["node_modules/a/b.js", "x/node_modules"], &["node_modules2/a"]);
        check("build/", &["build/a", "x/build/a"], &["builds/a"]);
    }

    #[test]
    fn paths_match_from_the_work_directory() {
        check("secrets/**", &["secrets/a", "secrets/a/b.txt", "Secrets/x"], &["secrets", "a/secrets/x", "secrets2/x"]);
        check("**/secrets/**", &["secrets/a", "a/b/secrets/c/d"], &["secrets", "a/secretsx/b"]);
        check("/config/prod.yaml", &["config/prod.yaml", "./config/prod.yaml"], &["a/config/prod.yaml"]);
        check("deploy/*.key", &["deploy/a.key"], &["deploy/a/b.key", "a.key", "deploy/a.keys"]);
        check("a/**/z", &["a/z", "a/b/z", "a/b/c/z/below"], &["a/b", "z", "b/a/z"]);
        check("./x/y", &["x/y"], &["y"]);
        check("**", &["a", "a/b"], &[]);
        check("a/**/**", &["a/b", "a/b/c"], &["a", "b/a"]);
        check("**/a/**/b", &["a/b", "x/a/a/y/b/z", "a/a/b"], &["a", "b/a", "x/b"]);
        // A project could have mux try them for years.
        check(&"**/a/".repeat(40), &[&"a/".repeat(60)], &[&"a/".repeat(39)]);
        check(&format!("{}x", "**/a/".repeat(40)), &[], &[&"a/".repeat(100)]);
    }

    #[test]
    fn odd_globs_match_no_more_than_they_say() {
        check("", &[], &["a", ".env"]);
        check("/", &[], &["a"]);
        check("!a", &["!a"], &["a", "b"]);
        check(r"\*", &["*"], &["a", "\\a"]);
        check("a[", &["a["], &["a", "ab"]);
        check("[]]", &["]"], &["[", "[]]"]);
        check("[a-]", &["a", "-"], &["b"]);
        check("a**b", &["ab", "axyb"], &["a/b"]);
        // A glob of many stars costs no more than its length times that of the name.
        check(&"*a".repeat(60), &[&"a".repeat(60)], &[&"b".repeat(5000)]);
    }

    #[test]
    fn the_defaults_keep_what_people_forget() {
        let globs = Config::default().privacy.never_send;
        for path in [".env", "web/.env.production", "tls/server.pem", "server.key", "id_rsa", "secrets/db/prod.txt"] {
            assert!(keeps(&globs, path).is_some(), "{path}");
        }
        for path in ["src/main.rs", "env.py", "keys.rs", "docs/secrets.md", "ideas.md"] {
            assert_eq!(keeps(&globs, path), None, "{path}");
        }
    }
}
