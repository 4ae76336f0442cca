//! What a server sends: its greeting, and replies. A reply is as many packets as it takes; which ones depends on what
//! was asked, of which the request left a byte with the host, and on what the packets say themselves.
//!
//! ```text
//! result set:  number of columns; as many definitions; [EOF]; rows; EOF, or OK where EOF is deprecated
//! statement:   00, id 4, columns 2, parameters 2, 0, warnings 2; definitions of parameters; [EOF]; of columns; [EOF]
//! login:       any number of requests for something else (fe: another method, 01: more data); OK or ERR
//! ```
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response.html>

use protap_plugin::prelude::*;

use crate::outcome::Ending;
use crate::packet::{FULL, Head, Packet, lenenc};
use crate::told::{Told, emit, fail};
use crate::{Flow, SYSTEM, SYSTEM_NAME, greeting};

/// Bytes of a packet that are looked at: an OK packet with two long numbers, a method's name.
pub(crate) const LOOKED_AT: usize = 40;
/// Bytes of an ERR packet up to its text.
const ERROR_FRONT: usize = 9;

/// How a command is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// OK, EOF or ERR.
    Outcome,
    /// A text.
    Text,
    /// Result sets.
    Results,
    /// Rows (or columns) up to their end.
    Rows,
    /// A prepared statement.
    Statement,
    /// An exchange that ends with OK or ERR.
    Login,
    /// Without end.
    Endless,
}

impl Reply {
    const ALL: [Self; 7] =
        [Self::Outcome, Self::Text, Self::Results, Self::Rows, Self::Statement, Self::Login, Self::Endless];

    /// As the request leaves it with the host.
    pub(crate) fn to_byte(self) -> u8 {
        self as u8
    }

    fn of_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reply| reply.to_byte() == byte)
    }
}

/// Reads what a server sends, from its first packet on.
pub(crate) async fn read(stream: &Stream, flow: &Flow) -> Result<(), Stop> {
    let packet = Packet::begin(stream).await?;
    if packet.number == 0 {
        return read_first(stream, flow, packet).await;
    }
    let asked = stream.pending_front().and_then(|context| Reply::of_byte(*context.first()?));
    let head = packet.head::<LOOKED_AT>(stream).await?;
    // The end of a statement's definitions, where it was not known that there would be one.
    let is_eof = packet.len == 5 && head.first() == Some(0xfe) && asked != Some(Reply::Login);
    if packet.number > 1 && (is_eof || asked.is_none()) {
        return packet.pass(stream).await;
    }
    let mut reading = Reading { stream, flow, packet, head, told: Told::default(), is_exchange: false };
    match asked {
        Some(Reply::Outcome | Reply::Endless) => reading.outcome().await?,
        Some(Reply::Text) => reading.text().await?,
        Some(Reply::Rows) => reading.rows().await?,
        Some(Reply::Statement) => reading.statement().await?,
        Some(Reply::Login) => reading.login().await?,
        // Not asked by anybody that we saw: it may be anything, but most are result sets or end at once.
        Some(Reply::Results) | None => reading.results().await?,
    }
    stream.emit(|output, _| emit(output, &reading.told, asked.is_some()));
    if asked == Some(Reply::Login) && reading.told.status == Status::Ok && greeting::is_compressed(flow) {
        return Err(Stop::Opaque("compressed"));
    }
    Ok(())
}

/// A greeting, or why the server does not greet.
async fn read_first(stream: &Stream, flow: &Flow, packet: Packet) -> Result<(), Stop> {
    let head = packet.head::<ERROR_FRONT>(stream).await?;
    let Some(Ending::Error(error)) = Ending::decode(head.bytes(), packet.len) else {
        return greeting::read(stream, flow, packet).await;
    };
    stream.begin_frame(4 + packet.len)?;
    stream.emit(|output, _| fail(output.one_way("REFUSAL").str(SYSTEM, SYSTEM_NAME), error).emit());
    Ok(())
}

/// A reply that is being read: its latest packet, of which nothing but the header is read yet.
struct Reading<'a> {
    stream: &'a Stream,
    flow: &'a Flow,
    packet: Packet,
    head: Head<LOOKED_AT>,
    told: Told,
    /// The client sends packets too, which count.
    is_exchange: bool,
}

impl Reading<'_> {
    fn ending(&self) -> Option<Ending> {
        Ending::decode(self.head.bytes(), self.packet.len)
    }

    /// Passes over the packet.
    async fn pass(&self) -> Result<(), Stop> {
        self.packet.pass(self.stream).await
    }

    /// Passes over the packet and begins the next one.
    async fn next(&mut self) -> Result<(), Stop> {
        self.pass().await?;
        let before = self.packet;
        self.packet = Packet::begin(self.stream).await?;
        let is_next = self.packet.number == before.number.wrapping_add(1);
        if !is_next && !self.is_exchange && before.len < FULL {
            return Err(Stop::Malformed("a packet out of order"));
        }
        self.head = self.packet.head(self.stream).await?;
        Ok(())
    }

    async fn outcome(&mut self) -> Result<(), Stop> {
        loop {
            let ending = self.ending().ok_or(Stop::Malformed("neither OK, EOF nor ERR"))?;
            if !ending.is_progress() {
                self.told.end(ending);
                return self.pass().await;
            }
            self.next().await?;
        }
    }

    async fn text(&mut self) -> Result<(), Stop> {
        if self.head.first() == Some(0xff) {
            return self.outcome().await;
        }
        self.told.status = Status::Ok;
        self.pass().await
    }

    async fn login(&mut self) -> Result<(), Stop> {
        self.is_exchange = true;
        while !matches!(self.head.first(), Some(0 | 0xff)) {
            if self.head.first() == Some(0xfe) {
                self.told.method = Some(self.head);
            }
            self.next().await?;
        }
        self.outcome().await
    }

    async fn results(&mut self) -> Result<(), Stop> {
        loop {
            match self.head.first() {
                // The server wants a file.
                Some(0xfb) => {
                    self.flow.file.set(Some(self.packet.number));
                    self.is_exchange = true;
                    self.next().await?;
                    self.flow.file.set(None);
                    continue;
                }
                Some(0 | 0xfe | 0xff) => {}
                _ => self.columns().await?,
            }
            let Some(ending) = self.ending() else { return Err(Stop::Malformed("no result set")) };
            if ending.is_progress() {
                self.next().await?;
                continue;
            }
            self.told.end(ending);
            if !ending.has_more() {
                return self.pass().await;
            }
            self.next().await?;
        }
    }

    /// A result set up to its last packet.
    async fn columns(&mut self) -> Result<(), Stop> {
        let mut reader = Reader::new(self.head.bytes());
        let columns = lenenc(&mut reader).filter(|columns| *columns <= 4096);
        let columns = columns.ok_or(Stop::Malformed("no number of columns"))?;
        // MariaDB says behind the number whether definitions follow that the client has already.
        let has_definitions = reader.u8() != Ok(0);
        self.next().await?;
        if has_definitions {
            self.definitions(columns).await?;
        }
        let ending = self.ending();
        self.flow.eof_seen.set(Some(matches!(ending, Some(Ending::Eof { .. }))));
        if let Some(eof @ Ending::Eof { .. }) = ending {
            if eof.has_cursor() {
                return Ok(());
            }
            self.next().await?;
        }
        self.pass_rows().await
    }

    async fn definitions(&mut self, count: u64) -> Result<(), Stop> {
        for _ in 0..count {
            self.next().await?;
        }
        Ok(())
    }

    /// Rows, up to the packet behind the last one. (A row that begins with fe has a value of 16 MB.)
    async fn pass_rows(&mut self) -> Result<(), Stop> {
        let rows = self.told.rows.get_or_insert(0);
        let mut count = *rows;
        while !(self.head.first() == Some(0xff) || self.head.first() == Some(0xfe) && self.packet.len < FULL) {
            count = count.saturating_add(1);
            self.next().await?;
        }
        self.told.rows = Some(count);
        Ok(())
    }

    async fn rows(&mut self) -> Result<(), Stop> {
        self.pass_rows().await?;
        self.outcome().await
    }

    async fn statement(&mut self) -> Result<(), Stop> {
        if self.head.first() != Some(0) {
            return self.outcome().await;
        }
        let mut reader = Reader::new(self.head.bytes());
        let mut read = || {
            reader.skip(5).ok()?;
            Some([reader.u16_le().ok()?, reader.u16_le().ok()?])
        };
        let [columns, parameters] = read().ok_or(Stop::Malformed("no statement"))?;
        self.told.status = Status::Ok;
        for count in [parameters, columns].into_iter().filter(|count| *count > 0) {
            self.definitions(count.into()).await?;
            // Whether one more packet ends the definitions was agreed on at login.
            if self.flow.has_eof() == Some(true) {
                self.next().await?;
            }
        }
        self.pass().await
    }
}
