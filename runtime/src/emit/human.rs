//! Numbers for people: about three digits and a unit, or digits in groups of three.

/// Unit sizes in ascending order, each with its suffix.
type Units = [(u64, &'static str)];

const TIME: &Units = &[
    (1, "ns"),
    (1_000, "µs"),
    (1_000_000, "ms"),
    (1_000_000_000, "s"),
    (60_000_000_000, "min"),
    (3_600_000_000_000, "h"),
];
const SIZE: &Units = &[(1, ""), (1_000, "k"), (1_000_000, "M"), (1_000_000_000, "G"), (1_000_000_000_000, "T")];

/// Nanoseconds: `812µs`, `12.3ms`, `120s`.
pub(crate) fn duration(nanoseconds: u64) -> String {
    scaled(nanoseconds, TIME)
}

/// Bytes, or anything else that is counted in thousands: `812`, `1.2k`, `34.5M`.
pub(crate) fn size(count: u64) -> String {
    scaled(count, SIZE)
}

/// All digits: `1,234,567`.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Takes the first unit in which less than a thousand are left after rounding.
fn scaled(value: u64, units: &Units) -> String {
    let mut text = String::new();
    for (unit, suffix) in units {
        let in_units = |parts: u128| (u128::from(value) * parts + u128::from(unit / 2)) / u128::from(*unit);
        let (whole, tenths) = (in_units(1), in_units(10));
        text = if *unit > 1 && tenths < 1_000 {
            format!("{}.{}{suffix}", tenths / 10, tenths % 10)
        } else {
            format!("{whole}{suffix}")
        };
        if whole < 1_000 {
            break;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{count, duration, size};

    #[test]
    fn durations_take_the_unit_that_leaves_three_digits() {
        let second = 1_000_000_000;
        let cases = [
            (0, "0ns"),
            (999, "999ns"),
            (1_000, "1.0µs"),
            (812_345, "812µs"),
            (999_499, "999µs"),
            (999_500, "1.0ms"),
            (12_345_678, "12.3ms"),
            (99_960_000, "100ms"),
            (2 * second, "2.0s"),
            (120 * second, "120s"),
            (1_800 * second, "30.0min"),
            (u64::MAX, "5124096h"),
        ];
        for (value, text) in cases {
            assert_eq!(duration(value), text);
        }
    }

    #[test]
    fn sizes_are_decimal() {
        assert_eq!([size(812), size(1_234), size(16_793_600), size(u64::MAX)], ["812", "1.2k", "16.8M", "18446744T"]);
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!([count(0), count(999), count(1_000), count(1_234_567)], ["0", "999", "1,000", "1,234,567"]);
    }
}
