//! A node's id and libp2p's name for it are the same 32 bytes.

use covey_crypto::PublicKey;
use covey_protocol::ids::NodeId;
use libp2p::PeerId;

/// An identity multihash of 36 bytes that hold a libp2p public key: type Ed25519, 32 bytes.
const PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// libp2p's name for `node`.
pub(crate) fn to_peer(node: &NodeId) -> PeerId {
    let mut bytes = [0; 38];
    bytes[..6].copy_from_slice(&PREFIX);
    bytes[6..].copy_from_slice(node.as_bytes());
    PeerId::from_bytes(&bytes).expect("a short identity multihash is a peer id")
}

/// The node that libp2p calls `peer`; none if its key is no (sound) Ed25519 key.
pub(crate) fn to_node(peer: &PeerId) -> Option<NodeId> {
    let bytes = peer.to_bytes();
    let key = bytes.strip_prefix(&PREFIX)?.try_into().ok()?;
    PublicKey::from_bytes(key).ok().map(NodeId::new)
}

#[cfg(test)]
mod tests {
    use covey_crypto::SecretKey;
    use libp2p::identity::Keypair;

    use super::*;

    #[test]
    fn ids_map_both_ways_and_agree_with_libp2p() {
        let mut seed = [5; 32];
        let node = NodeId::new(SecretKey::from_seed(&seed).public());
        let theirs = Keypair::ed25519_from_bytes(&mut seed).expect("a seed").public().to_peer_id();
        assert_eq!(to_peer(&node), theirs);
        assert_eq!(to_node(&theirs), Some(node));
    }

    #[test]
    fn other_keys_are_no_nodes() {
        let weak = PeerId::from_bytes(&[&PREFIX[..], &[0; 32]].concat()).expect("a multihash");
        let secp256k1 = {
            let mut bytes = vec![0x08, 0x02, 0x12, 0x21, 0x02];
            bytes.extend([0x79; 32]);
            [&[0x00, 0x25][..], &bytes].concat()
        };
        let secp256k1 = PeerId::from_bytes(&secp256k1).expect("a multihash");
        for peer in [weak, secp256k1, PeerId::random()] {
            assert_eq!(to_node(&peer), None, "{peer}");
        }
    }
}
