//! Ports that are one test's alone, over all restarts of what listens there.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

/// Above the ports that Linux gives to connections (32768 to 60999), and outside of those that hooklog draws from for
/// `--kafka-port 0` (the larger part of what Linux leaves): while nobody listens at a port of ours, none of them takes it.
const FIRST: u16 = 61_000;
const COUNT: u32 = 4_500;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A port of 127.0.0.1. Nobody else who asks here gets it while this value lives, in whatever process.
#[derive(Debug)]
pub struct Port {
    number: u16,
    /// The reservation: UDP at the same number, which one process can hold and which ends with it. TCP stays free for what
    /// the test starts.
    _reserved: UdpSocket,
}

impl Port {
    /// One that is free now.
    ///
    /// # Panics
    /// None is.
    pub fn reserve() -> Self {
        // Another place to begin for each process: most then succeed with the first try.
        let begin = std::process::id().wrapping_mul(7_919);
        let next = || begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let mut candidates = (0..COUNT).map(|_| FIRST + u16::try_from(next()).expect("less than COUNT"));
        candidates.find_map(Self::at).expect("a free port of 127.0.0.1 from 61000 on")
    }

    fn at(number: u16) -> Option<Self> {
        let reserved = UdpSocket::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        // Somebody may listen who did not ask here.
        TcpListener::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        Some(Self { number, _reserved: reserved })
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// `127.0.0.1:port`
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn many_at_once_get_different_ports_that_can_be_listened_at() {
        let ports: Vec<Port> = std::thread::scope(|scope| {
            let threads = [(); 8].map(|()| scope.spawn(|| [(); 20].map(|()| Port::reserve())));
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(ports.iter().map(Port::number).collect::<BTreeSet<_>>().len(), 160);
        assert!(ports.iter().all(|port| TcpListener::bind(port.address()).is_ok()));
    }

    #[test]
    fn a_port_is_not_given_again_while_somebody_has_it_or_listens_there() {
        let port = Port::reserve();
        assert!(Port::at(port.number()).is_none(), "it was given twice");
        let listener = TcpListener::bind(port.address()).unwrap();
        let number = port.number();
        drop(port);
        assert!(Port::at(number).is_none(), "somebody listens there");
        drop(listener);
        assert!(Port::at(number).is_some());
    }
}
