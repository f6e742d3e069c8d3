//! How files are related by their paths: the name without its ending, which test is of which source, what is of one
//! language, how near two files are. Pure.

use crate::rules::definition::is_in;

/// Files that stand for their directory: a test of that name is not theirs.
const STANDS_FOR_DIRECTORY: &str = "mod lib main index __init__ conftest";

/// Returns the name of a file without its directory and its last ending, and the ending.
pub fn stem(path: &str) -> (&str, &str) {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').unwrap_or((name, ""))
}

pub fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// Returns a name as names are compared: `UserService` and `user_service` are one.
pub fn key(text: &str) -> String {
    text.chars().filter(|char| !matches!(char, '_' | '-' | '.')).flat_map(char::to_lowercase).collect()
}

/// Returns the key of what a file tests by its name; `None` for a file that is no test.
pub fn tested(path: &str) -> Option<String> {
    let (name, _) = stem(path);
    let ends = [".test", ".spec", "_test", "_spec", "-test", "-spec", "Tests", "Test", "Spec"];
    let cut = name.strip_prefix("test_").or_else(|| ends.iter().find_map(|end| name.strip_suffix(end)));
    let is_below_tests = || directory(path).split('/').any(|part| is_in("tests test __tests__ spec", part));
    cut.or_else(|| is_below_tests().then_some(name)).map(key)
}

/// Whether a test is called after a source.
pub fn is_test_of(test: &str, source: &str) -> bool {
    let (name, _) = stem(source);
    !stands_for_directory(name) && tested(test).is_some_and(|wanted| wanted == key(name))
}

/// Whether a file stands for its directory, so that a test of its name is not its own.
pub fn stands_for_directory(stem: &str) -> bool {
    is_in(STANDS_FOR_DIRECTORY, stem)
}

/// Whether two endings are of one language, or of languages that are used together.
pub fn is_same_language(one: &str, two: &str) -> bool {
    let family = |ending| is_in("js jsx mjs cjs ts tsx vue svelte", ending);
    one == two || family(one) && family(two)
}

/// Returns how many directories two files share from the top.
pub fn shared_directories(one: &str, two: &str) -> usize {
    let (one, two) = (directory(one).split('/'), directory(two).split('/'));
    one.zip(two).take_while(|(one, two)| one == two && !one.is_empty()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_of_the_source_that_it_is_called_after() {
        for (test, source, is) in [
            ("tests/test_cart.py", "shop/cart.py", true),
            ("src/UserServiceTest.java", "src/user_service.java", true),
            ("tests/cart.rs", "src/cart.rs", true),
            ("src/cart.test.ts", "src/cart.ts", true),
            ("src/cart.py", "shop/cart.py", false),
            ("tests/mod.rs", "src/mod.rs", false),
        ] {
            assert_eq!(is_test_of(test, source), is, "{test} {source}");
        }
        assert!(is_same_language("ts", "jsx") && !is_same_language("py", "rs"));
        assert_eq!(shared_directories("a/b/c.py", "a/b/d/e.py"), 2);
    }
}
