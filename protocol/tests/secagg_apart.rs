//! A server that parts the clients of a sparse graph: what it can sum apart is what docs/spec/secagg.md
//! allows for ("Who is in the sum"), and of two sets of survivors one is opened at most.

use std::collections::{BTreeMap, BTreeSet};

use covey_crypto::shamir::Recovery;
use covey_crypto::{Digest, MaskStream, RoundSecret, Share, Signature, derive_key};
use covey_protocol::secagg::client::{Agreed, Masked};
use covey_protocol::secagg::{Bounds, Check, Seat, SeatSet, Terms, Thresholds, Topology};
use covey_protocol::wire::v1::secagg::{
    Advertisement, Agreement, Agreements, Choice, Opening, RosterHead, Survivors,
};
use covey_protocol::wire::{decode, encode};

use crate::secagg_round::*;

const ENTRIES: u32 = 3;

type Graph = BTreeMap<Seat, Vec<Seat>>;

/// A sparse cohort that has masked its vectors; from there on the server is run by hand.
struct Round {
    terms: Terms,
    thresholds: Thresholds,
    head: RosterHead,
    keys: BTreeMap<Seat, Advertisement>,
    /// Whom each client drew.
    drawn: Graph,
    cohort: Cohort0,
    dealers: SeatSet,
    masked: BTreeMap<Seat, Masked>,
    /// Masked vectors.
    bytes: BTreeMap<Seat, Vec<u8>>,
}

fn vector_of(seat: Seat) -> Vec<u32> {
    vector(seat.index(), ENTRIES)
}

fn all(n: u32) -> SeatSet {
    let mut set = SeatSet::new(n);
    set.extend((0..n).map(Seat));
    set
}

impl Round {
    /// Everybody is told that all of the cohort dealt. The server hides what `hidden` picks from the
    /// draws: nobody hears that this client chose it, and it hears no more of the round itself. None
    /// if it picks nobody.
    fn masked(
        n: u32,
        bounds: Bounds,
        seed: u64,
        hidden: Option<fn(&Graph, usize) -> Option<Seat>>,
    ) -> Option<Self> {
        let terms = terms(Topology::Sparse, n, ENTRIES, bounds);
        let Cohort { keys, mut rng, joining, advertised, mut seated } =
            seat(&terms, n as usize, seed);
        let members = members(n as usize);
        let thresholds = *seated.thresholds();
        let (mut choosing, mut drawn, mut head) = (Vec::new(), Graph::new(), None);
        for (id, client) in joining {
            let place = seated.place(&id).expect("in the cohort");
            let (client, choice) = client.place(&place, &mut rng).expect("draws");
            let seat = members.seat(&id).expect("a member");
            drawn.insert(seat, choice.neighbours);
            choosing.push((seat, id, client));
            head = Some(place.head);
        }
        let hidden = match hidden {
            Some(pick) => Some(pick(&drawn, (n - thresholds.survivors) as usize)?),
            None => None,
        };
        choosing.retain(|(seat, ..)| Some(*seat) != hidden);
        for (seat, id, _) in &choosing {
            seated.choose(id, Choice { neighbours: drawn[seat].clone() }).expect("chosen");
        }
        let mut sharing = seated.close().expect("enough");
        let mut dealt = Vec::new();
        for (seat, id, client) in choosing {
            let neighbours = sharing.neighbours(&id).expect("chose");
            let client = client.neighbours(&neighbours).expect("its own");
            let (client, dealing) = client.deal(&keys[&id], &mut rng);
            sharing.deal(&id, dealing).expect("deals");
            dealt.push((seat, id, client));
        }
        let summing = sharing.close().expect("enough");
        let (mut masked, mut bytes) = (BTreeMap::new(), BTreeMap::new());
        for (seat, id, client) in dealt {
            let mut inbox = summing.inbox(&id).expect("dealt");
            inbox.dealers = all(n);
            let (client, faults) = client.inbox(&inbox).expect("goes on");
            assert_eq!(faults, []);
            let (client, _, sent) = mask(client, &keys[&id], &vector_of(seat));
            masked.insert(seat, client);
            bytes.insert(seat, sent);
        }
        let keys_of = |keys: Advertisement| (members.seat(&keys.client).expect("a member"), keys);
        Some(Self {
            terms,
            thresholds,
            head: head.expect("a cohort"),
            keys: advertised.into_iter().map(keys_of).collect(),
            drawn,
            cohort: Cohort0 { keys, rng },
            dealers: all(n),
            masked,
            bytes,
        })
    }

    fn dealt(&self) -> Digest {
        let (terms, cohort) = (self.terms.digest(), encode(&self.head.cohort));
        let parts: [&[u8]; 3] = [terms.as_bytes(), &cohort, self.head.root.as_bytes()];
        let transcript = Digest::of("covey/secagg/v1/transcript", &parts);
        let parts: [&[u8]; 2] = [transcript.as_bytes(), &encode(&self.dealers)];
        Digest::of("covey/secagg/v1/dealers", &parts)
    }

    /// What signatures on a set of survivors are made of.
    fn signed(&self, set: &SeatSet) -> Vec<u8> {
        let digest = Digest::of("covey/secagg/v1/set", &[&encode(set)]);
        [*self.dealt().as_bytes(), *digest.as_bytes()].concat()
    }

    fn agreement(&self, by: Seat, set: &SeatSet) -> (Seat, Signature) {
        let key = &self.cohort.keys[&self.keys[&by].client];
        (by, key.sign("covey/secagg/v1/agreement", &self.signed(set)))
    }

    /// A client is shown a set of survivors, and agrees.
    fn agree(&self, by: Seat, client: Masked, set: &SeatSet) -> (Agreed, (Seat, Signature)) {
        let signature = coordinator().sign("covey/secagg/v1/survivors", &self.signed(set));
        let survivors = Survivors { set: set.clone(), signature };
        let key = &self.cohort.keys[&self.keys[&by].client];
        let (client, Agreement { signature }) =
            client.survivors(&survivors, key).expect("any one set may be agreed to");
        (client, (by, signature))
    }

    /// The sum of the vectors of `part` without the masks that the opened shares are behind: each
    /// one's own, and those with clients that are not in `survivors`.
    fn unmask(
        &self,
        part: &BTreeSet<Seat>,
        survivors: &SeatSet,
        openings: Vec<(Seat, Opening)>,
    ) -> Vec<u32> {
        let mut shares: BTreeMap<Seat, Vec<(u32, Share)>> = BTreeMap::new();
        for (holder, opening) in openings {
            for opened in opening.shares {
                shares.entry(opened.dealer).or_default().push((holder.0 + 1, opened.share));
            }
        }
        let recover = |dealer: &Seat| {
            let (places, shares): (Vec<u32>, Vec<&Share>) =
                shares[dealer].iter().map(|(place, share)| (*place, share)).unzip();
            assert!(places.len() >= self.thresholds.threshold as usize, "{dealer:?}");
            Recovery::at(&places).expect("places").secret(&shares).expect("as many")
        };
        let mut sum = vec![0; ENTRIES as usize];
        for seat in part {
            for (sum, entry) in sum.iter_mut().zip(self.bytes[seat].as_chunks::<4>().0) {
                *sum = u32::wrapping_add(*sum, u32::from_le_bytes(*entry));
            }
            let (dealt, secret) = (self.dealt(), recover(seat));
            let purpose = "covey/secagg/v1/self-mask";
            let seed = derive_key(&secret.expose()[..], &dealt, purpose, &[&seat.0.to_le_bytes()]);
            MaskStream::new(&seed).subtract_from(&mut sum);
        }
        let dropped = |seat: &Seat| !survivors.contains(*seat) && self.masked.contains_key(seat);
        for gone in self.drawn.keys().filter(|seat| dropped(seat)) {
            let secret = recover(gone);
            for seat in part.iter().filter(|seat| self.are_neighbours(**seat, *gone)) {
                let mut stream = MaskStream::new(&self.pair_seed((*gone, &secret), *seat));
                match seat < gone {
                    true => stream.subtract_from(&mut sum),
                    false => stream.add_to(&mut sum),
                }
            }
        }
        sum
    }

    fn are_neighbours(&self, a: Seat, b: Seat) -> bool {
        self.drawn[&a].contains(&b) || self.drawn[&b].contains(&a)
    }

    fn pair_seed(&self, one: (Seat, &RoundSecret), other: Seat) -> covey_crypto::Secret32 {
        let shared = one.1.agree(&self.keys[&other].mask);
        let (low, high) = (one.0.min(other).0.to_le_bytes(), one.0.max(other).0.to_le_bytes());
        derive_key(&shared[..], &self.dealt(), "covey/secagg/v1/pair-mask", &[&low, &high])
    }
}

/// Clients do not know who drew them but by the server's word. So a client is cut off not only where
/// all that it drew are gone: it is enough that those who drew it are said to have dropped out, and
/// that nobody else hears whom it drew. The others are then summed without it, and are to be as many
/// honest clients as the thresholds say.
#[test]
fn a_client_whose_choice_is_hidden_is_cut_off_and_no_more_than_allowed_for() {
    let bounds = Bounds { security_bits: 20, correctness_bits: 10, ..Bounds::default() };
    // One that no more clients drew than may drop out.
    fn lonely(drawn: &Graph, dropouts: usize) -> Option<Seat> {
        let chosen_by = |seat: &Seat| drawn.values().filter(|it| it.contains(seat)).count();
        drawn.keys().find(|seat| chosen_by(seat) <= dropouts).copied()
    }
    let n = 12;
    let mut round = (0..).find_map(|seed| Round::masked(n, bounds, seed, Some(lonely)));
    let round = round.as_mut().expect("some round has one");
    let victim = (0..n).map(Seat).find(|seat| !round.masked.contains_key(seat)).expect("hidden");
    let drew = |seat: &Seat| round.drawn[seat].contains(&victim);
    let mut dropped: BTreeSet<Seat> = round.masked.keys().copied().filter(drew).collect();
    let others = round.masked.keys().copied().filter(|seat| !drew(seat));
    dropped.extend(others.take((n - round.thresholds.survivors) as usize - dropped.len()));
    let mut survivors = SeatSet::new(n);
    survivors.extend((0..n).map(Seat).filter(|seat| !dropped.contains(seat)));
    assert!(survivors.contains(victim) && survivors.len() >= round.thresholds.survivors);

    let (mut agreed, mut signatures) = (Vec::new(), Vec::new());
    for (seat, client) in std::mem::take(&mut round.masked) {
        let record = encode(&client);
        if survivors.contains(seat) {
            let (client, signature) = round.agree(seat, client, &survivors);
            agreed.push((seat, client));
            signatures.push(signature);
        }
        round.masked.insert(seat, decode(&record, 1 << 20).expect("a record"));
    }
    let agreements = Agreements { signatures };
    let openings = agreed
        .into_iter()
        .map(|(seat, client)| (seat, client.agreements(&agreements).expect("opens")))
        .collect();
    let part: BTreeSet<Seat> = survivors.iter().filter(|seat| *seat != victim).collect();
    let mut plain = vec![0_u32; ENTRIES as usize];
    for seat in &part {
        plain.iter_mut().zip(vector_of(*seat)).for_each(|(sum, x)| *sum = sum.wrapping_add(x));
    }
    assert_eq!(round.unmask(&part, &survivors, openings), plain, "summed without the victim");
    let honest = part.len() as u32 - round.thresholds.colluders;
    assert!(honest >= round.thresholds.honest, "{honest} of {:?}", round.thresholds);
}

/// Two sets of survivors on a sparse graph: a victim, all of its neighbours and as many others as it takes
/// are shown one, the rest another; colluders agree to both. Each half of a neighbourhood sees only
/// agreements to its own set, but witnesses are of the whole cohort: neither set gets enough of them,
/// and mixed agreements are told apart. Were the halves uneven, one set would be opened, and only one.
#[test]
fn two_sets_of_survivors_on_a_sparse_graph_open_one_at_most() {
    let n = 60;
    let round = |colluding: usize, first: usize| {
        let mut round = Round::masked(n, Bounds::default(), 3, None).expect("nobody is hidden");
        assert!(round.thresholds.shareholders < n / 2, "sparse");
        let victim = Seat(7);
        let mut order: Vec<Seat> = round.drawn.keys().copied().collect();
        order.sort_by_key(|seat| *seat != victim && !round.are_neighbours(victim, *seat));
        let colluders: Vec<Seat> = order.split_off(order.len() - colluding);
        // The victim has survived in the one, and somebody far from it in the other.
        let (mut one, mut other) = (all(n), SeatSet::new(n));
        other.extend(one.iter().filter(|seat| *seat != victim));
        one = {
            let mut fewer = SeatSet::new(n);
            fewer.extend(one.iter().filter(|seat| *seat != colluders[0]));
            fewer
        };
        let (mut agreed, mut signed) = (Vec::new(), [Vec::new(), Vec::new()]);
        for (at, seat) in order.iter().enumerate() {
            let set = usize::from(at >= first);
            let client = round.masked.remove(seat).expect("masked");
            let (client, signature) = round.agree(*seat, client, [&one, &other][set]);
            agreed.push((set, client));
            signed[set].push(signature);
        }
        for seat in &colluders {
            signed[0].push(round.agreement(*seat, &one));
            signed[1].push(round.agreement(*seat, &other));
        }
        let mut opened = [0, 0];
        for (set, client) in agreed {
            let record = encode(&client);
            let again = || decode::<Agreed>(&record, 1 << 20).expect("a record");
            match again().agreements(&Agreements { signatures: signed[set].clone() }) {
                Ok(_) => opened[set] += 1,
                Err(fault) => assert_eq!(fault.check, Check::TooFewAgreements),
            }
            let foreign = Agreements { signatures: signed[1 - set].clone() };
            let refused = again().agreements(&foreign).err().map(|fault| fault.check);
            assert_eq!(refused, Some(Check::AgreementSignature));
        }
        opened
    };
    // 34 of 60 must agree. 27 and 27, and all 6 that may collude: one too few on either side.
    assert_eq!(round(6, 27), [0, 0]);
    assert_eq!(round(6, 28), [28, 0]);
    assert_eq!(round(6, 26), [0, 28]);
}
