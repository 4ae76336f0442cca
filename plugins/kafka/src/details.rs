//! What the bodies of the rarer APIs say beyond topics, partitions and errors: named numbers and strings, and groups.
//! Only they need it, so it is allocated where the first of it is found; messages that move records never do.

use protap_plugin::{MessageWriter, Text, Texts};

use crate::attributes::{self as key, FLAGS, NUMBERS, TEXTS};
use crate::text::decimal;

/// Most groups that a message lists.
const MAX_GROUPS: usize = 32;
/// Numbers and flags together.
const SLOTS: usize = NUMBERS.len() + FLAGS.len();

/// What a coordinator is sought for.
pub(crate) const COORDINATES_TRANSACTIONS: i8 = 1;
/// Types of the resources whose configuration is read or written that have names of their own in messages.
const TOPIC: i8 = 2;
const GROUP: i8 = 32;

/// The rarer things that a body says. Of several values of a kind the first is kept.
#[derive(Debug, Default)]
pub(crate) struct Details {
    numbers: [Option<i64>; SLOTS],
    texts: [Option<Text>; TEXTS.len()],
    groups: Vec<Text>,
    group_count: u64,
    coordinator_type: Option<i8>,
    resource_type: Option<i8>,
    /// Name of what is configured, where it is neither a topic nor a group.
    pub(crate) resource: Option<Text>,
    pub(crate) client_instance: Option<Text>,
}

impl Details {
    pub(crate) fn number(&mut self, slot: u8, value: i64) {
        if let Some(kept) = self.numbers.get_mut(usize::from(slot)) {
            kept.get_or_insert(value);
        }
    }

    /// Adds to a number that counts something.
    pub(crate) fn add(&mut self, slot: u8, more: u64) {
        if let Some(kept) = self.numbers.get_mut(usize::from(slot)) {
            *kept = Some(kept.unwrap_or(0).saturating_add_unsigned(more));
        }
    }

    pub(crate) fn has_text(&self, slot: u8) -> bool {
        self.texts.get(usize::from(slot)).is_some_and(Option::is_some)
    }

    pub(crate) fn text(&mut self, slot: u8, text: Option<Text>) {
        if let (Some(kept), Some(text)) = (self.texts.get_mut(usize::from(slot)), text) {
            kept.get_or_insert(text);
        }
    }

    /// Whether one more group is kept.
    pub(crate) fn has_room(&self) -> bool {
        self.groups.len() < MAX_GROUPS
    }

    pub(crate) fn group(&mut self, group: Option<Text>) {
        self.group_count = self.group_count.saturating_add(1);
        self.groups.extend(group);
    }

    pub(crate) fn groups(&self) -> &[Text] {
        &self.groups
    }

    pub(crate) fn coordinator(&mut self, key_type: i8) {
        self.coordinator_type = Some(key_type);
    }

    /// The SASL mechanism.
    pub(crate) fn mechanism(&self) -> Option<Text> {
        let slot = TEXTS.iter().position(|(name, _)| *name == "mechanism")?;
        self.texts.get(slot).copied().flatten()
    }

    /// What the groups are, if they are none.
    pub(crate) fn sought(&self) -> Option<i8> {
        self.coordinator_type.filter(|sought| *sought != 0)
    }

    pub(crate) fn resource(&mut self, resource_type: i8) -> Resource {
        self.resource_type.get_or_insert(resource_type);
        match resource_type {
            TOPIC => Resource::Topic,
            GROUP => Resource::Group,
            _ => Resource::Other,
        }
    }

    /// Says it.
    pub(crate) fn emit<'a>(&self, mut message: MessageWriter<'a>, texts: Texts<'_>) -> MessageWriter<'a> {
        for ((_, key), text) in TEXTS.iter().zip(self.texts) {
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                message = message.str(*key, texts.read(text));
            }
        }
        let (numbers, flags) = self.numbers.split_at(NUMBERS.len());
        for ((_, key), value) in NUMBERS.iter().zip(numbers) {
            if let Some(value) = value {
                message = message.i64(*key, *value);
            }
        }
        for ((_, key), value) in FLAGS.iter().zip(flags) {
            if let Some(value) = value {
                message = message.bool(*key, *value != 0);
            }
        }
        if let Some(instance) = self.client_instance {
            message = message.str(key::CLIENT_INSTANCE, texts.read(instance));
        }
        self.emit_kinds(self.emit_groups(message, texts))
    }

    /// The groups; of a coordinator's keys that are none, nothing but the type.
    fn emit_groups<'a>(&self, message: MessageWriter<'a>, texts: Texts<'_>) -> MessageWriter<'a> {
        let Some(first) = self.groups.first().filter(|_| self.sought().is_none()) else { return message };
        let message = message.str(key::GROUP, texts.read(*first));
        if self.group_count < 2 {
            return message;
        }
        let list = self.groups.iter().map(|group| texts.read(*group));
        message.list(key::GROUPS, list).i64(key::GROUP_COUNT, i64::try_from(self.group_count).unwrap_or(i64::MAX))
    }

    fn emit_kinds<'a>(&self, mut message: MessageWriter<'a>) -> MessageWriter<'a> {
        message = match self.coordinator_type {
            None => message,
            Some(0) => message.str(key::COORDINATOR_TYPE, "group"),
            Some(COORDINATES_TRANSACTIONS) => message.str(key::COORDINATOR_TYPE, "transaction"),
            Some(2) => message.str(key::COORDINATOR_TYPE, "share"),
            Some(other) => message.str(key::COORDINATOR_TYPE, decimal(i64::from(other))),
        };
        match self.resource_type {
            None => message,
            Some(TOPIC) => message.str(key::RESOURCE_TYPE, "topic"),
            Some(4) => message.str(key::RESOURCE_TYPE, "broker"),
            Some(8) => message.str(key::RESOURCE_TYPE, "broker_logger"),
            Some(16) => message.str(key::RESOURCE_TYPE, "client_metrics"),
            Some(GROUP) => message.str(key::RESOURCE_TYPE, "group"),
            Some(other) => message.str(key::RESOURCE_TYPE, decimal(i64::from(other))),
        }
    }
}

/// What is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    Topic,
    Group,
    Other,
}
