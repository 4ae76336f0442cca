//! A message on its way from the wire to the answer: where its body is read, and what became of that.

use protap_plugin::{Stop, Stream};

use crate::compressed::{self, Collected, Compressor};
use crate::header::{Header, OpCode};

/// A message whose header was read.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) header: Header,
    /// Where the message is; messages are emitted here.
    pub(crate) stream: Stream,
    /// Where its body is: the same stream, or one over what was decompressed. Has the texts.
    pub(crate) body: Stream,
    /// Stream offset behind the body.
    pub(crate) limit: u64,
    /// What the body is.
    pub(crate) op_code: OpCode,
    pub(crate) compressor: Option<Compressor>,
    /// Why the body was not decoded, or not in full, although nothing is wrong with it.
    pub(crate) note: Option<&'static str>,
}

impl Message {
    /// Reads the header and declares the frame.
    pub(crate) async fn read(stream: &Stream) -> Result<Self, Stop> {
        let header = Header::read(stream).await?;
        let limit = stream.offset().saturating_add(stream.frame_remaining());
        let body = stream.clone();
        let op_code = header.op_code;
        Ok(Self { header, stream: stream.clone(), body, limit, op_code, compressor: None, note: None })
    }

    /// Decompresses the body, if it is compressed. If that is not possible, a note says so and the op code is left.
    pub(crate) async fn decompress(&mut self, collected: &Collected) -> Result<(), Stop> {
        if self.op_code != OpCode::Compressed {
            return Ok(());
        }
        let envelope = compressed::Envelope::read(&self.stream).await?;
        self.compressor = Some(envelope.compressor);
        match envelope.open(&self.stream, collected).await? {
            Ok(body) => {
                self.limit = body.len() as u64;
                self.op_code = envelope.op_code;
                self.body = self.stream.nested(body);
                self.body.begin_frame(self.limit)
            }
            Err(note) => {
                self.note = Some(note);
                Ok(())
            }
        }
    }
}
