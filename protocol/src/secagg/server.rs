//! The server: one type a phase. It sees keys, sealed shares, masked vectors and, at the end, one
//! share of one kind for each client and the sum.
//!
//! Who a message is from is what the connection proved; the machine checks what they may say. A
//! fault against a client costs that client its part, not the round; a phase that closes with too
//! few clients ends the round (A28). Messages may arrive twice, as long as they are the same.

mod gather;
mod share;
mod sum;
mod survive;
mod unmask;

pub use gather::{Gathering, Seated};
pub use share::Sharing;
pub use sum::Summing;
pub use survive::Surviving;
pub use unmask::{Summed, Unmasking};
