//! Account names: `[a-z0-9][a-z0-9._-]{0,31}`, upper case folded to lower.

use crate::limits;

/// The name as it is kept and compared, or `None` where `text` is no name.
pub fn fold(text: &str) -> Option<String> {
    let first = *text.as_bytes().first()?;
    let takes = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let good = text.len() <= limits::NAME_BYTES
        && first.is_ascii_alphanumeric()
        && text.bytes().all(takes);
    good.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn names_are_folded_and_nothing_else_is_changed() {
        assert_eq!(fold("Alice.B_c-9").as_deref(), Some("alice.b_c-9"));
        assert_eq!(fold("0").as_deref(), Some("0"));
        let longest = "a".repeat(32);
        assert_eq!(fold(&longest), Some(longest.clone()));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let too_long = "a".repeat(33);
        // The last two: a letter that lower-cases into ASCII, and one that looks like one.
        for bad in ["", ".a", "_a", "-a", "a b", "a\n", "a/b", "é", &too_long, "\u{212a}", "а"] {
            assert_eq!(fold(bad), None, "{bad:?}");
        }
    }
}
