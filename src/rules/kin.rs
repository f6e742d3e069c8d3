//! How files are related by their paths: the name without its ending, what is a test and of which source, what is of one
//! language, how near two files are. Pure.

use crate::rules::definition::is_in;

/// Endings of source code: of languages whose definitions `definition.rs` can see.
const CODE: &str = "\
    py pyi rs js ts tsx jsx mjs cjs mts cts java kt kts c h cc cpp cxx hpp hh cs rb php sh bash sql vue svelte swift m mm \
    scala clj ex exs erl hs ml mli lua pl pm r jl dart zig nim sol proto graphql go";
/// Of these, those in which `pod_spec` is a specification, and no test.
const NO_SPECS: &str = "py pyi rs go c h cc cpp cxx hpp hh java proto sql";
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

/// Whether an ending, without its dot, is one of source code.
pub fn is_code(ending: &str) -> bool {
    is_in(CODE, ending)
}

/// Whether a file is a test: one that says what is right, or helps those that do. All that stands below a directory of
/// tests is (data too, since tests compare with it), and of other source code what has the name of one, in any of the
/// usual languages. `latest.js`, `test_data.csv` and `pod_spec.go` only look like it.
///
/// Rust's unit tests stand in any file, so no path tells of them: `weaken.rs` reads them. What a runner finds is less
/// than this: see [`is_for_pytest`].
pub fn is_test_file(path: &str) -> bool {
    called_after(path).is_some()
}

/// Whether pytest collects a file by its name: its default is `test_*.py` and `*_test.py`
/// (docs.pytest.org, "Changing standard (Python) test discovery"). Narrower than [`is_test_file`] on purpose: a
/// `conftest.py` or a `tests/data.py` must not be weakened, but where there is nothing else, pytest has nothing to run.
pub fn is_for_pytest(path: &str) -> bool {
    let (name, ending) = stem(path);
    ending == "py" && (name.starts_with("test_") || name.ends_with("_test"))
}

/// Returns the key of what a file tests by its name; `None` for a file that is no test.
pub fn tested(path: &str) -> Option<String> {
    called_after(path).map(key)
}

/// Returns what a test is called after, as it is written there: `cart` for `test_cart.py`; the whole name where it has no
/// mark of a test. `None` for a file that is no test.
fn called_after(path: &str) -> Option<&str> {
    let (name, ending) = stem(path);
    let of_name = is_code(ending).then(|| unmarked(name, !is_in(NO_SPECS, ending))).flatten();
    of_name.or_else(|| directory(path).split('/').any(is_for_tests).then_some(name))
}

/// Whether a directory holds tests: `tests`, `__tests__`, the `Shop.UnitTests` of C#, Kotlin's `androidTest`.
fn is_for_tests(directory: &str) -> bool {
    is_in("test tests __tests__ __snapshots__ spec", directory)
        || directory.ends_with("Tests")
        || directory.ends_with("Test") && directory.starts_with(char::is_lowercase)
}

/// Takes the mark of a test off a name without its ending; `None` where there is none.
fn unmarked(name: &str, has_specs: bool) -> Option<&str> {
    let is_mark = |word: &str| is_in("test tests unittest", word) || has_specs && is_in("spec specs", word);
    let humps: &[&str] =
        if has_specs { &["Tests", "TestCase", "Test", "Specs", "Spec"] } else { &["Tests", "TestCase", "Test"] };
    let is_alone = is_in("test tests conftest", name);
    let at_end = || name.rsplit_once(['.', '_', '-']).filter(|(_, word)| is_mark(word)).map(|(rest, _)| rest);
    // `cart.test.int.ts`
    let inside = || name.split_once(".test.").or_else(|| name.split_once(".spec.")).map(|(rest, _)| rest);
    let at_hump = || humps.iter().find_map(|hump| name.strip_suffix(hump));
    let found = is_alone.then_some(name).or_else(|| name.strip_prefix("test_"));
    found.or_else(at_end).or_else(inside).or_else(at_hump)
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
    let family = |ending| is_in("js jsx mjs cjs ts tsx mts cts vue svelte", ending);
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

    /// What a path is the test of, by its name: a key; "-" for a file that is no test.
    const TESTS: [(&str, &str); 72] = [
        // Rust
        ("tests/cart.rs", "cart"),
        ("src/cart_test.rs", "cart"),
        ("src/cart/tests.rs", "tests"),
        ("src/cart.rs", "-"),
        ("src/latest.rs", "-"),
        // Python
        ("tests/test_cart.py", "cart"),
        ("test_cart.py", "cart"),
        ("shop/cart_test.py", "cart"),
        ("shop/tests.py", "tests"),
        ("test.py", "test"),
        ("conftest.py", "conftest"),
        ("tests/data.py", "data"),
        ("shop/cart.py", "-"),
        ("contest.py", "-"),
        ("attest.py", "-"),
        ("testing.py", "-"),
        ("shop/job_spec.py", "-"),
        // JavaScript and TypeScript
        ("src/cart.test.js", "cart"),
        ("src/cart.test.int.ts", "cart"),
        ("src/cart.spec.mts", "cart"),
        ("src/cart-test.js", "cart"),
        ("src/Cart.test.tsx", "cart"),
        ("src/cartSpec.js", "cart"),
        ("src/__tests__/cart.jsx", "cart"),
        ("src/__snapshots__/cart.test.ts.snap", "carttestts"),
        ("test.mjs", "test"),
        ("src/cart.ts", "-"),
        ("latest.js", "-"),
        ("testimonials.ts", "-"),
        ("src/inspect.js", "-"),
        ("src/fastest-path.ts", "-"),
        // Go
        ("shop/cart_test.go", "cart"),
        ("shop/cart.go", "-"),
        ("api/pod_spec.go", "-"),
        ("contest.go", "-"),
        // Java and Kotlin
        ("src/test/java/shop/CartTest.java", "cart"),
        ("CartTests.java", "cart"),
        ("CartTestCase.java", "cart"),
        ("src/test/java/shop/Baskets.java", "baskets"),
        ("src/androidTest/kotlin/Baskets.kt", "baskets"),
        ("CartSpec.kt", "cart"),
        ("src/main/java/shop/Cart.java", "-"),
        ("src/main/java/shop/Latest.java", "-"),
        ("src/main/java/crypto/KeySpec.java", "-"),
        // C#
        ("Shop.Tests/CartTests.cs", "cart"),
        ("Shop.UnitTests/Baskets.cs", "baskets"),
        ("Shop/Cart.cs", "-"),
        ("SpeedTest/Program.cs", "-"),
        // Ruby
        ("spec/cart_spec.rb", "cart"),
        ("test/cart_test.rb", "cart"),
        ("spec/spec_helper.rb", "spechelper"),
        ("lib/cart.rb", "-"),
        ("lib/special.rb", "-"),
        // PHP
        ("tests/Unit/CartTest.php", "cart"),
        ("src/CartSpec.php", "cart"),
        ("src/Contest.php", "-"),
        // C and C++
        ("src/test_cart.c", "cart"),
        ("src/cart_test.cc", "cart"),
        ("src/cart_unittest.cpp", "cart"),
        ("src/CartTest.cpp", "cart"),
        ("src/cart.h", "-"),
        ("src/elf_spec.h", "-"),
        // Elixir
        ("test/shop/cart_test.exs", "cart"),
        ("test/support/baskets.ex", "baskets"),
        ("lib/cart.ex", "-"),
        // Swift
        ("Tests/ShopTests/CartTests.swift", "cart"),
        ("Tests/ShopTests/Baskets.swift", "baskets"),
        ("Sources/Shop/Cart.swift", "-"),
        // What is no code is a test where it stands among tests.
        ("tests/cart.csv", "cart"),
        ("test_data.csv", "-"),
        ("docs/cart.test.md", "-"),
        ("openapi.spec.yaml", "-"),
    ];

    #[test]
    fn a_test_is_known_by_its_name_or_its_directory() {
        for (path, want) in TESTS {
            assert_eq!(tested(path).as_deref().unwrap_or("-"), want, "{path}");
            assert_eq!(is_test_file(path), want != "-", "{path}");
        }
        // What pytest collects is a part of what is a test.
        let collected = TESTS.map(|(path, _)| path).into_iter().filter(|path| is_for_pytest(path));
        let collected: Vec<&str> = collected.collect();
        assert_eq!(collected, ["tests/test_cart.py", "test_cart.py", "shop/cart_test.py"]);
    }

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
