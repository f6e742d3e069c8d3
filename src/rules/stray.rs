//! Text with some bytes that are no UTF-8: a name in Latin-1 in an old header, say. Each stray byte is one character of the
//! last private plane here, so that the lines around it can be shown and edited, and is the same byte again on disk. Pure.
//!
//! **Invariant:** [`to_bytes`] of [`to_text`] is what was there.

/// The character of the byte 0.
const FIRST: u32 = 0x10_FF00;
/// Above this share of stray bytes, one in so many, it is no text.
const MOST: usize = 4;

/// Returns the text of a file, and whether there are stray bytes in it. `None` for what is no text, and for what holds
/// such characters of its own beside stray bytes.
pub fn to_text(bytes: &[u8]) -> Option<(String, bool)> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Some((text.to_string(), false));
    }
    let (mut text, mut n_stray) = (String::with_capacity(bytes.len() + 64), 0);
    for chunk in bytes.utf8_chunks() {
        if chunk.valid().chars().any(|char| byte(char).is_some()) {
            return None;
        }
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().filter_map(|byte| char::from_u32(FIRST + u32::from(*byte))));
        n_stray += chunk.invalid().len();
    }
    (n_stray * MOST <= bytes.len()).then_some((text, true))
}

/// Returns the bytes of a text with stray bytes in it.
pub fn to_bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for char in text.chars() {
        match byte(char) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend(char.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

/// Returns the text as people see it: a stray byte is `U+FFFD`.
pub fn shown(text: &str) -> String {
    text.chars().map(|char| if byte(char).is_some() { char::REPLACEMENT_CHARACTER } else { char }).collect()
}

/// Returns whether a text holds stray bytes.
pub fn is_in(text: &str) -> bool {
    text.chars().any(|char| byte(char).is_some())
}

fn byte(char: char) -> Option<u8> {
    u32::from(char).checked_sub(FIRST).and_then(|byte| u8::try_from(byte).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stray_bytes_come_back_as_they_were() {
        for bytes in [
            b"# caf\xe9 au lait\nx = 1\n".as_slice(),
            b"\xffabcdefg\xfe_hijklmn\x80_opqrst\xc3".as_slice(),
            "# ü stays; next is stray: ".as_bytes().iter().chain(b"\xfc\r\n").copied().collect::<Vec<_>>().as_slice(),
        ] {
            let (text, is_stray) = to_text(bytes).unwrap();
            assert_eq!((to_bytes(&text).as_slice(), is_stray), (bytes, true), "{text}");
        }
        assert_eq!(shown(&to_text(b"caf\xe9 au lait").unwrap().0), "caf\u{fffd} au lait");
    }

    #[test]
    fn text_is_text_and_noise_is_not() {
        assert_eq!(to_text("ü\u{10ff41}".as_bytes()), Some(("ü\u{10ff41}".to_string(), false)));
        assert_eq!(to_text("\u{10ff41} and a stray byte: ".bytes().chain([0xff]).collect::<Vec<_>>().as_slice()), None);
        assert_eq!(to_text(b"\xff\xfea\0b\0"), None);
    }
}
