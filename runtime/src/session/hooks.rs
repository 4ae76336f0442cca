//! Hooks on messages: a plugin may be called for what another one parsed, and add to it. Of the messages of an answer, each
//! that says something new (whole, or the first of its parts) is shown to the plugins that ask for messages of its
//! protocol, with its first bytes as far as they are at hand; what the first one that answers says is merged into it.

use crate::plugin::content::{Message, MessagePart};
use crate::plugin::deepflow::{FlowView, HookedMessage};
use crate::quarantine::Scene;
use crate::running::Handle;

use super::SessionContext;

/// The answer that messages are of.
pub(super) struct Hooked<'a> {
    pub(super) plugin: usize,
    pub(super) handle: Handle,
    /// Stream offset of the window.
    pub(super) offset: u64,
    pub(super) window: &'a [u8],
    pub(super) flow: FlowView<'a>,
    /// Plugins that failed on the flow's bytes.
    pub(super) banned: &'a mut Vec<usize>,
}

impl Hooked<'_> {
    /// Calls whoever is to be called.
    pub(super) fn call(mut self, messages: &mut [Message], cx: &mut SessionContext<'_>) {
        for message in messages {
            let is_new = matches!(message.part, MessagePart::Whole | MessagePart::Begin(_)) && !message.is_cancel;
            if is_new {
                self.show(message, cx);
            }
        }
    }

    fn show(&mut self, message: &mut Message, cx: &mut SessionContext<'_>) {
        let Some(plugin) = cx.plugins.plugin_of(self.plugin, self.handle) else { return };
        let identity = plugin.identity.clone();
        let slots: Vec<usize> = cx.plugins.hooked().to_vec();
        for slot in slots {
            let said = message.content.extra.as_deref().and_then(|extra| extra.protocol.as_deref());
            let declared = identity.protocols.get(usize::from(message.protocol)).map(String::as_str);
            let Some(protocol) = said.or(declared) else { return };
            let hooks = cx.plugins.plugin(slot).map(|plugin| plugin.hooks());
            let may_call = slot != self.plugin
                && hooks.is_some_and(|hooks| hooks.wants(protocol, message.kind))
                && !self.banned.contains(&slot)
                && !cx.plugins.is_quarantined(slot, self.flow.ends, cx.now);
            if !may_call {
                continue;
            }
            let shown = HookedMessage {
                protocol,
                kind: message.kind,
                content: &message.content,
                identity: &identity,
                bytes: self.bytes(message),
            };
            match cx.plugins.on_message(slot, &shown, &self.flow) {
                Ok(None) => {}
                Ok(Some(more)) => return message.content.amend(more),
                Err(error) => {
                    let sender = if self.flow.is_from_first { self.flow.ends.0 } else { self.flow.ends.1 };
                    cx.plugins.fault(slot, &error, &Scene { ends: self.flow.ends, sender: sender.ip, at: cx.now });
                    self.banned.push(slot);
                }
            }
        }
    }

    /// The message's first bytes; none if they have passed already.
    fn bytes(&self, message: &Message) -> &[u8] {
        let within = |offset: u64| usize::try_from(offset.checked_sub(self.offset)?).ok();
        let start = within(message.start).and_then(|start| self.window.get(start..)).unwrap_or_default();
        let len = usize::try_from(message.end.saturating_sub(message.start)).unwrap_or(usize::MAX);
        start.get(..len).unwrap_or(start)
    }
}
