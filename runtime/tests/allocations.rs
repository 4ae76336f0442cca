//! What a flow allocates while it goes on: counted by the allocator itself, for one shard with the Kafka plugin linked
//! natively (what a guest allocates lies in its own memory). It is nothing, neither for packets nor for messages: records
//! are made of what comes back from those that were written.

#![expect(unsafe_code, reason = "an allocator that counts")]
#![expect(clippy::unwrap_used, reason = "a test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use protap::packet::{Endpoint, Segment, TcpFields, Transport};
use protap::plugin::native::NativeFactory;
use protap::plugin::{Plugin, PluginSet};
use protap::record::Output;
use protap::shard::{FlowOptions, Shard};

/// The messages of the benches.
#[path = "../benches/support/messages.rs"]
#[expect(dead_code, unreachable_pub, reason = "shared with programs of their own")]
mod messages;

struct Counting;

thread_local! {
    /// Of this thread: that which runs the tests allocates as well.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
}

// SAFETY: the system's allocator does all of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is handed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is handed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes of a full segment.
const SEGMENT: usize = 1448;

/// The histogram of how long calls take gets a row when one takes longer than twice what any did before, which depends on
/// what else the machine does.
const NEW_ROWS: u64 = 10;

#[derive(Clone, Copy, PartialEq)]
enum From {
    Client,
    Server,
}

/// A connection of which a shard sees every packet.
struct Connection {
    shard: Shard,
    next: [u32; 2],
    packet: u64,
    /// Records that came out.
    out: usize,
}

impl Connection {
    fn open() -> Self {
        let mut set = PluginSet::default();
        set.add(Plugin::native(NativeFactory::of::<kafka::Plugin>()).unwrap());
        let shard = Shard::new(Arc::new(set), Arc::new(FlowOptions::default()));
        let mut connection = Self { shard, next: [0, 0], packet: 0, out: 0 };
        connection.send(From::Client, true, &[]);
        connection.send(From::Server, true, &[]);
        connection
    }

    fn send(&mut self, from: From, syn: bool, payload: &[u8]) {
        self.packet += 1;
        let end = |last, port| Endpoint { ip: IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)), port };
        let (client, server) = (end(1, 50_000), end(2, 9092));
        let [of_client, of_server] = self.next;
        let (source, destination, seq, ack) = match from {
            From::Client => (client, server, of_client, of_server),
            From::Server => (server, client, of_server, of_client),
        };
        let tcp = TcpFields { seq, ack: (self.packet > 1).then_some(ack), syn, ..TcpFields::default() };
        let segment = Segment {
            transport: Transport::Tcp,
            source,
            destination,
            tcp,
            payload,
            payload_len: u32::try_from(payload.len()).unwrap(),
            at: self.packet * 10_000,
            packet: self.packet,
        };
        self.shard.segment(&segment, None);
        let sent = u32::try_from(payload.len()).unwrap() + u32::from(syn);
        let [of_client, of_server] = &mut self.next;
        *(if from == From::Client { of_client } else { of_server }) += sent;
        let mut records = 0;
        self.shard.hand_out(|output, spares| {
            // As is done once its line is made.
            if let Output::Record(record) = output {
                spares.keep(record);
                records += 1;
            }
        });
        self.out += records;
    }

    /// A request in segments, each of them acknowledged, and its response.
    fn exchange(&mut self, request: &[u8], response: &[u8]) {
        for segment in request.chunks(SEGMENT) {
            self.send(From::Client, false, segment);
            self.send(From::Server, false, &[]);
        }
        self.send(From::Server, false, response);
        self.send(From::Client, false, &[]);
    }
}

fn response(correlation_id: i32) -> Vec<u8> {
    let mut body = correlation_id.to_be_bytes().to_vec();
    body.extend(1_i32.to_be_bytes());
    messages::string(&mut body, "orders.v1");
    body.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    body.extend([i64::from(correlation_id), -1, 0].map(i64::to_be_bytes).concat());
    body.extend(0_i32.to_be_bytes());
    messages::framed(&body)
}

/// Allocations while `act` runs.
fn allocations(act: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    act();
    ALLOCATIONS.get() - before
}

/// The shard works on the thread of the test, whose allocations are counted.
#[test]
fn neither_packets_nor_messages_allocate_anything() {
    let mut connection = Connection::open();
    let exchanges: Vec<_> = (0..400).map(|id| (messages::produce_request(id, 100), response(id))).collect();
    let (warm_up, rest) = exchanges.split_at(200);
    warm_up.iter().for_each(|(request, response)| connection.exchange(request, response));
    assert_eq!(connection.out, 200);

    let of_acks = allocations(|| (0..1000).for_each(|_| connection.send(From::Client, false, &[])));
    assert_eq!(of_acks, 0, "packets without payload");

    let of_messages =
        allocations(|| rest.iter().for_each(|(request, response)| connection.exchange(request, response)));
    assert_eq!(connection.out, 400);
    assert!(of_messages <= NEW_ROWS, "{of_messages} allocations for 200 records");

    let (long, answer) = (messages::produce_request(1000, 4 << 20), response(1000));
    connection.exchange(&long, &answer);
    let (head, rest) = long.split_at(64 * SEGMENT);
    head.chunks(SEGMENT).for_each(|segment| connection.send(From::Client, false, segment));
    let of_skipped = allocations(|| {
        for segment in rest.chunks(SEGMENT).take(1000) {
            connection.send(From::Client, false, segment);
            connection.send(From::Server, false, &[]);
        }
    });
    assert!(of_skipped <= NEW_ROWS, "{of_skipped} allocations for 2000 packets of a message that is passed over");
}
