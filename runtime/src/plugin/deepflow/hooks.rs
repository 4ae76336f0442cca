//! What a plugin wants to be called for, as its two exports say it: a bitmap of 128 bits, and which custom messages.

use std::fmt;

/// Bytes of a hook bitmap.
pub(super) const BITMAP: usize = 16;
/// Bytes of a custom message's hook.
pub(super) const CUSTOM_HOOK: usize = 8;

/// What a plugin wants to be called for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// `on_http_req`.
    pub http_request: bool,
    /// `on_http_resp`.
    pub http_response: bool,
    /// `check_payload` and `parse_payload`.
    pub payload: bool,
    /// `on_custom_message`, and for what.
    pub custom: Option<CustomHook>,
}

/// Which custom messages a plugin wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CustomHook {
    /// All of them.
    pub is_all: bool,
    /// At which point: 0 is where a message was parsed, the only one there is.
    pub point: u16,
    /// Of which type: the number of a protocol.
    pub type_code: u32,
}

impl Hooks {
    /// What the bitmap says, and for custom messages the plugin's second answer: a plugin of an era that could not give
    /// it, or does not, is called for none.
    #[must_use]
    pub fn new(bitmap: [u8; BITMAP], custom: Option<[u8; CUSTOM_HOOK]>) -> Self {
        let bits = u128::from_be_bytes(bitmap);
        let is = |bit: u32| bits & (1 << bit) != 0;
        let custom = custom.filter(|_| is(125)).map(CustomHook::new);
        Self { http_request: is(127), http_response: is(126), payload: is(0), custom }
    }

    /// Whether it wants to be called for messages that others parsed.
    #[must_use]
    pub fn has_message_hooks(&self) -> bool {
        self.http_request || self.http_response || self.custom.is_some()
    }
}

impl CustomHook {
    fn new(bytes: [u8; CUSTOM_HOOK]) -> Self {
        let [a, b, c, d, type_code @ ..] = bytes;
        let (all, point) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        Self { is_all: all != 0, point, type_code: u32::from_be_bytes(type_code) }
    }

    /// Whether it wants messages of that type.
    #[must_use]
    pub fn wants(&self, type_code: u32) -> bool {
        self.is_all || (self.point == 0 && self.type_code == type_code)
    }
}

impl fmt::Display for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names();
        f.write_str(if names.is_empty() { "none" } else { &names })
    }
}

impl Hooks {
    fn names(&self) -> String {
        let named = [
            (self.payload, "payload".to_owned()),
            (self.http_request, "http_req".to_owned()),
            (self.http_response, "http_resp".to_owned()),
        ];
        let mut names: Vec<String> = named.into_iter().filter_map(|(is, name)| is.then_some(name)).collect();
        names.extend(self.custom.map(|custom| match custom {
            CustomHook { is_all: true, .. } => "custom(all)".to_owned(),
            CustomHook { type_code, .. } => format!("custom({type_code})"),
        }));
        names.join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::{CustomHook, Hooks};
    use crate::plugin::deepflow::golden::golden;

    #[test]
    fn bitmaps_are_as_the_tables_have_them() {
        let array = |name: &str| <[u8; 16]>::try_from(golden(name)).unwrap();
        let payload = Hooks { payload: true, ..Hooks::default() };
        assert_eq!(Hooks::new(array("hooks_payload"), None), payload);
        let hook = |name: &str| Some(<[u8; 8]>::try_from(golden(name)).unwrap());
        assert_eq!(Hooks::new(array("hooks_payload"), hook("custom_hook_all")), payload);
        let all = Hooks::new(array("hooks_all"), hook("custom_hook_dubbo"));
        assert!(all.http_request && all.http_response && all.payload);
        assert_eq!(all.custom, Some(CustomHook { is_all: false, point: 0, type_code: 40 }));
        assert_eq!(all.to_string(), "payload,http_req,http_resp,custom(40)");
    }

    #[test]
    fn a_hook_for_all_wants_every_type() {
        let bytes = golden("custom_hook_all").try_into().unwrap();
        let hook = CustomHook::new(bytes);
        assert!(hook.is_all && hook.wants(40) && hook.wants(104));
        let dubbo = CustomHook::new(golden("custom_hook_dubbo").try_into().unwrap());
        assert!(dubbo.wants(40) && !dubbo.wants(40 | 1 << 16));
        assert!(!CustomHook { point: 1, ..dubbo }.wants(40));
    }
}
