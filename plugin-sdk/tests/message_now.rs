//! Messages that are there as a whole are read without code that waits (`Sequential::message_now`), and all others as ever;
//! what is emitted is the same. A made-up protocol: operation, then what it says; some operations declare a frame.

#![allow(missing_docs, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

use protap_plugin::prelude::*;
use protap_plugin::testing::{Ending, Replay, Seen};
use protap_plugin::{AsSequential, Source, Whole, at_once, large};

/// Messages that code was begun for that may wait.
static WAITED: AtomicUsize = AtomicUsize::new(0);

#[derive(Default)]
struct Spoken<const AWAITS: bool>;

impl<const AWAITS: bool> Sequential for Spoken<AWAITS> {
    const MANIFEST: Manifest = Manifest::new("spoken", "0.1.0").transports(&[Transport::Tcp, Transport::Udp]);
    type Flow = ();
    const AWAITS_FRAMES: &'static [Direction] = if AWAITS { &[Direction::ToServer] } else { &[] };

    fn probe(&self, _heads: &Heads<'_>) -> Verdict {
        Verdict::No
    }

    async fn message(_plugin: Rc<Self>, _flow: Rc<()>, stream: Stream) -> Result<(), Stop> {
        WAITED.fetch_add(1, Ordering::Relaxed);
        read(&stream).await
    }

    fn message_now(&self, _flow: &(), stream: &Stream<Whole<'_>>) -> Option<Result<(), Stop>> {
        Some(read_now(stream))
    }

    fn frame(&self, _direction: Direction, bytes: &[u8]) -> Frame {
        if bytes.first() == Some(&b'l') { Frame::Len(2) } else { Frame::Invalid("no line") }
    }
}

type Plugin = AsSequential<Spoken<false>>;
type Awaiting = AsSequential<Spoken<true>>;

#[at_once]
async fn read(stream: &Stream<impl Source>) -> Result<(), Stop> {
    let text = match stream.u8().await? {
        // A line, the end of which is found.
        b'l' => stream.text_until(b'\n', 99).await?,
        // A frame, of which not all is read.
        b'f' => {
            let len = stream.u8().await?;
            stream.begin_frame(2 + u64::from(len))?;
            large(framed(stream)).await?
        }
        b'o' => return Err(Stop::Opaque("sealed")),
        _ => return Err(Stop::Malformed("no such operation")),
    };
    let own = stream.keep(b"own");
    stream.emit(|output, texts| output.one_way("SAID").resource(texts.get(text)).domain(texts.get(own)).emit());
    Ok(())
}

#[at_once]
async fn framed(stream: &Stream<impl Source>) -> Result<Text, Stop> {
    let len = stream.u8().await?;
    let text = stream.text(len.into()).await?;
    let inner = stream.nested(b"inner", 5, |inner| inner.text_now(5))?;
    let is_inner = stream.with_texts(|texts| texts.get(text) == b"?");
    Ok(if is_inner { inner } else { text.part(0..6) })
}

fn run(bytes: &[u8]) -> (Vec<Seen>, usize) {
    let replay = Replay::new::<Plugin>().to_server(bytes);
    replay.split_sweep();
    let before = WAITED.load(Ordering::Relaxed);
    let report = replay.run();
    (report.messages, WAITED.load(Ordering::Relaxed) - before)
}

/// One test, as it counts what is waited for.
#[test]
fn only_what_is_cut_is_waited_for_and_nothing_else_depends_on_that() {
    let all = b"lone\nf\x0a\x07rest of..f\x02\x01?lagain\n";
    let (messages, waited) = run(all);
    let names: Vec<_> = messages.iter().map(|seen| (seen.resource.as_str(), seen.start, seen.end)).collect();
    assert_eq!(names, [("one", 0, 5), ("rest o", 5, 17), ("inner", 17, 21), ("again", 21, 28)]);
    assert!(messages.iter().all(|seen| seen.domain == "own"));
    assert_eq!(waited, 0);

    for at in 1..all.len() {
        let between = [0, 5, 17, 21].contains(&at);
        for (replay, waited) in [(Replay::new::<Plugin>(), usize::from(!between)), (Replay::new::<Awaiting>(), 0)] {
            let cut = replay.to_server(&all[..at]).to_server(&all[at..]);
            let before = WAITED.load(Ordering::Relaxed);
            assert_eq!(cut.run().messages, messages);
            assert_eq!(WAITED.load(Ordering::Relaxed) - before, waited, "what is cut at {at}, and nothing behind it");
        }
    }

    // What never comes is not waited for.
    let never = Replay::new::<Awaiting>().to_server(&all[..12]).end(Direction::ToServer);
    assert_eq!((never.run().messages, never.split_sweep().messages), (messages[..1].to_vec(), messages[..1].to_vec()));

    let wrong = Replay::new::<Plugin>().to_server(b"lx\nf\x01\x05?ly\nlz\n");
    let report = wrong.split_sweep();
    assert_eq!(report.losses[0].reason, "a field beyond its frame's end");

    let sealed = Replay::new::<Plugin>().to_server(b"lx\nolx\n").split_sweep();
    assert_eq!((sealed.messages.len(), sealed.ending), (1, Ending::Opaque("sealed".to_owned())));
    let datagrams = Replay::new::<Plugin>().datagram(Direction::ToServer, b"lx\nf\x02\x01?");
    assert_eq!(datagrams.run().messages.len(), 2);
}
