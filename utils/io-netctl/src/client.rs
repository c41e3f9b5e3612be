//! The conversation with io-net over its control socket.

use crate::failure::Failure;
use io_net_proto::control::{LINE_MAX, Reply, Request, SOCKET_NAME};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long an answer may take: a module's start waits for its device.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection to one io-net.
pub(crate) struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Connects to the first of `run_dirs` where an io-net listens.
    ///
    /// # Errors
    /// Unreachable: why the likeliest does not answer.
    pub(crate) fn connect(run_dirs: &[PathBuf]) -> Result<Client, Failure> {
        let mut first = None;
        for path in run_dirs.iter().map(|dir| dir.join(SOCKET_NAME)) {
            match UnixStream::connect(&path) {
                Ok(stream) => {
                    return Ok(Client {
                        stream: BufReader::new(stream),
                    });
                }
                Err(error) => {
                    let better = first.is_none() || error.kind() != io::ErrorKind::NotFound;
                    if better {
                        first = Some(unreachable(&path, &error));
                    }
                }
            }
        }
        Err(first.unwrap_or_else(|| Failure::Usage("no run directory was given".into())))
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// Refused with io-net's reason; Unreachable where it goes away.
    pub(crate) fn ask(&mut self, request: &Request) -> Result<Reply, Failure> {
        let _ = self.stream.get_ref().set_read_timeout(Some(PATIENCE));
        self.send(request)?;
        self.next()?.ok_or_else(|| gone("it closed the connection"))
    }

    /// Asks for what is answered more than once: see [`Client::next`].
    ///
    /// # Errors
    /// Unreachable.
    pub(crate) fn send(&mut self, request: &Request) -> Result<(), Failure> {
        let mut line = serde_json::to_vec(request).map_err(|e| Failure::Usage(e.to_string()))?;
        if line.len() >= LINE_MAX {
            return Err(Failure::Usage(format!(
                "a request has {LINE_MAX} bytes at the most"
            )));
        }
        line.push(b'\n');
        self.stream.get_mut().write_all(&line).map_err(gone)
    }

    /// The next answer; `None` when io-net has closed the connection.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub(crate) fn next(&mut self) -> Result<Option<Reply>, Failure> {
        let mut line = Vec::new();
        let mut limited = (&mut self.stream).take(LINE_MAX as u64);
        limited.read_until(b'\n', &mut line).map_err(gone)?;
        if line.is_empty() {
            return Ok(None);
        }
        let reply = serde_json::from_slice(&line).map_err(|e| {
            gone(format!(
                "its answer is not understood ({e}); are both of one version?"
            ))
        })?;
        match reply {
            Reply::Error(failure) => Err(Failure::Refused(failure.to_string())),
            reply => Ok(Some(reply)),
        }
    }
}

fn gone(why: impl std::fmt::Display) -> Failure {
    Failure::Unreachable(format!("lost io-net: {why}"))
}

fn unreachable(path: &Path, error: &io::Error) -> Failure {
    let socket = path.display();
    let help = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            "start one (io-net -d tap -p tcpip), or say which with -i N, --run-dir DIR or SOCK=DIR"
        }
        io::ErrorKind::PermissionDenied => "only root and the user who started it may control it",
        _ => "see that the path is right",
    };
    Failure::Unreachable(format!("no io-net answers at {socket}: {error}; {help}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// An io-net that answers one connection with `answer`.
    fn answering(dir: &Path, answer: &'static [u8]) -> std::thread::JoinHandle<Vec<u8>> {
        let listener = UnixListener::bind(dir.join(SOCKET_NAME)).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            let _ = BufReader::new(&stream).read_until(b'\n', &mut asked);
            stream.write_all(answer).unwrap();
            asked
        })
    }

    fn asked(answer: &'static [u8]) -> Result<Reply, Failure> {
        let dir = tempfile::tempdir().unwrap();
        let server = answering(dir.path(), answer);
        let missing = dir.path().join("missing");
        let mut client = Client::connect(&[missing, dir.path().into()]).unwrap();
        let reply = client.ask(&Request::Graph);
        assert_eq!(server.join().unwrap(), b"{\"request\":\"graph\"}\n");
        reply
    }

    #[test]
    fn answers() {
        assert_eq!(asked(b"{\"reply\":\"done\"}\n"), Ok(Reply::Done));
        let refused = asked(b"{\"reply\":\"error\",\"errno\":16,\"what\":\"a\",\"why\":\"b\"}\n");
        assert_eq!(refused, Err(Failure::Refused("a: b".into())));
        for broken in [&b""[..], b"nonsense\n", b"{\"reply\":\"gra", b"\xff\xff\n"] {
            assert!(matches!(asked(broken), Err(Failure::Unreachable(_))));
        }
    }

    #[test]
    fn nobody_there() {
        let dir = tempfile::tempdir().unwrap();
        let Err(Failure::Unreachable(text)) = Client::connect(&[dir.path().into()]) else {
            panic!("connected")
        };
        assert!(
            text.contains("control") && text.contains("--run-dir"),
            "{text}"
        );
    }
}
