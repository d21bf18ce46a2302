//! Bytes that nobody should send, on every protocol and on the local socket.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use covey_net::Protocol;
use covey_node::home::Home;
use covey_tests::{Lab, PATIENCE, Person, RawPeer};
use serde_json::json;

const NOTE: &str = "Descale the kettle with citric acid and rinse it three times.";

/// Frames with a length of their own: garbage inside, more than the limit, cut short, and nothing at all.
fn frames(protocol: Protocol) -> Vec<Vec<u8>> {
    let framed = |body: &[u8]| {
        let length = u32::try_from(body.len()).expect("small");
        [&length.to_be_bytes()[..], body].concat()
    };
    let mut oversize = framed(&vec![0x41; protocol.max_request() + 1]);
    oversize.truncate(4 + 1024);
    vec![
        framed(b"garbage"),
        framed(&[]),
        framed(&[0xff; 4096]),
        framed(&(0..=255).collect::<Vec<u8>>()),
        framed(&vec![0; protocol.max_request()]),
        framed(&vec![0x41; protocol.max_request() + 1]),
        oversize,
        vec![0xff; 64],
        b"\0\0\0\x09abc".to_vec(),
        vec![],
    ]
}

#[test]
fn garbage_and_oversize_frames_from_an_outsider_and_from_a_member() {
    let mut lab =
        Lab::found(&[("ada", NOTE, "full"), ("ben", NOTE, "full"), ("eve", NOTE, "full")]);
    lab.take_daemon(2).kill();
    let home = Home::below(&lab.person(2).home()).expect("a home");
    let eve = covey_node::identity::load(&home.identity_path()).expect("eve's own key");
    let ada = lab.person(0);
    for (who, seed) in [("an outsider", [7; 32]), ("a member", *eve.seed())] {
        for protocol in Protocol::ALL {
            let mut peer = RawPeer::new(seed, protocol);
            for (n, frame) in frames(protocol).iter().enumerate() {
                let reply = peer.shout(ada, frame);
                if let Some(reply) = &reply {
                    // Whatever it says, it says nothing of Ada's.
                    assert!(!contains(reply, b"kettle"), "{who}, {protocol}, frame {n}");
                }
            }
        }
    }
    // The port itself gets bytes that are no libp2p at all.
    let status = ada.json(&["status"]);
    let port =
        status["addresses"][0].as_str().and_then(|it| it.split('/').nth(4)).expect("a TCP port");
    let mut tcp =
        TcpStream::connect(("127.0.0.1", port.parse().expect("a port"))).expect("connects");
    tcp.set_read_timeout(Some(PATIENCE)).expect("sets");
    tcp.write_all(&[0x16; 10_000]).expect("writes");
    let _ = tcp.shutdown(std::net::Shutdown::Write);
    // How it ends is libp2p's; that it ends is enough.
    let _ = tcp.read_to_end(&mut Vec::new());

    let found = lab.person(1).search("lab", "descaling a kettle");
    assert_eq!(Lab::outcome(&found, "ada")["outcome"], "answered", "{found}");
    assert_eq!(ada.json(&["group", "list"])["groups"][0]["members"], 3);
    assert_eq!(ada.json(&["audit", "verify"])["records"], 1, "only Ben was told anything");
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[test]
fn garbage_and_oversize_lines_on_the_local_socket() {
    let ada = Person::new("ada");
    let _daemon = ada.daemon();
    let lines: [&[u8]; 6] = [
        b"\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"{\"call\":\"launch\"}\n",
        b"{\"call\":\"status\",\"also\":1}\n",
        b"\xff\xff\xff\xff\n",
        &[b'x'; 200_000],
    ];
    for line in lines {
        let mut socket = UnixStream::connect(ada.socket()).expect("connects");
        socket.set_read_timeout(Some(PATIENCE)).expect("sets");
        // A daemon that has refused need not read on.
        let _ = socket.write_all(line);
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        let event: serde_json::Value = serde_json::from_slice(&answer).expect("a line of JSON");
        assert_eq!((&event["event"], &event["error"]["code"]), (&json!("failed"), &json!("usage")));
    }
    let silent: Vec<_> =
        (0..20).map(|_| UnixStream::connect(ada.socket()).expect("connects")).collect();
    assert_eq!(ada.json(&["status"])["daemon"], true, "callers who say nothing block nobody");
    drop(silent);
}
