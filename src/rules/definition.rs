//! Where a name is defined, as far as a line tells: no parser, and every language that marks a definition by a word.

/// Words that stand before the name in a definition.
const KEYWORDS: &str = "\
    def class fn struct enum trait impl func fun function interface type const static mod module object record union \
    namespace protocol define table defp defmodule macro macro_rules";
/// Words from the start of a definition to its keyword.
const MOST_BEFORE: usize = 5;

/// Returns whether a list of words, with one blank between two, holds a word.
pub fn is_in(list: &str, word: &str) -> bool {
    // `contains` is several times as fast as a split, and nearly always says no.
    list.contains(word) && list.split(' ').any(|entry| entry == word)
}

/// Returns whether identifiers may hold a character.
pub fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// Returns whether a text defines a name.
pub fn stands_in(text: &str, name: &str) -> bool {
    // `contains` is several times as fast as `match_indices`, and nearly always says no.
    text.contains(name) && text.match_indices(name).any(|(at, _)| is_definition(text, at, name.len()))
}

fn is_definition(text: &str, at: usize, len: usize) -> bool {
    let Some((before, rest)) = text.split_at_checked(at) else { return false };
    let after = rest.get(len..).unwrap_or_default();
    // Nearly every use ends here: a definition stands at the start of a line or behind a blank or a mark.
    if !matches!(before.as_bytes().last(), None | Some(b'\n' | b' ' | b'\t' | b'*')) {
        return false;
    }
    let line = before.rsplit('\n').next().unwrap_or_default();
    if after.starts_with(is_word) {
        return false;
    }
    if line.is_empty() {
        let value = after.trim_start_matches([' ', '\t']);
        return value.starts_with('=') && !value.starts_with("==") || after.starts_with(": ");
    }
    let start = line.trim_start();
    let is_comment = start.starts_with(['*', '#']) || start.starts_with("//") || start.starts_with("/*");
    if is_comment && !start.starts_with("#define") {
        return false;
    }
    let said = line.trim_end_matches([' ', '\t', '*', '!']);
    let is_method = start.starts_with("func (") && said.ends_with(')');
    let last = said.rsplit(|char| !is_word(char)).next().unwrap_or_default();
    said.len() < line.len() && (is_method || is_in(KEYWORDS, last))
}

/// Returns whether a line begins a definition.
pub fn is_header(line: &str) -> bool {
    header(line).is_some()
}

/// Returns the keyword and the name of the definition that a line begins: one of the keywords, then a name.
pub fn header(line: &str) -> Option<(&str, &str)> {
    let start = line.trim_start();
    if start.starts_with(['#', '/', '*', '"', '\'']) {
        return None;
    }
    let mut words = start.split(|char| !is_word(char)).filter(|word| !word.is_empty());
    // Words like `pub`, `async`, `export default` may stand before it.
    let keyword = words.by_ref().take(MOST_BEFORE).find(|word| is_in(KEYWORDS, word))?;
    Some((keyword, words.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_definition(text: &str, defines: bool) {
        assert_eq!(stands_in(text, "Name_x"), defines, "{text:?}");
    }

    #[test]
    fn definitions_are_seen_in_many_languages() {
        for text in [
            "class Name_x:",
            "    def Name_x(self):",
            "async def Name_x():",
            "pub(crate) fn Name_x<T>()",
            "export default function Name_x() {",
            "export function* Name_x() {",
            "export const Name_x = 1",
            "#define Name_x 1",
            "func Name_x()",
            "func (s *Server) Name_x(",
            "impl Name_x {",
            "public final class Name_x<T> {",
            "macro_rules! Name_x {",
            "type Name_x struct {",
            "x = 1\nName_x = 2",
            "Name_x: int = 2",
            "ü\n/// `Name_x` says.\nstruct Name_x;",
        ] {
            check_definition(text, true);
        }
    }

    #[test]
    fn uses_comments_and_longer_names_are_no_definitions() {
        for text in [
            "Name_x()",
            "x = Name_x",
            "Name_x == 2",
            "class Name_xy:",
            "class My_Name_x:",
            "// the class Name_x is old",
            "# class Name_x",
            " * struct Name_x",
            "return Name_x",
            "defName_x",
            "subclass Name_x",
            "(Name_x) fn",
        ] {
            check_definition(text, false);
        }
    }
}
