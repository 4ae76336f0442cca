//! What calls cost, in units of fuel (about an instruction each; a call may burn 20 million).

use super::Checked;
use super::driver::{Flow, WAYS};
use super::probing::bytes;
use super::subject::Subject;
use protap_plugin::testing::Random;

/// Fuel that a call may burn.
const LIMIT: u64 = 20_000_000;

/// Full windows of random bytes: what the plugin does not understand must be cheap too.
pub(super) fn cost(subject: &Subject) -> Checked {
    let mut random = Random::new(5);
    let mut instance = subject.instance()?;
    let mut costs = Vec::new();
    for _ in 0..40 {
        let mut flow = Flow::open(subject, &mut instance)?;
        let window = bytes(&mut random, subject.window());
        flow.bytes(&mut instance, WAYS[random.below(2)], &window)?;
        costs.append(&mut flow.costs);
        flow.close(&mut instance)?;
    }
    if subject.capture.is_some() {
        costs.append(&mut super::truncated::costs(subject)?);
    }
    Ok(describe(costs))
}

fn describe(mut costs: Vec<(u64, usize)>) -> String {
    costs.sort_unstable();
    let (Some(most), Some(median)) = (costs.last(), costs.get(costs.len() / 2)) else { return "no calls".to_owned() };
    let (fuel, bytes) = costs.iter().fold((0, 0), |(fuel, bytes), (f, b)| (fuel + f, bytes + *b as u64));
    format!(
        "{} calls of parse: median {} fuel, most {} ({:.1} % of the limit), {:.1} per byte",
        costs.len(),
        median.0,
        most.0,
        most.0 as f64 * 100.0 / LIMIT as f64,
        fuel as f64 / bytes.max(1) as f64
    )
}
