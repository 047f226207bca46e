//! Ways to break a file, few at a time.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

const MUTATIONS_MAX: usize = 8;
/// The longest part that is cut out, doubled or brought in, in bytes.
const PART_BYTES_MAX: usize = 256;
/// What a part can be repeated to at the most.
const REPEATS_MAX: usize = 64;

/// One change to a file, at a place that depends on its length.
#[derive(Clone, Debug)]
enum Mutation {
    Flip(Index, u8),
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Cut(Index, usize),
    Truncate(Index),
    Repeat(Index, usize, usize),
    Overwrite(Index, Vec<u8>),
    Swap(Index, Index, usize),
}

/// A file of the corpus with a few mutations; simpler with fewer.
pub fn mutated(
    corpus: Vec<Vec<u8>>,
    words: &'static [&'static [u8]],
) -> impl Strategy<Value = Vec<u8>> {
    let corpus = Arc::new(corpus);
    let mutations = vec(mutation(words), 0..=MUTATIONS_MAX);
    (any::<Index>(), mutations).prop_map(move |(file, mutations)| {
        let file = corpus[file.index(corpus.len())].clone();
        mutations.into_iter().fold(file, apply)
    })
}

fn mutation(words: &'static [&'static [u8]]) -> impl Strategy<Value = Mutation> {
    let place = any::<Index>;
    let length = || 1..PART_BYTES_MAX;
    let byte = prop_oneof![any::<u8>(), select(&[0, 1, 0x7f, 0x80, 0xff][..])];
    let word = || select(words).prop_map(<[u8]>::to_vec);
    prop_oneof![
        1 => (place(), 0..8_u8).prop_map(|(at, bit)| Mutation::Flip(at, 1 << bit)),
        1 => (place(), byte).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        2 => (place(), word()).prop_map(|(at, word)| Mutation::Insert(at, word)),
        2 => (place(), word()).prop_map(|(at, word)| Mutation::Overwrite(at, word)),
        1 => (place(), length()).prop_map(|(at, length)| Mutation::Cut(at, length)),
        1 => place().prop_map(Mutation::Truncate),
        1 => (place(), length(), 1..REPEATS_MAX)
            .prop_map(|(at, length, times)| Mutation::Repeat(at, length, times)),
        1 => (place(), place(), length())
            .prop_map(|(one, other, length)| Mutation::Swap(one, other, length)),
    ]
}

fn apply(mut file: Vec<u8>, mutation: Mutation) -> Vec<u8> {
    let place = |at: Index| at.index(file.len() + 1);
    let part = |start: usize, length: usize| start..(start + length).min(file.len());
    match mutation {
        Mutation::Flip(at, bits) => {
            let at = place(at);
            if let Some(byte) = file.get_mut(at) {
                *byte ^= bits;
            }
        }
        Mutation::Set(at, new) => {
            let at = place(at);
            if let Some(byte) = file.get_mut(at) {
                *byte = new;
            }
        }
        Mutation::Insert(at, word) => {
            let at = place(at);
            file.splice(at..at, word);
        }
        Mutation::Overwrite(at, word) => {
            let part = part(place(at), word.len());
            file.splice(part, word);
        }
        Mutation::Cut(at, length) => {
            let part = part(place(at), length);
            file.drain(part);
        }
        Mutation::Truncate(at) => {
            let at = place(at);
            file.truncate(at);
        }
        Mutation::Repeat(at, length, times) => {
            let part = part(place(at), length);
            let repeated = file[part.clone()].repeat(times);
            file.splice(part.end..part.end, repeated);
        }
        Mutation::Swap(one, other, length) => {
            let moved: Vec<u8> = file.drain(part(place(one), length)).collect();
            let to = other.index(file.len() + 1);
            file.splice(to..to, moved);
        }
    }
    file
}
