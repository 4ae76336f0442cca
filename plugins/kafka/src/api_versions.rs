//! ApiVersions, versions 0 to 5: the client's software in the request; error and number of APIs in the response. A
//! broker that does not know the request's version answers in the form of version 0 with error 35 (KIP-511); the rest
//! of such an answer is passed over, because not all servers get that form right.

use protap_plugin::{Source, Stop, at_once};

use crate::errors;
use crate::summary::Summary;
use crate::wire::{Fields, Wire};

/// ```text
/// software_name string (3+) | software_version string (3+) | cluster_id nullable string (5+) | node_id i32 (5+)
/// ```
#[at_once]
pub(crate) async fn request(wire: Wire<'_, impl Source>, summary: &mut Summary) -> Result<(), Stop> {
    if wire.version < 3 {
        return Ok(());
    }
    let name = wire.string().await?.unwrap_or_default();
    let version = wire.string().await?.unwrap_or_default();
    summary.software = Some((name, version));
    if wire.version >= 5 {
        wire.skip_string().await?;
        wire.stream.skip(4).await?;
    }
    wire.tags().await
}

/// ```text
/// error i16 | apis: [ key i16 | min i16 | max i16 ] | throttle i32 (1+)
/// ```
#[at_once]
pub(crate) async fn response(wire: Wire<'_, impl Source>, summary: &mut Summary) -> Result<(), Stop> {
    let error = wire.stream.i16_be().await?;
    summary.errors.note(error);
    if error == errors::UNSUPPORTED_VERSION {
        return wire.stream.skip_to_frame_end().await;
    }
    let count = wire.array_len(6).await?;
    let api = |api: &mut Fields<'_, '_>| {
        api.skip(6)?;
        api.tags()
    };
    wire.structures(count, api, drop).await?;
    summary.apis = Some(u64::from(count));
    if wire.version >= 1 {
        summary.throttle_ms = Some(wire.stream.i32_be().await?);
    }
    wire.tags().await
}
