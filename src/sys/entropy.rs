//! Random bytes from the kernel, fit for secrets, salts and ids.
#![allow(unsafe_code)]

use std::io;

/// Fills `bytes` with random bytes. Waits only if the machine has just started and its kernel has
/// gathered too little so far. Errors: the kernel has no `getrandom`.
pub fn fill(bytes: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        let rest = &mut bytes[filled..];
        // SAFETY: pointer and length are those of one live, writable slice.
        let count = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        if count >= 0 {
            filled += count as usize;
            continue;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    Ok(())
}

/// `N` random bytes. Errors as [`fill`].
pub fn array<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        assert_ne!(array::<32>().unwrap(), array::<32>().unwrap());
    }

    #[test]
    fn a_large_slice_is_filled_to_its_end() {
        let mut bytes = vec![0; 1 << 20];
        fill(&mut bytes).unwrap();
        assert!(bytes[bytes.len() - 64..].iter().any(|&byte| byte != 0));
        fill(&mut []).unwrap();
    }
}
