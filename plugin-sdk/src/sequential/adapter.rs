//! What makes a [`Sequential`] parser a plugin: messages that are there as a whole are read one after the other without the
//! code that may wait; that is made, and resumed, for those that are not.

use core::fmt;
use core::ops::ControlFlow;
use core::task::{Context, Poll, Waker};
use std::rc::Rc;

use super::lane::{IdleLanes, Lane, Reading};
use super::stream::{State, stopped};
use super::{NO_BYTES, Sequential, Stop, Stream};
use crate::guest::{Parser, ParserCall};
use crate::manifest::Manifest;
use crate::plugin::{Direction, Heads, Input, Progress, Resync, Verdict};

/// Both directions of a flow.
pub struct SequentialFlow<F> {
    flow: Rc<F>,
    to_server: Rc<Lane>,
    to_client: Rc<Lane>,
    idle: Rc<IdleLanes>,
}

impl<F> Drop for SequentialFlow<F> {
    fn drop(&mut self) {
        self.idle.remove(&self.to_server);
        self.idle.remove(&self.to_client);
    }
}

impl<F> SequentialFlow<F> {
    fn lane(&self, direction: Direction) -> &Rc<Lane> {
        match direction {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        }
    }
}

impl<F> fmt::Debug for SequentialFlow<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SequentialFlow").finish_non_exhaustive()
    }
}

/// Makes a [`Sequential`] parser a plugin; named by [`export!`](crate::export).
pub struct AsSequential<P> {
    plugin: Rc<P>,
    idle: Rc<IdleLanes>,
    /// Of the messages that are there as a whole, one after the other.
    whole: State,
}

impl<P: Sequential> Default for AsSequential<P> {
    fn default() -> Self {
        let whole = State::new(Direction::ToServer, P::MANIFEST.window_len());
        Self { plugin: Rc::default(), idle: Rc::default(), whole }
    }
}

impl<P> fmt::Debug for AsSequential<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsSequential").finish_non_exhaustive()
    }
}

impl<P: Sequential> Parser for AsSequential<P> {
    const MANIFEST: Manifest = P::MANIFEST;
    type Flow = SequentialFlow<P::Flow>;

    fn configure(&mut self, key: &str, value: &str) -> Result<(), &'static str> {
        Rc::get_mut(&mut self.plugin).ok_or("options come before the first flow")?.configure(key, value)
    }

    fn probe(&self, heads: &Heads<'_>) -> Verdict {
        self.plugin.probe(heads)
    }

    fn open(&mut self) -> Self::Flow {
        SequentialFlow {
            flow: Rc::default(),
            to_server: Rc::default(),
            to_client: Rc::default(),
            idle: self.idle.clone(),
        }
    }

    fn parse(&mut self, state: &mut Self::Flow, mut call: ParserCall<'_>) -> Progress {
        let lane = state.lane(Direction::from_flags(call.call.flags));
        if lane.is_inside.get() {
            return self.wait(&state.flow, lane, call, 0);
        }
        match self.read_whole(&state.flow, &mut call, 0) {
            ControlFlow::Break(progress) => progress,
            ControlFlow::Continue(at) => self.wait(&state.flow, lane, call, at),
        }
    }

    fn resync(&mut self, state: &mut Self::Flow, ParserCall { call, window, .. }: ParserCall<'_>) -> Resync {
        let input = Input::new(call, window.get(..call.len).unwrap_or_default());
        state.lane(input.direction).forget();
        self.plugin.resync(&state.flow, &input)
    }
}

impl<P: Sequential> AsSequential<P> {
    /// Reads the messages that are there as a whole, from that place in the window on. Gives what to tell the host or,
    /// where a message is to be waited for, its place.
    fn read_whole(&self, flow: &P::Flow, call: &mut ParserCall<'_>, from: usize) -> ControlFlow<Progress, usize> {
        let ParserCall { call, window, output } = call;
        let input = Input::new(*call, window.get(..call.len).unwrap_or_default());
        let mut at = from;
        self.whole.begin_call(input.direction, output);
        let done = loop {
            if at >= input.bytes.len() || !self.whole.has_room_for_message() {
                break ControlFlow::Break(Progress::More(at));
            }
            self.whole.begin_message_at(input.offset.saturating_add(at as u64));
            let stream = Stream::of_message(&self.whole, input.bytes, (input.offset, at));
            let read = self.plugin.message_now(flow, &stream).zip(stream.read_to());
            match read {
                None => break ControlFlow::Continue(at),
                Some((Ok(()), end)) if end > at => at = end,
                Some((Ok(()), _)) => break ControlFlow::Break(Progress::Invalid { consumed: at, reason: NO_BYTES }),
                Some((Err(stop), _)) => {
                    let reached = stream.offset().saturating_sub(input.offset) as usize;
                    let place = (reached, input.bytes.len());
                    break ControlFlow::Break(stopped(stop, &input, place, stream.known_frame_end()));
                }
            }
        };
        self.whole.swap_output(output);
        done
    }

    /// Waits for a message that begins at that place and is not there to its end, if that may yet come and it fits into the
    /// window. What it says may depend on what was said before it is begun (by the other end, too), so whether it waits must
    /// depend on nothing but its bytes.
    fn await_frame(&self, input: &Input<'_>, begin: usize) -> Option<Progress> {
        let is_last = input.is_datagram || input.is_end || input.gap.is_some();
        let may_wait = !is_last && P::AWAITS_FRAMES.contains(&input.direction);
        let amount = self.whole.take_lacking().filter(|len| may_wait && *len <= P::MANIFEST.window_len().into())?;
        Some(Progress::Need { consumed: begin, amount })
    }

    /// Goes on with a message that is not there as a whole, or begins with it at that place in the window.
    #[cold]
    #[inline(never)]
    fn wait(&self, flow: &Rc<P::Flow>, lane: &Rc<Lane>, mut call: ParserCall<'_>, begin: usize) -> Progress {
        let input = Input::new(call.call, &[]);
        if let Some(progress) = self.await_frame(&input, begin) {
            return progress;
        }
        let mut reading = lane.reading.take().unwrap_or_else(|| {
            let stream = Stream::new(input.direction, P::MANIFEST.window_len());
            let reader = Box::pin(read_messages(self.plugin.clone(), flow.clone(), stream.clone()));
            Reading { stream, reader }
        });
        lane.is_inside.set(false);
        let mut begin = begin;
        let progress = loop {
            let stream = &reading.stream;
            stream.lend(call.window, call.output, (call.call, begin));
            let polled = reading.reader.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            let at = stream.take_back(call.window, call.output);
            if let Poll::Ready(stop) = polled {
                return stopped(stop, &input, (at, call.call.len), stream.known_frame_end());
            }
            if !stream.is_between_messages() {
                break stream.progress();
            }
            match self.read_whole(flow, &mut call, at) {
                ControlFlow::Break(progress) => break progress,
                ControlFlow::Continue(at) => begin = at,
            }
            if let Some(progress) = self.await_frame(&input, begin) {
                break progress;
            }
        };
        let progress = reading.stream.with_passed_gap(progress);
        if !input.is_datagram || reading.stream.is_held() {
            let is_idle = reading.stream.is_between_messages();
            lane.is_inside.set(!is_idle);
            lane.reading.set(Some(reading));
            if is_idle {
                self.idle.insert(lane);
            }
        }
        progress
    }
}

/// Reads message after message; ends with the error that a message did not handle.
async fn read_messages<P: Sequential>(plugin: Rc<P>, flow: Rc<P::Flow>, stream: Stream) -> Stop {
    loop {
        let start = stream.begin_message().await;
        if let Err(stop) = P::message(plugin.clone(), flow.clone(), stream.clone()).await {
            return stop;
        }
        if let Err(stop) = stream.end_message().await {
            return stop;
        }
        if stream.offset() == start {
            return Stop::Malformed(NO_BYTES);
        }
    }
}
