//! A plugin that is replaced, added or removed while the flow is under way. The newer version takes over between two
//! messages, with the flow's pending requests; what waits in the words of the older one (indices into its manifest) is
//! put into its own. What it gives up: a message in whose middle the older one still is when it has to go.

use super::claim::{QUARANTINED, UNCLAIMED_MID_STREAM};
use super::{Lane, Session, SessionContext, State};
use crate::reassembly::Direction;
use crate::record::{Content, PluginIdentity, Text, Value};
use crate::running::Standing;
use crate::stream::Mode;

/// Why nobody claims a flow, where another plugin might.
const OPEN_REASONS: [&str; 8] = [
    "no plugin loaded",
    "no plugin claims it",
    UNCLAIMED_MID_STREAM,
    QUARANTINED,
    "plugin removed",
    "plugin fault",
    "malformed",
    "rejected",
];

impl Lane {
    /// Whether the plugin is between two messages, as far as the messages tell.
    fn is_at_boundary(&self) -> bool {
        self.parts.is_empty() && (self.stream.mode == Mode::Resync || self.stream.front() == self.floor)
    }
}

impl Session {
    /// The set of plugins has changed: `changed` are the slots with a plugin that was not there before.
    pub fn plugins_changed(&mut self, changed: &[usize], cx: &mut SessionContext<'_>) {
        self.banned.retain(|plugin| !changed.contains(plugin));
        match self.state {
            State::Claimed { plugin, .. } if !cx.plugins.is_present(plugin) => {
                self.release(plugin, "plugin removed", cx);
            }
            State::Claimed { plugin, handle } if cx.plugins.standing(plugin, handle) == Standing::Retiring => {
                self.swap(false, cx);
            }
            State::Muted(reason) if !changed.is_empty() && OPEN_REASONS.contains(&reason) => {
                self.fresh_starts = 0;
                self.infer_afresh();
            }
            State::Claimed { .. } | State::Muted(_) => {}
            State::Inferring => {
                if let Some(head) = &mut self.head {
                    changed.iter().for_each(|plugin| head.forget_answer(*plugin));
                }
            }
        }
    }

    /// Hands the flow over from the retiring instance to the running one, if it is between two messages or `must` be
    /// now. Says whether it was.
    pub fn swap(&mut self, must: bool, cx: &mut SessionContext<'_>) -> bool {
        let State::Claimed { plugin, handle } = self.state else { return false };
        if cx.plugins.standing(plugin, handle) != Standing::Retiring {
            return false;
        }
        let Some(streams) = &self.streams else { return false };
        let is_at_boundary = streams.to_server.is_at_boundary() && streams.to_client.is_at_boundary();
        if !is_at_boundary && !must {
            return false;
        }
        let identity = |plugin: Option<&std::sync::Arc<crate::plugin::Plugin>>| plugin.map(|p| p.identity.clone());
        let old = identity(cx.plugins.plugin_of(plugin, handle));
        let new = identity(cx.plugins.plugin(plugin));
        self.close_handle(cx);
        if self.reopen(plugin, cx).is_none() {
            return true;
        }
        cx.counters.swapped += 1;
        for direction in [Direction::ToServer, Direction::ToClient] {
            self.take_over(direction, cx);
        }
        if let (Some(old), Some(new)) = (old, new)
            && *old != *new
        {
            self.translate(&old, &new);
        }
        true
    }

    /// One direction begins anew with the newer version.
    fn take_over(&mut self, direction: Direction, cx: &mut SessionContext<'_>) {
        let Some(streams) = &mut self.streams else { return };
        let lane = streams.lane_mut(direction);
        if !lane.is_at_boundary() {
            cx.counters.swapped_in_flight += 1;
            return self.lose(direction, cx);
        }
        if lane.stream.mode == Mode::Synced {
            lane.stream.mode = Mode::Resync;
            lane.stream.boundary_at = Some(lane.stream.front());
            lane.stream.need = 1;
        }
    }

    /// What waits is put into the words of the newer manifest.
    fn translate(&mut self, old: &PluginIdentity, new: &PluginIdentity) {
        let rename = &mut |protocol: &mut u16, content: &mut Content| {
            *protocol = index_of(&old.protocols, &new.protocols, *protocol).unwrap_or(0);
            translate(content, old, new);
        };
        if let Some(pairing) = &mut self.pairing {
            pairing.for_each_content(rename);
        }
        if let Some(streams) = &mut self.streams {
            for lane in [&mut streams.to_server, &mut streams.to_client] {
                for message in lane.waiting.iter_mut().filter_map(super::complete::Waiting::message_mut) {
                    rename(&mut message.protocol, &mut message.content);
                }
            }
        }
    }
}

/// Where a list has what another list has at `index`.
fn index_of(old: &[String], new: &[String], index: u16) -> Option<u16> {
    let name = old.get(usize::from(index))?;
    u16::try_from(new.iter().position(|other| other == name)?).ok()
}

/// Attributes that the newer version does not have are dropped; facts that it does not have stay keys.
fn translate(content: &mut Content, old: &PluginIdentity, new: &PluginIdentity) {
    let text = |text: &mut Text| {
        if let Text::Ref(namespace, key) = *text {
            let namespace = u16::try_from(namespace).ok().and_then(|n| index_of(&old.facts, &new.facts, n));
            *text = namespace.map_or(Text::Plain(key), |n| Text::Ref(u32::from(n), key));
        }
    };
    content.resource.iter_mut().chain(&mut content.endpoint).chain(&mut content.lists).for_each(text);
    content.attributes.retain_mut(|(index, value)| {
        if let Value::Str(value) = value {
            text(value);
        }
        let found = index_of(&old.attributes, &new.attributes, *index);
        *index = found.unwrap_or(*index);
        found.is_some()
    });
}
