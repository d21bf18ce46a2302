//! A relay on loopback that counts what passes, in both directions.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::spawn;

use anyhow::Result;

/// Counts for as long as the process runs.
pub struct Counted {
    pub address: SocketAddr,
    up: Arc<AtomicU64>,
    down: Arc<AtomicU64>,
}

impl Counted {
    /// Relays every connection to `to`.
    pub fn start(to: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (up, down) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let counts = (Arc::clone(&up), Arc::clone(&down));
        spawn(move || {
            for stream in listener.incoming().flatten() {
                let Ok(onward) = TcpStream::connect(to) else { continue };
                let ends = (stream.try_clone(), onward.try_clone());
                let (Ok(back), Ok(forth)) = ends else { continue };
                let counts = (Arc::clone(&counts.0), Arc::clone(&counts.1));
                spawn(move || pass(stream, onward, &counts.0));
                spawn(move || pass(forth, back, &counts.1));
            }
        });
        Ok(Self { address, up, down })
    }

    /// Bytes so far from those who connect, and to them.
    pub fn bytes(&self) -> (u64, u64) {
        (self.up.load(Ordering::Relaxed), self.down.load(Ordering::Relaxed))
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, count: &AtomicU64) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        count.fetch_add(read as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    // The other side hears that nothing more comes.
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_counted() {
        let server = TcpListener::bind("127.0.0.1:0").expect("binds");
        let relay = Counted::start(server.local_addr().expect("bound")).expect("starts");
        let mut client = TcpStream::connect(relay.address).expect("connects");
        client.write_all(b"hello").expect("sends");
        client.shutdown(Shutdown::Write).expect("ends");
        let (mut end, _) = server.accept().expect("accepts");
        let mut heard = Vec::new();
        end.read_to_end(&mut heard).expect("hears");
        end.write_all(b"yes").expect("answers");
        drop(end);
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).expect("hears");
        assert_eq!((heard.as_slice(), answer.as_slice()), (&b"hello"[..], &b"yes"[..]));
        assert_eq!(relay.bytes(), (5, 3));
    }
}
