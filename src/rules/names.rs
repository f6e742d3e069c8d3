//! Which paths may be written, by name alone. Pure: what stands on the disk
//! (links, devices, other people's files) is looked at by `sys/disk.rs`.
//!
//! **Invariants:** a protected name is refused whether or not it exists (an absent `.mcp.json` is as dangerous as a
//! present one), in any case and with any invisible character in it. Nothing is expanded and nothing is decoded.
//! A [`RelPath`] can only be made here.

use crate::words::changes::Change;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// Most files in one reply.
pub const MAX_FILES: usize = 200;
/// Longest content of one file, in bytes.
pub const MAX_FILE_BYTES: usize = 2 << 20;
const MAX_COMPONENT_BYTES: usize = 255;
const MAX_PATH_BYTES: usize = 4096;
const MAX_DEPTH: usize = 32;

/// A path below the work directory that passed [`check`]: `/` between components, no `.`, `..`, or empty ones.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelPath(String);

impl RelPath {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a path, or a set of them, may not be written. `Display` says it in plain words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    Empty,
    Absolute,
    Parent,
    Tilde,
    NotAFile,
    Control,
    Invisible,
    LookAlike,
    NotUnicode,
    EdgeSpace,
    NotPortable,
    Backslash,
    Colon,
    Reserved,
    ShortName,
    LongComponent,
    LongPath,
    Deep,
    /// `.git` and what stands for it, and the same of other version control systems.
    VersionControl,
    /// What an agent or an editor obeys, and mux's own files: never written.
    AgentConfig,
    /// What some tool runs without being asked: written only where the user named exactly this path.
    AutoRun,
    Duplicate,
    Collision,
    FileAndDirectory,
    TooManyFiles,
    TooLarge,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rule::Empty => "the path is empty",
            Rule::Absolute => "the path is absolute; paths are relative to the work directory",
            Rule::Parent => "`..` is not allowed in a path",
            Rule::Tilde => "a path may not begin with `~`; nothing is expanded",
            Rule::NotAFile => "the path names a directory, not a file",
            Rule::Control => "the path has a control character",
            Rule::Invisible => "the path has an invisible or direction-changing character",
            Rule::LookAlike => "the path has a character that looks like a dot, a slash or a space",
            Rule::NotUnicode => "the path is not valid Unicode",
            Rule::EdgeSpace => "a name begins with a space, or ends with a space or a dot",
            Rule::NotPortable => "a name has one of the characters * ? \" < > |",
            Rule::Backslash => "a name has a backslash; components are separated by `/`",
            Rule::Colon => "a name has a colon: a drive, a URL or an alternate stream",
            Rule::Reserved => "the name is a device on Windows",
            Rule::ShortName => "the name is a short (8.3) alias, which may stand for another file",
            Rule::LongComponent => "a name is longer than 255 bytes",
            Rule::LongPath => "the path is longer than 4096 bytes",
            Rule::Deep => "the path is more than 32 levels deep",
            Rule::VersionControl => "version control's own directory is never written",
            Rule::AgentConfig => "settings of agents, editors and mux itself are never written",
            Rule::AutoRun => "a tool runs or obeys this file without being asked; name it with `--file` to allow it",
            Rule::Duplicate => "the path comes twice in one reply",
            Rule::Collision => "two paths differ only in case or in the way an accent is written",
            Rule::FileAndDirectory => "the path is a file and a directory in one reply",
            Rule::TooManyFiles => "the reply has more than 200 files",
            Rule::TooLarge => "the file is larger than 2 MiB",
        })
    }
}

/// One change whose name may be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned<'a> {
    pub path: RelPath,
    /// All of the new content; `None` deletes the file.
    pub content: Option<&'a str>,
    /// The bytes to write, where they are not those of the text (`stray.rs`).
    pub raw: Option<Vec<u8>>,
    /// Whether the path is one that a tool runs unasked ([`Rule::AutoRun`]) and that the user has named: said in the result.
    pub auto_run: bool,
}

/// Returns the path as it will be written: `./a` and `a//b` lose what means nothing.
///
/// `allowed_by_user` are the paths that the user named (`--file`), relative to the work directory: they lift
/// [`Rule::AutoRun`] for exactly these paths and no other rule.
///
/// # Errors
/// The first rule that the path breaks.
pub fn check(path: &str, allowed_by_user: &[String]) -> Result<RelPath, Rule> {
    judge(path, allowed_by_user).map(|(path, _)| path)
}

/// Returns a path that may be read below the work directory. What may be shown is the user's choice: only the form counts.
///
/// # Errors
/// The rule of form that the path breaks.
pub fn readable(path: &str) -> Result<RelPath, Rule> {
    normalise(path).map(RelPath)
}

/// Checks all paths of a reply, alone and against each other. The order is kept.
///
/// # Errors
/// The first offending path as the model wrote it, and the rule.
pub fn check_all<'a>(changes: &'a [Change], allowed_by_user: &[String]) -> Result<Vec<Planned<'a>>, (String, Rule)> {
    if changes.len() > MAX_FILES {
        return Err((
            changes.get(MAX_FILES).map(|change| change.path().to_string()).unwrap_or_default(),
            Rule::TooManyFiles,
        ));
    }
    let mut keys: BTreeMap<String, RelPath> = BTreeMap::new();
    let mut all = Vec::with_capacity(changes.len());
    for change in changes {
        let refuse = |rule| (change.path().to_string(), rule);
        let content = match change {
            Change::Write { content, .. } if content.len() > MAX_FILE_BYTES => return Err(refuse(Rule::TooLarge)),
            Change::Write { content, .. } => Some(content.as_str()),
            Change::Delete { .. } => None,
        };
        let (path, auto_run) = judge(change.path(), allowed_by_user).map_err(refuse)?;
        if let Some(other) = keys.insert(collision_key(&path.0), path.clone()) {
            return Err(refuse(if other == path { Rule::Duplicate } else { Rule::Collision }));
        }
        all.push(Planned { path, content, raw: None, auto_run });
    }
    for (key, path) in &keys {
        let mut parent = key.as_str();
        while let Some((shorter, _)) = parent.rsplit_once('/') {
            parent = shorter;
            if keys.contains_key(parent) {
                return Err((path.0.clone(), Rule::FileAndDirectory));
            }
        }
    }
    Ok(all)
}

/// Returns the normalised path and whether the user's naming lifted [`Rule::AutoRun`].
fn judge(path: &str, allowed_by_user: &[String]) -> Result<(RelPath, bool), Rule> {
    let path = normalise(path)?;
    let folded: Vec<String> = path.split('/').map(fold).collect();
    // By custom, `x.git/` is a repository without a work tree.
    let mut folders = folded.iter().rev().skip(1);
    if folded.iter().any(|name| is_version_control(name)) || folders.any(|name| name.strip_suffix(".git").is_some()) {
        return Err(Rule::VersionControl);
    }
    if is_listed(&folded, AGENT_CONFIGS) {
        return Err(Rule::AgentConfig);
    }
    path.split('/').try_for_each(check_component)?;
    if path.len() > MAX_PATH_BYTES {
        return Err(Rule::LongPath);
    }
    if folded.len() > MAX_DEPTH {
        return Err(Rule::Deep);
    }
    let auto_run = is_listed(&folded, AUTO_RUN);
    if auto_run && !allowed_by_user.iter().any(|allowed| normalise(allowed).is_ok_and(|allowed| allowed == path)) {
        return Err(Rule::AutoRun);
    }
    Ok((RelPath(path), auto_run))
}

/// Drops `.` and empty components, after the checks that need the path as it was written.
fn normalise(path: &str) -> Result<String, Rule> {
    if path.is_empty() {
        return Err(Rule::Empty);
    }
    if path.starts_with('/') {
        return Err(Rule::Absolute);
    }
    if path.starts_with('~') {
        return Err(Rule::Tilde);
    }
    if path.split('/').any(|name| name == "..") {
        return Err(Rule::Parent);
    }
    if path.ends_with('/') || path == "." || path.ends_with("/.") {
        return Err(Rule::NotAFile);
    }
    let mut out = String::with_capacity(path.len());
    for name in path.split('/').filter(|name| !name.is_empty() && *name != ".") {
        if !out.is_empty() {
            out.push('/');
        }
        out.push_str(name);
    }
    // After `./~` the shell's home is the first component again.
    if out.starts_with('~') { Err(Rule::Tilde) } else { Ok(out) }
}

fn check_component(name: &str) -> Result<(), Rule> {
    for character in name.chars() {
        if let Some(rule) = refuse_character(character) {
            return Err(rule);
        }
    }
    if name.starts_with(' ') || name.ends_with([' ', '.']) {
        return Err(Rule::EdgeSpace);
    }
    if name.len() > MAX_COMPONENT_BYTES {
        return Err(Rule::LongComponent);
    }
    let stem = name.split('.').next().unwrap_or(name);
    if is_device(stem.trim_end()) {
        return Err(Rule::Reserved);
    }
    // NTFS and FAT give every long name a short one, `CLAUDE~1.MD`; git refuses only `git~1`, but all that is
    // protected here has one. <https://git-scm.com/docs/git-config> core.protectNTFS
    let short = stem.rsplit_once('~').is_some_and(|(head, tail)| {
        !head.is_empty() && stem.len() <= 8 && !tail.is_empty() && tail.bytes().all(|byte| byte.is_ascii_digit())
    });
    if short { Err(Rule::ShortName) } else { Ok(()) }
}

fn refuse_character(character: char) -> Option<Rule> {
    Some(match character {
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' => Rule::Control,
        '\\' => Rule::Backslash,
        ':' => Rule::Colon,
        '*' | '?' | '"' | '<' | '>' | '|' => Rule::NotPortable,
        // What a decoder puts where it found no character, and the code points that are none.
        '\u{fffd}' | '\u{fdd0}'..='\u{fdef}' => Rule::NotUnicode,
        _ if u32::from(character) & 0xfffe == 0xfffe => Rule::NotUnicode,
        _ if is_invisible(character) => Rule::Invisible,
        // Dots, slashes, backslashes, colons and tildes of other blocks, and all spaces but one.
        '\u{a0}'
        | '\u{1680}'
        | '\u{2000}'..='\u{200a}'
        | '\u{2024}'..='\u{2026}'
        | '\u{202f}'
        | '\u{2044}'
        | '\u{205f}'
        | '\u{2215}'
        | '\u{2216}'
        | '\u{29f5}'
        | '\u{29f8}'
        | '\u{29f9}'
        | '\u{3000}'
        | '\u{fe52}'
        | '\u{fe55}'
        | '\u{fe68}'
        | '\u{ff0e}'
        | '\u{ff0f}'
        | '\u{ff1a}'
        | '\u{ff3c}'
        | '\u{ff5e}' => Rule::LookAlike,
        _ => return None,
    })
}

/// Whether a character has no width of its own: Unicode's format characters (Cf) and default-ignorable code points
/// (`DerivedCoreProperties.txt` 16.0). HFS+ ignores some of them in names, which made `.g\u{200c}it` git's directory.
fn is_invisible(character: char) -> bool {
    matches!(u32::from(character),
        0xad | 0x34f | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x890 | 0x891 | 0x8e2 | 0x115f | 0x1160 | 0x17b4 | 0x17b5
        | 0x180b..=0x180f | 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f | 0x3164 | 0xfe00..=0xfe0f | 0xfeff
        | 0xffa0 | 0xfff0..=0xfffb | 0x1_10bd | 0x1_10cd | 0x1_3430..=0x1_343f | 0x1_bca0..=0x1_bca3
        | 0x1_d173..=0x1_d17a | 0xe_0000..=0xe_0fff)
}

/// Devices of Windows, with or without an extension; the superscript digits count there too.
fn is_device(stem: &str) -> bool {
    let stem = stem.to_lowercase();
    let numbered = |name| {
        let digit = stem.strip_prefix(name).map(|rest| rest.chars());
        digit.is_some_and(|mut rest| matches!(rest.next(), Some('0'..='9' | '¹' | '²' | '³')) && rest.next().is_none())
    };
    matches!(stem.as_str(), "con" | "prn" | "aux" | "nul" | "conin$" | "conout$" | "clock$")
        || numbered("com")
        || numbered("lpt")
}

/// Returns a name as the most forgiving file system would compare it: without invisible characters, alternate stream
/// and trailing dots and spaces, and folded: upper case first, because ſ, ı and the Kelvin sign meet s, i and k there.
pub(super) fn fold(name: &str) -> String {
    let name = name.split(':').next().unwrap_or(name);
    let visible = name.chars().filter(|c| !is_invisible(*c) && !c.is_control());
    let folded: String = visible.flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect();
    folded.trim().trim_end_matches([' ', '.']).to_string()
}

/// Whether a folded name is a version control system's own, or git's short name on NTFS.
pub(super) fn is_version_control(name: &str) -> bool {
    let short = name.strip_prefix("git~").is_some_and(|tail| tail.bytes().all(|byte| byte.is_ascii_digit()));
    short || matches!(name, ".git" | ".hg" | ".svn" | ".jj" | ".bzr")
}

/// Returns the path as a file system compares it that ignores case and normalises accents: folded, with the precomposed
/// letters of Latin-1 and Latin Extended-A taken apart. Other scripts are left to the disk, where creating the second
/// name fails and the whole reply is taken back.
fn collision_key(path: &str) -> String {
    let mut key = String::with_capacity(path.len());
    for character in path.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase) {
        let parts = ACCENTS.iter().find_map(|(mark, letters)| {
            let mut pairs = letters.chars();
            std::iter::from_fn(|| Some((pairs.next()?, pairs.next()?)))
                .find(|(composed, _)| *composed == character)
                .map(|(_, base)| (base, *mark))
        });
        match parts {
            Some((base, mark)) => key.extend([base, mark]),
            None => key.push(character),
        }
    }
    key
}

/// For each combining mark the lower-case letters that carry it, each followed by its base letter.
const ACCENTS: &[(char, &str)] = &[
    ('\u{300}', "àaèeìiòoùu"),
    ('\u{301}', "áaéeíióoúuýyćcĺlńnŕrśsźz"),
    ('\u{302}', "âaêeîiôoûuĉcĝgĥhĵjŝsŵwŷy"),
    ('\u{303}', "ãañnõoĩiũu"),
    ('\u{304}', "āaēeīiōoūu"),
    ('\u{306}', "ăaĕeğgĭiŏoŭu"),
    ('\u{307}', "ċcėeġgżz"),
    ('\u{308}', "äaëeïiöoüuÿy"),
    ('\u{30a}', "åaůu"),
    ('\u{30b}', "őoűu"),
    ('\u{30c}', "čcďděeňnřršsťtžzǎaǐiǒoǔu"),
    ('\u{327}', "çcģgķkļlņnŗrşsţt"),
    ('\u{328}', "ąaęeįiųu"),
];

/// Returns the rule that protects all that is below a directory: `project/.claude`, `.github/workflows`. Names without a
/// dot say little there: a directory may be called `rust-toolchain`.
pub fn guards(dir: &Path) -> Option<Rule> {
    let names = dir.components().map(|name| fold(&name.as_os_str().to_string_lossy()));
    let below: Vec<String> = names.skip_while(|name| !name.starts_with('.')).collect();
    let is_guarded = |list| is_listed(&below, list);
    is_guarded(AGENT_CONFIGS).then_some(Rule::AgentConfig).or_else(|| is_guarded(AUTO_RUN).then_some(Rule::AutoRun))
}

/// Whether some run of the folded components is on the list. An entry is one component or several; a `*` at the end of
/// the entry stands for any ending, one at its start for any beginning.
fn is_listed(folded: &[String], list: &str) -> bool {
    list.split_ascii_whitespace().any(|entry| {
        folded.windows(entry.split('/').count()).any(|run| {
            run.iter().zip(entry.split('/')).all(|(name, wanted)| {
                match (wanted.strip_suffix('*'), wanted.strip_prefix('*')) {
                    (Some(start), _) => name.starts_with(start),
                    (None, Some(end)) => name.ends_with(end),
                    (None, None) => name == wanted,
                }
            })
        })
    })
}

/// What agents, editors with agents in them, and mux obey, at any depth: a file or all below a directory, folded.
const AGENT_CONFIGS: &str = "
    .mux* mux.yaml mux.yml run_ledger* egress.jsonl
    agents.md agents.override.md agent.md .agents .agent
    claude.md claude.local.md .claude .claude.json .claude.md .mcp.json
    .codex .gemini gemini.md .geminiignore qwen.md .qwen .cursor .cursorrules .cursorignore .cursorindexingignore
    .vscode .vscode-server .windsurf .windsurfrules .cline .clinerules .roo .roorules* .roomodes .kilocode .kilocodemodes
    .aider* .continue .continuerc.json .opencode opencode.json opencode.jsonc .kiro .crush .crush.json crush.json .amp
    .goose .goosehints .augment .augment-guidelines .junie .zed .trae .factory .antigravity .copilot .openhands .mentat
    .github/copilot-instructions.md .github/instructions .github/prompts .github/chatmodes .github/agents
    .github/hooks .github/skills *.code-workspace";

/// What some tool runs, or takes orders from, without being asked: continuous integration, hooks of version control,
/// tool chains, interpreters, editors, shells and sessions.
const AUTO_RUN: &str = "
    .github/workflows .github/actions .gitlab-ci.yml .gitlab-ci.yaml .gitlab/ci .circleci jenkinsfile .travis.yml
    appveyor.yml .appveyor.yml azure-pipelines.yml .azure-pipelines bitbucket-pipelines.yml .drone.yml .woodpecker*
    .forgejo .gitea .buildkite .teamcity .semaphore .cirrus.yml cloudbuild.yaml cloudbuild.yml
    .gitmodules .gitattributes .gitconfig .lfsconfig .hgrc .githooks .husky .pre-commit-config.yaml .pre-commit-hooks.yaml
    lefthook.* .lefthook* .lefthook-local* .overcommit.yml .simple-git-hooks*
    .envrc .direnvrc .mise.toml mise.toml .mise .tool-versions .asdfrc .cargo rust-toolchain rust-toolchain.toml
    .npmrc .yarnrc .yarnrc.yml .yarn .pnpmfile.cjs .pnpmfile.mjs bunfig.toml .bunfig.toml .gradle gradle/wrapper .mvn
    .bundle .bazelrc .bazeliskrc .buckconfig conftest.py sitecustomize.py usercustomize.py *.pth .pythonrc .pythonrc.py
    .pypirc .rprofile .renviron .irbrc .pryrc .perlcriticrc .devcontainer .devcontainer.json .gitpod.yml .idea .fleet .vs
    .bashrc .bash_* .zshrc .zshenv .zprofile .zlogin .zlogout .profile .login .kshrc .cshrc .tcshrc .inputrc .hushlogin
    .vimrc .gvimrc .exrc .nvimrc .nvim.lua .lvimrc .vim .emacs .emacs.d .dir-locals.el .gdbinit .lldbinit .screenrc
    .tmux.conf .xinitrc .xprofile .xsession .xsessionrc .ssh .gnupg .aws .azure .kube .netrc _netrc .pgpass
    .curlrc .wgetrc .git-credentials .config/autostart .config/systemd .config/fish .config/git .config/environment.d
    .config/nvim .config/gh .local .pyenv .rbenv .nvm .asdf .rustup .oh-my-zsh library/launchagents";

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(rule: Rule, paths: &[&str]) {
        for path in paths {
            assert_eq!(check(path, &[]), Err(rule), "{path:?}");
            // No other spelling of the same directory helps.
            assert!(
                check(&format!("sub/{path}"), &[]).is_err() || path.starts_with(['/', '~']) || path.is_empty(),
                "{path:?}"
            );
        }
    }

    #[track_caller]
    fn written(path: &str, as_: &str) {
        assert_eq!(check(path, &[]).map(|path| path.0), Ok(as_.to_string()), "{path:?}");
    }

    #[test]
    fn ordinary_paths_are_written_as_they_are() {
        for path in [
            "a",
            "src/main.rs",
            "-rf",
            "--help",
            "-",
            "a b/c d.txt",
            "café.txt",
            "日本語/説明.md",
            "한글.txt",
            "größe.md",
            ".env.example",
            ".gitignore",
            ".gitkeep",
            ".github/dependabot.yml",
            ".github/ISSUE_TEMPLATE/bug.md",
            ".dockerignore",
            "app/[...slug]/page.tsx",
            "routes/$id.tsx",
            "(group)/x",
            "a~",
            "x~one.txt/y",
            "$HOME/x",
            "a;touch pwned",
            "a&b",
            "$(touch pwned).txt",
            "%2e%2e/escape.txt",
            "..a",
            "a..b",
            ".a",
            "muxer.yaml",
            "agents/README.md",
            "claude.rs",
            "git/config",
            "dotgit/x",
            ".gitx",
            "gitty~1x",
            "console.rs",
            "com10.txt",
            "common.rs",
            "config/app.yaml",
            "👍.txt",
            "Cargo.toml",
            "build.rs",
            "package.json",
            "Makefile",
            "tests/conftest_test.py",
            "logs/app.jsonl",
        ] {
            written(path, path);
        }
    }

    #[test]
    fn what_means_nothing_is_dropped() {
        written("./a", "a");
        written("a//b", "a/b");
        written("././a/./b///c", "a/b/c");
    }

    #[test]
    fn structure_is_refused_by_its_rule() {
        refused(Rule::Empty, &[""]);
        refused(Rule::Absolute, &["/", "//", "/etc/passwd", "//tmp/x", "/./x"]);
        refused(
            Rule::Parent,
            &[
                "ok.txt\0../../evil",
                "../x",
                "a/../b",
                "a/..",
                "..",
                "a/b/../../../x",
                "../WORK-evil/x",
                "./../x",
                "a/../.git/config",
            ],
        );
        refused(Rule::Tilde, &["~/x", "~root/x", "~"]);
        assert_eq!(check("./~/x", &[]), Err(Rule::Tilde));
        refused(Rule::NotAFile, &["dir/", ".", "./", "a/.", "a//"]);
        refused(Rule::Backslash, &["..\\escape.txt", "a\\..\\x", "\\\\host\\share", "sub\\.git\\config"]);
        refused(Rule::Colon, &["C:\\evil", "c:x", "file:///tmp/x", "x.txt::$DATA", "a:b"]);
    }

    #[test]
    fn odd_characters_are_refused() {
        refused(
            Rule::Control,
            &["nul\0.txt", "new\nline", "tab\t", "\x1b[31m", "cr\r", "del\x7f", "\u{9b}x", "\u{2028}x"],
        );
        refused(
            Rule::Invisible,
            &[
                "a\u{202e}gnp.sh",
                "z\u{200b}ero",
                "a\u{2066}b",
                "\u{feff}bom",
                "soft\u{ad}hyphen",
                "tag\u{e0041}",
                "❤\u{fe0f}",
            ],
        );
        refused(Rule::LookAlike, &["f\u{ff0e}\u{ff0e}/x", "a\u{2215}b", "a\u{a0}b", "a\u{2026}", "\u{3000}x"]);
        refused(Rule::NotUnicode, &["bad\u{fffd}.txt", "x\u{ffff}", "x\u{1fffe}", "x\u{fdd0}"]);
        refused(Rule::NotPortable, &["*.rs", "a|b", "what?.md", "<x>", "say \"x\""]);
        refused(Rule::EdgeSpace, &[" ", "ok.txt.", "ok.txt ", " lead.txt", "...", "dir./x", "dir /x", "a/ b"]);
        refused(
            Rule::Reserved,
            &["CON", "aux.txt", "nul", "src/Com1.rs", "lpt9.a.b", "COM¹", "con .txt", "CONIN$", "prn/x"],
        );
        refused(Rule::ShortName, &["PROGRA~1", "CLAUDE~1.MD", "gitmod~1", "a/X~12.y"]);
    }

    #[test]
    fn limits_are_exact() {
        let component = "n".repeat(255);
        written(&component, &component);
        refused(Rule::LongComponent, &[&"n".repeat(256), &format!("é{component}")]);
        let deep = vec!["d"; 32].join("/");
        written(&deep, &deep);
        refused(Rule::Deep, &[&format!("{deep}/d"), &vec!["d"; 500].join("/")]);
        let long = format!("{}/{}", vec!["d".repeat(200); 20].join("/"), "f".repeat(76));
        assert_eq!(long.len(), 4096);
        written(&long, &long);
        assert_eq!(check(&format!("{long}f"), &[]), Err(Rule::LongPath));
    }

    #[test]
    fn version_control_is_refused_under_every_name() {
        refused(
            Rule::VersionControl,
            &[
                ".git",
                ".git/hooks/pre-commit",
                "sub/.git/config",
                ".GIT/x",
                ".Git/config",
                "git~1/config",
                "GIT~12/x",
                ".git./config",
                ".git /config",
                ".git. . /x",
                ".g\u{200c}it/config",
                ".git\u{feff}",
                ".git::$INDEX_ALLOCATION/config",
                "./.git/config",
                ".G\u{131}T/config",
                ".hg/hgrc",
                ".jj/x",
                ".svn",
                "a/b/.Git",
            ],
        );
    }

    #[test]
    fn agent_settings_and_own_files_are_refused_even_when_named() {
        let paths = [
            ".mcp.json",
            ".claude/settings.json",
            ".claude/settings.local.json",
            ".codex/config.toml",
            ".gemini/settings.json",
            ".cursor/mcp.json",
            ".vscode/settings.json",
            ".vscode/tasks.json",
            "AGENTS.md",
            "CLAUDE.md",
            "GEMINI.md",
            "agents.MD",
            "sub/CLAUDE.md",
            "mux.yaml",
            "config/mux.yaml",
            ".mux.yaml",
            ".mux/config.yaml",
            ".mux-tmp",
            "logs/run_ledger.jsonl",
            "run_ledger.jsonl.3",
            "MUX.yaml",
            ".MCP.json",
            ".Claude/Settings.json",
            ".CURSOR/mcp.json",
            ".cur\u{17f}or/mcp.json",
            ".github/copilot-instructions.md",
            ".github/prompts/x.md",
            ".clinerules",
            ".aider.conf.yml",
            "x.code-workspace",
        ];
        refused(Rule::AgentConfig, &paths);
        for path in paths {
            assert_eq!(check(path, &[path.to_string()]), Err(Rule::AgentConfig), "{path:?}");
        }
    }

    #[test]
    fn auto_run_files_need_the_users_exact_word() {
        let paths = [
            ".github/workflows/evil.yml",
            ".gitlab-ci.yml",
            ".circleci/config.yml",
            "Jenkinsfile",
            ".envrc",
            ".husky/pre-commit",
            ".pre-commit-config.yaml",
            ".cargo/config.toml",
            ".cargo/config",
            "rust-toolchain.toml",
            "rust-toolchain",
            ".npmrc",
            "conftest.py",
            "tests/conftest.py",
            "sitecustomize.py",
            "lib/evil.pth",
            ".devcontainer/devcontainer.json",
            ".idea/workspace.xml",
            ".gitmodules",
            ".gitattributes",
            "sub/.gitattributes",
            ".ssh/authorized_keys",
            ".bashrc",
            ".zshrc",
            ".profile",
            ".netrc",
            ".config/autostart/x.desktop",
            ".local/bin/ls",
            ".pyenv/shims/python3",
            "CONFTEST.py",
        ];
        refused(Rule::AutoRun, &paths);
        for path in paths {
            let named = [format!("./{path}")];
            assert_eq!(check(path, &named).map(|path| path.0), Ok(path.to_string()));
            assert_eq!(check(path, &[format!("x/{path}"), path.to_uppercase() + "x"]), Err(Rule::AutoRun), "{path:?}");
        }
        // Naming lifts no other rule.
        assert_eq!(check(".husky/../x", &[".husky/../x".into()]), Err(Rule::Parent));
        assert_eq!(check(".husky/a:b", &[".husky/a:b".into()]), Err(Rule::Colon));
    }

    fn write(path: &str) -> Change {
        Change::Write { path: path.into(), content: "x".into() }
    }

    #[track_caller]
    fn together(paths: &[&str], expected: Result<usize, (&str, Rule)>) {
        let changes: Vec<Change> = paths.iter().map(|path| write(path)).collect();
        let got = check_all(&changes, &[]).map(|all| all.len());
        assert_eq!(got, expected.map_err(|(path, rule)| (path.to_string(), rule)), "{paths:?}");
    }

    #[test]
    fn paths_of_one_reply_are_checked_against_each_other() {
        together(&["a", "b/a", "b/c"], Ok(3));
        together(&["x.rs", "x/y.rs", "x.rs.bak"], Ok(3));
        together(&["ok.txt", "../escape"], Err(("../escape", Rule::Parent)));
        together(&["dup.txt", "./dup.txt"], Err(("./dup.txt", Rule::Duplicate)));
        together(&["Case.txt", "case.txt"], Err(("case.txt", Rule::Collision)));
        together(&["Straße", "STRASSE"], Err(("STRASSE", Rule::Collision)));
        together(&["café.txt", "cafe\u{301}.txt"], Err(("cafe\u{301}.txt", Rule::Collision)));
        together(&["CAFÉ.txt", "cafe\u{301}.txt"], Err(("cafe\u{301}.txt", Rule::Collision)));
        together(&["Żółć", "z\u{307}o\u{301}łc\u{301}"], Err(("z\u{307}o\u{301}łc\u{301}", Rule::Collision)));
        together(&["café.txt", "cafe.txt"], Ok(2));
        together(&["x", "x/y"], Err(("x/y", Rule::FileAndDirectory)));
        together(&["a/b/c/d", "x", "A/b"], Err(("a/b/c/d", Rule::FileAndDirectory)));
        together(&["x", "x-y", "x/y"], Err(("x/y", Rule::FileAndDirectory)));
    }

    #[test]
    fn a_reply_has_limits() {
        let many: Vec<String> = (0..=200).map(|i| format!("many/f{i:03}.txt")).collect();
        let paths: Vec<&str> = many.iter().map(String::as_str).collect();
        together(&paths[..200], Ok(200));
        together(&paths, Err(("many/f200.txt", Rule::TooManyFiles)));
        let large = |bytes| [Change::Write { path: "big".into(), content: "x".repeat(bytes) }];
        assert!(check_all(&large(MAX_FILE_BYTES), &[]).is_ok());
        assert_eq!(check_all(&large(MAX_FILE_BYTES + 1), &[]), Err(("big".to_string(), Rule::TooLarge)));
    }

    #[test]
    fn named_auto_run_files_and_deletions_are_planned() {
        let changes = [write(".envrc"), Change::Delete { path: "./old".into() }];
        let planned = check_all(&changes, &[".envrc".into()]).expect("both may be written");
        let told: Vec<_> = planned.iter().map(|one| (one.path.as_str(), one.content, one.auto_run)).collect();
        assert_eq!(told, [(".envrc", Some("x"), true), ("old", None, false)]);
        assert_eq!(
            check_all(&[Change::Delete { path: ".git/config".into() }], &[]).unwrap_err().1,
            Rule::VersionControl
        );
    }

    #[test]
    fn every_rule_has_a_sentence() {
        assert_eq!(Rule::Parent.to_string(), "`..` is not allowed in a path");
    }

    /// Asked of a real file system: a path that is accepted, joined and created, is below the directory that it was joined to.
    #[test]
    fn nothing_that_is_accepted_leaves_the_work_directory() {
        const PIECES: [&str; 32] = [
            "..",
            "..",
            ".",
            "",
            "a",
            "b",
            "~",
            "~root",
            "/",
            "//",
            "\\",
            "..\\",
            "%2e%2e",
            "..;",
            "... ",
            ".. ",
            "．．",
            "\u{2024}\u{2024}",
            "\u{202e}..",
            "C:",
            "c:..",
            "nul",
            ".git",
            ".GIT",
            "git~1",
            "a\0..",
            "..\n",
            "$HOME",
            "-",
            "file.py",
            "%00",
            "@",
        ];
        let above = std::env::temp_dir().join(format!("mux-names-{}", std::process::id()));
        let work = above.join("work");
        fs_err::create_dir_all(&work).unwrap();
        let work = fs_err::canonicalize(&work).unwrap();
        // A small generator of numbers (xorshift), the same for every run.
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        let mut roll = |sides: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            usize::try_from(random % sides as u64).unwrap()
        };
        let mut accepted = 0;
        for _ in 0..20_000 {
            let separators = ["/", "/", "/", "\\", ""];
            let count = 1 + roll(6);
            let path: String = (0..count).flat_map(|_| [PIECES[roll(PIECES.len())], separators[roll(5)]]).collect();
            let path = path.strip_suffix('/').unwrap_or(&path);
            let Ok(safe) = check(path, &[]) else { continue };
            accepted += 1;
            let file = work.join(safe.as_str());
            // A directory may be in the way: then another path of this test has made it, below `work` as well.
            let made = fs_err::create_dir_all(file.parent().unwrap()).and_then(|()| fs_err::write(&file, ""));
            if made.is_ok() {
                let real = fs_err::canonicalize(&file).unwrap();
                assert!(real.starts_with(&work) && real != work, "{path:?} is {}", real.display());
            }
        }
        assert!(accepted > 1000, "{accepted} of 20000 were accepted: the test has lost its subject");
        let beside: Vec<_> = fs_err::read_dir(&above).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(beside, ["work"]);
        fs_err::remove_dir_all(&above).unwrap();
    }
}
