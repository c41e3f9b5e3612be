//! One request in HTTP/1.0, whose answer ends with the connection.

use serde_json::Value;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Bytes of an answer that are read, at most.
const ANSWER_MAX: usize = 4 << 20;
/// Bytes of what a server has against a request that are told, at most.
const TOLD_MAX: usize = 200;

/// Posts a request: the answer, or what the server says against it.
///
/// # Errors
/// The server cannot be reached, or does not answer within `patience`, or not in HTTP and JSON.
pub(crate) fn post(
    server: SocketAddr,
    path: &str,
    body: &Value,
    patience: Duration,
) -> io::Result<Result<Value, String>> {
    let mut stream = TcpStream::connect_timeout(&server, patience)?;
    stream.set_write_timeout(Some(patience))?;
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.0\r\nHost: {server}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let answer = read(&mut stream, Instant::now() + patience)?;
    parse(&answer).ok_or_else(|| ErrorKind::InvalidData.into())
}

/// Reads to the end, which must come before `deadline`.
fn read(stream: &mut TcpStream, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while answer.len() < ANSWER_MAX {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece)? {
            0 => return Ok(answer),
            len => answer.extend_from_slice(&piece[..len]),
        }
    }
    Err(io::Error::other("the answer is too long"))
}

/// The body of a good answer, or of another one.
fn parse(answer: &[u8]) -> Option<Result<Value, String>> {
    let end = answer.windows(4).position(|at| at == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let body = &answer[end + 4..];
    let mut words = head.split_ascii_whitespace();
    words.next().filter(|word| word.starts_with("HTTP/1."))?;
    if words.next() == Some("200") {
        return serde_json::from_slice(body).ok().map(Ok);
    }
    let said = serde_json::from_slice::<Value>(body).ok();
    let error = said.as_ref().and_then(|said| said.get("error")?.as_str());
    let error = error.unwrap_or("request refused");
    Some(Err(error.chars().take(TOLD_MAX).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn answers_good_and_bad() {
        let good = b"HTTP/1.0 200 OK\r\nA: b\r\n\r\n{\"a\":1}";
        assert_eq!(parse(good), Some(Ok(json!({"a": 1}))));
        let against = b"HTTP/1.1 404 No\r\n\r\n{\"error\":\"no lease\",\"code\":5}";
        assert_eq!(parse(against), Some(Err("no lease".to_owned())));
        let mute = b"HTTP/1.0 503 No\r\n\r\n";
        assert_eq!(parse(mute), Some(Err("request refused".to_owned())));
        for rubbish in [
            &b""[..],
            b"rubbish",
            b"\r\n\r\n{}",
            b"HTTP/1.0 200 OK\r\n\r\n{",
            b"\xff\r\n\r\n{}",
        ] {
            assert_eq!(parse(rubbish), None);
        }
    }
}
