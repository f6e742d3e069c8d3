//! The documents of a project that people name by their kind. Pure.

/// Kinds, each with the names that its file has, the likeliest first.
const KINDS: [(&str, &[&str]); 4] = [
    ("README", &["README"]),
    ("CHANGELOG", &["CHANGELOG", "CHANGES", "HISTORY", "NEWS"]),
    ("LICENSE", &["LICENSE", "LICENCE", "COPYING"]),
    ("CONTRIBUTING", &["CONTRIBUTING"]),
];
const ENDINGS: [&str; 5] = ["", ".md", ".rst", ".txt", ".adoc"];

/// Returns the names that a document may have which a task calls by its kind; none for every other word.
pub fn spellings(name: &str) -> Vec<String> {
    let kind = KINDS.iter().find(|(kind, _)| kind.eq_ignore_ascii_case(name));
    let stems = kind.into_iter().flat_map(|(_, stems)| *stems);
    let spelled = stems.flat_map(|stem| [stem.to_string(), stem.to_lowercase()]);
    spelled.flat_map(|stem| ENDINGS.map(|ending| format!("{stem}{ending}"))).collect()
}

/// Returns the name that a new document gets which a task calls by its kind, where that is another.
pub fn new_name(name: &str) -> Option<&'static str> {
    let named = [("README", "README.md"), ("CHANGELOG", "CHANGELOG.md"), ("CONTRIBUTING", "CONTRIBUTING.md")];
    named.into_iter().find(|(kind, _)| kind.eq_ignore_ascii_case(name)).map(|(_, name)| name)
}

/// What kind of document a path is, as far as showing a part of it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It grows at its top.
    Log,
    Other,
}

/// Returns the kind of a document; `None` for every other file.
pub fn kind(path: &str) -> Option<Kind> {
    let stem = path.split('.').next().unwrap_or(path);
    let is_one = |stems: &&[&str]| stems.iter().any(|known| known.eq_ignore_ascii_case(stem));
    let (name, _) = KINDS.iter().find(|(_, stems)| is_one(stems))?;
    Some(if *name == "CHANGELOG" { Kind::Log } else { Kind::Other })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_spelled_as_projects_do() {
        assert_eq!(spellings("readme")[..3], ["README", "README.md", "README.rst"]);
        assert!(spellings("CHANGELOG").contains(&"CHANGES.rst".to_string()));
        assert_eq!((new_name("readme"), new_name("LICENSE")), (Some("README.md"), None));
        assert_eq!(spellings("Makefile"), Vec::<String>::new());
        assert_eq!(
            (kind("changes.rst"), kind("LICENSE"), kind("src/news.py")),
            (Some(Kind::Log), Some(Kind::Other), None)
        );
    }
}
