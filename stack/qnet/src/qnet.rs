//! The face of a node: one method for each thing that can be asked of it.

use crate::config::Config;
use crate::errno::Errno;
use crate::event::Event;
use crate::ids::{ClientConn, ClientSend, Query, RemoteClient, Vthread};
use crate::kif::{Identity, Pulse, SendInfo, Sigevent, Signal};
use crate::node::Nd;
use crate::payload::Payload;
use crate::time::Instant;
use crate::transport::{LinkAddr, LinkConfig, LinkId, Transmit, Transport};

/// A channel of a process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Channel {
    /// The process.
    pub pid: i32,
    /// The channel.
    pub chid: i32,
}

/// What is known of a node's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// Its descriptor.
    Known(Nd),
    /// The resolvers are asked; an `Answer` event follows.
    Asked(Query),
}

/// One node.
pub struct Qnet {
    transport: Transport,
}

impl Qnet {
    /// A node without links.
    pub fn new(now: Instant, config: Config) -> Self {
        Qnet {
            transport: Transport::new(now, config.transport.clone()),
        }
    }

    // ---- Links, frames and time --------------------------------------------------------------

    /// Adds an interface under a name such as `en0`, with this node's own address on it, or changes it.
    /// Nodes can be met over it from now on.
    pub fn add_link(
        &mut self,
        now: Instant,
        link: LinkId,
        _name: &str,
        _addr: LinkAddr,
        config: LinkConfig,
    ) {
        self.transport.add_link(now, link, config);
    }

    /// Takes an interface away.
    pub fn remove_link(&mut self, now: Instant, link: LinkId) {
        self.transport.remove_link(now, link);
    }

    /// Takes a frame that came over `link` from `from`, from the two bytes of padding before the LWL4
    /// header on. Its bytes may be changed.
    pub fn handle_frame(&mut self, now: Instant, link: LinkId, from: LinkAddr, frame: &mut [u8]) {
        self.transport.handle_frame(now, link, from, frame);
    }

    /// Does what is due. Calling early does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.transport.handle_timeout(now);
    }

    /// When [`Qnet::handle_timeout`] must be called next, `None` while nothing is awaited.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.transport.poll_timeout()
    }

    /// The frame that must be sent next, so that a buffer can be found for it; the same again until
    /// [`Qnet::emit`] has written it.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        self.transport.poll_transmit(now)
    }

    /// Writes the frame that [`Qnet::poll_transmit`] gave into the first [`Transmit::len`] bytes of `out`.
    pub fn emit(&mut self, now: Instant, out: &mut [u8]) {
        self.transport.emit(now, out);
    }

    /// What there is to do or to know, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    // ---- Names of nodes ----------------------------------------------------------------------

    /// The descriptor of the node that `path` begins with, such as `lab2`, `lab2.example.com~preferred:en0`
    /// or `/net/lab2/dev/ser1`, and how many bytes of it were the node's (`netmgr_strtond`). This node's
    /// own name gives [`Nd::LOCAL`]. `EINVAL` for what cannot be a name, `ENETUNREACH` for a link that is
    /// not here, `EAGAIN` where too many nodes or ways are known.
    pub fn strtond(&mut self, _now: Instant, _path: &str) -> Result<(Lookup, usize), Errno> {
        Err(Errno::EAGAIN)
    }

    /// The name of a node, with what the `ND2S_` bits of `netmgr_ndtostr` ask for; `None` for a
    /// descriptor that means nothing.
    pub fn ndtostr(&self, _flags: u32, _nd: Nd) -> Option<String> {
        None
    }

    /// Answers [`Event::Resolve`]: where the node is, best first; `ENOENT` or another error lets the next
    /// resolver try. Addresses on links that are not here are left out.
    pub fn resolved(
        &mut self,
        _now: Instant,
        _query: Query,
        _result: Result<&[(LinkId, LinkAddr)], Errno>,
    ) {
    }

    // ---- Local clients of remote channels ----------------------------------------------------

    /// Opens a connection to a channel of another node (`ConnectAttach`). It succeeds also where node,
    /// process or channel are not there: the first send shows it. `ESRCH` for a descriptor that means
    /// nothing, `EAGAIN` where the table is full.
    pub fn client_connect(
        &mut self,
        _now: Instant,
        _nd: Nd,
        _channel: Channel,
        _identity: Identity,
    ) -> Result<ClientConn, Errno> {
        Err(Errno::EAGAIN)
    }

    /// Sends a message (`MsgSend`), of which `data` is the beginning, perhaps all of it; what else of it
    /// is wanted is asked for by [`Event::ClientRead`]. [`Event::ClientDone`] ends it, in any case.
    /// `ESRCH` on a dead connection, `EAGAIN` where the table is full.
    pub fn client_send(
        &mut self,
        _now: Instant,
        _conn: ClientConn,
        _info: SendInfo,
        _data: Payload,
    ) -> Result<ClientSend, Errno> {
        Err(Errno::EAGAIN)
    }

    /// Answers [`Event::ClientRead`]; answers of one send come in the order of the questions.
    pub fn client_data(
        &mut self,
        _now: Instant,
        _send: ClientSend,
        _result: Result<Payload, Errno>,
    ) {
    }

    /// The client's wait is to end: its time is up, or a signal came. [`Event::ClientDone`] with `EINTR`
    /// follows, or with the server's reply where the server wants to have its say.
    pub fn client_unblock(&mut self, _now: Instant, _send: ClientSend) {}

    /// Nobody waits for the reply any more (the thread is gone). As [`Qnet::client_unblock`], but no event
    /// of that send follows, and its handle is stale.
    pub fn client_abandon(&mut self, _now: Instant, _send: ClientSend) {}

    /// Sends a pulse (`MsgSendPulse`). Success means that it is on its way.
    pub fn client_pulse(
        &mut self,
        _now: Instant,
        _conn: ClientConn,
        _tid: i32,
        _coid: i32,
        _pulse: Pulse,
    ) -> Result<(), Errno> {
        Err(Errno::EAGAIN)
    }

    /// Sends a signal to the process that the connection leads to (`SignalKill`). Success means that it is
    /// on its way.
    pub fn client_signal(
        &mut self,
        _now: Instant,
        _conn: ClientConn,
        _signal: Signal,
    ) -> Result<(), Errno> {
        Err(Errno::EAGAIN)
    }

    /// Closes a connection (`ConnectDetach`, or the client's death). Its sends are abandoned; no event of
    /// it follows.
    pub fn client_detach(&mut self, _now: Instant, _conn: ClientConn) {}

    // ---- Local servers of remote clients -----------------------------------------------------

    /// Answers [`Event::Connect`]: the `scoid`, or why not (`ESRCH`, `EPERM`, ...).
    pub fn server_connected(
        &mut self,
        _now: Instant,
        _client: RemoteClient,
        _result: Result<i32, Errno>,
    ) {
    }

    /// Answers [`Event::Deliver`] (`MsgReply`): `data` goes into the client's reply buffer at `offset`;
    /// what went there before by [`Qnet::server_write`] stays. The handle is stale from now on. `ESRCH`
    /// for a stale handle.
    pub fn server_reply(
        &mut self,
        _now: Instant,
        _vthread: Vthread,
        _status: i32,
        _offset: u32,
        _data: Payload,
    ) -> Result<(), Errno> {
        Err(Errno::ESRCH)
    }

    /// Answers [`Event::Deliver`] with an error (`MsgError`, or what becomes of an [`Event::Unblock`]).
    pub fn server_error(
        &mut self,
        _now: Instant,
        _vthread: Vthread,
        _errno: Errno,
    ) -> Result<(), Errno> {
        Err(Errno::ESRCH)
    }

    /// Reads from the client's message (`MsgRead`). [`Event::ServerData`] brings at most
    /// [`Config::chunk`] bytes of what is asked for, or [`Event::Abandoned`] ends it.
    pub fn server_read(
        &mut self,
        _now: Instant,
        _vthread: Vthread,
        _offset: u32,
        _length: u32,
    ) -> Result<(), Errno> {
        Err(Errno::ESRCH)
    }

    /// Writes into the client's reply buffer (`MsgWrite`). The number of bytes that fit there; success
    /// means that they are on their way, and that they arrive before the reply.
    pub fn server_write(
        &mut self,
        _now: Instant,
        _vthread: Vthread,
        _offset: u32,
        _data: Payload,
    ) -> Result<usize, Errno> {
        Err(Errno::ESRCH)
    }

    /// Delivers an event to a client (`MsgDeliverEvent`). Success means that it is on its way.
    pub fn server_event(
        &mut self,
        _now: Instant,
        _client: RemoteClient,
        _event: Sigevent,
    ) -> Result<(), Errno> {
        Err(Errno::ESRCH)
    }

    /// The channel of a remote client is gone, or its server died: its sends end with `ESRCH` there, and
    /// the connection is dead. No event of it follows.
    pub fn server_gone(&mut self, _now: Instant, _client: RemoteClient) {}
}
