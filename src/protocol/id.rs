//! Message ids: UUIDs (RFC 9562), on the wire as 8-4-4-4-12 hexadecimal digits, inside as `u128`.

/// Bytes of an id as text.
pub const TEXT_BYTES: usize = 36;
/// Where the pairs of digits stand, one for each byte of the id; hyphens stand between.
const PAIRS: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// What a byte is as a digit; above 15: none.
const DIGIT: [u8; 256] = {
    let mut table = [0xff; 256];
    let mut value = 0;
    while value < 16 {
        table[LOWER[value] as usize] = value as u8;
        table[LOWER[value].to_ascii_uppercase() as usize] = value as u8;
        value += 1;
    }
    table
};
const LOWER: &[u8; 16] = b"0123456789abcdef";

/// Reads an id in either case. Any version and variant is taken, the nil id too: whoever makes the
/// id answers for it being unique.
pub fn parse(text: &str) -> Option<u128> {
    let text: &[u8; TEXT_BYTES] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0; 16];
    // No branch for each digit: what is wrong anywhere shows in the high bits of this.
    let mut seen = 0;
    for (byte, &place) in bytes.iter_mut().zip(&PAIRS) {
        let (high, low) = (DIGIT[text[place] as usize], DIGIT[text[place + 1] as usize]);
        seen |= high | low;
        *byte = high << 4 | low & 15;
    }
    let hyphens = HYPHENS.iter().all(|&place| text[place] == b'-');
    (seen <= 15 && hyphens).then(|| u128::from_be_bytes(bytes))
}

/// The id as text, lower case.
pub fn format(id: u128) -> String {
    let mut text = String::with_capacity(TEXT_BYTES);
    write(id, &mut text);
    text
}

/// Appends the id as text, lower case.
pub fn write(id: u128, out: &mut String) {
    let mut text = [b'-'; TEXT_BYTES];
    for (byte, &place) in id.to_be_bytes().into_iter().zip(&PAIRS) {
        text[place] = LOWER[usize::from(byte >> 4)];
        text[place + 1] = LOWER[usize::from(byte & 15)];
    }
    out.push_str(std::str::from_utf8(&text).unwrap_or_default());
}

/// Makes a version 4 id of 16 random bytes: six bits become the version and the variant (RFC 9562,
/// section 5.4), the others stay.
pub fn from_random(mut bytes: [u8; 16]) -> u128 {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    u128::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "8d4a8912-5776-4438-ac14-8b791cfc63f2";

    #[test]
    fn an_id_is_read_in_either_case_and_written_in_lower_case() {
        let id = 0x8d4a_8912_5776_4438_ac14_8b79_1cfc_63f2;
        assert_eq!(parse(TEXT), Some(id));
        assert_eq!(parse(&TEXT.to_uppercase()), Some(id));
        assert_eq!(format(id), TEXT);
        assert_eq!(format(1), "00000000-0000-0000-0000-000000000001");
        let mut text = "id ".to_string();
        write(id, &mut text);
        assert_eq!(text, format!("id {TEXT}"));
    }

    #[test]
    fn anything_else_is_no_id() {
        let mut bad = vec![String::new(), TEXT[1..].to_string(), format!("{TEXT}0")];
        bad.push(TEXT.replace('-', ""));
        bad.push(format!("{{{TEXT}}}"));
        for place in 0..TEXT.len() {
            for wrong in ["g", "-", " ", "+"] {
                let mut text = TEXT.to_string();
                text.replace_range(place..place + 1, wrong);
                if text != TEXT {
                    bad.push(text);
                }
            }
        }
        bad.push(format!("é{}", &TEXT[2..]));
        for text in bad {
            assert_eq!(parse(&text), None, "{text:?}");
        }
    }

    #[test]
    fn random_bytes_become_version_4_and_keep_the_rest() {
        assert_eq!(format(from_random([0; 16])), "00000000-0000-4000-8000-000000000000");
        assert_eq!(format(from_random([0xff; 16])), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
