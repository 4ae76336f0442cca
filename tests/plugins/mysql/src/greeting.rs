//! The beginning of a connection: the server greets, the client logs in or asks for TLS.
//!
//! ```text
//! greeting: 10, version, 0; thread id 4; nonce 8; 0; capabilities 2; charset 1; status 2; capabilities 2 (upper half);
//!           length of the nonce 1; reserved 10; rest of the nonce; name of the authentication method, 0
//! login:    capabilities 4; longest packet 4; charset 1; reserved 23; user, 0; password; [database, 0]; [method, 0]
//! TLS:      a login that ends behind the reserved bytes
//! ```
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html>

use protap_plugin::prelude::*;

use crate::packet::{Packet, lenenc};
use crate::reply::Reply;
use crate::{AUTH_METHOD, Flow, NAMESPACE, SYSTEM, SYSTEM_NAME};

/// Capability: a database is named at login.
const CONNECT_WITH_DB: u32 = 1 << 3;
/// Capability: packets are compressed after the login.
const COMPRESS: u32 = 1 << 5;
/// Capability: the protocol of version 4.1 and later.
pub(crate) const PROTOCOL_41: u32 = 1 << 9;
/// Capability: TLS.
pub(crate) const SSL: u32 = 1 << 11;
/// Capability: the password is preceded by its length.
const SECURE_CONNECTION: u32 = 1 << 15;
/// Capability: the method of authentication is named.
const PLUGIN_AUTH: u32 = 1 << 19;
/// Capability: the password's length is length-encoded.
const LENENC_AUTH: u32 = 1 << 21;
/// Capability: result sets end with an OK packet.
pub(crate) const DEPRECATE_EOF: u32 = 1 << 24;
/// Capability: packets are compressed with zstd after the login.
const COMPRESS_ZSTD: u32 = 1 << 26;
/// Bytes of a login before the user's name; all of a request for TLS.
pub(crate) const LOGIN_FIXED: usize = 32;
/// Longest greeting or login that is looked at.
const LOOKED_AT: usize = 1024;
/// Longest version of a server.
const MAX_VERSION: usize = 128;

/// What a greeting says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Greeting<'a> {
    /// Version of the server.
    pub(crate) version: &'a [u8],
    /// What it is capable of.
    pub(crate) capabilities: u32,
}

impl<'a> Greeting<'a> {
    /// Takes the payload of a greeting apart; `None` if it is none.
    pub(crate) fn decode(payload: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        let protocol = reader.u8().ok()?;
        let version = reader.until(0).ok()?;
        // MariaDB from 10 on says so behind a version that the oldest replicas understand.
        let version = version.strip_prefix(b"5.5.5-").unwrap_or(version);
        let is_version =
            !version.is_empty() && version.len() <= MAX_VERSION && version.iter().all(u8::is_ascii_graphic);
        reader.skip(12).ok()?;
        let zero = reader.u8().ok()?;
        let low = reader.u16_le().ok()?;
        reader.skip(3).ok()?;
        let high = reader.u16_le().ok()?;
        reader.u8().ok()?;
        // MariaDB uses the last four.
        let reserved = reader.bytes(6).ok()?;
        let is_greeting = protocol == 10 && is_version && zero == 0 && reserved.iter().all(|byte| *byte == 0);
        let capabilities = u32::from(low) | u32::from(high) << 16;
        (is_greeting && capabilities & PROTOCOL_41 != 0).then_some(Self { version, capabilities })
    }
}

/// Emits a greeting.
pub(crate) async fn read(stream: &Stream, flow: &Flow, packet: Packet) -> Result<(), Stop> {
    stream.begin_frame(4 + packet.len)?;
    let head = packet.head::<LOOKED_AT>(stream).await?;
    let greeting = Greeting::decode(head.bytes()).ok_or(Stop::Malformed("no greeting"))?;
    flow.server.set(Some(greeting.capabilities));
    stream.emit(|output, _| {
        output.one_way("GREETING").version(greeting.version).str(SYSTEM, SYSTEM_NAME).emit();
    });
    Ok(())
}

/// What a login says, as far as it may be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Login<'a> {
    database: Option<&'a [u8]>,
    method: Option<&'a [u8]>,
}

impl<'a> Login<'a> {
    fn decode(payload: &'a [u8], capabilities: u32) -> Option<Self> {
        let has = |capability| capabilities & capability != 0;
        let mut reader = Reader::new(payload.get(LOGIN_FIXED..)?);
        reader.until(0).ok()?;
        if has(LENENC_AUTH) {
            let len = lenenc(&mut reader)?;
            reader.skip(usize::try_from(len).ok()?).ok()?;
        } else if has(SECURE_CONNECTION) {
            let len = reader.u8().ok()?;
            reader.skip(len.into()).ok()?;
        } else {
            reader.until(0).ok()?;
        }
        let database = if has(CONNECT_WITH_DB) { reader.until(0).ok() } else { None };
        let method = if has(PLUGIN_AUTH) { reader.until(0).ok() } else { None };
        Some(Self { database: database.filter(|name| !name.is_empty()), method })
    }
}

/// Emits a login, or hands over a flow that turns to TLS.
pub(crate) async fn read_login(stream: &Stream, flow: &Flow, packet: Packet) -> Result<(), Stop> {
    stream.begin_frame(4 + packet.len)?;
    let head = packet.head::<LOOKED_AT>(stream).await?;
    let capabilities = Reader::new(head.bytes()).u32_le().map_err(|_| Stop::Malformed("no login"))?;
    let is_for_tls = capabilities & SSL != 0 && packet.len == LOGIN_FIXED as u64;
    if is_for_tls {
        stream.emit(|output, _| output.one_way("SSL_REQUEST").str(SYSTEM, SYSTEM_NAME).emit());
        packet.pass(stream).await?;
        return Err(Stop::Handover(stream.offset(), "TLS"));
    }
    if capabilities & PROTOCOL_41 == 0 {
        return Err(Stop::Opaque("the protocol before 4.1"));
    }
    flow.client.set(Some(capabilities));
    let login = Login::decode(head.bytes(), capabilities);
    stream.emit(|output, _| {
        let mut message = output.request("LOGIN").context([Reply::Login.to_byte()]).str(SYSTEM, SYSTEM_NAME);
        if let Some(database) = login.and_then(|login| login.database) {
            message = message.domain(database).str(NAMESPACE, database);
        }
        if let Some(method) = login.and_then(|login| login.method) {
            message = message.str(AUTH_METHOD, method);
        }
        if login.is_none() {
            message = message.partial("a login that is not understood");
        }
        message.emit();
    });
    Ok(())
}

/// Whether packets are compressed from the end of the login on.
pub(crate) fn is_compressed(flow: &Flow) -> bool {
    flow.agreed(COMPRESS) == Some(true) || flow.agreed(COMPRESS_ZSTD) == Some(true)
}
