//! Overwriting secrets.
#![allow(unsafe_code)]

/// Overwrites `bytes` with zeros in a way that the compiler does not leave out although nothing
/// reads them afterwards. Copies made before, by moving or growing, are not reached.
pub fn wipe(bytes: &mut [u8]) {
    // SAFETY: pointer and length are those of one live, writable slice.
    unsafe { libc::explicit_bzero(bytes.as_mut_ptr().cast(), bytes.len()) };
}

#[cfg(test)]
mod tests {
    #[test]
    fn wiped_bytes_are_zero() {
        let mut secret = b"secret".to_vec();
        super::wipe(&mut secret);
        assert_eq!(secret, [0; 6]);
        super::wipe(&mut []);
    }
}
