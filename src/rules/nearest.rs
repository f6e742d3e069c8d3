//! The word that was meant instead of a misspelt one. Pure.

/// Returns the word most like a misspelt one, if one is a few letters away.
pub fn nearest<'a>(wrong: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let close = 1 + wrong.len() / 4;
    words.map(|word| (distance(wrong, word), word)).filter(|(far, _)| *far <= close).min().map(|(_, word)| word)
}

/// The number of letters to insert, delete or replace.
fn distance(a: &str, b: &str) -> usize {
    // Nothing longer than the longest variable name is like any of our words.
    if a.len() > 80 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.bytes().enumerate() {
        let (mut diagonal, mut left) = (i, i + 1);
        for (cell, b) in row.iter_mut().skip(1).zip(b.bytes()) {
            let best = (diagonal + usize::from(a != b)).min(left + 1).min(*cell + 1);
            (diagonal, left) = (*cell, best);
            *cell = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(a.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_letters_are_forgiven() {
        let words = ["run", "doctor", "status", "--verify", "--no-verify"];
        let check = |wrong: &str, right| assert_eq!(nearest(wrong, words.into_iter()), right, "{wrong}");
        check("run", Some("run"));
        check("rn", Some("run"));
        check("docter", Some("doctor"));
        check("--verfy", Some("--verify"));
        check("--noverify", Some("--no-verify"));
        check("xyz", None);
        check("", None);
        check(&"x".repeat(1000), None);
    }
}
