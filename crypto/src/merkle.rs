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

    /// What proves the leaves at `indices`, which rise: the siblings on the ways to the top that do
    /// not follow from the leaves themselves, level by level from the left. `None` if an index is
    /// none or they do not rise.
    pub fn proof(&self, indices: &[usize]) -> Option<Vec<Digest>> {
        if !rises(indices.iter().copied(), self.len()) {
            return None;
        }
        let mut known = indices.to_vec();
        let mut proof = Vec::new();
        for level in self.levels.iter().take(self.levels.len() - 1) {
            let missing = |at: &usize| known.binary_search(&(at ^ 1)).is_err();
            proof.extend(known.iter().filter(|at| missing(at)).filter_map(|at| level.get(at ^ 1)));
            known.iter_mut().for_each(|at| *at /= 2);
            known.dedup();
        }
        Some(proof)
    }
}

/// Whether all of `leaves`, places and contents in rising order, are among the `count` leaves
/// under `root`, by a proof that [`MerkleTree::proof`] made for these places.
pub fn are_leaves(
    root: &Digest,
    count: usize,
    leaves: &[(usize, Digest)],
    proof: &[Digest],
) -> bool {
    if leaves.is_empty() || !rises(leaves.iter().map(|(at, _)| *at), count) {
        return false;
    }
    let mut siblings = proof.iter();
    let mut known: Vec<(usize, Digest)> =
        leaves.iter().map(|(at, content)| (*at, leaf(*content))).collect();
    let mut width = count;
    while width > 1 {
        let mut above = Vec::with_capacity(known.len());
        let mut level = known.iter().peekable();
        while let Some((at, digest)) = level.next() {
            let digest = if at ^ 1 >= width {
                *digest
            } else if let Some((_, right)) = level.next_if(|(next, _)| *next == at ^ 1) {
                node(digest, right)
            } else {
                match siblings.next() {
                    Some(sibling) if at % 2 == 0 => node(digest, sibling),
                    Some(sibling) => node(sibling, digest),
                    None => return false,
                }
            };
            above.push((at / 2, digest));
        }
        known = above;
        width = width.div_ceil(2);
    }
    siblings.next().is_none() && known.iter().all(|(_, top)| seal(count, top) == *root)
}

fn rises(places: impl Iterator<Item = usize> + Clone, count: usize) -> bool {
    places.clone().is_sorted_by(|a, b| a < b) && places.last().is_none_or(|last| last < count)
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
    fn every_set_of_leaves_of_every_small_tree_is_proven_at_its_places_only() {
        for count in 1..10_usize {
            let contents: Vec<Digest> = (0..count).map(|i| Digest::sha256(&[i as u8])).collect();
            let tree = MerkleTree::new(contents.clone());
            let root = tree.root();
            for chosen in 1..1_usize << count {
                let places: Vec<usize> = (0..count).filter(|at| chosen >> at & 1 == 1).collect();
                let leaves: Vec<_> = places.iter().map(|at| (*at, contents[*at])).collect();
                let proof = tree.proof(&places).expect("leaves");
                let holds =
                    |root, count, leaves: &[_], proof: &[_]| are_leaves(root, count, leaves, proof);
                assert!(holds(&root, count, &leaves, &proof));
                assert!(!holds(&Digest::ZERO, count, &leaves, &proof));
                assert!(!holds(&root, count + 1, &leaves, &proof));
                assert!(!holds(&root, count, &leaves, &[proof.as_slice(), &[root]].concat()));
                if let Some((_, shorter)) = proof.split_last() {
                    assert!(!holds(&root, count, &leaves, shorter));
                }
                for at in 0..leaves.len() {
                    let mut bent = leaves.clone();
                    bent[at].1 = Digest::ZERO;
                    assert!(!holds(&root, count, &bent, &proof));
                    let mut moved = leaves.clone();
                    moved[at].0 += 1;
                    assert!(!holds(&root, count, &moved, &proof));
                }
            }
            assert!(tree.proof(&[count]).is_none() && tree.proof(&[0, 0]).is_none());
        }
        let empty = MerkleTree::new([]);
        assert!(empty.is_empty() && !are_leaves(&empty.root(), 0, &[], &[]));
    }

    #[test]
    fn neighbours_share_their_proof() {
        let tree = MerkleTree::new((0..1024_u32).map(|i| Digest::sha256(&i.to_le_bytes())));
        assert_eq!(tree.proof(&[5]).expect("a leaf").len(), 10);
        assert_eq!(tree.proof(&[4, 5, 6, 7]).expect("leaves").len(), 8);
        assert_eq!(tree.proof(&(0..1024).collect::<Vec<_>>()), Some(vec![]));
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
