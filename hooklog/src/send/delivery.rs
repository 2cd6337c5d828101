//! In what order, and how often, events arrive: bounded disorder and duplicates, as Stripe promises no better.
//! Pure: events in their true order in, posts in their order of arrival out, with bounded memory.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};

use anyhow::Result;
use bytes::Bytes;

use super::generator::Event;
use super::generator::dice::Dice;

/// The disorder to add.
#[derive(Clone, Copy, Debug)]
pub(super) struct Disorder {
    pub(super) seed: u64,
    /// Duplicates on top of the events, as a share of them: 0.2 makes 1,000 events 1,200 posts.
    pub(super) duplicates: f64,
    /// No event moves further than this many places among the others; 0 keeps their order.
    pub(super) window: u64,
}

/// One body to be posted.
#[derive(Clone, Debug)]
pub(super) struct Post {
    /// The event's number in its true order.
    pub(super) number: u64,
    pub(super) id: Bytes,
    pub(super) body: Bytes,
}

/// How far behind its original a duplicate comes, in events, and in how many of a hundred cases.
const DISTANCES: &[(u64, (i64, i64))] = &[(30, (0, 0)), (60, (1, 50)), (10, (51, 1_000))];
/// Duplicates are shared out in blocks of so many events, exactly, and by chance within one.
const BLOCK: usize = 64;

/// The posts of a stream of events.
pub(super) struct Deliveries<I> {
    events: I,
    disorder: Disorder,
    dice: Dice,
    /// Read, not yet given a place; with each the number of its duplicates.
    block: VecDeque<(Event, u64)>,
    placed: BinaryHeap<Reverse<Placed>>,
    read: u64,
    numbered: u64,
}

/// A post and its place: by `due`, then by event, originals first.
struct Placed {
    due: u64,
    copy: u64,
    post: Post,
}

impl<I: Iterator<Item = Result<Event>>> Deliveries<I> {
    pub(super) fn new(events: I, disorder: Disorder) -> Self {
        let dice = Dice::new(disorder.seed, b"delivery");
        Self { events, disorder, dice, block: VecDeque::new(), placed: BinaryHeap::new(), read: 0, numbered: 0 }
    }

    /// How many duplicates the first `events` have between them.
    fn duplicates_until(&self, events: u64) -> u64 {
        (events as f64 * self.disorder.duplicates).round() as u64
    }

    fn read_block(&mut self) -> Result<()> {
        let events = self.events.by_ref().take(BLOCK).collect::<Result<Vec<_>>>()?;
        let length = events.len() as u64;
        let duplicates = self.duplicates_until(self.read + length) - self.duplicates_until(self.read);
        self.read += length;
        let mut left = (length, duplicates);
        for event in events {
            let copies = self.draw_copies(left);
            left = (left.0 - 1, left.1 - copies);
            self.block.push_back((event, copies));
        }
        Ok(())
    }

    /// Selection sampling: of `duplicates` for `events` still to come, how many the next one gets.
    fn draw_copies(&mut self, (events, duplicates): (u64, u64)) -> u64 {
        duplicates / events + u64::from(self.dice.below(events) < duplicates % events)
    }

    fn place(&mut self, event: Event, copies: u64) {
        let number = self.numbered;
        self.numbered += 1;
        let due = number + self.dice.below(self.disorder.window + 1);
        let body = Bytes::from(event.body);
        let post = Post { number, id: event.id.into(), body };
        for copy in 1..=copies {
            let (low, high) = self.dice.weighted(DISTANCES.iter().copied()).expect("the weights are not 0");
            let due = due + self.dice.between(low, high).unsigned_abs();
            let body = self.copy_of(&post.body, event.pending_webhooks_at);
            self.placed.push(Reverse(Placed { due, copy, post: Post { body, ..post.clone() } }));
        }
        self.placed.push(Reverse(Placed { due, copy: 0, post }));
    }

    /// A repeat can have another `pending_webhooks`: the same event, other bytes.
    fn copy_of(&mut self, body: &Bytes, pending_webhooks_at: Option<usize>) -> Bytes {
        match pending_webhooks_at.filter(|_| self.dice.chance(40)) {
            Some(at) => {
                let mut bytes = body.to_vec();
                bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
                Bytes::from(bytes)
            }
            None => body.clone(),
        }
    }
}

impl<I: Iterator<Item = Result<Event>>> Iterator for Deliveries<I> {
    type Item = Result<Post>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            // What is still to be read is due at `numbered` or later, and comes after all that is placed there.
            let is_ripe = |Reverse(placed): &Reverse<Placed>| placed.due <= self.numbered;
            if self.placed.peek().is_some_and(is_ripe) {
                return self.placed.pop().map(|Reverse(placed)| Ok(placed.post));
            }
            if self.block.is_empty()
                && let Err(error) = self.read_block()
            {
                return Some(Err(error));
            }
            match self.block.pop_front() {
                Some((event, copies)) => self.place(event, copies),
                None => return self.placed.pop().map(|Reverse(placed)| Ok(placed.post)),
            }
        }
    }
}

impl Placed {
    fn rank(&self) -> (u64, u64, u64) {
        (self.due, self.post.number, self.copy)
    }
}

impl Ord for Placed {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Placed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Placed {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Placed {}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn events(count: u64) -> impl Iterator<Item = Result<Event>> {
        (0..count).map(|number| {
            let body = format!(r#"{{"id":"evt_{number}","pending_webhooks":1}}"#).into_bytes();
            let pending_webhooks_at = Some(body.len() - 2);
            Ok(Event { id: format!("evt_{number}"), body, pending_webhooks_at })
        })
    }

    fn arrivals(count: u64, duplicates: f64, window: u64) -> Vec<Post> {
        let deliveries = Deliveries::new(events(count), Disorder { seed: 1, duplicates, window });
        deliveries.collect::<Result<_>>().expect("no event fails")
    }

    #[test]
    fn without_disorder_events_arrive_as_they_happened() {
        let numbers: Vec<_> = arrivals(200, 0.0, 0).iter().map(|post| post.number).collect();
        assert_eq!(numbers, (0..200).collect::<Vec<_>>());
    }

    #[test]
    fn twenty_thousand_with_a_fifth_doubled_are_twenty_four_thousand_posts() {
        assert_eq!(arrivals(20_000, 0.2, 100).len(), 24_000);
    }

    #[test]
    fn duplicates_come_at_once_near_and_far_and_some_with_other_bytes() {
        let mut first = HashMap::new();
        let (mut distances, mut altered) = (Vec::new(), 0);
        for (place, post) in arrivals(10_000, 0.5, 0).into_iter().enumerate() {
            let (original, body) = first.entry(post.number).or_insert((place, post.body.clone()));
            if *original != place {
                distances.push(place - *original);
                altered += usize::from(*body != post.body);
            }
        }
        assert_eq!(distances.len(), 5_000);
        assert!(distances.contains(&1));
        assert!(distances.iter().any(|distance| *distance > 100));
        assert!(distances.iter().all(|distance| *distance < 2_000));
        assert!((1_500..2_500).contains(&altered), "{altered}");
    }

    #[test]
    fn an_event_that_cannot_be_read_is_reported_and_ends_nothing_silently() {
        let broken = events(3).chain([Err(anyhow::anyhow!("torn"))]);
        let mut deliveries = Deliveries::new(broken, Disorder { seed: 1, duplicates: 0.0, window: 0 });
        assert!(deliveries.any(|post| post.is_err()));
    }

    proptest! {
        #[test]
        fn shuffling_keeps_every_event_and_moves_none_beyond_the_window(count in 1_u64..500, window in 0_u64..80) {
            let numbers: Vec<_> = arrivals(count, 0.0, window).iter().map(|post| post.number).collect();
            let mut sorted = numbers.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..count).collect::<Vec<_>>());
            for (place, number) in numbers.iter().enumerate() {
                prop_assert!((place as u64).abs_diff(*number) <= window);
            }
        }

        #[test]
        fn duplicates_are_counted_exactly_and_follow_their_originals(count in 1_u64..500, duplicates in 0.0_f64..3.0) {
            let posts = arrivals(count, duplicates, 20);
            prop_assert_eq!(posts.len() as u64, count + (count as f64 * duplicates).round() as u64);
            let mut seen = HashMap::new();
            for post in &posts {
                let body = seen.entry(post.number).or_insert_with(|| post.body.clone());
                let but_the_digit = |body: &Bytes| body.slice(..body.len() - 2);
                prop_assert_eq!(but_the_digit(body), but_the_digit(&post.body));
            }
            prop_assert_eq!(seen.len() as u64, count);
        }
    }
}
