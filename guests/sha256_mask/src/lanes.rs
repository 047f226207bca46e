//! SHA-256 (FIPS 180-4) of four short values at a time, one in each lane of a
//! vector: WebAssembly has vectors, and no instruction for SHA-256. Longer
//! values are left to `sha2`.

use alloc::{vec, vec::Vec};
use core::array;

use sha2::{Digest, Sha256};
use wide::u32x4;

const LANES: usize = 4;
const BLOCK_BYTES: usize = 64;
/// The longest value that fits a block, with a mark and its length after it.
const SHORT_BYTES_MAX: usize = BLOCK_BYTES - 1 - size_of::<u64>();

const INITIAL: [u32; 8] = [
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];

const ROUND: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
];

/// SHA-256 of each value, in order.
pub fn digests(values: &[&str]) -> Vec<[u8; 32]> {
    let mut digests = vec![[0; 32]; values.len()];
    let mut waiting = [0; LANES];
    let mut count = 0;
    let hash_waiting = |places: &[usize], digests: &mut [[u8; 32]]| {
        // A lane without a value hashes the empty one, for nobody.
        let value = |lane: usize| places.get(lane).map_or("", |&place| values[place]);
        let hashed = four(array::from_fn(|lane| value(lane).as_bytes()));
        for (place, digest) in places.iter().zip(hashed) {
            digests[*place] = digest;
        }
    };
    for (place, value) in values.iter().enumerate() {
        if value.len() > SHORT_BYTES_MAX {
            digests[place] = Sha256::digest(value).into();
            continue;
        }
        waiting[count] = place;
        count += 1;
        if count == LANES {
            hash_waiting(&waiting, &mut digests);
            count = 0;
        }
    }
    if count > 0 {
        hash_waiting(&waiting[..count], &mut digests);
    }
    digests
}

/// SHA-256 of four short values.
fn four(values: [&[u8]; LANES]) -> [[u8; 32]; LANES] {
    let blocks = values.map(block);
    let mut schedule: [u32x4; 16] = array::from_fn(|word| {
        u32x4::from(array::from_fn::<u32, LANES, _>(|lane| blocks[lane][word]))
    });
    let mut state = INITIAL.map(u32x4::from);
    let (sixteens, _) = ROUND.as_chunks();
    for (turn, rounds) in sixteens.iter().enumerate() {
        sixteen_steps(&mut state, &schedule, rounds);
        if turn + 1 < sixteens.len() {
            schedule = sixteen_later(schedule);
        }
    }
    let state: [[u32; LANES]; 8] =
        array::from_fn(|word| (state[word] + u32x4::from(INITIAL[word])).into());
    array::from_fn(|lane| {
        let mut digest = [0; 32];
        let (words, _) = digest.as_chunks_mut();
        for (bytes, word) in words.iter_mut().zip(state) {
            *bytes = word[lane].to_be_bytes();
        }
        digest
    })
}

/// The one block of a short value: the value, a mark, zeros, its length in bits.
fn block(value: &[u8]) -> [u32; 16] {
    let mut bytes = [0; BLOCK_BYTES];
    bytes[..value.len()].copy_from_slice(value);
    bytes[value.len()] = 0x80;
    let (words, _) = bytes.as_chunks();
    let mut block = array::from_fn(|word| u32::from_be_bytes(words[word]));
    block[15] = 8 * value.len() as u32;
    block
}

/// Written out sixteen times: words that are found by a constant stay in
/// registers.
macro_rules! for_each_word {
    ($word:ident => $work:block) => {
        for_each_word!($word => $work 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    };
    ($word:ident => $work:block $($place:literal)*) => {
        $({
            const $word: usize = $place;
            $work
        })*
    };
}

fn sixteen_steps(state: &mut [u32x4; 8], schedule: &[u32x4; 16], rounds: &[u32; 16]) {
    for_each_word!(WORD => {
        step(state, u32x4::from(rounds[WORD]) + schedule[WORD]);
    });
}

/// What the schedule is sixteen rounds later.
fn sixteen_later(mut schedule: [u32x4; 16]) -> [u32x4; 16] {
    for_each_word!(WORD => {
        let [first, second, third] = [1, 9, 14].map(|ahead| schedule[(WORD + ahead) % 16]);
        schedule[WORD] = schedule[WORD] + small_0(first) + second + small_1(third);
    });
    schedule
}

/// One round.
#[inline(always)]
fn step(state: &mut [u32x4; 8], added: u32x4) {
    let [a, b, c, d, e, f, g, h] = *state;
    let choice = g ^ (e & (f ^ g));
    let majority = (a & b) | (c & (a | b));
    let first = h + large_1(e) + choice + added;
    let second = large_0(a) + majority;
    *state = [first + second, a, b, c, d + first, e, f, g];
}

fn large_0(word: u32x4) -> u32x4 {
    turn::<2>(word) ^ turn::<13>(word) ^ turn::<22>(word)
}

fn large_1(word: u32x4) -> u32x4 {
    turn::<6>(word) ^ turn::<11>(word) ^ turn::<25>(word)
}

fn small_0(word: u32x4) -> u32x4 {
    turn::<7>(word) ^ turn::<18>(word) ^ (word >> 3_u32)
}

fn small_1(word: u32x4) -> u32x4 {
    turn::<17>(word) ^ turn::<19>(word) ^ (word >> 10_u32)
}

/// Turns each lane right.
fn turn<const BITS: u32>(word: u32x4) -> u32x4 {
    (word >> BITS) | (word << (32 - BITS))
}

#[cfg(test)]
mod tests {
    extern crate std;

    use alloc::string::String;

    use super::*;

    #[test]
    fn every_digest_is_what_sha2_says() {
        let texts: Vec<String> = (0..200)
            .map(|n: usize| "\u{e9}x7".chars().cycle().take(n * 37 % 130).collect())
            .collect();
        // Of each count, so that each number of lanes is left over.
        for count in 0..texts.len() {
            let values: Vec<&str> = texts[..count].iter().map(String::as_str).collect();
            let expected: Vec<[u8; 32]> = values
                .iter()
                .map(|value| Sha256::digest(value).into())
                .collect();
            assert_eq!(digests(&values), expected);
        }
    }

    #[test]
    fn a_value_of_each_short_length_is_hashed_in_a_lane() {
        for length in 0..=SHORT_BYTES_MAX {
            let values = [length, 0, SHORT_BYTES_MAX, length / 2].map(|length| vec![b'x'; length]);
            let hashed = four([&values[0], &values[1], &values[2], &values[3]]);
            for (value, digest) in values.iter().zip(hashed) {
                assert_eq!(digest, <[u8; 32]>::from(Sha256::digest(value)));
            }
        }
    }
}
