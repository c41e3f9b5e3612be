//! etcd: each node tells where it is under `/io-net/qnet/nodes/NAME`, for as long as it says so again,
//! and is found there. Spoken to by its JSON interface.

use super::PATIENCE;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};

/// Where nodes are listed.
const NODES: &str = "/io-net/qnet/nodes/";
/// Seconds for which a node that says nothing any more stays listed.
pub(super) const LEASE_S: u64 = 60;
/// Bytes of an answer that are read, at most.
const ANSWER_MAX: u64 = 64 << 10;

/// The addresses of the node `name`.
pub(super) fn find(server: SocketAddr, name: &str) -> io::Result<Vec<IpAddr>> {
    let key = STANDARD.encode(format!("{NODES}{name}"));
    let answer = post(server, "/v3/kv/range", &json!({ "key": key }))?;
    Ok(addresses(&answer).unwrap_or_default())
}

/// Tells where the node `name`, this one, is.
pub(super) fn publish(server: SocketAddr, name: &str, addresses: &[IpAddr]) -> io::Result<()> {
    let lease = post(server, "/v3/lease/grant", &json!({ "TTL": LEASE_S }))?;
    let id = lease.get("ID").cloned().unwrap_or(Value::Null);
    let words: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    let entry = json!({
        "key": STANDARD.encode(format!("{NODES}{name}")),
        "value": STANDARD.encode(words.join(" ")),
        "lease": id,
    });
    post(server, "/v3/kv/put", &entry).map(drop)
}

/// The addresses in the answer to a range request.
fn addresses(answer: &Value) -> Option<Vec<IpAddr>> {
    let value = answer.get("kvs")?.get(0)?.get("value")?.as_str()?;
    let text = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
    let words = text.split_whitespace();
    Some(words.filter_map(|word| word.parse().ok()).collect())
}

/// Posts a request and reads the answer, in HTTP/1.0, whose end is the connection's.
fn post(server: SocketAddr, path: &str, body: &Value) -> io::Result<Value> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.0\r\nHost: {server}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer)?;
    parse(&answer).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The body of a good answer.
fn parse(answer: &[u8]) -> Option<Value> {
    let end = answer.windows(4).position(|at| at == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let good = head.split(' ').nth(1) == Some("200");
    good.then(|| serde_json::from_slice(&answer[end + 4..]).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// A server that gives `answer` to one request, and gives that back.
    fn answering(answer: &'static str) -> (SocketAddr, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 1000];
            let mut len = 0;
            while !asked[..len].ends_with(b"}") {
                len += stream.read(&mut asked[len..]).unwrap();
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&asked[..len]).into_owned()
        });
        (at, thread)
    }

    #[test]
    fn a_node_is_found_under_its_name() {
        // "10.0.0.2 10.1.0.2" in base64.
        let (at, server) = answering(
            "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n\
             {\"kvs\":[{\"value\":\"MTAuMC4wLjIgMTAuMS4wLjI=\"}],\"count\":\"1\"}",
        );
        assert_eq!(find(at, "lab2").unwrap().len(), 2);
        let asked = server.join().unwrap();
        assert!(
            asked.starts_with("POST /v3/kv/range HTTP/1.0\r\n"),
            "{asked}"
        );
        assert!(asked.contains(&STANDARD.encode("/io-net/qnet/nodes/lab2")));
    }

    #[test]
    fn rubbish_is_no_answer() {
        for answer in [
            "HTTP/1.0 503 No\r\n\r\n{}",
            "HTTP/1.0 200 OK\r\n\r\n{",
            "\r\n\r\n{}",
            "rubbish",
            "",
        ] {
            let (at, server) = answering(answer);
            assert!(find(at, "lab2").is_err(), "{answer}");
            server.join().unwrap();
        }
        assert_eq!(addresses(&json!({"kvs": [{"value": "!"}]})), None);
        assert_eq!(addresses(&json!({})), None);
    }
}
