//! The face of a node: one method for each thing that can be asked of it.

mod find;
mod pump;
mod text;

use crate::config::Config;
use crate::errno::Errno;
use crate::event::Event;
use crate::ids::{ClientConn, ClientSend, Query, RemoteClient, Vthread};
use crate::kif::{Identity, Kif, KifStats, Pulse, SendInfo, Sigevent, Signal};
use crate::node::Nd;
use crate::node_name::NodeName;
use crate::node_qos::QosTable;
use crate::node_table::{Node, Nodes};
use crate::payload::Payload;
use crate::slab::Slab;
use crate::time::Instant;
use crate::transport::{self, LinkAddr, LinkConfig, LinkId, PeerId, Transmit, Transport};

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

/// A node that this one knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeInfo {
    /// Its descriptor.
    pub nd: Nd,
    /// Its name.
    pub name: NodeName,
    /// Whether it answers.
    pub up: bool,
    /// Its present life, as the transport calls it.
    pub peer: Option<PeerId>,
    /// Where it is, as far as resolvers told.
    pub paths: Vec<(LinkId, LinkAddr)>,
}

/// What is counted beside the transport's and the kernel interface's figures.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QnetStats {
    /// Frames outside any peer that are not the LAN resolver's, dropped.
    pub datagrams_ignored: u64,
    /// Packets of the LAN resolver that are malformed, dropped.
    pub lan_malformed: u64,
    /// Packets of the LAN resolver that tell nothing that this node wants to know.
    pub lan_ignored: u64,
    /// Peers with this node's own name, with none that may be, or one too many.
    pub peers_turned_away: u64,
}

/// Connections and messages there are at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Connections of local clients to remote channels.
    pub client_conns: usize,
    /// Messages of theirs in flight.
    pub client_sends: usize,
    /// Connections of remote clients to local channels.
    pub remote_clients: usize,
    /// Messages of theirs not yet answered.
    pub vthreads: usize,
}

/// An interface.
struct Link {
    id: LinkId,
    name: String,
    addr: LinkAddr,
}

/// One node.
pub struct Qnet {
    config: Config,
    name: NodeName,
    transport: Transport,
    kif: Kif,
    nodes: Nodes,
    qos: QosTable,
    links: Vec<Link>,
    /// Nodes being looked for.
    searching: Vec<u16>,
    /// Nodes whose messages the transport had no room for.
    full: Vec<u16>,
    /// Questions to the surroundings: which node each is about.
    queries: Slab<u16>,
    /// Questions of `strtond`: the quality of service that each named.
    asked: Slab<u16>,
    /// When to tell the LANs where this node is.
    announce_at: Option<Instant>,
    stats: QnetStats,
}

impl Qnet {
    /// A node without links. Its name, `config.transport.node`, must be one: `EINVAL`.
    pub fn new(now: Instant, config: Config) -> Result<Self, Errno> {
        let config = config.fitted();
        let node = &config.transport.node;
        let name = NodeName::new(&node.name, &node.domain).map_err(|_| Errno::EINVAL)?;
        let announce_at = (!config.announce.is_zero()).then_some(now + config.announce);
        Ok(Qnet {
            name,
            transport: Transport::new(now, config.transport.clone()),
            kif: Kif::new(&config),
            nodes: Nodes::new(config.nodes_max),
            qos: QosTable::new(pump::QOS_MAX),
            links: Vec::new(),
            searching: Vec::new(),
            full: Vec::new(),
            queries: Slab::new(config.nodes_max),
            asked: Slab::new(usize::from(u16::MAX)),
            announce_at,
            stats: QnetStats::default(),
            config,
        })
    }

    // ---- Frames and time ---------------------------------------------------------------------

    /// Takes a frame that came over `link` from `from`, from the two bytes of padding before the LWL4
    /// header on. Its bytes may be changed.
    pub fn handle_frame(&mut self, now: Instant, link: LinkId, from: LinkAddr, frame: &mut [u8]) {
        self.transport.handle_frame(now, link, from, frame);
        self.retry_full(now);
        self.pump(now);
    }

    /// Does what is due. Calling early does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.transport.handle_timeout(now);
        if self.announce_at.is_some_and(|at| at <= now) {
            self.announce_at = Some(now + self.config.announce);
            self.announce(None);
        }
        self.search_on(now);
        self.retry_full(now);
        self.pump(now);
    }

    /// When [`Qnet::handle_timeout`] must be called next, `None` while nothing is awaited.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let times = [
            self.transport.poll_timeout(),
            self.announce_at,
            self.search_deadline(),
        ];
        times.into_iter().flatten().min()
    }

    /// The frame that must be sent next, so that a buffer can be found for it; the same again until
    /// [`Qnet::emit`] has written it.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        self.transport.poll_transmit(now)
    }

    /// Writes the frame that [`Qnet::poll_transmit`] gave into `out`, which has at least [`Transmit::len`]
    /// bytes; its length. `None`, and nothing is to be sent, where there is no need of it any more.
    pub fn emit(&mut self, now: Instant, out: &mut [u8]) -> Option<usize> {
        self.transport.emit(now, out)
    }

    /// What there is to do or to know, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.kif.out.events.pop_front()
    }

    fn event(&mut self, event: Event) {
        self.kif.out.events.push_back(event);
    }

    // ---- Links -------------------------------------------------------------------------------

    /// Adds an interface under a name such as `en0`, with this node's own address on it, or changes it.
    /// Nodes can be met over it from now on.
    pub fn add_link(
        &mut self,
        now: Instant,
        link: LinkId,
        name: &str,
        addr: LinkAddr,
        config: LinkConfig,
    ) {
        self.links.retain(|known| known.id != link);
        self.links.push(Link {
            id: link,
            name: name.to_owned(),
            addr,
        });
        self.transport.add_link(now, link, config);
        if self.announce_at.is_some() {
            self.announce(Some(link));
        }
        for number in self.numbers(|node| node.peer.is_some()) {
            self.ask_lans(number, Some(link));
        }
        self.pump(now);
    }

    /// Takes an interface away.
    pub fn remove_link(&mut self, now: Instant, link: LinkId) {
        self.links.retain(|known| known.id != link);
        for number in self.numbers(|_| true) {
            if let Some(node) = self.nodes.get_mut(number) {
                node.paths.retain(|(known, _)| *known != link);
            }
        }
        self.transport.remove_link(now, link);
        self.pump(now);
    }

    fn numbers(&self, choose: impl Fn(&Node) -> bool) -> Vec<u16> {
        let nodes = self.nodes.iter().filter(|(_, node)| choose(node));
        nodes.map(|(number, _)| number).collect()
    }

    /// The number of a node of that name, a new one if need be.
    fn enter(&mut self, name: &NodeName) -> Option<u16> {
        let clients = &self.kif.clients;
        self.nodes.enter(name, |number| clients.uses(number))
    }

    // ---- Names of nodes ----------------------------------------------------------------------

    /// The descriptor of the node that `path` begins with, such as `lab2`, `lab2.example.com~preferred:en0`
    /// or `/net/lab2/dev/ser1`, and how many bytes of it were the node's (`netmgr_strtond`). This node's
    /// own name gives [`Nd::LOCAL`]. `EINVAL` for what cannot be a name, `ENETUNREACH` for a link that is
    /// not here, `EAGAIN` where too many nodes or ways are known.
    pub fn strtond(&mut self, now: Instant, path: &str) -> Result<(Lookup, usize), Errno> {
        let text = text::Named::split(path);
        let qos = match text.qos {
            Some(qos) => {
                let links = &self.links;
                let link = |name: &str| links.iter().find(|link| link.name == name);
                self.qos.parse(qos, |name| link(name).map(|link| link.id))?
            }
            None => 0,
        };
        let name = NodeName::parse_in(text.node, self.name.domain()).map_err(|_| Errno::EINVAL)?;
        if name == self.name || text.node == text::LOCALHOST {
            return Ok((Lookup::Known(Nd::LOCAL), text.taken));
        }
        let number = self.enter(&name).ok_or(Errno::EAGAIN)?;
        let Some(node) = self.nodes.get_mut(number) else {
            return Err(Errno::EAGAIN);
        };
        if node.peer.is_some() || !node.paths.is_empty() {
            return Ok((Lookup::Known(Nd::new(number, qos)), text.taken));
        }
        let query = Query(self.asked.insert(qos).ok_or(Errno::EAGAIN)?);
        node.asking.push(query);
        if node.search.is_none() {
            self.search(now, number);
        }
        self.pump(now);
        Ok((Lookup::Asked(query), text.taken))
    }

    /// The name of a node, with what the `ND2S_` bits of `netmgr_ndtostr` ask for; `None` for a
    /// descriptor that means nothing.
    pub fn ndtostr(&self, flags: u32, nd: Nd) -> Option<String> {
        let name = match nd.node() {
            0 => &self.name,
            number => &self.nodes.get(number)?.name,
        };
        self.qos.get(nd.qos())?;
        let qos = (nd.qos() != 0).then(|| self.qos.text(nd.qos()));
        Some(text::join(flags, name, qos, &self.name))
    }

    /// Answers [`Event::Resolve`]: where the node is, best first; none, or an error, lets the next
    /// resolver try. Addresses on links that are not here are left out.
    pub fn resolved(
        &mut self,
        now: Instant,
        query: Query,
        result: Result<&[(LinkId, LinkAddr)], Errno>,
    ) {
        self.take_answer(now, query, result);
        self.pump(now);
    }

    /// The nodes that are known.
    pub fn nodes(&self) -> Vec<NodeInfo> {
        let nodes = self.nodes.iter().map(|(number, node)| NodeInfo {
            nd: Nd::new(number, 0),
            name: node.name.clone(),
            up: node.up,
            peer: node.peer,
            paths: node.paths.clone(),
        });
        nodes.collect()
    }

    /// This node's name.
    pub fn name(&self) -> &NodeName {
        &self.name
    }

    /// Forgets the key of a node, which was set up anew, so that the next one it shows is its first. False
    /// where none is known of it.
    pub fn forget_key(&mut self, name: &NodeName) -> bool {
        let node = transport::Node {
            name: name.name().to_owned(),
            domain: name.domain().to_owned(),
        };
        let known = self.transport.known_nodes();
        known.is_some_and(|known| known.keys.remove(&node).is_some())
    }

    /// The transport, for its figures.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// What message passing counted.
    pub fn kif_stats(&self) -> KifStats {
        self.kif.out.stats
    }

    /// What else was counted.
    pub fn stats(&self) -> QnetStats {
        self.stats
    }

    /// What there is at the moment.
    pub fn counts(&self) -> Counts {
        let (client_conns, client_sends) = self.kif.clients.counts();
        let (remote_clients, vthreads) = self.kif.servers.counts();
        Counts {
            client_conns,
            client_sends,
            remote_clients,
            vthreads,
        }
    }

    // ---- Local clients of remote channels ----------------------------------------------------

    /// Opens a connection to a channel of another node (`ConnectAttach`). It succeeds also where node,
    /// process or channel are not there: the first send shows it. `ESRCH` for a descriptor that means
    /// nothing, `EAGAIN` where the table is full.
    pub fn client_connect(
        &mut self,
        now: Instant,
        nd: Nd,
        channel: Channel,
        identity: Identity,
    ) -> Result<ClientConn, Errno> {
        let node = self.nodes.get(nd.node()).ok_or(Errno::ESRCH)?;
        self.qos.get(nd.qos()).ok_or(Errno::ESRCH)?;
        let up = node.up;
        self.nodes.touch(nd.node());
        let conn = self.kif.clients.open(nd, up, channel, identity);
        self.pump(now);
        conn
    }

    /// Sends a message (`MsgSend`), of which `data` is the beginning, perhaps all of it; what else of it
    /// is wanted is asked for by [`Event::ClientRead`]. [`Event::ClientDone`] ends it, in any case.
    /// `ESRCH` on a dead connection, `EAGAIN` where the table is full.
    pub fn client_send(
        &mut self,
        now: Instant,
        conn: ClientConn,
        info: SendInfo,
        data: Payload,
    ) -> Result<ClientSend, Errno> {
        let kif = &mut self.kif;
        let result = kif.clients.send(&mut kif.out, conn, info, data);
        self.pump(now);
        result
    }

    /// Answers [`Event::ClientRead`]; answers of one send come in the order of the questions.
    pub fn client_data(&mut self, now: Instant, send: ClientSend, result: Result<Payload, Errno>) {
        let kif = &mut self.kif;
        kif.clients.data(&mut kif.out, send, result);
        self.pump(now);
    }

    /// The client's wait is to end: its time is up, or a signal came. [`Event::ClientDone`] with
    /// [`Errno::TAKEN_BACK`] follows, or with the server's reply where the server wants to have its say.
    pub fn client_unblock(&mut self, now: Instant, send: ClientSend) {
        let kif = &mut self.kif;
        kif.clients.unblock(&mut kif.out, send);
        self.pump(now);
    }

    /// Nobody waits for the reply any more (the thread is gone). As [`Qnet::client_unblock`], but no event
    /// of that send follows, save a [`Event::ClientDone`] that waits already, and its handle is stale.
    pub fn client_abandon(&mut self, now: Instant, send: ClientSend) {
        let kif = &mut self.kif;
        kif.clients.abandon(&mut kif.out, send);
        self.pump(now);
    }

    /// Sends a pulse (`MsgSendPulse`). Success means that it is on its way.
    pub fn client_pulse(
        &mut self,
        now: Instant,
        conn: ClientConn,
        tid: i32,
        coid: i32,
        pulse: Pulse,
    ) -> Result<(), Errno> {
        let kif = &mut self.kif;
        let result = kif.clients.pulse(&mut kif.out, conn, (tid, coid), pulse);
        self.pump(now);
        result
    }

    /// Sends a signal to the process that the connection leads to (`SignalKill`). Success means that it is
    /// on its way.
    pub fn client_signal(
        &mut self,
        now: Instant,
        conn: ClientConn,
        signal: Signal,
    ) -> Result<(), Errno> {
        let kif = &mut self.kif;
        let result = kif.clients.signal(&mut kif.out, conn, signal);
        self.pump(now);
        result
    }

    /// Closes a connection (`ConnectDetach`, or the client's death). Its sends are abandoned; no event of
    /// it follows, save each [`Event::ClientDone`] that waits already.
    pub fn client_detach(&mut self, now: Instant, conn: ClientConn) {
        let kif = &mut self.kif;
        kif.clients.detach(&mut kif.out, conn);
        self.pump(now);
    }

    // ---- Local servers of remote clients -----------------------------------------------------

    /// Answers [`Event::Connect`]: the `scoid`, or why not (`ESRCH`, `EPERM`, ...).
    pub fn server_connected(
        &mut self,
        now: Instant,
        client: RemoteClient,
        result: Result<i32, Errno>,
    ) {
        let kif = &mut self.kif;
        kif.servers.connected(&mut kif.out, client, result);
        self.pump(now);
    }

    /// Answers [`Event::Deliver`] (`MsgReply`): `data` goes into the client's reply buffer at `offset`;
    /// what went there before by [`Qnet::server_write`] stays. The handle is stale from now on. `ESRCH`
    /// for a stale handle.
    pub fn server_reply(
        &mut self,
        now: Instant,
        vthread: Vthread,
        status: i32,
        offset: u32,
        data: Payload,
    ) -> Result<(), Errno> {
        let kif = &mut self.kif;
        let result = kif
            .servers
            .reply(&mut kif.out, vthread, status, offset, data);
        self.pump(now);
        result
    }

    /// Answers [`Event::Deliver`] with an error (`MsgError`, or what becomes of an [`Event::Unblock`]).
    pub fn server_error(
        &mut self,
        now: Instant,
        vthread: Vthread,
        errno: Errno,
    ) -> Result<(), Errno> {
        let kif = &mut self.kif;
        let result = kif.servers.error(&mut kif.out, vthread, errno);
        self.pump(now);
        result
    }

    /// Reads from the client's message (`MsgRead`). [`Event::ServerData`] brings at most
    /// [`Config::chunk`] bytes of what is asked for, or [`Event::Abandoned`] ends it.
    pub fn server_read(
        &mut self,
        now: Instant,
        vthread: Vthread,
        offset: u32,
        length: u32,
    ) -> Result<(), Errno> {
        let kif = &mut self.kif;
        let result = kif.servers.read(&mut kif.out, vthread, offset, length);
        self.pump(now);
        result
    }

    /// Writes into the client's reply buffer (`MsgWrite`). The number of bytes that fit there; success
    /// means that they are on their way, and that they arrive before the reply.
    pub fn server_write(
        &mut self,
        now: Instant,
        vthread: Vthread,
        offset: u32,
        data: Payload,
    ) -> Result<usize, Errno> {
        let kif = &mut self.kif;
        let result = kif.servers.write(&mut kif.out, vthread, offset, data);
        self.pump(now);
        result
    }

    /// Delivers an event to a client (`MsgDeliverEvent`). Success means that it is on its way.
    pub fn server_event(
        &mut self,
        now: Instant,
        client: RemoteClient,
        event: Sigevent,
    ) -> Result<(), Errno> {
        let kif = &mut self.kif;
        let result = kif.servers.event(&mut kif.out, client, event);
        self.pump(now);
        result
    }

    /// The channel of a remote client is gone, or its server died: its sends end with `ESRCH` there, and
    /// the connection is dead. No event of it follows.
    pub fn server_gone(&mut self, now: Instant, client: RemoteClient) {
        let kif = &mut self.kif;
        kif.servers.gone(&mut kif.out, client);
        self.pump(now);
    }
}

#[cfg(test)]
mod tests;
