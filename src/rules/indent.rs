//! How an edit with another indentation is written in that of the file. Pure.

use std::borrow::Cow;

/// Returns the blanks before the first letter; none for a blank line.
pub fn indent(line: &str) -> &str {
    if line.trim().is_empty() { "" } else { line.get(..line.len() - line.trim_start().len()).unwrap_or("") }
}

/// How each indentation of an edit is written in the file; `None` when one is written in two ways.
pub fn indents<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Option<Vec<(&'a str, &'a str)>> {
    let mut known: Vec<(&str, &str)> = Vec::new();
    for (line, file) in pairs.filter(|(line, file)| !line.trim().is_empty() && !file.trim().is_empty()) {
        let (from, to) = (indent(line), indent(file));
        match known.iter().find(|(other, _)| *other == from) {
            Some((_, other)) if *other != to => return None,
            Some(_) => {}
            None if known.len() == 64 => return None,
            None => known.push((from, to)),
        }
    }
    Some(known)
}

/// Writes a new line with the indentation of the file.
pub fn reindented<'a>(line: &'a str, known: &[(&str, &str)]) -> Cow<'a, str> {
    let from = indent(line);
    let rest = line.get(from.len()..).unwrap_or(line);
    if rest.trim().is_empty() || known.iter().all(|(old, new)| old == new) {
        return Cow::Borrowed(line);
    }
    let longest = known.iter().filter(|(old, _)| from.starts_with(old)).max_by_key(|(old, _)| old.len());
    if let Some((old, new)) = longest {
        let more = from.get(old.len()..).unwrap_or("");
        let is_tabbed = known.iter().any(|(_, new)| new.starts_with('\t')) && !more.contains('\t');
        let unit = known.iter().filter(|(old, new)| new.len() == 1 && old.len() > 1).map(|(old, _)| old.len()).min();
        let more = if is_tabbed { "\t".repeat(more.len().div_ceil(unit.unwrap_or(4))) } else { more.to_owned() };
        return Cow::Owned([new, more.as_str(), rest].concat());
    }
    // Less indented than every line of the search: what was added to or taken from that line is so here too.
    let Some((old, new)) = known.iter().min_by_key(|(old, _)| old.len()) else { return Cow::Borrowed(line) };
    let less = old.len().saturating_sub(from.len());
    let kept = if new.starts_with('\t') && !old.starts_with('\t') {
        new.len().saturating_sub(less.div_ceil((old.len() / new.len()).max(1)))
    } else {
        new.len().saturating_sub(less)
    };
    Cow::Owned([new.get(..kept).unwrap_or(""), rest].concat())
}
