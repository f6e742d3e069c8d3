//! What a task names: absolute paths, files, directories, identifiers. Pure, one pass, linear, bounded. It reads names,
//! not a disk: whether a thing exists is for the caller to see. Nothing here knows what the task wants.
//!
//! **Invariant:** texts are cut at characters found by searching, never at counted bytes; any UTF-8 is fine.

/// One thing that a text names, as it is written there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// `/tmp/app` or `~/app`, without a trailing slash and without a place such as `:12`.
    Absolute(String),
    /// A relative file: it has a known ending or a known name, or a slash and an ending.
    File(String),
    /// A relative directory, said to be one: `tools/report` after "in", `src/`, "the scripts directory".
    Place(String),
    Identifier(String),
}

/// More names than this are no task but a listing.
const MOST: usize = 64;
/// Longer quotations are prose.
const LONGEST_QUOTE: usize = 300;

/// Returns what a text names, in order, each once. From code fences only files that carry a place (`app.py:12`, as in a
/// stack trace): what else stands there is matter, such as sample data.
pub fn read(text: &str) -> Vec<Named> {
    let mut reader = Reader { found: Vec::new(), recent: Default::default(), fenced: false, traced: false };
    for (line, fenced) in lines(text) {
        let start = line.trim_start();
        reader.fenced = fenced;
        reader.traced = ["File \"", "at ", "--> ", "from /"].iter().any(|mark| start.starts_with(mark));
        reader.recent = Default::default();
        reader.line(line);
    }
    reader.found
}

/// Returns the lines of a text, each with whether it belongs to a code fence (its marks included).
pub fn lines(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut open: Option<&str> = None;
    text.lines().map(move |line| {
        let start = line.trim_start();
        match open {
            Some(mark) if start.starts_with(mark) => open = None,
            Some(_) => {}
            None => match ["```", "~~~"].into_iter().find(|mark| start.starts_with(mark)) {
                Some(mark) => open = Some(mark),
                None => return (line, false),
            },
        }
        (line, true)
    })
}

/// Returns whether a text is written in Chinese, Japanese or Korean, at least in part.
pub fn is_cjk(text: &str) -> bool {
    text.chars().any(is_cjk_char)
}

fn is_cjk_char(char: char) -> bool {
    // Kana, two blocks of Han, Hangul.
    let blocks = ['\u{3040}'..='\u{30ff}', '\u{3400}'..='\u{4dbf}', '\u{4e00}'..='\u{9fff}', '\u{ac00}'..='\u{d7af}'];
    blocks.iter().any(|block| block.contains(&char))
}

struct Reader {
    found: Vec<Named>,
    /// The last words of the line, lower case, the newest first.
    recent: [String; 4],
    fenced: bool,
    /// Whether the line belongs to a stack trace or a compiler's message.
    traced: bool,
}

impl Reader {
    fn line(&mut self, line: &str) {
        let mut rest = line;
        let mut before: Option<char> = None;
        while let Some(char) = rest.chars().next() {
            let behind = rest.strip_prefix(char).unwrap_or_default();
            if let Some((inner, after)) =
                closing(char).filter(|_| !is_word(before)).and_then(|close| quoted(behind, close))
            {
                if self.quoted(inner, char == '`') {
                    rest = after;
                    before = Some(char);
                    continue;
                }
            } else if !is_separator(char) {
                let end = token_end(rest);
                let (token, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
                let next = after.chars().next();
                let in_tag = before == Some('<') || before == Some('\\');
                if !in_tag {
                    self.token(token, next);
                }
                before = token.chars().next_back();
                rest = after;
                continue;
            }
            before = Some(char);
            rest = behind;
        }
    }

    /// Takes a whole quotation if it is one name; returns false when it is text to be read like any other.
    fn quoted(&mut self, text: &str, is_code: bool) -> bool {
        let text = text.trim();
        let path = without_place(text);
        if is_absolute(path) && !path.contains("://") {
            self.push_absolute(path);
            return true;
        }
        if text.contains(char::is_whitespace) || text.contains("://") || text.contains(['*', '<', '$']) {
            return false;
        }
        if is_file(path) {
            self.push_file(path, self.traced || text.len() != path.len());
            return true;
        }
        if is_directory(path) && (is_code || is_after_location(&self.recent)) {
            self.push(Named::Place(tidy(path).to_string()));
            return true;
        }
        if is_after_naming(&self.recent) && is_simple_name(path) {
            self.push(Named::Place(path.to_string()));
            return true;
        }
        if is_code && !self.fenced {
            for name in text.split(|char: char| !char.is_alphanumeric() && char != '_') {
                self.push_identifier(name);
            }
            self.remember("`");
            return true;
        }
        false
    }

    fn token(&mut self, token: &str, next: Option<char>) {
        let token = token.trim_matches(['*', '!', '?', '…']).trim_end_matches([':', ',']);
        let value = token.rsplit_once('=').map_or(token, |(_, value)| value);
        let path = without_place(value.strip_suffix('.').filter(|cut| !cut.ends_with(['.', '/'])).unwrap_or(value));
        let has_place = path.len() < value.trim_end_matches('.').len();
        let path = path.strip_prefix('@').filter(|path| is_file(path)).unwrap_or(path);
        let is_pattern = path.contains(['*', '$', '\\', '%', '@', '^', '&', '~']) && !path.starts_with("~/");
        let is_root = path == "/" && matches!(next, None | Some(',' | ';'));
        if is_url(path) || is_pattern {
            self.remember("");
        } else if is_absolute(path) || is_root && is_after_location(&self.recent) {
            self.push_absolute(path);
        } else if next == Some('(') {
            // `os.path.join(` is about `join`, `Ledger.pay(` about both.
            let mut parts = value.split(['.', ':', '#']).peekable();
            while let Some(part) = parts.next() {
                if parts.peek().is_none() || part.starts_with(char::is_uppercase) {
                    self.push_identifier(part);
                }
            }
        } else if is_file(path) {
            self.push_file(path, has_place);
        } else if is_directory(path) && (path.ends_with('/') || is_many(path) || is_after_location(&self.recent)) {
            self.push(Named::Place(tidy(path).to_string()));
        } else if is_simple_name(path) && is_after_naming(&self.recent) {
            self.push(Named::Place(path.to_string()));
        } else if matches!(path, "directory" | "folder" | "dir") {
            self.named_before();
        } else if is_camel_case(path) || is_snake_case(path) {
            self.push_identifier(path);
        } else {
            for name in joined(value) {
                self.push_identifier(name);
            }
        }
        self.remember(path);
    }

    /// "in the scripts directory": the word before the noun is the name.
    fn named_before(&mut self) {
        let [name, article, preposition, _] = &self.recent;
        let plain = "current this that same root working home parent temp temporary new project empty separate given \
            own different the a an any each which";
        let located = is_location(article) || matches!(article.as_str(), "the" | "a") && is_location(preposition);
        if located && is_simple_name(name) && !plain.split(' ').any(|word| word == name.trim()) {
            self.push(Named::Place(name.clone()));
        }
    }

    fn remember(&mut self, word: &str) {
        self.recent.rotate_right(1);
        if let Some(newest) = self.recent.first_mut() {
            *newest = word.to_lowercase();
        }
    }

    fn push_absolute(&mut self, path: &str) {
        if !self.fenced && !self.traced {
            self.push(Named::Absolute(tidy(path).to_string()));
        }
    }

    fn push_file(&mut self, path: &str, has_place: bool) {
        if !self.fenced || has_place {
            self.push(Named::File(tidy(path).to_string()));
        }
    }

    fn push_identifier(&mut self, name: &str) {
        let is_name = name.chars().next().is_some_and(|char| char.is_alphabetic() || char == '_');
        if is_name && name.chars().nth(1).is_some() && name.len() < 100 && !self.fenced {
            self.push(Named::Identifier(name.to_string()));
        }
    }

    fn push(&mut self, named: Named) {
        let is_place_in_fence = self.fenced && matches!(named, Named::Place(_));
        if self.found.len() < MOST && !is_place_in_fence && !self.found.contains(&named) {
            self.found.push(named);
        }
    }
}

fn closing(open: char) -> Option<char> {
    Some(match open {
        '`' | '"' | '\'' => open,
        '“' => '”',
        '‘' => '’',
        '「' => '」',
        '『' => '』',
        '《' => '》',
        '«' => '»',
        _ => return None,
    })
}

/// Returns what stands before the closing mark and what stands behind it.
fn quoted(rest: &str, close: char) -> Option<(&str, &str)> {
    rest.split_once(close).filter(|(inner, _)| !inner.trim().is_empty() && inner.len() <= LONGEST_QUOTE)
}

fn is_word(char: Option<char>) -> bool {
    char.is_some_and(|char| char.is_alphanumeric() && !is_cjk_char(char))
}

/// What ends a token. A `(` does too: it tells `parse(` from `parse`.
fn is_separator(char: char) -> bool {
    char.is_whitespace()
        || char.is_control()
        || matches!(char, '"' | '\'' | '`' | '“' | '”' | '‘' | '’' | '(' | ')' | '[' | ']' | '{' | '}' | '<' | '>')
        || matches!(char, ',' | ';' | '|' | '«' | '»' | '、' | '。' | '，' | '；' | '：' | '！' | '？' | '（' | '）')
        || matches!(char, '「' | '」' | '『' | '』' | '《' | '》' | '【' | '】' | '\u{3000}')
}

/// Returns where the token at the start of `rest` ends. Between Chinese or Japanese prose and a name there is no space:
/// "在/tmp/app里创建" names `/tmp/app`, "修改main.py和" names `main.py`. Below a slash such characters belong to the name.
fn token_end(rest: &str) -> usize {
    let mut chars = rest.char_indices().peekable();
    let mut last = ' ';
    let mut is_below = false;
    while let Some((at, char)) = chars.next() {
        let next_is_ascii = chars.peek().is_some_and(|(_, next)| next.is_ascii());
        let name_begins = char.is_ascii_alphanumeric() || char == '~' || char == '/' && next_is_ascii;
        let prose_begins = is_cjk_char(char) && last.is_ascii() && !matches!(last, ' ' | '/' | '_' | '-');
        if is_separator(char) || prose_begins || is_cjk_char(last) && name_begins && !is_below {
            return at;
        }
        is_below |= char == '/';
        last = char;
    }
    rest.len()
}

/// Cuts `:12`, `:12:5`, `::test_name`, `#L10` off.
fn without_place(path: &str) -> &str {
    let mut path = path.trim_end_matches(':');
    path = path.split_once("::").map_or(path, |(file, _)| file);
    path = path.split_once("#L").map_or(path, |(file, _)| file);
    while let Some((file, place)) = path.rsplit_once(':') {
        let is_place = !place.is_empty() && place.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        if !is_place {
            break;
        }
        path = file;
    }
    path
}

/// Takes `./` off the front and slashes off the end.
fn tidy(path: &str) -> &str {
    let path = path.strip_prefix("./").unwrap_or(path);
    let cut = path.strip_suffix("/.").unwrap_or(path).trim_end_matches('/');
    if cut.is_empty() { path } else { cut }
}

fn is_absolute(path: &str) -> bool {
    let below = path.strip_prefix("~/").or_else(|| path.strip_prefix('/').filter(|below| !below.starts_with('/')));
    below.is_some_and(|below| {
        below.chars().any(char::is_alphanumeric) && !below.contains(['*', '?', '<', '>', '|', '$', '{', '}', '\\', '^'])
    })
}

/// `https://…`, `www.…`, `github.com/owner/name`, `localhost:8080/health`, `me@host`.
fn is_url(path: &str) -> bool {
    let host = path.split('/').next().unwrap_or_default();
    let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
    let top = name.rsplit_once('.').map_or("", |(_, top)| top);
    let is_site = path.len() > host.len() && is_in(TOPS, top);
    let has_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    path.contains("://") || path.starts_with("www.") || has_port || is_site && !name.starts_with('.')
}

/// Ends of the names of sites.
const TOPS: &str = "com org net io dev ai";

const ENDINGS: &str = "\
    py pyi rs js ts tsx jsx mjs cjs json jsonl yaml yml toml md mdx txt html htm css scss sass less go mod sum \
    java kt kts c h cc cpp cxx hpp hh cs rb php sh bash zsh fish ps1 bat sql xml csv tsv ini cfg conf lock log \
    proto graphql vue svelte swift m mm scala clj ex exs erl hs ml mli lua pl pm r jl dart zig nim sol tf hcl \
    gradle cmake mk rst adoc tex ipynb svg png jpg jpeg gif pdf wasm lisp el vim nix diff patch properties asm \
    env spec";
const NAMES: &str = "\
    makefile dockerfile containerfile rakefile gemfile procfile vagrantfile jenkinsfile justfile license readme \
    changelog contributing codeowners cmakelists.txt go.mod go.sum";
/// Look like files and are products, calls or globals.
const NOT_FILES: &str = "\
    node.js vue.js next.js nuxt.js react.js express.js three.js d3.js chart.js backbone.js ember.js console.log \
    math.log process.env import.meta.env logging.log asp.net deno.js angular.js bun.js";

fn is_in(list: &str, word: &str) -> bool {
    list.split(' ').any(|entry| entry.eq_ignore_ascii_case(word))
}

fn is_file(path: &str) -> bool {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
    let is_ending = (1..=8).contains(&ending.len())
        && ending.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && ending.starts_with(|char: char| char.is_ascii_alphabetic());
    if path.is_empty() || is_absolute(path) || is_in(NOT_FILES, path) || path.contains(['(', ':', '"']) {
        return false;
    }
    if stem.is_empty() {
        // `.gitignore`, `.env`; but `.py` is an ending and `.NET` a product.
        let is_dot_name = ending.len() > 2 && ending.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        return is_dot_name && (!is_in(ENDINGS, ending) || ending == "env");
    }
    let starts = |char: char| char.is_ascii_uppercase() || char == 'g';
    let is_named = is_in(NAMES, name) && name.starts_with(starts) || name == "readme";
    if directory.is_empty() {
        let is_dot_env = name.starts_with(".env.");
        return is_named
            || is_dot_env
            || is_ending && is_in(ENDINGS, ending) && !stem.ends_with('.') && ending != "env";
    }
    is_named || is_ending && stem.chars().any(char::is_alphanumeric)
}

/// Slash-words of prose: pairs, not paths.
const PAIRS: &str = "\
    and/or either/or he/she his/her she/he read/write write/read client/server input/output yes/no on/off \
    true/false key/value start/stop request/response pass/fail pub/sub n/a w/o i/o add/remove get/set push/pull \
    up/down before/after left/right min/max text/plain application/json text/html try/catch try/except \
    async/await";

fn is_directory(path: &str) -> bool {
    let has_lower = path.chars().any(|char| char.is_lowercase() || is_cjk_char(char));
    let is_clean = path.chars().all(|char| char.is_alphanumeric() || matches!(char, '/' | '.' | '_' | '-' | '+'));
    path.contains('/') && !path.starts_with('/') && has_lower && is_clean && !is_in(PAIRS, path)
}

fn is_many(path: &str) -> bool {
    path.starts_with("./") || path.starts_with("../") || path.matches('/').count() > 1
}

fn is_simple_name(name: &str) -> bool {
    name.starts_with(|char: char| char.is_alphanumeric())
        && name.chars().all(|char| char.is_alphanumeric() || matches!(char, '_' | '-' | '/'))
}

fn is_location(word: &str) -> bool {
    matches!(word, "in" | "into" | "inside" | "under" | "within" | "below" | "at" | "from" | "to")
}

fn is_after_location(recent: &[String; 4]) -> bool {
    let [last, before, ..] = recent;
    is_location(last) || matches!(last.as_str(), "the" | "a" | "new" | "directory" | "folder") && is_location(before)
}

/// "a new directory named …", "in a folder called …".
fn is_after_naming(recent: &[String; 4]) -> bool {
    let [last, before, ..] = recent;
    matches!(last.as_str(), "named" | "called") && matches!(before.as_str(), "directory" | "folder" | "dir")
}

/// `userService`, `UserService`, and `JSONDecoder`: capitals that lead to a word, which `APIs` and `URLs` are not.
fn is_camel_case(word: &str) -> bool {
    let mut humps = word.chars().zip(word.chars().skip(1));
    let has_hump = humps.any(|(one, two)| one.is_lowercase() && two.is_uppercase());
    let capitals = word.chars().take_while(|char| char.is_uppercase()).count();
    let leads = capitals > 1 && word.chars().skip(capitals).take_while(|char| char.is_lowercase()).count() > 2;
    word.chars().all(char::is_alphanumeric) && (has_hump || leads)
}

/// The parts of `Ledger.pay`, `Ledger::pay`, `Ledger#pay`: names joined as code joins them. Of anything else none.
fn joined(word: &str) -> Vec<&str> {
    let word = word.trim_end_matches('.');
    let parts: Vec<&str> = word.split("::").flat_map(|part| part.split(['.', '#'])).collect();
    let is_name = |part: &&str| {
        part.len() > 1
            && part.starts_with(|char: char| char.is_alphabetic() || char == '_')
            && part.chars().all(|char| char.is_alphanumeric() || char == '_')
    };
    let is_site = parts.last().is_some_and(|last| is_in(TOPS, last));
    if parts.len() < 2 || is_site || is_in(NOT_FILES, word) || !parts.iter().all(is_name) { Vec::new() } else { parts }
}

fn is_snake_case(word: &str) -> bool {
    word.chars().all(|char| char.is_alphanumeric() || char == '_')
        && word.trim_matches('_').contains('_')
        && word.chars().any(char::is_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `A:` absolute, `F:` file, `P:` place, `I:` identifier.
    #[track_caller]
    fn check(text: &str, want: &[&str]) {
        let got: Vec<String> = read(text)
            .into_iter()
            .map(|named| match named {
                Named::Absolute(path) => format!("A:{path}"),
                Named::File(path) => format!("F:{path}"),
                Named::Place(path) => format!("P:{path}"),
                Named::Identifier(name) => format!("I:{name}"),
            })
            .collect();
        assert_eq!(got, want, "{text:?}");
    }

    #[test]
    fn acronyms_lead_to_identifiers() {
        check("Explain how JSONDecoder uses HTTPServer", &["I:JSONDecoder", "I:HTTPServer"]);
        check("Explain the APIs and URLs of our IDEs in JSON", &[]);
    }

    #[test]
    fn absolute_paths_are_found() {
        check("Create a project in /tmp/my-app", &["A:/tmp/my-app"]);
        check("in /tmp/my-app/.", &["A:/tmp/my-app"]);
        check("in '/tmp/my app', please", &["A:/tmp/my app"]);
        check("in \"/tmp/my app/\"", &["A:/tmp/my app"]);
        check("in `/tmp/x`", &["A:/tmp/x"]);
        check("(see /etc/hosts:12)", &["A:/etc/hosts"]);
        check("put it under ~/code/x", &["A:~/code/x"]);
        check("the /health endpoint", &["A:/health"]);
        check("workdir=/srv/app", &["A:/srv/app"]);
        check("在/tmp/app里创建", &["A:/tmp/app"]);
        check("在 /tmp/项目/甲 创建", &["A:/tmp/项目/甲"]);
        check("「/tmp/甲 乙」に作成", &["A:/tmp/甲 乙"]);
        check("/tmp/a and /tmp/b, /tmp/a", &["A:/tmp/a", "A:/tmp/b"]);
        check("Delete everything in /", &["A:/"]);
        check("/tmp/v1.2/a.b.py!", &["A:/tmp/v1.2/a.b.py"]);
    }

    #[test]
    fn what_only_looks_like_a_path_is_none() {
        check("and/or, TCP/IP, I/O, 1/2, 12/25/2024, n/a, HTTP/1.1", &[]);
        check("see http://example.com/a/b.py and https://x.io/etc/c.rs.", &[]);
        check("from github.com/owner/name.git or www.x.org/a.py", &[]);
        check("curl localhost:8080/v1/x.json", &[]);
        check("</div> // comment /* x */ a / b", &[]);
        check("e.g. v1.2, i.e. 3.14 or Node.js with Vue.js", &[]);
        check("all .py files, *.rs and src/**/*.ts", &[]);
        check("remove console.log, mail me@host.py", &[]);
        check("regex /^a.*$/ and $HOME/x.py", &[]);
    }

    #[test]
    fn relative_files_are_found() {
        check("Fix the bug in auth/middleware.py.", &["F:auth/middleware.py"]);
        check("main.rs:12:5 and ./src/a.py, then b.ts:7", &["F:main.rs", "F:src/a.py", "F:b.ts"]);
        check("run tests/test_x.py::test_one", &["F:tests/test_x.py"]);
        check("look at src/lib.rs#L10-L20", &["F:src/lib.rs"]);
        check("main.py's docstring, \"utils.js\" and 'a.go'", &["F:main.py", "F:utils.js", "F:a.go"]);
        check(
            "Makefile, Dockerfile, .gitignore, .env, LICENSE",
            &["F:Makefile", "F:Dockerfile", "F:.gitignore", "F:.env", "F:LICENSE"],
        );
        check("Update the readme, not the license", &["F:readme"]);
        check(".github/workflows/ci.yml", &["F:.github/workflows/ci.yml"]);
        check("@src/app.ts what is this", &["F:src/app.ts"]);
        check("**notes.md** and (a.c)", &["F:notes.md", "F:a.c"]);
        check("修复src/甲.py里的错误", &["F:src/甲.py"]);
        check("修改main.py和util.py", &["F:main.py", "F:util.py"]);
        check("「設定.yaml」を直す", &["F:設定.yaml"]);
        check("../up.py a.py a.py", &["F:../up.py", "F:a.py"]);
    }

    #[test]
    fn directories_are_found_where_the_text_says_so() {
        check("in tools/report", &["P:tools/report"]);
        check("src/ and a/b/c", &["P:src", "P:a/b/c"]);
        check("client/server talk over pub/sub", &[]);
        check("in the scripts directory", &["P:scripts"]);
        check("in a folder called demo", &["P:demo"]);
        check("in this directory", &[]);
    }

    #[test]
    fn identifiers_are_found() {
        check("rename `fetch` to `load_all()`", &["I:fetch", "I:load_all"]);
        check(
            "UserService.parse(x) and parseConfig, MAX_SIZE",
            &["I:UserService", "I:parse", "I:parseConfig", "I:MAX_SIZE"],
        );
        check("os.path.join(a) and Foo::bar()", &["I:join", "I:Foo", "I:bar"]);
        check(
            "Fix Ledger.largest: wrong. See Ledger::pay, Ledger#sum and json.loads.",
            &["I:Ledger", "I:largest", "I:pay", "I:sum", "I:json", "I:loads"],
        );
        check("docs.python.org, e.g. v1.2, Node.js or a.b", &[]);
        check("`Foo::bar` plain words", &["I:Foo", "I:bar"]);
        check("`cargo run src/main.rs`", &["F:src/main.rs"]);
        check("`a` of 1_000", &[]);
    }

    #[test]
    fn fences_and_traces_name_only_places() {
        check(
            "Fix it:\n```\n/usr/lib/x.py a.csv\n  File \"src/app.py\", line 3\ntests/t.py:12: error\n```\nb.py",
            &["F:src/app.py", "F:tests/t.py", "F:b.py"],
        );
        check("Traceback\n  File \"/usr/lib/python3/json.py\", line 3\n    at f (/srv/x.js:1:2)", &[]);
        check("~~~\nfoo_bar\n~~~\nfoo_baz", &["I:foo_baz"]);
    }

    #[test]
    fn names_are_bounded() {
        let many: Vec<String> = (0..1000).map(|n| format!("f{n}.py")).collect();
        assert_eq!(read(&many.join(" ")).len(), MOST);
    }
}
