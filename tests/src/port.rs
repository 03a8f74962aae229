//! Ports for servers that must be told theirs before they start.

use std::{
    net::{Ipv4Addr, TcpListener},
    process,
    sync::atomic::{AtomicU16, Ordering},
};

/// Below what the system hands out by itself, which another process may get before the server has it.
const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;

/// A free loopback port, another one at each call. Processes begin at different places.
pub fn free() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let start = process::id().wrapping_mul(61);
    loop {
        let next = start.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed).into()) % u32::from(COUNT);
        let port = FIRST + u16::try_from(next).unwrap();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
