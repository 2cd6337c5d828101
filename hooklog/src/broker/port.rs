//! Free ports on the loopback.

use super::Error;
use rand::{Rng, RngExt};
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;
use std::thread;
use std::time::{Duration, Instant};

const TRIES: usize = 200;
const LOWEST: u16 = 10_240;

pub(super) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// A process that got SIGKILL gives its port back only when its last thread is gone.
pub(super) fn is_free_within(port: u16, wait: Duration) -> bool {
    let deadline = Instant::now() + wait;
    while !is_free(port) {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}

/// A free port outside of the range from which the kernel takes the ports of outgoing connections: while the broker is
/// away, a client that tries to reach it again and again could be given the broker's own port, and keep it.
pub(super) fn free(rng: &mut impl Rng) -> Result<u16, Error> {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok().and_then(|text| parse(&text));
    let candidates = outside(range.unwrap_or((32_768, 60_999)));
    (0..TRIES).map(|_| rng.random_range(candidates.clone())).find(|port| is_free(*port)).ok_or(Error::NoFreePort)
}

/// The larger part of the unprivileged ports that the kernel's range leaves; all of them where it leaves nothing.
fn outside((first, last): (u16, u16)) -> RangeInclusive<u16> {
    let below = LOWEST..=first.saturating_sub(1);
    let above = last.saturating_add(1).max(LOWEST)..=u16::MAX;
    let larger = if below.len() >= above.len() { below } else { above };
    if larger.len() < 100 { LOWEST..=u16::MAX } else { larger }
}

fn parse(text: &str) -> Option<(u16, u16)> {
    let mut numbers = text.split_whitespace().map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_part_outside_of_the_kernels_range_is_taken() {
        assert_eq!(outside((32_768, 60_999)), 10_240..=32_767);
        assert_eq!(outside((1024, 50_000)), 50_001..=65_535);
        assert_eq!(outside((1024, 65_535)), 10_240..=65_535);
        assert_eq!(outside((32_768, 65_535)), 10_240..=32_767);
    }

    #[test]
    fn the_kernels_range_is_two_numbers() {
        assert_eq!(parse("32768\t60999\n"), Some((32_768, 60_999)));
        assert_eq!(parse("32768"), None);
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_not_free() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(!is_free(listener.local_addr().unwrap().port()));
        assert!(is_free(free(&mut rand::rng()).unwrap()));
    }
}
