//! Capture time as text, always UTC. Only the calendar arithmetic that this needs: from days to a date.

use crate::packet::Timestamp;

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;

/// Writes instants that are mostly of the same second as the one before: date and time of day are kept as text.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// The second of `text`, and one more.
    second: u64,
    /// From the opening quote to the point: `"2026-11-22T12:00:00.`
    text: Vec<u8>,
}

impl Clock {
    /// Appends `at` as RFC 3339 in UTC with nine digits, in quotes: `"2026-11-22T12:00:00.123456789Z"`.
    #[inline]
    pub(super) fn put_quoted(&mut self, out: &mut Vec<u8>, at: Timestamp) {
        let second = at / SECOND + 1;
        if second != self.second {
            self.keep(second, at);
        }
        match self.text.first_chunk::<21>() {
            Some(text) => out.extend_from_slice(text),
            None => out.extend_from_slice(&self.text),
        }
        put_digits::<9>(out, at % SECOND);
        out.extend_from_slice(b"Z\"");
    }

    #[cold]
    fn keep(&mut self, second: u64, at: Timestamp) {
        self.second = second;
        self.text.clear();
        self.text.push(b'"');
        put_date(&mut self.text, at);
        self.text.push(b'T');
        put_time_of_day(&mut self.text, at);
        self.text.push(b'.');
    }
}

/// Appends the date of `at`: `2026-11-22`.
pub(super) fn put_date(out: &mut Vec<u8>, at: Timestamp) {
    let (year, month, day) = civil_date(day_of(at));
    put_digits::<4>(out, year);
    out.push(b'-');
    put_digits::<2>(out, month);
    out.push(b'-');
    put_digits::<2>(out, day);
}

/// Appends the time of day: `12:00:00`.
pub(super) fn put_time_of_day(out: &mut Vec<u8>, at: Timestamp) {
    let second = at % DAY / SECOND;
    put_digits::<2>(out, second / 3_600);
    out.push(b':');
    put_digits::<2>(out, second / 60 % 60);
    out.push(b':');
    put_digits::<2>(out, second % 60);
}

/// Appends the microseconds of the second, six digits.
pub(super) fn put_micros(out: &mut Vec<u8>, at: Timestamp) {
    put_digits::<6>(out, at % SECOND / 1_000);
}

/// Days since the epoch.
pub(super) fn day_of(at: Timestamp) -> u64 {
    at / DAY
}

/// Year, month and day of the Gregorian calendar: `civil_from_days` of
/// <https://howardhinnant.github.io/date_algorithms.html>, for days from 1970 on. Years begin in March there, so that
/// the leap day is the last.
fn civil_date(day: u64) -> (u64, u64, u64) {
    let day = day + 719_468;
    let (era, day_of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day_of_month)
}

/// Appends the last `N` decimal digits of `value`.
fn put_digits<const N: usize>(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        // The remainder is below ten, so nothing is cut.
        *digit += (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(&digits);
}

#[cfg(test)]
mod tests {
    use super::{Clock, SECOND, put_micros};

    fn rfc3339(at: u64) -> String {
        let mut out = Vec::new();
        Clock::default().put_quoted(&mut out, at);
        String::from_utf8(out).unwrap().trim_matches('"').to_owned()
    }

    #[test]
    fn known_instants_are_written_as_rfc_3339() {
        let known = [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (951_782_399, "2000-02-28T23:59:59.000000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000000Z"),
            (951_868_800, "2000-03-01T00:00:00.000000000Z"),
            (1_709_164_800, "2024-02-29T00:00:00.000000000Z"),
            (1_740_787_199, "2025-02-28T23:59:59.000000000Z"),
            (1_740_787_200, "2025-03-01T00:00:00.000000000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000000000Z"),
            (2_147_483_648, "2038-01-19T03:14:08.000000000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000000Z"),
            (4_294_967_296, "2106-02-07T06:28:16.000000000Z"),
            (13_574_563_200, "2400-02-29T00:00:00.000000000Z"),
        ];
        for (second, text) in known {
            assert_eq!(rfc3339(second * SECOND), text);
        }
    }

    #[test]
    fn fraction_has_nine_digits_and_the_last_instant_fits() {
        assert_eq!(rfc3339(1), "1970-01-01T00:00:00.000000001Z");
        assert_eq!(rfc3339(u64::MAX), "2554-07-21T23:34:33.709551615Z");
    }

    #[test]
    fn an_instant_is_written_the_same_whatever_was_written_before() {
        let mut clock = Clock::default();
        for at in [0, 1, SECOND - 1, SECOND, 0, 59 * SECOND, 951_782_399 * SECOND, 951_782_400 * SECOND, u64::MAX] {
            let mut out = Vec::new();
            clock.put_quoted(&mut out, at);
            assert_eq!(String::from_utf8(out).unwrap(), format!("\"{}\"", rfc3339(at)));
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for number in 0..200_000 {
            assert_eq!(super::civil_date(number), (year, month, day));
            let last = match month {
                2 => 28 + u64::from(is_leap(year)),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            (year, month, day) = match (month, day) {
                (12, 31) => (year + 1, 1, 1),
                (_, day) if day == last => (year, month + 1, 1),
                _ => (year, month, day + 1),
            };
        }
    }

    #[test]
    fn microseconds_are_cut_not_rounded() {
        let mut out = Vec::new();
        put_micros(&mut out, 5 * SECOND + 999_999_999);
        assert_eq!(out, b"999999");
    }
}
