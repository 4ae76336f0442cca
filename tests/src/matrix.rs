//! Who claims what: every plugin's probe against the captures of every protocol, in the runtime's own inference, and
//! against random heads. A claim of what belongs to another protocol is wrong, whether the plugin was sure or not, and
//! whether it gave the flow back later or not. How much it recognises of its own protocol is told, and not judged.

pub mod heads;
pub mod traffic;
mod table;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use protap::plugin::PluginSet;
use protap::plugin::instance::ProbeCall;
use protap::plugin::manifest::{Manifest, TransportName};
use protap_plugin::contract::{flag, probe};

use self::heads::{GENERATORS, HeadSource, RandomHead};
use self::traffic::{Sides, Start, Traffic, View};
use crate::{artifacts, engine};

/// The server's port of a plugin's own protocol: nobody's, so that ports help no plugin.
const NEUTRAL_PORT: u16 = 20_001;

/// How much is tried.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Captures begin with each of so many packets of a flow in turn.
    pub starts: usize,
    /// Random heads for each plugin.
    pub heads: usize,
}

/// A way to look at a flow, as the columns of the tables have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// All of it.
    Whole,
    /// From some packet on.
    MidStream,
    /// From inside of some packet on.
    MidFrame,
    /// What the client sent.
    Client,
    /// What the client sent, from some packet on.
    ClientMid,
    /// What the server sent.
    Server,
    /// What the server sent, from some packet on.
    ServerMid,
}

/// All of them.
pub const COLUMNS: [Column; 7] = [
    Column::Whole,
    Column::MidStream,
    Column::MidFrame,
    Column::Client,
    Column::ClientMid,
    Column::Server,
    Column::ServerMid,
];

/// Claims, and flows or heads that could have been claimed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Claims.
    pub claims: u64,
    /// What there was.
    pub of: u64,
}

/// A plugin, alone or among all, and a capture.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Index of the plugin.
    pub plugin: usize,
    /// Index of the capture.
    pub traffic: usize,
    /// All plugins were loaded.
    pub is_among_all: bool,
    /// The protocol is the plugin's own.
    pub is_own: bool,
    /// By [`COLUMNS`].
    pub columns: [Tally; COLUMNS.len()],
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// Names of the plugins.
    pub plugins: Vec<String>,
    /// Names of the captures and their numbers of flows.
    pub traffic: Vec<(String, usize)>,
    /// Plugins and captures.
    pub cells: Vec<Cell>,
    /// By plugin and [`GENERATORS`]: claims of random heads.
    pub heads: Vec<[Tally; GENERATORS.len()]>,
    /// Wrong claims, in words.
    pub wrong: Vec<String>,
}

/// A plugin by itself.
struct Candidate {
    set: Arc<PluginSet>,
    port: u16,
}

impl Candidate {
    fn manifest(&self) -> &Manifest {
        &self.set.get(0).expect("one plugin").manifest
    }

    /// Whether a capture is of the plugin's protocol: its name's first word is the plugin's, or one of its protocols'.
    fn owns(&self, traffic: &Traffic) -> bool {
        let first = |name: &str| name.split(['-', '_']).next().unwrap_or_default().to_lowercase();
        let manifest = self.manifest();
        let names = manifest.protocols.iter().chain([&manifest.name]);
        names.into_iter().any(|name| first(name) == first(&traffic.name))
    }
}

/// The captures of `tests/captures/matrix/`.
#[must_use]
pub fn all_traffic() -> Vec<Traffic> {
    let captures = artifacts::fixtures("matrix");
    captures.iter().map(|fixture| Traffic::read(&fixture.name, &fixture.path)).collect()
}

/// The plugins that were built, each name once.
#[must_use]
pub fn built_plugins() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for folder in ["plugins", "example-plugins", "test-plugins"] {
        let files = protap::plugin::module_files(&artifacts::root().join("target").join(folder)).unwrap_or_default();
        for file in files {
            if found.iter().all(|other| other.file_name() != file.file_name()) {
                found.push(file);
            }
        }
    }
    found
}

/// Tries these plugins on that traffic, as the plan says.
#[must_use]
pub fn run(plan: Plan, plugins: &[PathBuf], traffic: &[Traffic]) -> Report {
    let candidates: Vec<Candidate> = plugins.iter().map(|path| candidate(path)).collect();
    let all = engine::load(plugins.iter().map(AsRef::as_ref));
    let mut report = Report {
        plugins: candidates.iter().map(|candidate| candidate.manifest().name.clone()).collect(),
        traffic: traffic.iter().map(|traffic| (traffic.name.clone(), traffic.flows)).collect(),
        cells: Vec::new(),
        heads: Vec::new(),
        wrong: Vec::new(),
    };
    let cells = in_parallel(traffic.len(), |index| of_traffic(plan, &candidates, &all, (index, &traffic[index])));
    for (cells, wrong) in cells {
        report.cells.extend(cells);
        report.wrong.extend(wrong);
    }
    for (tallies, wrong) in in_parallel(candidates.len(), |index| of_heads(plan, &candidates[index], traffic)) {
        report.heads.push(tallies);
        report.wrong.extend(wrong);
    }
    report
}

fn candidate(path: &Path) -> Candidate {
    let set = engine::load([path]);
    let port = set.get(0).expect("one plugin").manifest.ports.first().copied().unwrap_or(NEUTRAL_PORT);
    Candidate { set, port }
}

/// All views of one capture through each plugin alone, and through all of them.
fn of_traffic(
    plan: Plan,
    candidates: &[Candidate],
    all: &Arc<PluginSet>,
    (index, traffic): (usize, &Traffic),
) -> (Vec<Cell>, Vec<String>) {
    let cell = |plugin: usize, is_among_all| Cell {
        plugin,
        traffic: index,
        is_among_all,
        is_own: candidates[plugin].owns(traffic),
        columns: [Tally::default(); COLUMNS.len()],
    };
    let mut cells: Vec<Cell> = [false, true]
        .into_iter()
        .flat_map(|is_among_all| (0..candidates.len()).map(move |plugin| (plugin, is_among_all)))
        .map(|(plugin, is_among_all)| cell(plugin, is_among_all))
        .collect();
    let mut wrong = Vec::new();
    for (column, view) in views(plan) {
        let whole = traffic.show(view, None, traffic.server_port);
        if whole.flows == 0 {
            continue;
        }
        let among_all = engine::read_with(all, whole.file, 1);
        for cell in &mut cells {
            let candidate = &candidates[cell.plugin];
            let claims = |outcome: &engine::Outcome| outcome.plugin(&candidate.manifest().name)["claims"].as_u64();
            // The port speaks for the plugin where the protocol is another, and not where it is its own.
            let port = if cell.is_own { NEUTRAL_PORT } else { candidate.port };
            let alone = |only| claims(&engine::read_with(&candidate.set, traffic.show(view, only, port).file, 1));
            let claims = if cell.is_among_all { claims(&among_all) } else { alone(None) }.expect("a count");
            let tally = &mut cell.columns[column as usize];
            tally.of += whole.flows;
            tally.claims += if cell.is_own { claims.min(whole.flows) } else { claims };
            if claims > 0 && !cell.is_own {
                let among = if cell.is_among_all { "among all" } else { "alone" };
                let is_first = |flow: &usize| !cell.is_among_all && alone(Some(*flow)).is_some_and(|claims| claims > 0);
                let first = (0..traffic.flows).find(is_first);
                let (plugin, View { sides, start }) = (&candidate.manifest().name, view);
                let what = format!("{claims} flows of {}, {sides:?} from {start:?}, first {first:?}", traffic.name);
                wrong.push(format!("{plugin} {among}: {what}"));
            }
        }
    }
    (cells, wrong)
}

/// The views that a plan asks for.
fn views(plan: Plan) -> Vec<(Column, View)> {
    let mut views = Vec::new();
    for (sides, whole, mid) in [
        (Sides::Both, Column::Whole, Column::MidStream),
        (Sides::Client, Column::Client, Column::ClientMid),
        (Sides::Server, Column::Server, Column::ServerMid),
    ] {
        views.push((whole, View { sides, start: Start::Opening }));
        views.extend((0..plan.starts).map(|from| (mid, View { sides, start: Start::Packet(from) })));
    }
    let inside = |from| (Column::MidFrame, View { sides: Sides::Both, start: Start::Inside(from) });
    views.extend((0..plan.starts).map(inside));
    views
}

/// Random heads, given to one plugin's probe. A probe that fails counts as a wrong claim.
fn of_heads(plan: Plan, candidate: &Candidate, traffic: &[Traffic]) -> ([Tally; GENERATORS.len()], Vec<String>) {
    let others: Vec<&Traffic> = traffic.iter().filter(|traffic| !candidate.owns(traffic)).collect();
    let mut source = HeadSource::new(1, others);
    let mut instance = candidate.set.instantiate(0).expect("it was instantiated before");
    let transports = &candidate.manifest().transports;
    let (mut tallies, mut wrong) = ([Tally::default(); GENERATORS.len()], Vec::new());
    for round in 0..plan.heads {
        let index = round % GENERATORS.len();
        let RandomHead { a, b, flags } = source.next(GENERATORS[index]);
        let is_datagram = match transports.as_slice() {
            [TransportName::Udp] => true,
            [TransportName::Tcp] => false,
            _ => round % 8 >= 4,
        };
        let stream_flags = flag::A_OPENED | flag::A_MID_STREAM | flag::B_MID_STREAM;
        let flags = if is_datagram { flag::DATAGRAM | flags & !stream_flags } else { flags };
        let ports = 50_000 | u32::from(candidate.port) << 16;
        let answer = instance.probe(&ProbeCall { a: &a, b: &b, flags, ports });
        tallies[index].of += 1;
        let verdict = answer.as_ref().map(|packed| packed.to_le_bytes()[0]);
        if matches!(verdict, Ok(probe::NO | probe::MORE)) {
            continue;
        }
        tallies[index].claims += 1;
        let name = &candidate.manifest().name;
        let [a, b] = [a, b].map(|head| head.escape_ascii().to_string());
        wrong.push(format!("{name}: {answer:x?} for head {round}, flags {flags:#x}:\n  {a}\n  {b}"));
        if answer.is_err() {
            instance = candidate.set.instantiate(0).expect("it was instantiated before");
        }
    }
    (tallies, wrong)
}

/// Does something for each index, on as many threads as there are cores; the results in order.
fn in_parallel<T: Send>(count: usize, act: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let (next, threads) = (AtomicUsize::new(0), std::thread::available_parallelism().map_or(1, usize::from));
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return done;
            }
            done.push((index, act(index)));
        }
    };
    let mut done: Vec<(usize, T)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker's panic was shown")).collect()
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}
