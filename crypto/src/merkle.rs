//! Merkle trees over digests, in the shape of RFC 9162, section 2.1 (a list of any length).
//!
//! Leaves are hashed apart from inner nodes, and the length is hashed with the root, so a root
//! commits to how many leaves there are.

use crate::Digest;

const LEAF: &str = "covey/merkle/v1/leaf";
const NODE: &str = "covey/merkle/v1/node";
const ROOT: &str = "covey/merkle/v1/root";

/// A tree with all of its inner nodes: level 0 has the leaves.
#[derive(Debug, Clone)]
pub struct MerkleTree {
    levels: Vec<Vec<Digest>>,
}

impl MerkleTree {
    /// The tree over `leaves`, in this order.
    pub fn new(leaves: impl IntoIterator<Item = Digest>) -> Self {
        let mut levels = vec![leaves.into_iter().map(leaf).collect::<Vec<_>>()];
        while let Some(last) = levels.last().filter(|last| last.len() > 1) {
            let next = last
                .chunks(2)
                .map(|pair| match pair {
                    [left, right] => node(left, right),
                    odd => odd[0],
                })
                .collect();
            levels.push(next);
        }
        Self { levels }
    }

    /// How many leaves there are.
    pub fn len(&self) -> usize {
        self.levels[0].len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.levels[0].is_empty()
    }

    /// What the tree commits to: its leaves, their order and how many there are.
    pub fn root(&self) -> Digest {
        let top = self.levels.last().and_then(|level| level.first());
        seal(self.len(), top.unwrap_or(&Digest::ZERO))
    }

    /// The siblings on the way from leaf `index` to the top; `None` if there is no such leaf.
    pub fn proof(&self, index: usize) -> Option<Vec<Digest>> {
        if index >= self.len() {
            return None;
        }
        let siblings = self.levels.iter().enumerate().filter_map(|(height, level)| {
            let at = index >> height;
            level.get(at ^ 1).filter(|_| level.len() > 1).copied()
        });
        Some(siblings.collect())
    }
}

/// Whether `content` is leaf `index` of `count` under `root`, by the siblings in `proof`.
pub fn is_leaf(
    root: &Digest,
    count: usize,
    index: usize,
    content: Digest,
    proof: &[Digest],
) -> bool {
    if index >= count {
        return false;
    }
    let mut siblings = proof.iter();
    let (mut at, mut width, mut digest) = (index, count, leaf(content));
    while width > 1 {
        if at ^ 1 < width {
            let Some(sibling) = siblings.next() else { return false };
            digest = if at % 2 == 0 { node(&digest, sibling) } else { node(sibling, &digest) };
        }
        at /= 2;
        width = width.div_ceil(2);
    }
    siblings.next().is_none() && seal(count, &digest) == *root
}

fn leaf(content: Digest) -> Digest {
    Digest::of(LEAF, &[content.as_bytes()])
}

fn node(left: &Digest, right: &Digest) -> Digest {
    Digest::of(NODE, &[left.as_bytes(), right.as_bytes()])
}

fn seal(count: usize, top: &Digest) -> Digest {
    Digest::of(ROOT, &[&(count as u64).to_le_bytes(), top.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_leaf_of_every_small_tree_is_proven_at_its_place_only() {
        for count in 1..20_usize {
            let leaves: Vec<Digest> = (0..count).map(|i| Digest::sha256(&[i as u8])).collect();
            let tree = MerkleTree::new(leaves.clone());
            let root = tree.root();
            for (index, content) in leaves.iter().enumerate() {
                let proof = tree.proof(index).expect("a leaf");
                assert!(is_leaf(&root, count, index, *content, &proof));
                assert!(!is_leaf(&root, count, index, Digest::ZERO, &proof));
                assert!(!is_leaf(&root, count + 1, index, *content, &proof));
                assert!(!is_leaf(&Digest::ZERO, count, index, *content, &proof));
                for other in (0..count + 2).filter(|other| *other != index) {
                    assert!(!is_leaf(&root, count, other, *content, &proof));
                }
                let longer = [proof.as_slice(), &[Digest::ZERO]].concat();
                assert!(!is_leaf(&root, count, index, *content, &longer));
                if let Some((_, shorter)) = proof.split_last() {
                    assert!(!is_leaf(&root, count, index, *content, shorter));
                }
            }
            assert!(tree.proof(count).is_none());
        }
        let empty = MerkleTree::new([]);
        assert!(empty.is_empty() && !is_leaf(&empty.root(), 0, 0, Digest::ZERO, &[]));
    }

    #[test]
    fn the_root_counts_leaves_and_their_order() {
        let [a, b] = [Digest::sha256(b"a"), Digest::sha256(b"b")];
        let roots = [vec![], vec![a], vec![b], vec![a, b], vec![b, a], vec![a, a], vec![a, a, a]];
        let roots: Vec<Digest> = roots.map(|leaves| MerkleTree::new(leaves).root()).into();
        for (i, root) in roots.iter().enumerate() {
            assert!(!roots[..i].contains(root));
        }
    }
}
