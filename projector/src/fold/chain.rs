//! Rules 4 to 6: which of the events of one second came last.
//!
//! Rule 4 by pairs is not associative, so the events are looked at as a set: an order of all of them in which each one
//! follows the one before it (its `previous_attributes` match that one's object) is a chain. When every event of the second
//! has come, the order in which they happened is a chain; so if all chains have one end, that is the truth. If there are
//! several ends, the fixed rank of types and statuses chooses, then the smallest event id, and the row is flagged, unless
//! all of them say the same.

use std::cmp::Reverse;

use super::event::{Kind, SubscriptionEvent};

/// Chains through more events than this are not looked for (2^n steps); then only an end that is the only one in a graph
/// without cycles counts, and anything else is flagged.
const MAX_CHAIN: usize = 12;

/// Which event came last.
#[derive(Debug, PartialEq, Eq)]
pub struct Last<'a> {
    /// The one that counts.
    pub winner: &'a SubscriptionEvent,
    /// The chain that leads to the winner, or the ends it was chosen from; the winner is last.
    pub because: Vec<&'a SubscriptionEvent>,
    /// Whether events that say different things were left to choose from.
    pub ambiguous: bool,
}

/// Resolves the events of one second. `root` is the `created` event of the same second, if there is one.
///
/// `told` is sorted by id and not empty.
pub fn last<'a>(root: Option<&'a SubscriptionEvent>, told: &'a [SubscriptionEvent]) -> Last<'a> {
    let all = changes(told);
    let facts = without_twins(&all);
    // Events that say the same may be one fact told twice or two facts, so both readings are tried, the second one first.
    by_chains(root, &all).or_else(|| by_chains(root, &facts)).unwrap_or_else(|| by_ends(&facts))
}

/// What only tells a state gives way to what changed it.
fn changes(told: &[SubscriptionEvent]) -> Vec<&SubscriptionEvent> {
    let any_change = told.iter().any(|event| event.kind == Kind::Updated);
    told.iter().filter(|event| !any_change || event.kind == Kind::Updated).collect()
}

/// Of several ids for one content the smallest one speaks: Stripe sometimes makes two event objects for one fact.
fn without_twins<'a>(events: &[&'a SubscriptionEvent]) -> Vec<&'a SubscriptionEvent> {
    let mut facts: Vec<&SubscriptionEvent> = Vec::new();
    for event in events {
        let content = |told: &'a SubscriptionEvent| (told.kind, &told.facts, &told.object, &told.before);
        if !facts.iter().any(|known| content(known) == content(event)) {
            facts.push(event);
        }
    }
    facts
}

fn by_chains<'a>(root: Option<&'a SubscriptionEvent>, events: &[&'a SubscriptionEvent]) -> Option<Last<'a>> {
    if events.len() > MAX_CHAIN {
        return None;
    }
    let graph = Graph::of(root, events);
    let chains = graph.chains()?;
    let ends: Vec<&SubscriptionEvent> = (0..events.len()).filter(|&i| chains.end_at(i)).map(|i| events[i]).collect();
    let last = choose(&ends, &ends);
    Some(if last.ambiguous { last } else { Last { because: path(root, events, &graph, &chains, last.winner), ..last } })
}

fn path<'a>(
    root: Option<&'a SubscriptionEvent>,
    events: &[&'a SubscriptionEvent],
    graph: &Graph,
    chains: &Chains,
    end: &SubscriptionEvent,
) -> Vec<&'a SubscriptionEvent> {
    let end = events.iter().position(|event| event.id == end.id).expect("ends are taken from the events");
    let path = chains.path(graph, end);
    let first = root.filter(|root| events[path[0]].follows(root));
    first.into_iter().chain(path.iter().map(|&i| events[i])).collect()
}

/// Where no chain goes through all: what nothing follows. In a graph without cycles a single end is beyond doubt.
fn by_ends<'a>(events: &[&'a SubscriptionEvent]) -> Last<'a> {
    let graph = Graph::of(None, events);
    let ends: Vec<&SubscriptionEvent> = graph.ends().map(|i| events[i]).collect();
    let candidates = if ends.is_empty() { events } else { &ends };
    choose(candidates, if graph.is_cyclic() { events } else { candidates })
}

/// Rules 5 and 6 among `candidates`; in doubt when not all of `doubted` say the same.
fn choose<'a>(candidates: &[&'a SubscriptionEvent], doubted: &[&'a SubscriptionEvent]) -> Last<'a> {
    let winner = candidates.iter().copied().max_by_key(|event| rank(event)).expect("a second holds at least one event");
    let ambiguous = doubted.iter().any(|event| event.facts != winner.facts);
    let others = candidates.iter().copied().filter(|event| ambiguous && event.id != winner.id);
    Last { winner, because: others.chain([winner]).collect(), ambiguous }
}

fn rank(event: &SubscriptionEvent) -> (Kind, u8, Reverse<&str>) {
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
    fn of(root: Option<&SubscriptionEvent>, events: &[&SubscriptionEvent]) -> Self {
        let following = |before: &SubscriptionEvent| {
            let bits = events.iter().enumerate().filter(|(_, event)| event.id != before.id && event.follows(before));
            bits.fold(0, |bits, (i, _)| bits | 1 << i)
        };
        Self { after: events.iter().map(|event| following(event)).collect(), first: root.map_or(0, following) }
    }

    fn all(&self) -> u64 {
        u64::MAX >> (64 - self.after.len())
    }

    fn ends(&self) -> impl Iterator<Item = usize> {
        (0..self.after.len()).filter(|&i| self.after[i] == 0)
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
        [self.first, self.all()].into_iter().map(|starts| Chains::from(self, starts)).find(Chains::exist)
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
