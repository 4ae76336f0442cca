//! The requests of one side of a flow that wait for their responses: by id where they have one, else in order.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;

use super::{MAX_PENDING, REQUEST_TIMEOUT, Span};
use crate::packet::{Timestamp, Transport};
use crate::plugin::content::{Context, Message};
use crate::reassembly::Heard;
use crate::record::{Content, Part, Status};

/// Given-up requests by id that are remembered, so that a late answer is known for one.
const MAX_GIVEN_UP: usize = 1024;

/// Ids whose earlier requests are owed answers.
const MAX_OWED: usize = 1024;

/// Bytes that the requests of a side may take in memory.
const MAX_HELD: usize = 64 << 20;

/// Of a full table, one request in so many makes room.
const EVICTED_SHARE: usize = 16;

/// By ids, which senders choose: the hash is keyed.
type ById<T> = HashMap<u64, T, RandomState>;

/// A request that waits.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(super) sequence: u64,
    /// Stream offset of its first byte.
    pub(super) start: u64,
    pub(super) protocol: u16,
    pub(crate) part: Part,
    pub(super) context: Context,
    pub(super) first: Timestamp,
    pub(super) last: Option<Timestamp>,
    /// Its last byte was not seen, and came later than that.
    pub(super) is_end_lost: bool,
    pub(super) replies: Option<Replies>,
    /// It has its record already; a response to it is late.
    pub(super) is_given_up: bool,
    /// Another request of its id waited when it came: whose answer comes next cannot be known.
    pub(super) is_ambiguous: bool,
    /// A second id that its next reply may bear.
    alias: Option<u64>,
    /// Its response has begun, and will be ended by whoever began it.
    is_being_answered: bool,
    /// Bytes that it takes in memory, as [`Side::held`] has them.
    held: usize,
}

/// The replies to one request, summed.
#[derive(Clone, Debug)]
pub(crate) struct Replies {
    pub(super) part: Part,
    pub(super) span: Span,
}

impl Pending {
    pub(super) fn new(sequence: u64, message: Message, first: Timestamp) -> Self {
        let bytes = message.bytes;
        Self {
            sequence,
            start: message.start,
            protocol: message.protocol,
            part: Part { content: message.content, bytes, count: 1 },
            context: message.context,
            first,
            last: None,
            is_end_lost: false,
            replies: None,
            is_given_up: false,
            is_ambiguous: false,
            alias: None,
            is_being_answered: false,
            held: 0,
        }
    }

    fn footprint(&self) -> usize {
        let replies = self.replies.as_ref().map_or(0, |replies| replies.part.content.footprint());
        size_of::<Self>() + self.part.content.footprint() + replies
    }

    /// Whether it may wait too long.
    fn is_timed(&self) -> bool {
        !self.is_given_up && !self.is_being_answered
    }

    /// Its time-out counts from here: its last reply, its last byte, or its first; while more of it comes, or more of what may
    /// be its answer, from there.
    fn waits_since(&self, under_way: UnderWay, timeout: u64) -> Timestamp {
        let since = self.replies.as_ref().map_or(self.last.unwrap_or(self.first), |replies| replies.span.last);
        let is_whole = self.last.is_some() || self.replies.is_some();
        let since = since.max(under_way.request.filter(|_| !is_whole).unwrap_or(0));
        let may_answer = |answer: &Span| since <= answer.first && answer.first <= since.saturating_add(timeout);
        since.max(under_way.answer.filter(may_answer).map_or(0, |answer| answer.last))
    }
}

/// What comes and has not ended.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UnderWay {
    /// When the latest byte came from the side that asks.
    pub(crate) request: Option<Timestamp>,
    /// When the bytes came, from the side that answers, of what is no whole message yet.
    pub(crate) answer: Option<Span>,
}

impl Replies {
    pub(super) fn new(message: Message, span: Span) -> Self {
        let bytes = message.bytes;
        Self { part: Part { content: message.content, bytes, count: 1 }, span }
    }

    /// Sums a reply: the first one's content, unless a later one is worse. What is not known of one is not known of all.
    /// Gives the content that is not kept.
    pub(super) fn add(replies: &mut Option<Self>, message: Message, span: Span) -> Option<Box<Content>> {
        let Some(sum) = replies else {
            *replies = Some(Self::new(message, span));
            return None;
        };
        sum.span.last = sum.span.last.max(span.last);
        sum.part.bytes = sum.part.bytes.saturating_add(message.bytes);
        sum.part.count = sum.part.count.saturating_add(1);
        let is_error = |status| !matches!(status, Status::Ok | Status::Unknown);
        if is_error(message.content.status) && !is_error(sum.part.content.status) {
            return Some(std::mem::replace(&mut sum.part.content, message.content));
        }
        let (kept, added) = (&mut sum.part.content, message.content);
        if added.completeness > kept.completeness {
            kept.completeness = added.completeness;
            kept.reason = added.said(added.reason).map(|reason| kept.put(reason));
        }
        if (kept.status, added.status) == (Status::Ok, Status::Unknown) {
            (kept.status, kept.code) = (Status::Unknown, None);
        }
        Some(added)
    }
}

/// Waiting requests of one side.
#[derive(Debug, Default)]
pub(super) struct Side {
    // In boxes: an idle flow keeps the tables, which would hold several requests each.
    by_id: ById<Box<Pending>>,
    aliases: ById<u64>,
    in_order: VecDeque<Box<Pending>>,
    /// Requests that had to make room, whose answers come before those to `in_order`.
    displaced_in_order: usize,
    given_up: VecDeque<u64>,
    owed: Owed,
    /// Bytes that the requests take in memory.
    held: usize,
}

/// Answers that are yet to come to requests whose ids were used anew, as often as that happened: while there are any,
/// nobody can know which request of an id is answered.
#[derive(Debug, Default)]
struct Owed(ById<(u32, Timestamp)>);

impl Owed {
    /// A request waited for its answer when its id was used again, at that time.
    fn add(&mut self, id: u64, at: Timestamp) {
        if self.0.len() >= MAX_OWED {
            self.0.retain(|_, (_, since)| since.saturating_add(REQUEST_TIMEOUT) > at);
        }
        if self.0.len() < MAX_OWED || self.0.contains_key(&id) {
            let (count, since) = self.0.entry(id).or_default();
            (*count, *since) = (count.saturating_add(1), at);
        }
    }

    /// Whether answers are owed to earlier requests of the id. None comes any more that would be too late.
    fn has(&mut self, id: u64, at: Timestamp) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let is_late = self.0.get(&id).is_some_and(|(_, since)| since.saturating_add(REQUEST_TIMEOUT) <= at);
        if is_late {
            self.0.remove(&id);
        }
        self.0.contains_key(&id)
    }

    /// An answer came to the id when no request of it waited.
    fn take(&mut self, id: u64) {
        if let Some((count, _)) = self.0.get_mut(&id) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&id);
            }
        }
    }
}

#[expect(clippy::vec_box, reason = "the boxes go on from here, and back to where they came from")]
impl Side {
    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty() && self.in_order.is_empty()
    }

    /// Bytes that the requests take in memory.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Gives back the memory of requests that wait no more.
    pub(super) fn shrink(&mut self) {
        self.by_id.shrink_to_fit();
        self.aliases.shrink_to_fit();
        self.in_order.shrink_to_fit();
        self.given_up.shrink_to_fit();
        self.owed.0.shrink_to_fit();
    }

    pub(super) fn by_id(&self, id: u64) -> Option<&Pending> {
        let pending = self.by_id.get(&id).or_else(|| self.by_id.get(self.aliases.get(&id)?))?;
        (!pending.is_ambiguous).then_some(pending)
    }

    /// The oldest request but `n` that waits in order, if who answers had heard of it.
    pub(super) fn in_order(&self, n: usize, heard: Heard) -> Option<&Pending> {
        let n = n.checked_sub(self.displaced_in_order)?;
        self.in_order.get(n).map(|pending| &**pending).filter(|pending| heard.includes(pending.start))
    }

    pub(super) fn for_each_content(&mut self, show: &mut impl FnMut(&mut u16, &mut Content)) {
        for pending in self.by_id.values_mut().chain(&mut self.in_order) {
            show(&mut pending.protocol, &mut pending.part.content);
            if let Some(replies) = &mut pending.replies {
                // Of the same protocol as their request.
                show(&mut 0, &mut replies.part.content);
            }
        }
    }

    /// Adds a request; gives those that had to make room, each with the reason. A datagram with the id of another one asks
    /// the same again.
    pub(super) fn insert(
        &mut self,
        mut pending: Box<Pending>,
        transport: Transport,
    ) -> Vec<(Box<Pending>, &'static str)> {
        let mut displaced = Vec::new();
        self.enters(&mut pending);
        match pending.part.content.id {
            Some(id) => {
                let before = self.by_id.remove(&id);
                if transport == Transport::Tcp {
                    if before.as_ref().is_some_and(|p| !p.is_given_up && p.replies.is_none()) {
                        self.owed.add(id, pending.first);
                    }
                    pending.is_ambiguous = self.owed.has(id, pending.first);
                }
                self.by_id.insert(id, pending);
                displaced.extend(before.map(|before| (self.leaves(before), "superseded")));
            }
            None => self.in_order.push_back(pending),
        }
        if self.by_id.len() + self.in_order.len() > MAX_PENDING || self.held > MAX_HELD {
            displaced.extend(self.take_oldest().into_iter().map(|oldest| (oldest, "too many pending")));
        }
        displaced
    }

    pub(super) fn response_begins(&mut self, id: Option<u64>, heard: Heard) {
        let pending = match id {
            None if self.displaced_in_order > 0 => None,
            None => self.in_order.front_mut().filter(|pending| heard.includes(pending.start)),
            Some(id) if self.by_id.contains_key(&id) => self.by_id.get_mut(&id),
            Some(id) => self.aliases.get(&id).and_then(|id| self.by_id.get_mut(id)),
        };
        if let Some(pending) = pending {
            pending.is_being_answered = true;
        }
    }

    pub(super) fn find(&mut self, id: Option<u64>, sequence: u64) -> Option<&mut Pending> {
        match id {
            Some(id) => {
                self.by_id.get_mut(&id).map(|pending| &mut **pending).filter(|found| found.sequence == sequence)
            }
            None => {
                let index = self.in_order.binary_search_by_key(&sequence, |pending| pending.sequence).ok()?;
                self.in_order.get_mut(index).map(|pending| &mut **pending)
            }
        }
    }

    /// Takes out a request that waits in order.
    pub(super) fn take_in_order(&mut self, sequence: u64) -> Option<Box<Pending>> {
        let index = self.in_order.binary_search_by_key(&sequence, |pending| pending.sequence).ok()?;
        self.in_order.remove(index).map(|pending| self.leaves(pending))
    }

    /// Takes out the request that is answered by a response without an id, from who had heard so much.
    pub(super) fn take_next(&mut self, heard: Heard) -> Option<Box<Pending>> {
        if self.displaced_in_order > 0 {
            self.displaced_in_order -= 1;
            return None;
        }
        let is_heard = self.in_order.front().is_some_and(|pending| heard.includes(pending.start));
        let next = if is_heard { self.in_order.pop_front() } else { None };
        next.map(|pending| self.leaves(pending))
    }

    /// Takes out the request that a response with this id answers.
    pub(super) fn take(&mut self, id: u64) -> Option<Box<Pending>> {
        let pending = self.by_id.remove(&id).or_else(|| self.by_id.remove(self.aliases.get(&id)?));
        if pending.is_none() {
            self.owed.take(id);
        }
        pending.map(|pending| self.leaves(pending))
    }

    /// Puts a request back that expects further replies, perhaps under a second id.
    pub(super) fn put_back(&mut self, mut pending: Box<Pending>, alias: Option<u64>) {
        pending.is_being_answered = false;
        self.enters(&mut pending);
        match pending.part.content.id {
            Some(id) => {
                pending.alias = alias;
                if let Some(alias) = alias {
                    self.aliases.insert(alias, id);
                }
                self.by_id.insert(id, pending);
            }
            None => self.in_order.push_front(pending),
        }
    }

    /// Copies of the requests that have waited too long, each with when it had. They stay, marked, for their late answers.
    pub(super) fn expire(
        &mut self,
        now: Timestamp,
        timeout: u64,
        under_way: UnderWay,
    ) -> Vec<(Box<Pending>, Timestamp)> {
        let mut expired: Vec<(Box<Pending>, Timestamp)> = Vec::new();
        for pending in self.by_id.values_mut().chain(&mut self.in_order).filter(|pending| pending.is_timed()) {
            let due = pending.waits_since(under_way, timeout).saturating_add(timeout);
            if due <= now {
                expired.push((pending.clone(), due));
                pending.is_given_up = true;
                pending.part.content.attributes.clear();
            }
        }
        expired.sort_unstable_by_key(|(pending, _)| pending.sequence);
        self.given_up.extend(expired.iter().filter_map(|(pending, _)| pending.part.content.id));
        while self.given_up.len() > MAX_GIVEN_UP {
            let Some(id) = self.given_up.pop_front() else { break };
            if self.by_id.get(&id).is_some_and(|pending| pending.is_given_up) {
                self.take(id);
            }
        }
        expired
    }

    /// Since when the oldest request waits that is not given up.
    pub(super) fn oldest(&self, timeout: u64, under_way: UnderWay) -> Option<Timestamp> {
        let waiting = self.by_id.values().chain(&self.in_order);
        waiting.filter(|pending| pending.is_timed()).map(|pending| pending.waits_since(under_way, timeout)).min()
    }

    pub(super) fn drain(&mut self) -> Vec<Box<Pending>> {
        let waiting = self.by_id.drain().map(|(_, pending)| pending).chain(self.in_order.drain(..));
        let mut drained: Vec<Box<Pending>> = waiting.collect();
        self.aliases.clear();
        self.given_up.clear();
        self.owed.0.clear();
        self.displaced_in_order = 0;
        self.held = 0;
        drained.sort_unstable_by_key(|pending| pending.sequence);
        drained
    }

    pub(super) fn drain_in_order(&mut self) -> Vec<Box<Pending>> {
        self.displaced_in_order = 0;
        std::mem::take(&mut self.in_order).into_iter().map(|pending| self.leaves(pending)).collect()
    }

    /// More is known of a request than when it came.
    pub(super) fn grew(&mut self, id: Option<u64>, sequence: u64) {
        let Some(pending) = self.find(id, sequence) else { return };
        let after = pending.footprint();
        let before = std::mem::replace(&mut pending.held, after);
        self.held = self.held.saturating_sub(before).saturating_add(after);
    }

    fn enters(&mut self, pending: &mut Pending) {
        pending.held = pending.footprint();
        self.held = self.held.saturating_add(pending.held);
    }

    fn leaves(&mut self, mut pending: Box<Pending>) -> Box<Pending> {
        self.held = self.held.saturating_sub(pending.held);
        if let Some(alias) = pending.alias.take() {
            self.aliases.remove(&alias);
        }
        pending
    }

    /// Takes out the oldest requests, so many at once that looking for them costs little each.
    fn take_oldest(&mut self) -> Vec<Box<Pending>> {
        let mut sequences: Vec<u64> = self.by_id.values().chain(&self.in_order).map(|p| p.sequence).collect();
        let evicted = sequences.len() / EVICTED_SHARE;
        let limit = if evicted < sequences.len() { *sequences.select_nth_unstable(evicted).1 } else { 0 };
        let mut oldest: Vec<Box<Pending>> = Vec::new();
        let ids: Vec<u64> = self.by_id.iter().filter(|(_, p)| p.sequence <= limit).map(|(id, _)| *id).collect();
        oldest.extend(ids.into_iter().filter_map(|id| self.take(id)));
        while self.in_order.front().is_some_and(|pending| pending.sequence <= limit) {
            let pending = self.in_order.pop_front();
            oldest.extend(pending.map(|pending| self.leaves(pending)));
            self.displaced_in_order += 1;
        }
        oldest.sort_unstable_by_key(|pending| pending.sequence);
        oldest
    }
}

#[cfg(test)]
mod tests {
    use super::{EVICTED_SHARE, MAX_HELD, MAX_PENDING, Pending, Replies, Side, Span, UnderWay};
    use crate::packet::{Timestamp, Transport};
    use crate::pair::tests::message;
    use crate::reassembly::Heard;
    use crate::record::{Completeness, Kind, Status};

    fn request(sequence: u64, id: Option<u64>) -> Box<Pending> {
        Box::new(Pending::new(sequence, message(Kind::Request, id), 0))
    }

    fn request_at(first: Timestamp) -> Box<Pending> {
        Box::new(Pending::new(1, message(Kind::Request, None), first))
    }

    #[test]
    fn a_full_table_gives_up_its_oldest_requests_in_order() {
        let mut side = Side::default();
        for n in 0..MAX_PENDING as u64 {
            let id = n.is_multiple_of(2).then_some(n);
            assert!(side.insert(request(n, id), Transport::Tcp).is_empty());
        }
        let displaced = side.insert(request(MAX_PENDING as u64, None), Transport::Tcp);
        let sequences: Vec<u64> = displaced.iter().map(|(pending, _)| pending.sequence).collect();
        assert_eq!(sequences, (0..=(MAX_PENDING / EVICTED_SHARE) as u64).collect::<Vec<_>>());
    }

    #[test]
    fn the_bytes_of_what_waits_are_counted_and_bounded() {
        let mut side = Side::default();
        let mut displaced = Vec::new();
        for n in 0..1_000 {
            let mut pending = request(n, n.is_multiple_of(2).then_some(n));
            pending.part.content.texts = "x".repeat(1 << 20);
            displaced.extend(side.insert(pending, Transport::Tcp));
            assert!(side.held() <= MAX_HELD, "{}", side.held());
        }
        assert_eq!(
            displaced.first().map(|(pending, reason)| (pending.sequence, *reason)),
            Some((0, "too many pending"))
        );
        assert!(side.held() > MAX_HELD / 2 && displaced.iter().map(|(p, _)| p.sequence).eq(0..displaced.len() as u64));
        assert!(side.take(998).is_some_and(|pending| pending.held > 1 << 20));
        let waiting = side.by_id.len() + side.in_order.len();
        assert!(side.held() < (waiting + 1) << 20 && side.held() >= waiting << 20);
        side.displaced_in_order = 0;
        assert!(side.take_next(Heard::ALL).is_some());
        assert_eq!((side.drain_in_order().len() + side.drain().len(), side.held()), (waiting - 1, 0));
    }

    #[test]
    fn a_reused_id_supersedes_the_older_request() {
        let mut side = Side::default();
        assert!(side.insert(request(1, Some(7)), Transport::Tcp).is_empty());
        let displaced = side.insert(request(2, Some(7)), Transport::Tcp);
        assert_eq!(displaced.first().map(|(pending, reason)| (pending.sequence, *reason)), Some((1, "superseded")));
        assert!(side.by_id(7).is_none(), "whose answer comes next is not known");
        assert_eq!(side.take(7).map(|pending| (pending.sequence, pending.is_ambiguous)), Some((2, true)));
        assert!(side.insert(request(3, Some(7)), Transport::Udp).is_empty());
        side.insert(request(4, Some(7)), Transport::Udp);
        assert_eq!(side.by_id(7).map(|pending| pending.sequence), Some(4), "the same question");
    }

    #[test]
    fn what_one_reply_does_not_tell_the_sum_does_not_know() {
        let mut replies = None;
        for (status, completeness) in [(Status::Ok, Completeness::Full), (Status::Unknown, Completeness::Header)] {
            let mut reply = message(Kind::Response, Some(7));
            (reply.content.status, reply.content.completeness) = (status, completeness);
            reply.content.code = Some(0);
            reply.content.reason = Some(reply.content.put("cut"));
            Replies::add(&mut replies, reply, Span { first: 1, last: 1 });
        }
        let sum = replies.unwrap().part.content;
        assert_eq!((sum.status, sum.code, sum.completeness), (Status::Unknown, None, Completeness::Header));
        assert_eq!(sum.said(sum.reason), Some("cut"));
    }

    #[test]
    fn a_request_whose_response_has_begun_does_not_time_out() {
        let mut side = Side::default();
        side.insert(request(1, Some(7)), Transport::Tcp);
        side.insert(request(2, Some(8)), Transport::Tcp);
        side.insert(request(3, None), Transport::Tcp);
        side.insert(request(4, None), Transport::Tcp);
        side.response_begins(Some(7), Heard::ALL);
        side.response_begins(None, Heard::ALL);
        let nothing = UnderWay::default();
        let expired: Vec<u64> = side.expire(1_000, 100, nothing).iter().map(|(pending, _)| pending.sequence).collect();
        assert_eq!((expired, side.oldest(100, nothing)), (vec![2, 4], None));
    }

    #[test]
    fn while_bytes_come_that_may_be_its_end_or_its_answer_a_request_does_not_time_out() {
        let due = |last: Option<Timestamp>, request, answer: Option<(Timestamp, Timestamp)>| {
            let mut side = Side::default();
            let mut asked = request_at(50);
            asked.last = last;
            side.insert(asked, Transport::Tcp);
            let under_way = UnderWay { request, answer: answer.map(|(first, last)| Span { first, last }) };
            let oldest = side.oldest(100, under_way).unwrap();
            let told = side.expire(10_000, 100, under_way).first().map(|(_, due)| *due);
            assert_eq!(told, Some(oldest + 100));
            oldest
        };
        assert_eq!(due(None, None, None), 50);
        assert_eq!(due(None, Some(400), None), 400, "the request's rest");
        assert_eq!(due(Some(60), Some(400), None), 60, "another request");
        assert_eq!(due(Some(60), None, Some((160, 900))), 900, "its answer");
        assert_eq!(due(Some(60), None, Some((161, 900))), 60, "begun too late");
        assert_eq!(due(Some(60), None, Some((59, 900))), 60, "begun too early");
    }

    #[test]
    fn further_replies_find_their_request_under_either_id() {
        let mut side = Side::default();
        side.insert(request(1, Some(7)), Transport::Tcp);
        let pending = side.take(7).unwrap();
        side.put_back(pending, Some(8));
        let pending = side.take(8).unwrap();
        side.put_back(pending, Some(9));
        assert!(side.by_id(8).is_none());
        assert!(side.take(7).is_some() && side.take(9).is_none());
    }
}
