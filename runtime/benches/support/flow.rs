//! An open flow of which the same message comes again and again: one call of a plugin, alone or with its answer read.

use std::hint::black_box;

use protap::plugin::PluginSet;
use protap::plugin::content::{ContentReader, Message, Replaced};
use protap::plugin::instance::{Call, Instance};
use protap::record::{PluginIdentity, Spares};
use protap_plugin::contract::{ParseResult, flag};

/// An open flow of which the same message comes again and again.
pub struct Flow<'a> {
    instance: Instance,
    identity: &'a PluginIdentity,
    call: Call,
    message: &'a [u8],
    replaced: Replaced,
    spares: Spares,
    messages: Vec<Message>,
}

impl<'a> Flow<'a> {
    pub fn open(set: &'a PluginSet, plugin: usize, message: &'a [u8]) -> Self {
        let mut instance = set.instantiate(plugin).unwrap();
        let handle = instance.open(0, 0).unwrap();
        let call = Call { handle, flags: 0, offset: 0, gap: 0, now: 0 };
        Self {
            instance,
            identity: &set.get(plugin).unwrap().identity,
            call,
            message,
            replaced: Replaced::default(),
            spares: Spares::default(),
            messages: Vec::new(),
        }
    }

    /// It is what the server says.
    pub fn towards_client(mut self) -> Self {
        self.call.flags = flag::TO_CLIENT;
        self
    }

    pub fn parse(&mut self) -> u32 {
        let result = self.instance.parse(&self.call, black_box(self.message), &mut None).unwrap();
        self.call.offset += self.message.len() as u64;
        result
    }

    pub fn parse_and_read(&mut self) -> ParseResult {
        let address = self.parse();
        let memory = self.instance.memory();
        let result = memory.result(address).unwrap();
        let mut reader = ContentReader::new(memory, self.identity, &mut self.replaced, &mut self.spares);
        reader.messages(&result, &mut self.messages).unwrap();
        assert_eq!((self.messages.len(), result.consumed as usize), (1, self.message.len()));
        for message in black_box(&mut self.messages).drain(..) {
            self.spares.keep_content(message.content);
        }
        result
    }
}
