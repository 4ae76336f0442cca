//! Quantiles of durations in bounded memory. Buckets are log-linear, as in HdrHistogram: each power of two is divided
//! into 32, so a bucket's middle is within 1.6 % of whatever fell into it. Written by hand because 50 lines do, with memory
//! for those powers alone that were met with, and there may be thousands of them: each shard has its own.

/// Buckets per power of two.
const STEPS: usize = 1 << STEP_BITS;
const STEP_BITS: u32 = 5;

/// Counts values; any `u64` will do, here nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatencyHistogram {
    /// The buckets of each power of two, as soon as one of them is hit; up to the highest one: at most 60, and 30 up to
    /// ten seconds.
    powers: Vec<Option<Box<[u64; STEPS]>>>,
    count: u64,
    max: u64,
}

impl LatencyHistogram {
    /// Counts `value`.
    pub fn record(&mut self, value: u64) {
        let index = bucket_of(value);
        if let Some(bucket) = self.power(index / STEPS).get_mut(index % STEPS) {
            *bucket += 1;
        }
        self.count += 1;
        self.max = self.max.max(value);
    }

    /// Adds all that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        for (power, theirs) in other.powers.iter().enumerate() {
            let Some(theirs) = theirs else { continue };
            for (mine, theirs) in self.power(power).iter_mut().zip(&**theirs) {
                *mine += theirs;
            }
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    fn power(&mut self, power: usize) -> &mut [u64] {
        if power >= self.powers.len() {
            self.powers.resize(power + 1, None);
        }
        match self.powers.get_mut(power) {
            Some(buckets) => &mut buckets.get_or_insert_with(|| Box::new([0; STEPS]))[..],
            None => &mut [],
        }
    }

    /// Number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The largest value; zero if there is none.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The median.
    #[must_use]
    pub fn p50(&self) -> Option<u64> {
        self.percentile(50)
    }

    /// What 99 of 100 values do not exceed.
    #[must_use]
    pub fn p99(&self) -> Option<u64> {
        self.percentile(99)
    }

    /// The smallest value that at least `percent` of a hundred values do not exceed; `None` if there are no values.
    #[must_use]
    pub fn percentile(&self, percent: u8) -> Option<u64> {
        let rank = u128::from(self.count) * u128::from(percent.min(100));
        let rank = rank.div_ceil(100).max(1);
        let mut seen = 0_u128;
        for (power, buckets) in self.powers.iter().enumerate() {
            for (step, bucket) in buckets.iter().flat_map(|buckets| buckets.iter().enumerate()) {
                seen += u128::from(*bucket);
                if seen >= rank {
                    return Some(middle_of(power * STEPS + step).min(self.max));
                }
            }
        }
        None
    }
}

/// The first two powers' worth of values have a bucket each.
fn bucket_of(value: u64) -> usize {
    let shift = (value | STEPS as u64).ilog2() - STEP_BITS;
    // Below 32, `value` itself; else 32 for each power of two before, and its five bits after the leading one.
    let index = u64::from(shift) * STEPS as u64 + (value >> shift);
    // At most 1,919, so nothing is cut.
    index as usize
}

fn middle_of(index: usize) -> u64 {
    let shift = (index / STEPS).saturating_sub(1);
    let lowest = (index - shift * STEPS) as u64;
    let lowest = lowest << shift;
    lowest + ((1 << shift) - 1) / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::{LatencyHistogram, bucket_of, middle_of};

    fn histogram(values: &[u64]) -> LatencyHistogram {
        let mut histogram = LatencyHistogram::default();
        values.iter().for_each(|value| histogram.record(*value));
        histogram
    }

    #[test]
    fn no_values_have_no_median() {
        assert_eq!(LatencyHistogram::default().p50(), None);
    }

    #[test]
    fn small_values_are_exact() {
        let values: Vec<_> = (1..=60).collect();
        assert_eq!((histogram(&values).p50(), histogram(&values).p99()), (Some(30), Some(60)));
        assert_eq!(histogram(&[7]).p99(), Some(7));
    }

    #[test]
    fn largest_value_has_the_last_bucket() {
        assert_eq!(bucket_of(u64::MAX), 1_919);
        assert_eq!(histogram(&[u64::MAX]).powers.len(), 60);
        assert!(bucket_of(10_000_000_000) < 960);
    }

    #[test]
    fn buckets_are_in_order_without_holes() {
        for index in 1..1_920 {
            assert!(middle_of(index - 1) < middle_of(index));
            assert_eq!(bucket_of(middle_of(index)), index);
        }
    }

    proptest! {
        #[test]
        fn error_is_below_two_percent(value in any::<u64>(), shift in 0_u32..64) {
            let value = value >> shift;
            let found = middle_of(bucket_of(value));
            prop_assert!(u128::from(found.abs_diff(value)) * 50 <= u128::from(value));
        }

        #[test]
        fn percentile_agrees_with_sorting(mut values in proptest::collection::vec(0_u64..1 << 40, 1..200), percent in 1_u8..=100) {
            let found = histogram(&values).percentile(percent).unwrap();
            values.sort_unstable();
            let exact = values[(values.len() * usize::from(percent)).div_ceil(100) - 1];
            prop_assert!(found.abs_diff(exact) * 50 <= exact);
        }

        #[test]
        fn merging_is_counting_together(one in proptest::collection::vec(any::<u64>(), 0..50), other in proptest::collection::vec(any::<u64>(), 0..50)) {
            let mut merged = histogram(&one);
            merged.merge(&histogram(&other));
            prop_assert_eq!(merged, histogram(&[one, other].concat()));
        }
    }
}
