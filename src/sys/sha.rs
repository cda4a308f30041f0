//! SHA-256's compression function by the processor's own instructions, where it has them.
#![allow(unsafe_code)]

/// The round constants K (FIPS 180-4, section 4.2.2).
pub const ROUND_CONSTANTS: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
];

/// Whether [`compress`] does anything here.
pub fn is_available() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        // Asked once; the standard library remembers the answer.
        std::arch::is_x86_feature_detected!("sha")
            && std::arch::is_x86_feature_detected!("ssse3")
            && std::arch::is_x86_feature_detected!("sse4.1")
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Takes whole blocks into a hash's state (FIPS 180-4, section 6.2.2). False, with the state left
/// alone: this processor has no instructions for it.
#[inline]
pub fn compress(state: &mut [u32; 8], blocks: &[[u8; 64]]) -> bool {
    #[cfg(target_arch = "x86_64")]
    if is_available() {
        // SAFETY: the processor has the features that the function is compiled for.
        unsafe { x86_64::compress(state, blocks) };
        return true;
    }
    let _ = (state, blocks);
    false
}

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use std::arch::x86_64::*;

    /// The SHA extensions keep the state as two registers, ABEF and CDGH; an instruction does two
    /// rounds, and two more make the next four words of the message schedule.
    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    pub(super) fn compress(state: &mut [u32; 8], blocks: &[[u8; 64]]) {
        let low = load_words(state, 0);
        let high = load_words(state, 4);
        let cdab = _mm_shuffle_epi32(low, 0xB1);
        let efgh = _mm_shuffle_epi32(high, 0x1B);
        let mut abef = _mm_alignr_epi8(cdab, efgh, 8);
        let mut cdgh = _mm_blend_epi16(efgh, cdab, 0xF0);

        for block in blocks {
            let (abef_before, cdgh_before) = (abef, cdgh);
            let mut schedule = [
                load_block(block, 0),
                load_block(block, 1),
                load_block(block, 2),
                load_block(block, 3),
            ];
            for group in 0..16 {
                let words = if group < 4 { schedule[group] } else { next_words(&schedule) };
                if group >= 4 {
                    schedule = [schedule[1], schedule[2], schedule[3], words];
                }
                let constants = load_words(&super::ROUND_CONSTANTS, 4 * group);
                let sum = _mm_add_epi32(words, constants);
                cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
                abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0E));
            }
            abef = _mm_add_epi32(abef, abef_before);
            cdgh = _mm_add_epi32(cdgh, cdgh_before);
        }

        let feba = _mm_shuffle_epi32(abef, 0x1B);
        let dchg = _mm_shuffle_epi32(cdgh, 0xB1);
        store_words(state, 0, _mm_blend_epi16(feba, dchg, 0xF0));
        store_words(state, 4, _mm_alignr_epi8(dchg, feba, 8));
    }

    /// Words t to t+3 of the schedule, of the sixteen before them.
    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    #[inline]
    fn next_words(schedule: &[__m128i; 4]) -> __m128i {
        let [first, second, third, fourth] = *schedule;
        let partial = _mm_sha256msg1_epu32(first, second);
        let partial = _mm_add_epi32(partial, _mm_alignr_epi8(fourth, third, 4));
        _mm_sha256msg2_epu32(partial, fourth)
    }

    /// Words `4 * quarter` to `4 * quarter + 3` of a block, big-endian there.
    #[target_feature(enable = "sse2,ssse3")]
    #[inline]
    fn load_block(block: &[u8; 64], quarter: usize) -> __m128i {
        let swap = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
        let bytes = &block[16 * quarter..16 * quarter + 16];
        // SAFETY: sixteen live bytes; the load needs no alignment.
        let words = unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) };
        _mm_shuffle_epi8(words, swap)
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    fn load_words(words: &[u32], at: usize) -> __m128i {
        let four = &words[at..at + 4];
        // SAFETY: four live words; the load needs no alignment.
        unsafe { _mm_loadu_si128(four.as_ptr().cast()) }
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    fn store_words(words: &mut [u32; 8], at: usize, value: __m128i) {
        let four = &mut words[at..at + 4];
        // SAFETY: four live, writable words; the store needs no alignment.
        unsafe { _mm_storeu_si128(four.as_mut_ptr().cast(), value) };
    }
}
