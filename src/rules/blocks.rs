//! Fenced blocks in a model's text, and the path that each is given by the text around it. Pure.
//! Not a Markdown reader: it knows how models write files, and nothing else. One pass over the lines, so linear time.
//!
//! **Invariant:** a body is a slice of the text, byte for byte (only an indented fence, in a list, is un-indented), and
//! each line belongs to at most one block.

use std::borrow::Cow;

/// How plainly a block is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// A sentence before the block, or a comment in it, mentions one path.
    Weak,
    /// A line of its own, or the info string, is the path.
    Strong,
}

/// One fenced block.
#[derive(Clone, Debug)]
pub struct Block<'a> {
    /// First word of the info string, or the language of the path in it; empty when there is none.
    pub language: &'a str,
    /// The path as written, and how plainly.
    pub path: Option<(&'a str, Strength)>,
    /// Between the fences, with its last newline.
    pub body: Cow<'a, str>,
    /// The text between the block before and this one.
    pub lead: &'a str,
    pub ending: Ending,
}

/// How a block ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Closed,
    /// The text ends inside it.
    Open,
    /// The text ends inside it, and fences inside it leave open which lines belong to it.
    Tangled,
}

/// A line that could open or close a block.
struct Fence<'a> {
    start: usize,
    /// After its newline.
    end: usize,
    indent: usize,
    mark: u8,
    len: usize,
    info: &'a str,
}

/// Language name, other names of it in info strings, file extensions. The first extension is the usual one.
const LANGUAGES: &[(&str, &str, &str)] = &[
    ("python", "py python3 py3 pyi", "py pyi pyw"),
    ("javascript", "js jsx node mjs cjs", "js mjs cjs jsx"),
    ("typescript", "ts tsx", "ts tsx mts cts"),
    ("rust", "rs", "rs"),
    ("go", "golang", "go"),
    ("bash", "sh shell zsh fish ksh dash", "sh bash zsh fish ksh bats"),
    ("powershell", "ps1 pwsh", "ps1 psm1"),
    ("markdown", "md mdx", "md markdown mdx"),
    ("html", "htm xhtml", "html htm"),
    ("css", "scss sass less", "css scss sass less"),
    ("json", "jsonc json5", "json jsonc json5 jsonl"),
    ("yaml", "yml", "yaml yml"),
    ("toml", "", "toml"),
    ("ini", "cfg conf properties env", "ini cfg conf properties env"),
    ("sql", "sqlite postgresql mysql", "sql"),
    ("c", "h", "c h"),
    ("cpp", "c++ cc cxx hpp", "cpp cc cxx hpp hh"),
    ("csharp", "cs c#", "cs"),
    ("java", "", "java"),
    ("kotlin", "kt", "kt kts"),
    ("swift", "", "swift"),
    ("ruby", "rb", "rb"),
    ("php", "", "php"),
    ("lua", "", "lua"),
    ("perl", "pl", "pl pm"),
    ("r", "", "r"),
    ("scala", "", "scala"),
    ("elixir", "ex", "ex exs"),
    ("haskell", "hs", "hs"),
    ("zig", "", "zig"),
    ("dart", "", "dart"),
    ("vue", "", "vue"),
    ("svelte", "", "svelte"),
    ("xml", "svg", "xml svg xsd"),
    ("graphql", "gql", "graphql gql"),
    ("protobuf", "proto", "proto"),
    ("hcl", "terraform tf", "tf hcl"),
    ("makefile", "make", "mk"),
    ("dockerfile", "docker", "dockerfile"),
    ("csv", "tsv", "csv tsv"),
    ("text", "txt plaintext plain", "txt rst adoc tex lock log mod sum"),
    ("diff", "patch", "diff patch"),
];

/// Files whose names have no extension; `true`: the name is the language too.
const PLAIN_NAMES: &[(&str, bool)] = &[
    ("makefile", true),
    ("dockerfile", true),
    ("gnumakefile", false),
    ("containerfile", false),
    ("license", false),
    ("readme", false),
    ("changelog", false),
    ("justfile", false),
    ("procfile", false),
    ("gemfile", false),
    ("rakefile", false),
    ("vagrantfile", false),
    ("codeowners", false),
];

/// Words before a colon that announce a path: `FILE: a.py`, `**New file:** a.py`, `File 2: a.py`.
const KEYS: &[&str] =
    &["file", "filename", "file name", "path", "filepath", "file path", "new file", "updated file", "modified file"];

/// Returns the language of a path, as it is written in an info string.
pub fn language(path: &str) -> Option<&'static str> {
    let name = file_name(path).to_ascii_lowercase();
    if let Some((plain, true)) = PLAIN_NAMES.iter().find(|(plain, _)| *plain == name) {
        return Some(plain);
    }
    let (_, extension) = name.rsplit_once('.')?;
    let row = LANGUAGES.iter().find(|(_, _, extensions)| has_word(extensions, extension))?;
    Some(row.0)
}

/// Returns the one name of a language that an info string may call by several.
pub fn canonical(name: &str) -> &str {
    let lower = name.to_ascii_lowercase();
    let found = LANGUAGES.iter().find(|(language, others, _)| *language == lower || has_word(others, &lower));
    found.map_or(name, |row| row.0)
}

/// Returns the part after the last `/`.
pub fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Finds all fenced blocks, and the text after the last. `target` is the one file that was asked for: when it is
/// Markdown, a block without a language may hold fences itself.
pub fn scan<'a>(text: &'a str, target: Option<&str>) -> (Vec<Block<'a>>, &'a str) {
    let fences = fences(text);
    let (mut blocks, mut at, mut next) = (Vec::new(), 0, 0);
    while let Some(open) = fences.get(next) {
        let lead = text.get(at..open.start).unwrap_or("");
        let mut path = path_in_info(open.info).or_else(|| path_in_lead(lead));
        let is_markdown = match canonical(info_word(open.info)) {
            "markdown" => true,
            "" | "text" => path.map(|(path, _)| path).or(target).and_then(language) == Some("markdown"),
            _ => false,
        };
        let (close, ending) = closing(text, &fences, next, is_markdown);
        let end = close.and_then(|close| fences.get(close)).map_or(text.len(), |fence| fence.start);
        let body = text.get(open.end..end).unwrap_or("");
        if path.is_none() && !is_markdown {
            path = path_in_comment(body);
        }
        let language = language_in_info(open.info);
        at = close.and_then(|close| fences.get(close)).map_or(text.len(), |fence| fence.end);
        next = close.map_or(fences.len(), |close| close + 1);
        blocks.push(Block { language, path, body: dedent(body, open.indent), lead, ending });
    }
    (blocks, text.get(at..).unwrap_or(""))
}

fn fences(text: &str) -> Vec<Fence<'_>> {
    let (mut found, mut start) = (Vec::new(), 0);
    for line in text.split_inclusive('\n') {
        let end = start + line.len();
        let bare = line.trim_start_matches([' ', '\t']);
        let indent = line.len() - bare.len();
        if let Some(mark) = bare.bytes().next().filter(|mark| matches!(mark, b'`' | b'~')) {
            let info = bare.trim_start_matches(char::from(mark));
            let len = bare.len() - info.len();
            let info = info.trim();
            if len >= 3 && !(mark == b'`' && info.contains('`')) {
                found.push(Fence { start, end, indent, mark, len, info });
            }
        }
        start = end;
    }
    found
}

/// Returns the number of the fence that closes the block opened by fence `open`.
///
/// A fence with an info string cannot close anything, so it opens an inner block and the next bare one closes that;
/// the outer block goes on. In Markdown a bare fence may open an inner block too ([`opens_inside`]). Shorter fences,
/// the other kind and deeper indented ones are content.
fn closing(text: &str, fences: &[Fence<'_>], open: usize, is_markdown: bool) -> (Option<usize>, Ending) {
    let Some(outer) = fences.get(open) else { return (None, Ending::Open) };
    let mut inner: Option<&Fence<'_>> = None;
    let (mut has_inner, mut is_even) = (false, true);
    for (number, fence) in fences.iter().enumerate().skip(open + 1) {
        let top = inner.unwrap_or(outer);
        is_even = !is_even;
        if fence.mark != top.mark || fence.len < top.len {
            continue;
        }
        if !fence.info.is_empty() {
            if inner.is_none() {
                (inner, has_inner) = (Some(fence), true);
            }
        } else if fence.indent > top.indent + 3 {
            is_even = !is_even;
        } else if inner.is_some() {
            inner = None;
        } else if is_markdown && opens_inside(text, fences, number) {
            (inner, has_inner) = (Some(fence), true);
        } else {
            return (Some(number), Ending::Closed);
        }
    }
    // A small model opens with four and closes with three (recorded): then the last line closes, if the rest pairs up.
    let is_last =
        |fence: &Fence<'_>| fence.info.is_empty() && text.get(fence.end..).is_some_and(|rest| rest.trim().is_empty());
    if inner.is_none() && outer.len > 3 && !is_even && fences.last().is_some_and(is_last) {
        return (Some(fences.len() - 1), Ending::Closed);
    }
    // In Markdown, pairs inside and no end is what a small model writes that forgets the outer fence (recorded).
    let is_clear = inner.is_none() && (!has_inner || is_markdown);
    (None, if is_clear { Ending::Open } else { Ending::Tangled })
}

/// Whether the bare fence `number`, met inside a Markdown block, opens an inner block instead of closing the outer one:
/// text follows at once (and no `FILE:` line), and the next fence is bare too.
fn opens_inside(text: &str, fences: &[Fence<'_>], number: usize) -> bool {
    let follows = fences.get(number).and_then(|fence| text.get(fence.end..)).unwrap_or("");
    let is_text = |line: &str| !line.trim().is_empty() && label(line, false).is_none();
    follows.lines().next().is_some_and(is_text) && fences.get(number + 1).is_some_and(|fence| fence.info.is_empty())
}

/// Removes up to `indent` blanks from the start of each line.
fn dedent(body: &str, indent: usize) -> Cow<'_, str> {
    if indent == 0 {
        return Cow::Borrowed(body);
    }
    let mut out = String::with_capacity(body.len());
    for line in body.split_inclusive('\n') {
        let blanks = line.bytes().take(indent).take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        out.push_str(line.get(blanks..).unwrap_or(line));
    }
    Cow::Owned(out)
}

fn info_word(info: &str) -> &str {
    let end =
        info.find(|char: char| char.is_whitespace() || matches!(char, ':' | ',' | '{' | '}')).unwrap_or(info.len());
    info.get(..end).unwrap_or("")
}

fn language_in_info(info: &str) -> &str {
    let word = info_word(info.trim_start_matches(['{', '.']));
    if is_dotted_path(word) { language(word).unwrap_or("") } else { word }
}

/// A path that cannot be the name of a language, as `makefile` is.
fn is_dotted_path(word: &str) -> bool {
    word.contains(['.', '/']) && is_path(word)
}

/// `python p`, `python:p`, `p:python`, `p`, `python title="p"`.
fn path_in_info(info: &str) -> Option<(&str, Strength)> {
    let mut words = info.split_whitespace().flat_map(|word| {
        let word = word.trim_start_matches("{.").trim_matches(|char| matches!(char, '{' | '}' | ','));
        let value = word.split_once('=').filter(|(key, _)| {
            matches!(key.to_ascii_lowercase().as_str(), "title" | "file" | "filename" | "path" | "filepath" | "name")
        });
        match (value, word.split_once(':')) {
            (Some((_, value)), _) => [value.trim_matches(['"', '\'']), ""],
            (None, Some((left, right))) => [left, right],
            (None, None) => [word, ""],
        }
    });
    words.find(|word| is_dotted_path(word)).map(|path| (path, Strength::Strong))
}

/// The nearest line before a block that names a path; a sentence counts only right before it.
pub fn path_in_lead(lead: &str) -> Option<(&str, Strength)> {
    let mut lines = lead.lines().rev().filter(|line| !line.trim().is_empty());
    let nearest = lines.next()?;
    label(nearest, true).or_else(|| lines.take(8).find_map(|line| label(line, false)))
}

/// Reads a line that names a file. `adjacent`: it is the last line before a block, where a sentence will do.
pub fn label(line: &str, adjacent: bool) -> Option<(&str, Strength)> {
    let is_heading = line.trim_start().starts_with('#');
    let bare = undress(line);
    if bare.len() > 1024 {
        return None;
    }
    if let Some((key, rest)) = bare.split_once([':', '：']) {
        let key = key.trim_matches(|char: char| char == '*' || char == ' ' || char.is_ascii_digit());
        if KEYS.iter().any(|known| known.eq_ignore_ascii_case(key)) || is_foreign_key(key) {
            let rest = rest.trim_start_matches("**");
            let path = undress(rest.split_once(" (").map_or(rest, |(path, _)| path));
            // One with blanks is a sentence, or a name that whoever knows the names will know.
            let is_name = !path.contains(char::is_whitespace) || language(path).is_some();
            return (!path.is_empty() && is_name).then_some((path, Strength::Strong));
        }
    }
    let is_quoted = line.contains('`');
    if is_file(bare) || (is_quoted && is_path(bare)) {
        let is_dressed = bare.len() != line.trim().len();
        return (is_dressed || adjacent).then_some((bare, Strength::Strong));
    }
    if is_heading && adjacent && is_strange_file(bare) {
        return Some((bare, Strength::Strong));
    }
    let announces = line.trim_end().ends_with([':', '：', '*']) || is_heading;
    if !announces || !(adjacent || is_heading) || is_usage(bare) {
        return None;
    }
    // In Chinese or Japanese nothing but the mark is between a name and the words around it.
    let parts = bare.split('`').enumerate().flat_map(|(number, part)| {
        let is_quoted = number % 2 == 1;
        let words = part.split_whitespace().filter(move |_| !is_quoted);
        words.chain(Some(part).filter(|_| is_quoted)).map(move |word| (word, is_quoted))
    });
    let mut paths = parts.filter_map(|(word, is_quoted)| {
        let path = word.trim_matches(|char: char| matches!(char, '*' | '(' | ')' | ',' | ':' | '"' | '\''));
        (is_file(path) && (is_quoted || path.contains('.'))).then_some(path)
    });
    let path = paths.next()?;
    paths.all(|other| other == path).then_some((path, Strength::Weak))
}

/// Whether the words before a colon end with "file", "file name" or "path" in another language.
fn is_foreign_key(key: &str) -> bool {
    const WORDS: [&str; 14] = [
        "文件",
        "文件名",
        "路径",
        "檔案",
        "ファイル",
        "ファイル名",
        "파일",
        "datei",
        "fichier",
        "archivo",
        "fichero",
        "arquivo",
        "ficheiro",
        "файл",
    ];
    let key = key.to_lowercase();
    let last = key.rsplit(' ').next().unwrap_or(&key);
    WORDS.iter().any(|word| last == *word || !word.is_ascii() && last.ends_with(word))
}

/// Whether a line speaks of running or using something, so that the block after it is no file.
pub fn is_usage(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    [
        "usage", "example", "output", "run ", "running", "execute", "install", "result", "test it", "use it", "to use",
        "to test",
    ]
    .iter()
    .any(|cue| line.contains(cue))
}

/// `# src/x.py`, `// File: src/x.ts`, `<!-- p -->`, `/* p */` as the first line, or the second after `#!` or `<?`.
fn path_in_comment(body: &str) -> Option<(&str, Strength)> {
    let mut lines = body.lines().filter(|line| !line.trim().is_empty());
    let first = lines.next()?;
    let line = if first.starts_with("#!") || first.starts_with("<?") { lines.next()? } else { first }.trim();
    let open = ["<!--", "//", "/*", "--", "#", ";", "%"].iter().find_map(|mark| line.strip_prefix(mark))?;
    let inner = ["-->", "*/"].iter().find_map(|mark| open.strip_suffix(mark)).unwrap_or(open).trim();
    let path = match inner.split_once(':') {
        Some((key, path)) if KEYS.iter().any(|known| known.eq_ignore_ascii_case(key.trim())) => path.trim(),
        Some(_) | None => inner,
    };
    (is_file(path) && path.contains('.')).then_some((path, Strength::Weak))
}

/// Takes headings, list marks, bold, quotes, backticks and a colon off a line.
pub fn undress(line: &str) -> &str {
    let mut text = line.trim().trim_start_matches('#').trim_start();
    let digits = text.trim_start_matches(|char: char| char.is_ascii_digit());
    if digits.len() < text.len() {
        text = digits.strip_prefix(['.', ')']).filter(|rest| rest.starts_with(' ')).unwrap_or(text);
    }
    text = ["- ", "* ", "+ "].iter().find_map(|mark| text.strip_prefix(mark)).unwrap_or(text).trim();
    loop {
        let before = text.len();
        text = text.strip_suffix([':', '：']).unwrap_or(text).trim();
        for mark in ["**", "`", "\"", "'", "*"] {
            if let Some(inner) = text.strip_prefix(mark).and_then(|rest| rest.strip_suffix(mark)) {
                text = inner.trim();
            }
        }
        if text.len() == before {
            return text;
        }
    }
}

/// Whether a word can be a path: no blanks, no marks of code or markup, and a directory, an extension or a name that is
/// known to have none.
fn is_path(word: &str) -> bool {
    let is_plain = |char: char| char.is_alphanumeric() || "/._-+@[]~$%#&!\\".contains(char);
    !word.is_empty()
        && word.len() <= 1024
        && word.chars().all(is_plain)
        && !word.ends_with('/')
        && (is_dotted(file_name(word)) || is_plain_name(word) || word.contains('/'))
}

/// Whether a word is a path also where nothing marks it as one: `.git/HEAD`, but not `x.value`, `and/or`, `Node.js`.
fn is_file(word: &str) -> bool {
    const FRAMEWORKS: [&str; 8] = ["node", "next", "vue", "nuxt", "react", "express", "three", "d3"];
    let name = file_name(word);
    let is_framework = word.strip_suffix(".js").is_some_and(|stem| {
        stem.starts_with(char::is_uppercase) && FRAMEWORKS.iter().any(|known| known.eq_ignore_ascii_case(stem))
    });
    let is_known = language(name).is_some() || name.starts_with('.') || word.contains('/');
    let is_rooted = word.contains('/') && word.starts_with(['.', '/']);
    is_path(word) && !is_framework && (is_plain_name(name) || is_rooted || (is_dotted(name) && is_known))
}

/// Whether a word is the name of a file in all but its characters: `a*.rs`, `${DIR}/a.py`, hidden marks, accents in two
/// pieces. A block below it is that file, for `names.rs` to judge, and not an excerpt of another one.
fn is_strange_file(word: &str) -> bool {
    !is_path(word) && !word.contains(char::is_whitespace) && language(word.trim_end_matches('.')).is_some()
}

fn is_plain_name(word: &str) -> bool {
    let name = file_name(word);
    PLAIN_NAMES.iter().any(|(plain, _)| plain.eq_ignore_ascii_case(name))
}

fn is_dotted(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, extension)| {
        (1..=16).contains(&extension.len())
            && extension.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && extension.bytes().any(|byte| byte.is_ascii_alphabetic())
    })
}

fn has_word(words: &str, word: &str) -> bool {
    words.split(' ').any(|other| !other.is_empty() && other == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_known_by_its_extension_and_by_its_other_names() {
        for (path, name, expected) in [
            ("src/a.py", "py", "python"),
            ("a.mjs", "JavaScript", "javascript"),
            ("bin/run.sh", "sh", "bash"),
            ("Makefile", "make", "makefile"),
            ("x/Dockerfile", "docker", "dockerfile"),
            ("README.MD", "md", "markdown"),
            ("c.yml", "yaml", "yaml"),
        ] {
            assert_eq!((language(path), canonical(name)), (Some(expected), expected));
        }
        assert_eq!((language("LICENSE"), language("a.b/c"), canonical("brainf")), (None, None, "brainf"));
    }

    #[test]
    fn a_heading_names_a_file_also_with_characters_that_paths_do_not_have() {
        for name in ["cafe\u{301}.txt", "a\u{202e}gnp.sh", "${TMPDIR}/evil.txt", "*.rs", "ok.txt."] {
            let lead = format!("## {name}\n\n");
            assert_eq!(path_in_lead(&lead), Some((name, Strength::Strong)));
        }
        assert_eq!(path_in_lead("## v1.2.0\n"), None);
        assert_eq!(path_in_lead("## main()\n"), None);
    }

    #[test]
    fn every_line_is_in_one_piece() {
        let text = "a\n```py\nb\n```\nc\n  ~~~\n  d\n ~~~\ne";
        let (blocks, tail) = scan(text, None);
        let pieces: Vec<_> =
            blocks.iter().map(|block| (block.lead, block.language, &*block.body, block.ending)).collect();
        let expected = [("a\n", "py", "b\n", Ending::Closed), ("c\n", "", "d\n", Ending::Closed)];
        assert_eq!((pieces.as_slice(), tail), (expected.as_slice(), "e"));
    }
}
