//! What Qnet asks of its surroundings, and what it tells them.

use crate::errno::Errno;
use crate::ids::{ClientConn, ClientSend, Query, RemoteClient, Vthread};
use crate::kif::{Identity, SendInfo};
use crate::kif::{Pulse, Sigevent, Signal};
use crate::node::Nd;
use crate::node_name::NodeName;
use crate::payload::Payload;
use crate::resolve::Resolver;
use crate::secure::PublicKey;
use crate::transport::RefusedReason;

/// One thing to do or to know. The events of one connection are in order; do each before the next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    // ---- For local clients of remote channels ------------------------------------------------
    /// Read `length` bytes from `offset` of the message that a client is sending, fewer at its end,
    /// and answer with `client_data`.
    ClientRead {
        /// The send.
        send: ClientSend,
        /// Bytes into its message.
        offset: u32,
        /// Bytes wanted, not zero.
        length: u32,
    },
    /// Write `data` into the reply buffer of a client; what does not fit is left out.
    ClientWrite {
        /// The send.
        send: ClientSend,
        /// Bytes into its reply buffer.
        offset: u32,
        /// The bytes.
        data: Payload,
    },
    /// A send is over: the client gets the status, or the error. Its handle is stale from now on.
    ClientDone {
        /// The send.
        send: ClientSend,
        /// What `MsgSend` returns; `data` goes into the reply buffer at `offset` before that.
        result: Result<i32, Errno>,
        /// Bytes into the reply buffer.
        offset: u32,
        /// The reply, or its last part.
        data: Payload,
    },
    /// The server delivered an event to a client (`MsgDeliverEvent`).
    ClientEvent {
        /// The client's connection to that server.
        conn: ClientConn,
        /// The event.
        event: Sigevent,
    },
    /// The server, its channel or its node is gone: `_PULSE_CODE_COIDDEATH` for the client's process.
    /// Each send in flight ends by a `ClientDone` of its own before this. What is left to do with the
    /// connection is `client_detach`.
    ClientDead {
        /// The connection.
        conn: ClientConn,
        /// Why; `ESRCH` where the other side had been there.
        errno: Errno,
    },

    // ---- For local servers of remote clients ------------------------------------------------
    /// Connect to a local channel on behalf of a remote client, and answer with `server_connected`.
    Connect {
        /// The remote client.
        client: RemoteClient,
        /// The local process.
        pid: i32,
        /// Its channel.
        chid: i32,
        /// Who it is, mapped as this node's options say; its `nd` is this node's number for its node.
        identity: Identity,
        /// This node, as the client's node calls it; 0 where that does not say.
        srcnd: u32,
    },
    /// Put a message before the server. Answer with `server_reply` or `server_error`, once.
    Deliver {
        /// Which connection it came by.
        client: RemoteClient,
        /// The virtual thread: the sender, blocked until it gets its answer.
        vthread: Vthread,
        /// Lengths, priority, thread.
        info: SendInfo,
        /// The first bytes of the message; the rest, if `info.length` is more, by `server_read`.
        data: Payload,
    },
    /// The bytes that `server_read` asked for, fewer at the message's end.
    ServerData {
        /// Whose message.
        vthread: Vthread,
        /// Where they begin.
        offset: u32,
        /// The bytes.
        result: Result<Payload, Errno>,
    },
    /// A remote client wants to be unblocked. A message not yet received: take it back. A received one:
    /// tell a server whose channel has `_NTO_CHF_UNBLOCK` by a pulse and wait for its reply, else take
    /// it back. One taken back is answered with `server_error(TAKEN_BACK)`.
    Unblock {
        /// The send.
        vthread: Vthread,
    },
    /// Nobody waits for this answer any more: take the message back, or drop the reply to come. Its
    /// handle is stale.
    Abandoned {
        /// The send.
        vthread: Vthread,
    },
    /// Deliver a pulse to the channel as that client's.
    ServerPulse {
        /// The remote client.
        client: RemoteClient,
        /// The pulse.
        pulse: Pulse,
    },
    /// Send a signal to a local process, if `identity` may do so.
    ServerSignal {
        /// Who sends it, mapped.
        identity: Identity,
        /// To whom, and which.
        signal: Signal,
    },
    /// The remote client is gone: its session with the channel ends (`_PULSE_CODE_DISCONNECT`). Each
    /// message of it ends by an `Abandoned` of its own before this. The handle is stale.
    Disconnect {
        /// The remote client.
        client: RemoteClient,
    },

    // ---- Nodes and names ---------------------------------------------------------------------
    /// Look up where a node is with a resolver that needs files or sockets, and answer with `resolved`.
    Resolve {
        /// To be named in the answer.
        query: Query,
        /// How.
        resolver: Resolver,
        /// The node.
        name: NodeName,
    },
    /// What a query of `strtond` came to.
    Answer {
        /// The query.
        query: Query,
        /// The descriptor.
        result: Result<Nd, Errno>,
    },
    /// A node answers.
    NodeUp {
        /// The node.
        nd: Nd,
    },
    /// A node was met for the first time, and its key is trusted from now on: to be written down.
    Pinned {
        /// The node.
        name: NodeName,
        /// Its key.
        key: PublicKey,
    },
    /// A node was not let in.
    Refused {
        /// The full name that it claims.
        name: String,
        /// Why.
        reason: RefusedReason,
    },
    /// A node does not answer any more, or came back as a new incarnation of itself.
    NodeDown {
        /// The node.
        nd: Nd,
        /// Why.
        errno: Errno,
    },
}
