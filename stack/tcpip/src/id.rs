//! Names of sockets: a slot and the generation of its tenant, so that a stale name finds nothing.

/// The transport of a socket.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// The name of a socket. Names are not used again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SocketId {
    transport: Transport,
    index: u32,
    generation: u32,
}

impl SocketId {
    pub(crate) fn new(transport: Transport, index: u32, generation: u32) -> Self {
        SocketId {
            transport,
            index,
            generation,
        }
    }

    /// The socket's transport.
    pub fn transport(self) -> Transport {
        self.transport
    }

    /// A small number, unique among the living sockets of the same transport: good to index a table.
    pub fn index(self) -> usize {
        self.index as usize
    }

    pub(crate) fn generation(self) -> u32 {
        self.generation
    }
}
