//! Remembers which replica saw the beginning of a prompt last, because it may still hold it in its cache.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Entries of one generation; two generations are kept.
const GENERATION: usize = 4_096;
/// Bytes at the beginning of a prompt that count. Long enough to tell system prompts apart.
const PREFIX_BYTES: usize = 1_024;

/// A bounded memory of prompt beginnings.
#[derive(Debug, Default)]
pub(crate) struct Affinity {
    generations: Mutex<(HashMap<u64, usize>, HashMap<u64, usize>)>,
}

/// A number for the beginning of a prompt.
pub(crate) fn fingerprint(prompt: &[u8]) -> u64 {
    let hash = blake3::hash(&prompt[..prompt.len().min(PREFIX_BYTES)]);
    hash.as_bytes().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

impl Affinity {
    /// The replica that saw it last.
    pub(crate) fn recall(&self, fingerprint: u64) -> Option<usize> {
        let generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.0.get(&fingerprint).or_else(|| generations.1.get(&fingerprint)).copied()
    }

    /// Notes the replica that sees it now; what was not used for a generation is forgotten.
    pub(crate) fn note(&self, fingerprint: u64, replica: usize) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if generations.0.len() >= GENERATION {
            let old = std::mem::take(&mut generations.0);
            generations.1 = old;
        }
        generations.0.insert(fingerprint, replica);
    }
}
