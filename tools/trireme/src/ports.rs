//! Ports on this machine: picked once, kept while they are free.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context as _, Result};

/// Below the ports that systems give to outgoing connections (from 32768 on Linux, 49152 elsewhere):
/// otherwise a service that is being restarted could find its port taken by some connection.
const FIRST: u16 = 20_000;
const LAST: u16 = 32_000;

/// Picks a service's three ports: nobody listens on them, and `taken` does not have them.
pub(crate) fn pick(taken: &[u16]) -> Result<[u16; 3]> {
    pick_some(taken)
}

/// Picks ports that nobody listens on and that `taken` does not have.
pub(crate) fn pick_some<const N: usize>(taken: &[u16]) -> Result<[u16; N]> {
    let mut picked = Vec::with_capacity(N);
    for _ in 0..1000 {
        let port = rand::random_range(FIRST..=LAST);
        if !taken.contains(&port) && !picked.contains(&port) && is_free(port) {
            picked.push(port);
        }
        if let Ok(ports) = <[u16; N]>::try_from(picked.as_slice()) {
            return Ok(ports);
        }
    }
    None.context("no free ports between 20000 and 32000: stop something that listens there")
}

/// Says whether a service could listen there now.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picked_ports_are_free_and_distinct() {
        let first = pick(&[]).unwrap();
        assert!(first.iter().all(|port| is_free(*port) && (FIRST..=LAST).contains(port)));
        let second = pick(&first).unwrap();
        assert!(second.iter().all(|port| !first.contains(port)));
        assert!(second[0] != second[1] && second[1] != second[2] && second[0] != second[2]);
    }

    #[test]
    fn a_port_in_use_is_not_free() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(!is_free(listener.local_addr().unwrap().port()));
    }
}
