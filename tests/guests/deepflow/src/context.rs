//! What the host tells of a call.

use crate::record::Era;

/// What every call tells, as far as it is used here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base {
    pub source_port: u16,
    pub destination_port: u16,
    pub l4: u8,
    pub l7: u8,
    pub ebpf_type: u8,
    pub microseconds: u64,
    pub is_response: bool,
    pub process: String,
    /// From the second era on.
    pub flow_id: u64,
    /// From the second era on.
    pub buf_size: u16,
}

impl Base {
    /// Reads the call context; the first era's ended behind the process name.
    pub fn decode(bytes: &[u8], era: Era) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let addresses = match version {
            4 => 8,
            6 => 32,
            _ => return None,
        };
        let (ports, rest) = rest.get(addresses..)?.split_first_chunk::<4>()?;
        let ([l4, l7, ebpf_type], rest) = rest.split_first_chunk()?;
        let (microseconds, rest) = rest.split_first_chunk()?;
        let ([direction, len], rest) = rest.split_first_chunk()?;
        let (process, rest) = rest.split_at_checked(usize::from(*len))?;
        let mut base = Self {
            source_port: u16::from_be_bytes([ports[0], ports[1]]),
            destination_port: u16::from_be_bytes([ports[2], ports[3]]),
            l4: *l4,
            l7: *l7,
            ebpf_type: *ebpf_type,
            microseconds: u64::from_be_bytes(*microseconds),
            is_response: *direction == 1,
            process: String::from_utf8_lossy(process).into_owned(),
            ..Self::default()
        };
        if era > Era::L0 {
            let (flow_id, rest) = rest.split_first_chunk()?;
            base.flow_id = u64::from_be_bytes(*flow_id);
            base.buf_size = u16::from_be_bytes(*rest.first_chunk()?);
        }
        Some(base)
    }
}

/// Four strings.
pub fn strings(mut bytes: &[u8]) -> Option<[String; 4]> {
    let mut next = || {
        let (len, rest) = bytes.split_first_chunk()?;
        let (text, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        bytes = rest;
        Some(String::from_utf8_lossy(text).into_owned())
    };
    Some([next()?, next()?, next()?, next()?])
}

#[cfg(test)]
mod tests {
    use super::{Base, strings};
    use crate::golden::golden;
    use crate::record::Era;

    #[test]
    fn contexts_are_as_the_goldens_have_them() {
        let base = Base::decode(&golden("ctx_v4"), Era::L4).unwrap();
        assert_eq!((base.source_port, base.destination_port, base.l4, base.l7), (12345, 8080, 6, 0));
        assert_eq!((base.microseconds, base.is_response, base.process.as_str()), (12_345_678, false, "test_wasm"));
        assert_eq!((base.flow_id, base.buf_size), (1_234_567, 999));
        let base = Base::decode(&golden("ctx_v6"), Era::L4).unwrap();
        assert_eq!((base.l4, base.l7, base.ebpf_type, base.is_response), (17, 127, 255, true));
        assert_eq!(Base::decode(&golden("ctx_v4"), Era::L0).unwrap().flow_id, 0);
        let texts = strings(&golden("http_req")).unwrap();
        assert_eq!(texts, ["/orders?id=7", "shop.example", "curl/8.5.0", ""]);
    }
}
