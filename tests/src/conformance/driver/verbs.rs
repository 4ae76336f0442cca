//! What each verb of an answer does to a flow, and which of them break the contract.

use protap_plugin::contract::{ParseResult, flag, verb};

use super::{Flow, Round};

impl Flow<'_> {
    /// What the verb of a parse does; whether the call was the last one for now.
    pub(super) fn parsed(&mut self, round: Round, result: &ParseResult) -> Result<bool, String> {
        let consumed = result.consumed as usize;
        if consumed > round.len {
            return Err("it consumed more than it was given".to_owned());
        }
        let (left, window) = ((round.len - consumed) as u64, self.subject.window() as u64);
        let has_amount = matches!(result.verb, verb::NEED | verb::SKIP | verb::HANDOVER);
        if !has_amount && result.amount != 0 {
            return Err(format!("the verb has no operand, but amount is {}", result.amount));
        }
        let is_datagram = self.subject.flow_flags() & flag::DATAGRAM != 0;
        match result.verb {
            verb::MORE if consumed == 0 && !round.is_last => return Err("no progress".to_owned()),
            verb::NEED if result.amount <= left => {
                return Err(format!("it needs {} bytes, and has {left}", result.amount));
            }
            verb::NEED if result.amount > window => return Err(format!("it needs {} bytes", result.amount)),
            verb::SKIP if result.amount == 0 => return Err("it skips nothing".to_owned()),
            verb::REJECT | verb::OPAQUE | verb::HANDOVER | verb::LOST if consumed > 0 => {
                return Err("the verb consumes nothing".to_owned());
            }
            verb::HANDOVER if result.amount < round.offset => {
                return Err("it hands over bytes that it has consumed".to_owned());
            }
            verb::LOST if round.flags & flag::GAP == 0 => return Err("lost, and there is no gap".to_owned()),
            verb::MORE..=verb::LOST => {}
            other => return Err(format!("{other} is no verb of parse")),
        }
        self.take(round.way, consumed as u64);
        match result.verb {
            verb::MORE | verb::NEED if round.is_last && consumed > 0 && left > 0 => Ok(false),
            verb::MORE | verb::NEED | verb::LOST if round.is_last => Ok(self.not_bridged(round)),
            verb::MORE => {
                self.lane(round.way).need = 1;
                Ok(false)
            }
            verb::NEED => {
                self.lane(round.way).need = result.amount;
                Ok(false)
            }
            verb::SKIP => Ok(self.skip(round, result.amount, left, is_datagram)),
            verb::INVALID => {
                self.take(round.way, u64::from(consumed == 0 && round.len > 0));
                self.fruitless += 1;
                self.is_over |= self.fruitless > 16;
                self.lane(round.way).is_lost = !is_datagram;
                Ok(is_datagram)
            }
            _ => {
                self.is_over = true;
                Ok(true)
            }
        }
    }

    /// Passes over bytes; whether what comes behind them is dealt with.
    fn skip(&mut self, round: Round, amount: u64, left: u64, is_datagram: bool) -> bool {
        let here = amount.min(left);
        self.take(round.way, here);
        let ahead = amount - here;
        let lane = self.lane(round.way);
        lane.need = 1;
        if round.is_last && (is_datagram || round.flags & flag::END != 0) {
            return left == here;
        }
        lane.skip = ahead;
        false
    }

    fn not_bridged(&mut self, round: Round) -> bool {
        let lane = self.lane(round.way);
        lane.base += lane.bytes.len() as u64;
        lane.bytes.clear();
        lane.is_lost |= round.gap > 0 && round.flags & flag::DATAGRAM == 0;
        true
    }

    /// What the verb of a resync does.
    pub(super) fn resynced(&mut self, round: Round, result: &ParseResult) -> Result<bool, String> {
        let consumed = result.consumed as usize;
        if consumed > round.len {
            return Err("it consumed more than it was given".to_owned());
        }
        let left = (round.len - consumed) as u64;
        let at = round.offset + consumed as u64;
        match result.verb {
            verb::FOUND | verb::CANDIDATE if left == 0 => return Err("a frame behind the window".to_owned()),
            verb::CANDIDATE if result.amount <= at => return Err("a frame that ends before it begins".to_owned()),
            verb::MORE if consumed == 0 && !round.is_last => return Err("no progress".to_owned()),
            verb::NEED if result.amount <= left && !round.is_last => {
                return Err(format!("it needs {} bytes, and has {left}", result.amount));
            }
            verb::NEED if result.amount > self.subject.window() as u64 => {
                return Err(format!("it needs {} bytes", result.amount));
            }
            verb::FOUND | verb::CANDIDATE | verb::MORE | verb::NEED => {}
            other => return Err(format!("{other} is no verb of resync")),
        }
        self.take(round.way, consumed as u64);
        let is_stuck = consumed == 0 && round.len == self.subject.window();
        let lane = self.lane(round.way);
        (lane.need, lane.hints) = (1, 0);
        match result.verb {
            verb::FOUND => {
                lane.is_lost = false;
                Ok(false)
            }
            verb::CANDIDATE if !round.is_last => {
                let ahead = result.amount - at;
                self.take(round.way, ahead.min(left));
                let lane = self.lane(round.way);
                lane.skip = ahead.saturating_sub(left);
                lane.hints = flag::EXPECTED;
                Ok(false)
            }
            verb::NEED if !round.is_last && is_stuck => {
                self.take(round.way, 1);
                Ok(false)
            }
            verb::NEED if !round.is_last => {
                lane.need = result.amount;
                Ok(false)
            }
            verb::MORE if consumed > 0 && (left > 0 || !round.is_last) => Ok(false),
            _ => {
                lane.base += lane.bytes.len() as u64;
                lane.bytes.clear();
                Ok(true)
            }
        }
    }
}
