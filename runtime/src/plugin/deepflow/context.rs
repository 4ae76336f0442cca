//! What a plugin is told of a call: the layouts that its imports write into its memory. All integers are big-endian, a
//! string is a u16 length and bytes.
//!
//! ```text
//! every call       IP version u8, source, destination (4 or 16 each), ports u16, u16, l4 u8, l7 u8, eBPF type u8,
//!                  microseconds u64, direction u8, process name (u8 length, bytes), flow id u64, buf_size u16
//! HTTP request     path, host, user agent, referer: strings
//! HTTP response    code u16, status u8, endpoint string: as much as the guest has room for
//! custom message   hook point u16, type u32, length of a protobuf message u32, that message
//! ```

use std::net::IpAddr;

use crate::packet::{Endpoint, Timestamp, Transport};
use crate::record::Status;

/// eBPF type of what a tracepoint saw.
pub const TRACEPOINT: u8 = 0;
/// eBPF type of what was seen in a TLS library.
pub const TLS_UPROBE: u8 = 1;
/// eBPF type of what no BPF program saw. Plugins refuse numbers that they do not know.
pub const NO_EBPF: u8 = 255;

/// What every call tells.
#[derive(Clone, Debug)]
pub struct Base<'a> {
    /// Who sent the payload.
    pub source: Endpoint,
    /// Who received it.
    pub destination: Endpoint,
    /// TCP or UDP.
    pub transport: Transport,
    /// Number of the protocol, 0 if unknown.
    pub l7: u8,
    /// How it was captured.
    pub ebpf_type: u8,
    /// When.
    pub now: Timestamp,
    /// It goes from server to client.
    pub is_response: bool,
    /// Name of the process.
    pub process: &'a str,
    /// Names the flow.
    pub flow_id: u64,
    /// Room that the guest should make for the payload; not 0.
    pub buf_size: u16,
}

impl Base<'_> {
    /// Writes the layout in place of what `out` holds.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.clear();
        out.push(if self.source.ip.is_ipv4() { 4 } else { 6 });
        for ip in [self.source.ip, self.destination.ip] {
            match ip {
                IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
                IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
            }
        }
        for port in [self.source.port, self.destination.port] {
            out.extend_from_slice(&port.to_be_bytes());
        }
        let l4 = if self.transport == Transport::Tcp { 6 } else { 17 };
        out.extend_from_slice(&[l4, self.l7, self.ebpf_type]);
        out.extend_from_slice(&(self.now / 1000).to_be_bytes());
        out.push(u8::from(self.is_response));
        let process = self.process.as_bytes();
        let process = process.get(..255).unwrap_or(process);
        out.push(u8::try_from(process.len()).unwrap_or(0));
        out.extend_from_slice(process);
        out.extend_from_slice(&self.flow_id.to_be_bytes());
        out.extend_from_slice(&self.buf_size.to_be_bytes());
    }
}

/// What a call is about, beside what every call tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum About {
    /// A payload alone.
    #[default]
    Payload,
    /// An HTTP request, laid out.
    HttpRequest(Vec<u8>),
    /// An HTTP response, laid out; the guest may have room for some of it.
    HttpResponse(Vec<u8>),
    /// A custom message, laid out.
    Custom(Vec<u8>),
}

impl About {
    /// An HTTP request.
    #[must_use]
    pub fn http_request(path: &str, host: &str, user_agent: &str, referer: &str) -> Self {
        let mut out = Vec::new();
        for text in [path, host, user_agent, referer] {
            put_string(&mut out, text);
        }
        Self::HttpRequest(out)
    }

    /// An HTTP response.
    #[must_use]
    pub fn http_response(code: u16, status: Status, endpoint: &str) -> Self {
        let status = match status {
            Status::Ok => 0,
            Status::Timeout => 2,
            Status::ServerError => 3,
            Status::ClientError => 4,
            Status::Unknown => 5,
        };
        let mut out = code.to_be_bytes().to_vec();
        out.push(status);
        put_string(&mut out, endpoint);
        Self::HttpResponse(out)
    }

    /// A custom message whose payload the guest reads itself.
    #[must_use]
    pub fn custom(type_code: u32) -> Self {
        let mut out = vec![0, 0];
        out.extend_from_slice(&type_code.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        Self::Custom(out)
    }

    /// Of a response, what fits: all; code and status; the code.
    #[must_use]
    pub fn fitting(response: &[u8], room: usize) -> Option<&[u8]> {
        [response.len(), 3, 2].into_iter().filter(|len| *len <= room).find_map(|len| response.get(..len))
    }
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let bytes = bytes.get(..usize::from(u16::MAX)).unwrap_or(bytes);
    out.extend_from_slice(&u16::try_from(bytes.len()).unwrap_or(0).to_be_bytes());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::{About, Base, NO_EBPF, TRACEPOINT};
    use crate::packet::{Endpoint, Transport};
    use crate::plugin::deepflow::golden::golden;
    use crate::record::Status;

    fn end(ip: &str, port: u16) -> Endpoint {
        Endpoint { ip: ip.parse().unwrap(), port }
    }

    #[test]
    fn the_base_is_as_the_tables_have_it() {
        let v4 = Base {
            source: end("1.2.3.4", 12345),
            destination: end("5.6.7.8", 8080),
            transport: Transport::Tcp,
            l7: 0,
            ebpf_type: TRACEPOINT,
            now: 12_345_678_999,
            is_response: false,
            process: "test_wasm",
            flow_id: 1_234_567,
            buf_size: 999,
        };
        let v6 = Base {
            source: end("2001:db8::1", 50_000),
            destination: end("2001:db8::2", 53),
            transport: Transport::Udp,
            l7: 127,
            ebpf_type: NO_EBPF,
            now: 1_688_849_860_263_936_000,
            is_response: true,
            process: "",
            flow_id: 0x0102_0304_0506_0708,
            buf_size: 8192,
        };
        let mut out = vec![1, 2, 3];
        v4.encode(&mut out);
        assert_eq!(out, golden("ctx_v4"));
        v6.encode(&mut out);
        assert_eq!(out, golden("ctx_v6"));
    }

    #[test]
    fn what_calls_are_about_is_as_the_tables_have_it() {
        let request = About::http_request("/orders?id=7", "shop.example", "curl/8.5.0", "");
        assert_eq!(request, About::HttpRequest(golden("http_req")));
        let response = About::http_response(500, Status::ServerError, "/orders");
        assert_eq!(response, About::HttpResponse(golden("http_resp")));
        assert_eq!(About::custom(40), About::Custom(golden("custom_message")));
    }

    #[test]
    fn a_guest_gets_as_much_of_a_response_as_it_has_room_for() {
        let all = golden("http_resp");
        for (room, len) in [(65_536, 12), (12, 12), (11, 3), (3, 3), (2, 2)] {
            assert_eq!(About::fitting(&all, room), Some(&all[..len]), "{room}");
        }
        assert_eq!(About::fitting(&all, 1), None);
    }
}
