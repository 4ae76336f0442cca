//! Field by field: what a reader of a message says of it must be what the crate prints of it, and what the reader leaves
//! out must be absent or empty there.

use std::collections::{BTreeMap, BTreeSet};

use crate::random::Generated;
use crate::rules::{OMITTED_IN_REQUESTS, OMITTED_IN_RESPONSES, REQUESTS, RESPONSES, Rule};

/// The values of a field in a printed message, as they are printed, without what they are wrapped in; empty ones left out.
fn values(message: &str, field: &str) -> Vec<String> {
    let mut values = Vec::new();
    for (at, _) in message.match_indices(field) {
        let is_whole = message[..at].ends_with([' ', '{']);
        if let Some(value) = message[at + field.len()..].strip_prefix(": ").filter(|_| is_whole) {
            values.extend(elements(value));
        }
    }
    values
}

/// One value, or those of a list of strings or numbers.
fn elements(value: &str) -> Vec<String> {
    if let Some(list) = value.strip_prefix('[') {
        let list = list.split(']').next().unwrap_or_default();
        return if list.contains(" { ") { Vec::new() } else { list.split(", ").filter_map(unwrapped).collect() };
    }
    unwrapped(value).into_iter().collect()
}

fn unwrapped(value: &str) -> Option<String> {
    let wrapper = |c: char| c.is_ascii_alphanumeric();
    let mut value = value;
    while let Some((_, inner)) = value.split_once('(').filter(|(name, _)| !name.is_empty() && name.chars().all(wrapper))
    {
        value = inner;
    }
    if let Some(text) = value.strip_prefix('"') {
        return Some(format!("\"{}\"", text.split('"').next()?)).filter(|text| text != "\"\"");
    }
    let end = value.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(value.len());
    Some(value[..end].to_owned()).filter(|value| !value.is_empty() && value != "None")
}

fn is_default(value: &str) -> bool {
    // What the crate prints for fields that a version does not have.
    value.parse::<i64>().is_ok_and(|number| (-1..=0).contains(&number))
        || value == "false"
        || value == i32::MAX.to_string()
}

/// The errors of a printed message that are some, at all levels.
#[must_use]
pub fn error_codes(message: &str) -> Vec<&str> {
    let codes = message.match_indices("error_code: ").filter_map(|(at, name)| {
        // Detail beside the error of a topic, in a tagged field.
        let is_detail = message[..at].ends_with("topic_config_");
        let code = message[at + name.len()..].split([',', ' ', ')', '}']).next()?;
        (!is_detail && code != "0").then_some(code)
    });
    codes.collect()
}

/// What was compared.
#[derive(Debug)]
pub struct Comparison {
    rules: &'static [Rule],
    may_be_omitted: &'static [(&'static str, &'static str)],
    equal: BTreeMap<(i16, &'static str), u32>,
    omitted: BTreeSet<(String, &'static str)>,
}

impl Comparison {
    /// A comparison of requests.
    #[must_use]
    pub fn of_requests() -> Self {
        Self { rules: REQUESTS, may_be_omitted: OMITTED_IN_REQUESTS, equal: BTreeMap::new(), omitted: BTreeSet::new() }
    }

    /// A comparison of responses.
    #[must_use]
    pub fn of_responses() -> Self {
        Self { rules: RESPONSES, may_be_omitted: OMITTED_IN_RESPONSES, ..Self::of_requests() }
    }

    /// Compares one message with what is said of it: an attribute's value, strings in quotes.
    pub fn add(&mut self, message: &Generated, said: impl Fn(&str) -> Option<String>) {
        for (attribute, fields) in self.rules {
            let theirs: Vec<String> = fields.iter().flat_map(|field| values(&message.printed, field)).collect();
            match said(attribute).filter(|value| value != "\"\"") {
                Some(value) => {
                    assert!(
                        theirs.contains(&value),
                        "{attribute} is {value}, not of {theirs:?}: {:?} {} {}",
                        message.key,
                        message.version,
                        message.printed
                    );
                    *self.equal.entry((message.key as i16, *attribute)).or_default() += 1;
                }
                None if theirs.iter().all(|value| is_default(value)) => {}
                None => self.omitted.extend([(format!("{:?}", message.key), *attribute)]),
            }
        }
    }

    /// Nothing is left out but what may be, and at least so many kinds of fields, and fields, were equal.
    pub fn check(&self, kinds: usize, fields: u32) {
        let more: Vec<_> =
            self.omitted.iter().filter(|(api, what)| !self.may_be_omitted.contains(&(api.as_str(), *what))).collect();
        assert!(more.is_empty(), "left out: {more:?}");
        let equal = (self.equal.len(), self.equal.values().sum::<u32>());
        println!("{} kinds of fields, and {} fields, are equal", equal.0, equal.1);
        assert!(equal.0 >= kinds && equal.1 >= fields, "only {equal:?} kinds of fields, and fields, were equal");
    }
}
