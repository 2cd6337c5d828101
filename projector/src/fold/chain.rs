//! Rules 4 to 6: which of the events of one second came last.
//!
//! Rule 4 by pairs is not associative, so the events are looked at as a set: an order of all of them in which each one
//! follows the one before it (its `previous_attributes` match that one's object) is a chain. When every event of the second
//! has come, the order in which they happened is a chain; so if all chains have one end, that is the truth. If there are
//! several ends, the fixed rank of types and statuses chooses, then the smallest event id, and the row is flagged, unless
//! all of them say the same.

use std::cmp::Reverse;

use super::event::{Kind, Told};

/// Chains through more events than this are not looked for (2^n steps); then only an end that is the only one in a graph
/// without cycles counts, and anything else is flagged.
const MAX_CHAIN: usize = 12;

/// Which event came last.
#[derive(Debug, PartialEq, Eq)]
pub struct Last<'a> {
    /// The one that counts.
    pub winner: &'a Told,
    /// The chain that leads to the winner, or the ends it was chosen from; the winner is last.
    pub because: Vec<&'a Told>,
    /// Whether events that say different things were left to choose from.
    pub ambiguous: bool,
}

/// Resolves the events of one second. `root` is the `created` event of the same second, if there is one.
///
/// `told` is sorted by id and not empty.
pub fn last<'a>(root: Option<&'a Told>, told: &'a [Told]) -> Last<'a> {
    let events = changes(told);
    let graph = Graph::of(root, &events);
    if events.len() <= MAX_CHAIN
        && let Some(chains) = graph.chains()
    {
        return from_chains(root, &events, &graph, &chains);
    }
    let ends = graph.ends();
    let cyclic = graph.is_cyclic();
    let candidates: Vec<&Told> = if ends.is_empty() { events.clone() } else { ends.iter().map(|&i| events[i]).collect() };
    choose(&candidates, if cyclic { &events } else { &candidates })
}

/// What only tells a state gives way to what changed it; of two ids for one content the smaller one speaks.
fn changes(told: &[Told]) -> Vec<&Told> {
    let any_change = told.iter().any(|event| event.kind == Kind::Updated);
    let mut events: Vec<&Told> = Vec::new();
    for event in told.iter().filter(|event| !any_change || event.kind == Kind::Updated) {
        let same = |known: &&Told| {
            (known.kind, &known.facts, &known.object, &known.before) == (event.kind, &event.facts, &event.object, &event.before)
        };
        if !events.iter().any(same) {
            events.push(event);
        }
    }
    events
}

fn from_chains<'a>(root: Option<&'a Told>, events: &[&'a Told], graph: &Graph, chains: &Chains) -> Last<'a> {
    let ends: Vec<usize> = (0..events.len()).filter(|&i| chains.end_at(i)).collect();
    match ends[..] {
        [end] => {
            let path = chains.path(graph, end);
            let first = root.filter(|root| events[path[0]].follows(root));
            let because = first.into_iter().chain(path.iter().map(|&i| events[i])).collect();
            Last { winner: events[end], because, ambiguous: false }
        }
        _ => {
            let candidates: Vec<&Told> = ends.iter().map(|&i| events[i]).collect();
            choose(&candidates, &candidates)
        }
    }
}

/// Rules 5 and 6 among `candidates`; in doubt when not all of `doubted` say the same.
fn choose<'a>(candidates: &[&'a Told], doubted: &[&'a Told]) -> Last<'a> {
    let winner = candidates.iter().copied().max_by_key(|event| rank(event)).expect("a second holds at least one event");
    let ambiguous = doubted.iter().any(|event| event.facts != winner.facts);
    let others = candidates.iter().copied().filter(|event| ambiguous && event.id != winner.id);
    Last { winner, because: others.chain([winner]).collect(), ambiguous }
}

fn rank(event: &Told) -> (Kind, u8, Reverse<&str>) {
    (event.kind, status_rank(&event.facts.status), Reverse(&event.id))
}

/// Rule 5's rank of statuses: of two, the one in which a burst within one second most often ends. A payment that fails and
/// then succeeds is common, the reverse is not, so `active` is above what leads to it.
fn status_rank(status: &str) -> u8 {
    match status {
        "incomplete" => 1,
        "trialing" => 2,
        "past_due" => 3,
        "unpaid" => 4,
        "paused" => 5,
        "active" => 6,
        _ => 0,
    }
}

/// Who follows whom.
struct Graph {
    /// `after[i]` holds the events that follow event `i`, as bits.
    after: Vec<u64>,
    /// The events that follow the root, as bits.
    first: u64,
}

impl Graph {
    fn of(root: Option<&Told>, events: &[&Told]) -> Self {
        let following = |before: &Told| {
            let bits = events.iter().enumerate().filter(|(_, event)| event.id != before.id && event.follows(before));
            bits.fold(0, |bits, (i, _)| bits | 1 << i)
        };
        Self { after: events.iter().map(|event| following(event)).collect(), first: root.map_or(0, following) }
    }

    fn all(&self) -> u64 {
        u64::MAX >> (64 - self.after.len())
    }

    fn ends(&self) -> Vec<usize> {
        (0..self.after.len()).filter(|&i| self.after[i] == 0).collect()
    }

    /// Takes events off that nothing left follows, until none is left or all that are left lie on or before a cycle.
    fn is_cyclic(&self) -> bool {
        let mut left = self.all();
        while let Some(end) = (0..self.after.len()).find(|&i| left & 1 << i != 0 && self.after[i] & left == 0) {
            left &= !(1 << end);
        }
        left != 0
    }

    /// All chains: those that begin after the root if there are such, else those that begin anywhere.
    fn chains(&self) -> Option<Chains> {
        Some(Chains::from(self, self.first)).filter(Chains::exist).or_else(|| Some(Chains::from(self, self.all())).filter(Chains::exist))
    }
}

/// For each set of events, with which of them a chain through exactly that set can end.
struct Chains(Vec<u64>);

impl Chains {
    fn from(graph: &Graph, starts: u64) -> Self {
        let count = graph.after.len();
        let mut ends = vec![0u64; 1 << count];
        for start in bits(starts) {
            ends[1 << start] = 1 << start;
        }
        for set in 1..ends.len() {
            for end in bits(ends[set]) {
                for next in bits(graph.after[end] & !(set as u64)) {
                    ends[set | 1 << next] |= 1 << next;
                }
            }
        }
        Self(ends)
    }

    fn exist(&self) -> bool {
        self.0.last().is_some_and(|ends| *ends != 0)
    }

    fn end_at(&self, event: usize) -> bool {
        self.0.last().is_some_and(|ends| ends & 1 << event != 0)
    }

    /// One chain with that end; where there are several, the one whose events have the smaller ids later.
    fn path(&self, graph: &Graph, end: usize) -> Vec<usize> {
        let (mut set, mut path) = (self.0.len() - 1, vec![end]);
        while let Some(&event) = path.last() {
            set &= !(1 << event);
            let Some(before) = bits(self.0[set]).find(|&before| graph.after[before] & 1 << event != 0) else { break };
            path.push(before);
        }
        path.reverse();
        path
    }
}

fn bits(mut set: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = set.trailing_zeros() as usize;
        (set != 0).then(|| {
            set &= set - 1;
            lowest
        })
    })
}
