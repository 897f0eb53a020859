//! Numbers that look random and depend on the seed alone.

use sha2::{Digest, Sha256};

/// One draw.
pub(super) struct Chance(u64);

impl Chance {
    /// The draw of a seed.
    pub(super) fn new(seed: &[u8]) -> Self {
        let digest: [u8; 32] = Sha256::digest(seed).into();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        Self(u64::from_be_bytes(first))
    }

    /// A number in `low..=high`; both ends may be drawn.
    pub(super) fn between(&self, low: i64, high: i64) -> i64 {
        let (low, high) = (i128::from(low.min(high)), i128::from(low.max(high)));
        let span = (high - low + 1).unsigned_abs();
        // At most 2^64 times less than 2^64.
        let offset = (u128::from(self.0) * span) >> 64;
        let drawn = low + i128::try_from(offset).unwrap_or(0);
        i64::try_from(drawn).unwrap_or(i64::MAX)
    }

    /// A position below a length, which must not be zero.
    pub(super) fn below(&self, length: usize) -> usize {
        let last = i64::try_from(length.saturating_sub(1)).unwrap_or(i64::MAX);
        usize::try_from(self.between(0, last)).unwrap_or(0)
    }

    /// A number in `[0, 1)`.
    pub(super) fn unit(&self) -> f64 {
        const STEPS: f64 = 9_007_199_254_740_992.0; // 2^53
        (self.0 >> 11) as f64 / STEPS
    }
}
