//! The contract's conformance suite: a module file in, a line per check out. It calls the module as the runtime does,
//! through the same loader and the same reading of answers, but with bytes and in orders that no capture has. With a
//! capture of the plugin's protocol it also cuts, truncates and damages that. It knows nothing of how a plugin was made.

mod calls;
mod captured;
mod cost;
mod driver;
mod loading;
mod probing;
mod subject;
mod truncated;

use std::path::Path;

use self::subject::Subject;

/// How a check came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As the contract says. What was found, for people; may be empty.
    Passed(String),
    /// What breaks the contract.
    Failed(String),
    /// Why it was not made.
    Skipped(String),
}

/// A check and how it came out.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its name.
    pub name: &'static str,
    /// How it came out.
    pub verdict: Verdict,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (word, text) = match &self.verdict {
            Verdict::Passed(text) => ("ok", text),
            Verdict::Failed(text) => ("FAILED", text),
            Verdict::Skipped(text) => ("skipped", text),
        };
        write!(f, "{:<14} {word:<8} {text}", self.name)
    }
}

/// What went well, or what did not.
type Checked = Result<String, String>;

type Check = (&'static str, fn(&Subject) -> Verdict);

/// The checks of a module that was loaded, in order.
const CHECKS: [Check; 19] = [
    ("manifest", |subject| verdict(loading::manifest(subject))),
    ("signatures", |subject| verdict(loading::signatures(subject))),
    ("options", |subject| verdict(loading::options(subject))),
    ("probe-pure", |subject| verdict(probing::pure(subject))),
    ("probe-random", |subject| verdict(probing::random(subject))),
    ("probe-more", |subject| verdict(probing::more(subject))),
    ("handles", |subject| verdict(loading::handles(subject))),
    ("memory", |subject| verdict(loading::memory(subject))),
    ("input", |subject| verdict(calls::input(subject))),
    ("parse", |subject| verdict(calls::parse(subject))),
    ("gap", |subject| verdict(calls::gap(subject))),
    ("end", |subject| verdict(calls::end(subject))),
    ("resync", |subject| verdict(calls::resync(subject))),
    ("datagrams", calls::datagrams),
    ("unknown-flags", |subject| verdict(calls::unknown_flags(subject))),
    ("reuse", |subject| verdict(calls::reuse(subject))),
    ("isolation", |subject| verdict(calls::isolation(subject))),
    ("determinism", |subject| verdict(calls::determinism(subject))),
    ("cost", |subject| verdict(cost::cost(subject))),
];

/// The checks that need a capture.
const CAPTURED: [Check; 5] = [
    ("records", |subject| verdict(captured::records(subject))),
    ("truncation", truncated::truncation),
    ("cuts", captured::cuts),
    ("losses", captured::losses),
    ("repeat", |subject| verdict(captured::repeat(subject))),
];

/// Runs the suite on a module, with a capture of its protocol if there is one.
#[must_use]
pub fn run(module: &Path, capture: Option<&Path>) -> Vec<Outcome> {
    let subject = match Subject::load(module, capture) {
        Ok(subject) => subject,
        Err(why) => return vec![Outcome { name: "module", verdict: Verdict::Failed(why) }],
    };
    let mut outcomes = vec![Outcome { name: "module", verdict: Verdict::Passed(subject.describe()) }];
    let mut is_callable = true;
    for (name, check) in CHECKS {
        let verdict =
            if is_callable { check(&subject) } else { Verdict::Skipped("it cannot be instantiated".to_owned()) };
        is_callable &= name != "signatures" || !matches!(verdict, Verdict::Failed(_));
        outcomes.push(Outcome { name, verdict });
    }
    for (name, check) in CAPTURED {
        let verdict = match capture {
            Some(_) if is_callable => check(&subject),
            Some(_) => Verdict::Skipped("it cannot be instantiated".to_owned()),
            None => Verdict::Skipped("no capture was given".to_owned()),
        };
        outcomes.push(Outcome { name, verdict });
    }
    outcomes
}

fn verdict(checked: Checked) -> Verdict {
    match checked {
        Ok(text) => Verdict::Passed(text),
        Err(why) => Verdict::Failed(why),
    }
}
