//! The fenced blocks of a reply, and what stands around them. Pure.

use std::ops::Range;

/// A fenced block: the bytes between its fences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    pub inside: Range<usize>,
    /// The info string behind the opening fence.
    pub info: &'a str,
    pub closed: bool,
}

impl Block<'_> {
    /// Whether it holds words for people.
    pub fn is_prose(&self) -> bool {
        is_one_of(self.info, "markdown md rst asciidoc text txt")
    }

    /// Whether it shows a terminal or an output: no file is made of it.
    pub fn is_transcript(&self) -> bool {
        is_one_of(self.info, "sh bash zsh shell console terminal text txt plaintext output")
    }

    /// The language in the info string: its first word, up to a path that some models add.
    pub fn language(&self) -> &str {
        self.info.split([' ', ':', '{', ',']).next().unwrap_or_default()
    }
}

fn is_one_of(name: &str, names: &str) -> bool {
    names.split(' ').any(|known| name.eq_ignore_ascii_case(known))
}

/// Returns the blocks of a text in order; a block in a longer fence is part of that one.
pub fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let mut open: Option<(&str, &str, usize)> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let start = line.trim_start();
        let end = at + line.len();
        let fence = start.len() - start.trim_start_matches(['`', '~']).len();
        let mark = start.get(..fence).unwrap_or_default();
        match open {
            // A longer fence holds shorter ones; only a bare one as long closes it.
            Some((opened, info, from)) if mark.starts_with(opened) && start.trim_end() == mark => {
                blocks.push(Block { inside: from..at, info, closed: true });
                open = None;
            }
            None if fence >= 3 => open = Some((mark, start.get(fence..).unwrap_or_default().trim(), end)),
            Some(_) | None => {}
        }
        at = end;
    }
    if let Some((_, info, from)) = open {
        blocks.push(Block { inside: from..at, info, closed: false });
    }
    blocks
}

/// Returns the blocks that are code: without transcripts, unless there is nothing else; the whole text where it has none.
pub fn code<'a>(text: &'a str, blocks: &[Block<'a>]) -> Vec<Block<'a>> {
    let mut code: Vec<Block<'a>> = blocks.iter().filter(|block| !block.is_transcript()).cloned().collect();
    if code.is_empty() {
        code = blocks.to_vec();
    }
    if code.is_empty() {
        code.push(Block { inside: 0..text.len(), info: "", closed: true });
    }
    code
}

/// Returns the text outside of blocks in lower case, with straight apostrophes.
pub fn lower_prose(text: &str, blocks: &[Block<'_>]) -> String {
    let mut prose = String::with_capacity(text.len());
    let mut from = 0;
    for block in blocks {
        prose.push_str(text.get(from..block.inside.start).unwrap_or_default());
        from = block.inside.end;
    }
    prose.push_str(text.get(from..).unwrap_or_default());
    prose.to_lowercase().replace('’', "'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_as_fences_nest() {
        let text = "a\n````md\n```py\nx\n```\n````\nb\n~~~\ny\n~~~\n```\nopen";
        let inside: Vec<(&str, &str, bool)> =
            blocks(text).into_iter().map(|block| (block.info, &text[block.inside], block.closed)).collect();
        assert_eq!(inside, [("md", "```py\nx\n```\n", true), ("", "y\n", true), ("", "open", false)]);
        assert_eq!(lower_prose("It’s A\n```\nX\n```\nB", &blocks("It’s A\n```\nX\n```\nB")), "it's a\n```\n```\nb");
    }

    #[test]
    fn transcripts_are_code_only_when_alone() {
        let infos =
            |text: &str| code(text, &blocks(text)).iter().map(|block| block.info.to_string()).collect::<Vec<_>>();
        assert_eq!(infos("```py a.py\nx\n```\n```sh\nls\n```"), ["py a.py"]);
        assert_eq!(infos("```sh\nls\n```"), ["sh"]);
        assert_eq!(infos("no block"), [""]);
        assert_eq!(blocks("```python:a.py\nx\n```")[0].language(), "python");
    }
}
