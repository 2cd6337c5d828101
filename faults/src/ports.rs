//! Ports that stay the same over all restarts, as an endpoint's does.

use std::net::TcpListener;

use anyhow::{Context, Result};

/// Below the range from which Linux takes the ports of connections (from 32768), which would take one while nobody listens.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

/// One that is free now, the search for which begins somewhere else for each process.
pub(crate) fn free(taken: &[u16]) -> Result<u16> {
    let begin = u16::try_from(std::process::id().wrapping_mul(7_919) % u32::from(COUNT)).unwrap_or(0);
    let ports = (0..COUNT).map(|step| FIRST + (begin + step) % COUNT);
    let is_free = |port: &u16| !taken.contains(port) && TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.into_iter().find(is_free).context("no port from 20000 to 29999 is free on 127.0.0.1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_not_given() {
        let first = free(&[]).unwrap();
        assert_ne!(free(&[first]).unwrap(), first);
        let _listener = TcpListener::bind(("127.0.0.1", first)).unwrap();
        assert_ne!(free(&[]).unwrap(), first);
    }
}
