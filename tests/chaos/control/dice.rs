//! Chance that is the same for the same seed.

use std::time::Duration;

/// Numbers that look random. Their seed is printed, so a failure names it.
#[derive(Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `sides`.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    /// One of several.
    pub(crate) fn pick<'a, T>(&mut self, some: &'a [T]) -> &'a T {
        let count = u64::try_from(some.len()).unwrap();
        &some[usize::try_from(self.roll(count)).unwrap()]
    }

    /// A moment within so many milliseconds. The moment of a kill is what these tests vary.
    pub(crate) fn moment(&mut self, within_ms: u64) -> Duration {
        Duration::from_millis(self.roll(within_ms))
    }
}
