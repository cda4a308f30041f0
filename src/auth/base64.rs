//! Bytes as base64 text (RFC 4648): the standard alphabet with padding (section 4), and the one for
//! URLs and file names without (section 5). Decoding takes only what encoding makes: every text has
//! one meaning and every meaning one text.

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The standard alphabet, padded with `=`.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = encode_with(STANDARD, bytes);
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

/// The bytes of text that [`encode`] made; None for anything else.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let bare = text.trim_end_matches('=');
    // One or two signs of padding, and no more than the length asks for.
    if text.len() - bare.len() > 2 {
        return None;
    }
    decode_with(STANDARD, bare)
}

/// The alphabet for URLs, without padding.
pub fn encode_url(bytes: &[u8]) -> String {
    encode_with(URL, bytes)
}

/// The bytes of text that [`encode_url`] made; None for anything else.
pub fn decode_url(text: &str) -> Option<Vec<u8>> {
    decode_with(URL, text)
}

fn encode_with(alphabet: &[u8; 64], bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut group = [0; 4];
        group[1..1 + chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes(group);
        for sign in 0..=chunk.len() {
            let value = bits >> (18 - 6 * sign) & 63;
            text.push(char::from(alphabet[value as usize]));
        }
    }
    text
}

fn decode_with(alphabet: &[u8; 64], text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for chunk in text.as_bytes().chunks(4) {
        let mut bits = 0;
        for &sign in chunk {
            bits = bits << 6 | value(alphabet, sign)?;
        }
        let missing = 4 - chunk.len();
        let group = (bits << (6 * missing)).to_be_bytes();
        let count = match missing {
            0..=2 => 3 - missing,
            // Six bits are no byte.
            _ => return None,
        };
        // Bits past the last byte must be zero, or two texts would mean the same.
        if group[1 + count..].iter().any(|&byte| byte != 0) {
            return None;
        }
        bytes.extend_from_slice(&group[1..1 + count]);
    }
    Some(bytes)
}

fn value(alphabet: &[u8; 64], sign: u8) -> Option<u32> {
    let value = match sign {
        b'A'..=b'Z' => sign - b'A',
        b'a'..=b'z' => sign - b'a' + 26,
        b'0'..=b'9' => sign - b'0' + 52,
        _ if sign == alphabet[62] => 62,
        _ if sign == alphabet[63] => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_the_rfc_come_out_and_back() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()));
            let bare = text.trim_end_matches('=');
            assert_eq!(encode_url(bytes.as_bytes()), bare);
            assert_eq!(decode_url(bare).as_deref(), Some(bytes.as_bytes()));
        }
        assert_eq!(encode(&[0xFB, 0xFF]), "+/8=");
        assert_eq!(encode_url(&[0xFB, 0xFF]), "-_8");
    }

    #[test]
    fn bytes_of_any_length_come_back() {
        let bytes: Vec<u8> = (0..=255).rev().collect();
        for length in 0..=bytes.len() {
            assert_eq!(decode(&encode(&bytes[..length])).as_deref(), Some(&bytes[..length]));
            assert_eq!(
                decode_url(&encode_url(&bytes[..length])).as_deref(),
                Some(&bytes[..length])
            );
        }
    }

    #[test]
    fn text_that_encoding_never_makes_is_refused() {
        let standard = [
            "Z", "Zg", "Zg=", "Zg===", "====", "=", "Zh==", "Zm9=", "Zm9v====", "Zm9v=",
            "Zg==Zg==", "Zm9v\n", " Zm9", "Zm-_", "Zm\u{e9}", "Z=9v", "Zm9vZ===",
        ];
        for text in standard {
            assert_eq!(decode(text), None, "{text:?}");
        }
        for text in ["Z", "Zg==", "Zh", "Zm9", "Zm+/", "Zm9vY", "Zm9v "] {
            assert_eq!(decode_url(text), None, "{text:?}");
        }
    }

    /// For every text of four signs of a small alphabet: what decodes, encodes to the same text.
    #[test]
    fn every_meaning_has_one_text() {
        let signs = ['A', 'B', 'Q', 'g', '/', '='];
        for at in 0..signs.len().pow(4) {
            let text: String = (0..4).map(|place| signs[at / signs.len().pow(place) % 6]).collect();
            if let Some(bytes) = decode(&text) {
                assert_eq!(encode(&bytes), text);
            }
        }
    }
}
