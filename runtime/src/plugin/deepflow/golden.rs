//! Golden buffers for tests, which were worked out by hand: hexadecimal, with comments.

/// The bytes of a golden buffer.
pub(super) fn golden(name: &str) -> Vec<u8> {
    let file = format!("{}/../tests/goldens/deepflow/{name}.hex", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let digits: String = text.lines().map(|line| line.split('#').next().unwrap_or_default()).collect();
    let digits: Vec<u8> = digits.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
