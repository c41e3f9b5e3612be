//! A local client's message where it lies, in the session's memory: frames are made of it without a
//! copy between.

use io_net_qnet::Payload;
use io_net_qnet::transport::Source;
use io_net_rendezvous::layout::INLINE;
use io_net_rendezvous::server::{AccessError, Message, ServerEnd};
use std::io::IoSliceMut;
use std::sync::Arc;

/// What the session's memory holds of a message. Its first bytes, in which the protocol looks, are
/// copied; the others are read when they leave.
///
/// # Errors
/// [`AccessError::Help`]: it holds nothing of it. Others as [`ServerEnd::read`].
pub(crate) fn payload(end: &Arc<ServerEnd>, message: &Message) -> Result<Payload, AccessError> {
    let staged = end.staged(message);
    let mut data = Payload::zeroed(staged.min(INLINE));
    let got = end.read(message, 0, &mut [IoSliceMut::new(data.as_mut_slice())])?;
    data.truncate(got);
    if got < INLINE || staged == INLINE {
        return Ok(data);
    }
    let rest = Rest {
        end: end.clone(),
        message: *message,
        len: staged - INLINE,
    };
    Ok(data.followed_by(Arc::new(rest)))
}

/// What comes after the first [`INLINE`] bytes of a message. It stays where it is until the client's
/// call ends or it is asked for help; what is still under way by then is not missed.
struct Rest {
    end: Arc<ServerEnd>,
    message: Message,
    len: usize,
}

impl Source for Rest {
    fn len(&self) -> usize {
        self.len
    }

    fn read(&self, offset: usize, out: &mut [u8]) {
        let at = (INLINE + offset) as u64;
        let parts = &mut [IoSliceMut::new(out)];
        let got = self.end.read(&self.message, at, parts).unwrap_or(0);
        // A buffer's old content must not go to another node.
        out[got..].fill(0);
    }
}
