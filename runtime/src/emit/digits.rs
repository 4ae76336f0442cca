//! Numbers as decimal digits, eight of them at a time in one register: what is written of a record is digits for a good part.

/// The same byte eight times.
const fn eight(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// What eight digits count.
const EIGHT_DIGITS: u64 = 100_000_000;

/// Appends the digits of `value`.
#[inline]
pub(super) fn put(out: &mut Vec<u8>, value: u64) {
    if value < 10 {
        return out.push(b'0' | value as u8);
    }
    if value >= EIGHT_DIGITS {
        return put_long(out, value);
    }
    let digits = digits_of(value);
    let zeros = digits.trailing_zeros() / 8;
    let len = out.len() + 8 - zeros as usize;
    out.extend_from_slice(&((digits | eight(b'0')) >> (8 * zeros)).to_le_bytes());
    out.truncate(len);
}

fn put_long(out: &mut Vec<u8>, value: u64) {
    put(out, value / EIGHT_DIGITS);
    put_eight(out, value % EIGHT_DIGITS);
}

/// Appends the last eight digits of a number, zeros included.
#[inline]
pub(super) fn put_eight(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&(digits_of(value % EIGHT_DIGITS) | eight(b'0')).to_le_bytes());
}

/// The digits of a number of eight, the first one in the lowest byte. Each step halves all pieces at once: a piece is
/// divided by a multiplication that is exact for numbers of its size, and its quotient goes below its remainder.
#[inline]
fn digits_of(value: u64) -> u64 {
    let fours = (value / 10_000) | ((value % 10_000) << 32);
    let hundreds = ((fours * 5_243) >> 19) & 0x7f_0000_007f;
    let twos = hundreds | ((fours - hundreds * 100) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((twos - tens * 10) << 8)
}

#[cfg(test)]
mod tests {
    use super::{put, put_eight};

    fn written(put: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = b"before".to_vec();
        put(&mut out);
        String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned()
    }

    #[test]
    fn every_number_of_four_digits_is_written_in_either_half() {
        for number in 0..10_000 {
            assert_eq!(written(|out| put(out, number)), number.to_string());
            assert_eq!(written(|out| put_eight(out, number)), format!("{number:08}"));
            assert_eq!(written(|out| put(out, number * 10_000)), (number * 10_000).to_string());
        }
    }

    #[test]
    fn numbers_are_written_around_every_power_of_ten() {
        for power in 0..20 {
            let power = 10_u64.pow(power);
            for number in [power - 1, power, power + 1, power.saturating_mul(9), u64::MAX / power] {
                assert_eq!(written(|out| put(out, number)), number.to_string());
            }
        }
    }
}
