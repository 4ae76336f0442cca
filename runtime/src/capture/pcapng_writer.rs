//! Writes captured packets as one pcapng section, so that `-w FILE` keeps what was seen: packets in, bytes out. Little
//! endian, nanoseconds, an interface block when a packet of a new (interface, linktype) comes. Reads nothing back.

use std::collections::HashMap;
use std::io::{self, Write};

use crate::packet::{Linktype, RawPacket};

/// if_tsresol (code 9, 1 byte, padded): 10^-9 seconds; then the end of options.
const INTERFACE_OPTIONS: [u8; 12] = [9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0];

/// Writes pcapng. Each packet is a few small writes: give it a [`io::BufWriter`] for a file.
#[derive(Debug)]
pub struct PcapngWriter<W> {
    out: W,
    interfaces: HashMap<(u32, Linktype), u32>,
}

impl<W: Write> PcapngWriter<W> {
    /// Writes the section header.
    pub fn new(mut out: W) -> io::Result<Self> {
        let mut body = Vec::with_capacity(16);
        body.extend(0x1a2b_3c4d_u32.to_le_bytes());
        // Version 1.0, length of the section unknown.
        body.extend([1, 0, 0, 0]);
        body.extend(u64::MAX.to_le_bytes());
        write_block(&mut out, 0x0a0d_0d0a, &[&body])?;
        Ok(Self { out, interfaces: HashMap::new() })
    }

    /// Writes a packet, and its interface before its first packet.
    pub fn write(&mut self, packet: &RawPacket<'_>) -> io::Result<()> {
        let interface = self.interface(packet.interface, packet.linktype)?;
        let mut header = [0; 20];
        let caplen = u32::try_from(packet.data.len()).map_err(io::Error::other)?;
        // The time goes as its upper half, then its lower.
        let words = [interface, (packet.at >> 32) as u32, packet.at as u32, caplen, packet.origlen.max(caplen)];
        let (places, _) = header.as_chunks_mut::<4>();
        places.iter_mut().zip(words).for_each(|(place, word)| *place = word.to_le_bytes());
        write_block(&mut self.out, 6, &[&header, packet.data])
    }

    /// Hands on what is buffered below.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Flushes, and gives back what was written to.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn interface(&mut self, interface: u32, linktype: Linktype) -> io::Result<u32> {
        if let Some(id) = self.interfaces.get(&(interface, linktype)) {
            return Ok(*id);
        }
        let id = u32::try_from(self.interfaces.len()).map_err(io::Error::other)?;
        // Linktype, reserved, snaplen (0: no limit).
        let [t0, t1] = linktype.0.to_le_bytes();
        write_block(&mut self.out, 1, &[&[t0, t1, 0, 0, 0, 0, 0, 0], &INTERFACE_OPTIONS])?;
        self.interfaces.insert((interface, linktype), id);
        Ok(id)
    }
}

/// Block type, length, body, padding to 4, length again.
fn write_block(out: &mut impl Write, kind: u32, parts: &[&[u8]]) -> io::Result<()> {
    let body: usize = parts.iter().map(|part| part.len()).sum();
    let padding = body.next_multiple_of(4) - body;
    let len = u32::try_from(body + padding + 12).map_err(io::Error::other)?.to_le_bytes();
    out.write_all(&kind.to_le_bytes())?;
    out.write_all(&len)?;
    for part in parts {
        out.write_all(part)?;
    }
    out.write_all([0; 3].get(..padding).unwrap_or(&[]))?;
    out.write_all(&len)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::PcapngWriter;
    use crate::capture::test_files::read_all;
    use crate::packet::{Linktype, RawPacket};

    /// Ethernet, IPv4, UDP from port 1234 to 9, 3 bytes.
    const DATAGRAM: &[u8] = &[
        2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00, // Ethernet
        0x45, 0, 0, 31, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // IPv4
        0x04, 0xd2, 0, 9, 0, 11, 0, 0, b'a', b'b', b'c', // UDP
    ];

    fn written() -> Vec<u8> {
        let whole = RawPacket {
            number: 1,
            at: 1_700_000_000_123_456_789,
            linktype: Linktype::ETHERNET,
            interface: 0,
            origlen: 45,
            data: DATAGRAM,
        };
        let raw = RawPacket { at: whole.at + 1, linktype: Linktype::RAW, origlen: 31, data: &DATAGRAM[14..], ..whole };
        let cut = RawPacket { at: whole.at + 2, interface: 3, data: &DATAGRAM[..43], ..whole };
        let mut writer = PcapngWriter::new(Vec::new()).unwrap();
        for packet in [whole, raw, cut, whole] {
            writer.write(&packet).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn what_is_written_is_read_back_with_an_interface_per_number_and_linktype() {
        let (packets, error) = read_all(written());
        assert!(error.is_none());
        let heads: Vec<_> = packets.iter().map(|p| (p.at % 1_000, p.linktype.0, p.interface, p.origlen)).collect();
        assert_eq!(heads, [(789, 1, 0, 45), (790, 101, 1, 31), (791, 1, 2, 45), (789, 1, 0, 45)]);
        assert_eq!(packets[0].data, DATAGRAM);
        assert_eq!(packets[2].data, DATAGRAM[..43]);
    }

    #[test]
    fn tshark_reads_what_is_written() {
        let tshark = Command::new("tshark")
            .args(["-r", "-", "-T", "fields", "-E", "separator=,"])
            .args(["-e", "frame.time_epoch", "-e", "frame.interface_id", "-e", "frame.len", "-e", "udp.length"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut tshark) = tshark else {
            println!("skipped: tshark is not installed");
            return;
        };
        tshark.stdin.take().unwrap().write_all(&written()).unwrap();
        let output = tshark.wait_with_output().unwrap();
        assert_eq!(
            String::from_utf8(output.stdout).unwrap().lines().collect::<Vec<_>>(),
            [
                "1700000000.123456789,0,45,11",
                "1700000000.123456790,1,31,11",
                "1700000000.123456791,2,45,11",
                "1700000000.123456789,0,45,11",
            ]
        );
    }
}
