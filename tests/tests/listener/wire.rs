//! Frames of HTTP/2 (RFC 9113) as a client may put them together that follows no library.

use std::time::Duration;

use cqar_tests::collect::DEADLINE;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub const HEADERS: u8 = 0x1;
pub const RST_STREAM: u8 = 0x3;
pub const SETTINGS: u8 = 0x4;
pub const GOAWAY: u8 = 0x7;
pub const END_STREAM: u8 = 0x1;
pub const END_HEADERS: u8 = 0x4;

/// A frame, whole.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The headers of a call of health, as RFC 7541 writes them without a table, and one more.
pub fn headers(name: &str, value: &str) -> Vec<u8> {
    let literal = |text: &str| [integer(text.len()), text.as_bytes().to_vec()].concat();
    let path = literal("/grpc.health.v1.Health/Check");
    let field = |name: &str, value: &str| [vec![0x00], literal(name), literal(value)].concat();
    [
        vec![0x83, 0x86, 0x04],
        path,
        vec![0x01],
        literal("x"),
        field("content-type", "application/grpc"),
        field("te", "trailers"),
        field(name, value),
    ]
    .concat()
}

/// An integer with a prefix of seven bits: RFC 7541, section 5.1.
fn integer(mut value: usize) -> Vec<u8> {
    if value < 127 {
        return vec![u8::try_from(value).unwrap()];
    }
    let mut bytes = vec![127];
    value -= 127;
    while value >= 128 {
        bytes.push(u8::try_from(value % 128).unwrap() | 0x80);
        value /= 128;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

/// A connection that has said hello.
pub async fn greeted(address: &str) -> TcpStream {
    let mut connection = connected(address).await;
    connection.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
    connection
}

pub async fn connected(address: &str) -> TcpStream {
    TcpStream::connect(address.trim_start_matches("http://")).await.unwrap()
}

/// The next frame of a type: its payload. None if the connection ends before.
pub async fn next(connection: &mut TcpStream, wanted: u8) -> Option<Vec<u8>> {
    let reading = async {
        loop {
            let mut header = [0; 9];
            connection.read_exact(&mut header).await.ok()?;
            let [high, middle, low, kind, ..] = header;
            let mut payload = vec![0; u32::from_be_bytes([0, high, middle, low]) as usize];
            connection.read_exact(&mut payload).await.ok()?;
            if kind == wanted {
                return Some(payload);
            }
        }
    };
    timeout(DEADLINE, reading).await.expect("the server says something")
}

/// How long it takes until the server has closed the connection, whatever it says before.
pub async fn closed(mut connection: TcpStream) -> Duration {
    let began = std::time::Instant::now();
    let mut bytes = [0; 4096];
    let reading = async { while connection.read(&mut bytes).await.is_ok_and(|read| read > 0) {} };
    timeout(DEADLINE, reading).await.expect("the server closes it");
    began.elapsed()
}
