//! What every kind can do, whatever it answers.

use std::{
    fs,
    hint::black_box,
    io::{self, ErrorKind, Write},
    net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket},
    thread,
    time::Duration,
};

use cqar_plugin_sdk::{
    bindings::cqar::plugin::{log, registry},
    plugin::{Failure, Field},
};

use crate::{settings::Effect, texts};

/// The call that `count-traps` traps on.
const LAST_CALL: u32 = 100;
const LOG_LINES: u32 = 100_000;
const LOG_FIELDS: usize = 64;
const LOG_LINE_BYTES: usize = 8 << 10;
const LOOKUP_KEYS: usize = 1000;
const LOOKUP_REFUSALS: u32 = 100;

/// Shows an effect in a call, which is the so many-th. It returns where the call goes on to its answer.
pub(crate) fn show(effect: Effect, calls: u32) -> Result<(), Failure> {
    match effect {
        Effect::Loop => compute(),
        Effect::Eat => eat(),
        Effect::Recurse => {
            black_box(recurse(0));
        }
        Effect::Trap => trap("told to trap"),
        Effect::Fail => return Err(failure("TOLD_TO_FAIL", "told to fail", false)),
        Effect::FailRetryable => return Err(failure("TOLD_TO_FAIL", "told to fail, and to be tried again", true)),
        Effect::FailControlCharacters => {
            return Err(failure(texts::CONTROL_CHARACTERS, texts::CONTROL_CHARACTERS, false));
        }
        Effect::Sleep => thread::sleep(Duration::from_mins(10)),
        Effect::File => return use_files(),
        Effect::Socket => return use_sockets(),
        Effect::Print => print(),
        Effect::CountTraps if calls >= LAST_CALL => trap("the hundredth call"),
        Effect::CountTraps => {}
        Effect::LogFlood => flood_log(),
        Effect::LookupFlood => flood_lookups(),
    }
    Ok(())
}

fn failure(code: &str, message: &str, retryable: bool) -> Failure {
    Failure { code: code.to_owned(), message: message.to_owned(), retryable }
}

#[expect(clippy::panic, reason = "the host must survive it")]
fn trap(why: &str) -> ! {
    panic!("{why}");
}

fn compute() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

fn eat() -> ! {
    let mut eaten: Vec<Vec<u8>> = Vec::new();
    loop {
        eaten.push(vec![1; 1 << 20]);
        black_box(&eaten);
    }
}

/// A few bytes of the guest's own stack a turn, so that the host's, where the frames are, is exhausted first. What comes after
/// the call keeps it from being a jump.
fn recurse(depth: u64) -> u64 {
    if black_box(depth) == u64::MAX {
        return depth;
    }
    black_box(recurse(depth.wrapping_add(1))).wrapping_add(1)
}

/// The root, where a guest without directories has nothing, and paths that lead out of any that it might have.
fn use_files() -> Result<(), Failure> {
    let mut done = Vec::new();
    for folder in ["/", ".", "../../..", "/tmp"] {
        let path = |name: &str| format!("{folder}/{name}");
        let tries: [(&str, io::Result<()>); 6] = [
            ("read", fs::read(path("etc/passwd")).map(drop)),
            ("list", fs::read_dir(folder).map(drop)),
            ("write", fs::write(path("hostile"), "was here")),
            ("link", fs::hard_link(path("etc/passwd"), path("hostile-link"))),
            ("make a folder", fs::create_dir(path("hostile-folder"))),
            ("delete", fs::remove_file(path("hostile"))),
        ];
        done.extend(
            tries.into_iter().filter(|(_, tried)| tried.is_ok()).map(|(what, _)| format!("{what} in {folder}")),
        );
    }
    refused(&done)
}

/// Only addresses that no network need answer for: loopback, and TEST-NET-1 (RFC 5737).
fn use_sockets() -> Result<(), Failure> {
    let loopback = "127.0.0.1:0";
    let send = || UdpSocket::bind(loopback).and_then(|socket| socket.send_to(b"was here", "127.0.0.1:9").map(drop));
    let tries: [(&str, io::Result<()>); 6] = [
        ("connect to loopback", TcpStream::connect("127.0.0.1:9").map(drop)),
        ("connect out", TcpStream::connect("192.0.2.1:443").map(drop)),
        ("listen", TcpListener::bind(loopback).map(drop)),
        ("listen to all", TcpListener::bind("0.0.0.0:0").map(drop)),
        ("send a datagram", send()),
        ("resolve a name", "localhost:80".to_socket_addrs().map(drop)),
    ];
    // That nobody listens is known only to who reached the network.
    let reached = |tried: &io::Result<()>| match tried {
        Ok(()) => true,
        Err(error) => matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::TimedOut),
    };
    let done: Vec<_> = tries.into_iter().filter(|(_, tried)| reached(tried)).map(|(what, _)| what.to_owned()).collect();
    refused(&done)
}

/// Goes on if nothing was done: a sandbox with a hole is said to have one.
fn refused(done: &[String]) -> Result<(), Failure> {
    if done.is_empty() { Ok(()) } else { Err(failure("NOT_REFUSED", &done.join(", "), false)) }
}

/// Both streams in turn; that one is closed stops nothing.
fn print() -> ! {
    let line = "was here ".repeat(113) + "\n";
    loop {
        let _ = io::stdout().write_all(line.as_bytes());
        let _ = io::stderr().write_all(line.as_bytes());
    }
}

/// Fields and message are made once: what costs is the host's part.
fn flood_log() {
    let message = "x".repeat(LOG_LINE_BYTES);
    let field = |index: usize| Field { key: format!("key-{index}"), value: "v".repeat(64) };
    let fields: Vec<_> = (0..LOG_FIELDS).map(field).collect();
    for _ in 0..LOG_LINES {
        log::log(log::Level::Error, &message, &fields);
    }
}

/// Other keys each time, so that no look-up is one that was made before.
fn flood_lookups() {
    let mut refusals = 0;
    let mut turn = 0_u64;
    while refusals < LOOKUP_REFUSALS {
        turn = turn.wrapping_add(1);
        let key = |index: usize| vec!["hostile".to_owned(), "spot".to_owned(), format!("{turn}-{index}")];
        let keys: Vec<_> = (0..LOOKUP_KEYS).map(key).collect();
        if registry::find("market.symbol", &keys).is_err() {
            refusals += 1;
        }
    }
}
