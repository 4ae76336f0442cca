//! Code that is written once and compiled twice: `at_once` and `Sequential::message_now`. A made-up protocol: length (u8,
//! of all that follows), operation, and what the operation says. A frame that is there as a whole is read without
//! waiting, one that is cut is waited for; what is emitted is the same.

#![allow(missing_docs, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::rc::Rc;

use protap_plugin::prelude::*;
use protap_plugin::testing::{Replay, Seen, Value};
use protap_plugin::{Source, Whole, at_once, rare};

attributes! {
    SCHEMA;
    NUMBER: i64 = "number",
}

#[derive(Default)]
struct Spoken;

impl Sequential for Spoken {
    const MANIFEST: Manifest = Manifest::new("spoken", "0.1.0").attributes(SCHEMA);
    type Flow = ();

    fn probe(&self, _heads: &Heads<'_>) -> Verdict {
        Verdict::No
    }

    async fn message(_plugin: Rc<Self>, _flow: Rc<()>, stream: Stream) -> Result<(), Stop> {
        read(&stream).await
    }

    fn message_now(&self, _flow: &(), stream: &Stream<Whole<'_>>) -> Option<Result<(), Stop>> {
        Some(read_now(stream))
    }

    fn frame(&self, _direction: Direction, _bytes: &[u8]) -> Frame {
        Frame::Invalid("nothing marks a frame")
    }
}

export!(Spoken as Sequential);

#[at_once]
async fn read(stream: &Stream<impl Source>) -> Result<(), Stop> {
    let len = stream.u8().await?;
    stream.begin_frame(1 + u64::from(len))?;
    match rare(Fields::read(stream)).await {
        Err(Stop::Malformed(why)) => stream.emit(|output, _| output.one_way("BAD").exception(why).emit()),
        read => {
            let fields = read?;
            stream.emit(|output, texts| {
                output.one_way("SAID").resource(texts.get(fields.text)).i64(NUMBER, fields.number).emit();
            })
        }
    };
    Ok(())
}

#[derive(Default)]
struct Fields {
    text: Text,
    number: i64,
}

#[at_once]
impl Fields {
    async fn read(stream: &Stream<impl Source>) -> Result<Self, Stop> {
        match stream.u8().await? {
            b't' => Self::text(stream).await,
            b'r' => rare(Self::text(stream)).await,
            b'n' => Ok(Self { number: numbers(stream).await?, ..Self::default() }),
            b's' => {
                stream.skip(3).await?;
                stream.available(2).await?;
                let [a, b] = stream.array::<2>().await?;
                Ok(Self { number: i64::from(a) + i64::from(b), ..Self::default() })
            }
            b'i' => {
                let (text, end) = stream.nested(b"inner\0", 8, |inner| (inner.c_str_now(9), inner.u8_now()));
                Ok(Self { text: text?, number: (end == Err(Stop::Lost)).into() })
            }
            b'b' => beyond(stream).await,
            _ => Err(Stop::Malformed("no such operation")),
        }
    }

    async fn text(stream: &Stream<impl Source>) -> Result<Self, Stop> {
        let text = stream.c_str(200).await?;
        let len = stream.u8().await?;
        stream.skip_to_frame_end().await?;
        Ok(Self { text, number: len.into() })
    }
}

/// The sum of numbers, as many as the first says.
#[at_once]
async fn numbers(stream: &Stream<impl Source>) -> Result<i64, Stop> {
    let mut sum = 0;
    for _ in 0..stream.u8().await? {
        sum += stream.read(|reader| Ok(i64::from(reader.u16_be()?) + i64::from(reader.u8()?))).await?;
    }
    Ok(sum)
}

/// The byte behind the frame, which is then part of it.
#[at_once]
async fn beyond(stream: &Stream<impl Source>) -> Result<Fields, Stop> {
    let text = stream.text(stream.frame_remaining()).await?;
    let stream = stream.arriving()?;
    stream.begin_frame(u64::from(u8::MAX))?;
    let number = stream.u8().await?.into();
    let text = stream.keep(&stream.with_texts(|texts| texts.get(text).to_vec()));
    stream.begin_frame(5)?;
    Ok(Fields { text, number })
}

fn frame(body: &[u8]) -> Vec<u8> {
    [&[body.len() as u8], body].concat()
}

fn number(seen: &Seen) -> i64 {
    match seen.attribute("number") {
        Some(Value::I64(number)) => *number,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_frame_says_the_same_whole_and_cut() {
    let frames = [
        frame(b"tname\0\x05the rest is passed over"),
        frame(b"rrare\0\x06"),
        frame(b"n\x03\0\x01\x02\0\x03\x04\x01\0\x05"),
        frame(b"sxyz\x01\x02"),
        frame(b"i"),
    ];
    let report = Replay::new::<Plugin>().to_server(frames.concat()).split_sweep();
    assert_eq!(report.messages.iter().map(number).collect::<Vec<_>>(), [5, 6, 271, 3, 1]);
    let names: Vec<_> = report.messages.iter().map(|seen| seen.resource.as_str()).collect();
    assert_eq!(names, ["name", "rare", "", "", "inner"]);
}

#[test]
fn what_is_wrong_with_a_frame_is_the_same_whole_and_cut() {
    let frames = [frame(b"n\x02\0\x01\x02\0"), frame(b"tno end"), frame(b"sxy"), frame(b"?"), frame(b"n\0")];
    let report = Replay::new::<Plugin>().to_server(frames.concat()).split_sweep();
    let whys: Vec<_> = report.messages.iter().map(|seen| seen.exception.as_str()).collect();
    let beyond = "a field beyond its frame's end";
    assert_eq!(whys, [beyond, beyond, beyond, "no such operation", ""]);
}

#[test]
fn code_that_looks_behind_its_frame_is_run_again_where_it_may_wait() {
    let frames = [frame(b"bab"), vec![9], frame(b"n\0")];
    let report = Replay::new::<Plugin>().to_server(frames.concat()).split_sweep();
    assert_eq!(report.messages.iter().map(number).collect::<Vec<_>>(), [9, 0]);
    assert_eq!(report.messages[0].resource, "ab");
}
