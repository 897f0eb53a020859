//! Chance from a seed: SplitMix64 and the distributions that loads are made of.

/// A stream of numbers that is a function of its seed.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits (SplitMix64, Steele et al. 2014).
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Evenly from zero to below one.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit exactly")]
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Evenly from zero to below `end`; zero if that is zero.
    pub fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.bits() % end }
    }

    /// True so often in a hundred.
    pub fn percent(&mut self, percent: u64) -> bool {
        percent > 0 && self.below(100) < percent
    }

    /// Exponential with the given mean.
    pub fn exponential_ms(&mut self, mean_ms: u64) -> u64 {
        scale(mean_ms, -(1.0 - self.unit()).ln())
    }

    /// Log-normal with the given median and the spread of its logarithm.
    pub fn log_normal_ms(&mut self, median_ms: u64, sigma: f64) -> u64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * self.unit()).cos();
        scale(median_ms, (sigma * normal).exp()).max(1)
    }

    /// An index below `count` by Zipf's law: the first is the most popular.
    pub fn zipf(&mut self, count: usize, exponent: f64) -> usize {
        let weight = |rank: usize| (1.0 + to_float(rank)).powf(-exponent);
        let total: f64 = (0..count).map(weight).sum();
        let mut left = self.unit() * total;
        for rank in 0..count {
            left -= weight(rank);
            if left < 0.0 {
                return rank;
            }
        }
        count.saturating_sub(1)
    }
}

#[expect(clippy::cast_precision_loss, reason = "ranks are small")]
fn to_float(rank: usize) -> f64 {
    rank as f64
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a length of time that is generated needs no more precision"
)]
fn scale(ms: u64, factor: f64) -> u64 {
    (ms as f64 * factor) as u64
}
