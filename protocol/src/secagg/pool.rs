//! What a coordinator and clients that collude with it can open between them: how far the bounds hold is found out with it, and nothing else is done with it.
//!
//! A [`Pool`] is told what passed between the coordinator and each client, and takes the secrets that colluders drew, by value. Nothing in it reaches into an
//! honest client: whatever it opens, anybody who had been told the same could have opened.

use std::collections::BTreeMap;
use std::fmt;

use covey_crypto::shamir::Recovery;
use covey_crypto::{Digest, MaskStream, RoundPublic, RoundSecret, Share};

use super::client::{Held, Sign, unseal};
use super::keys::{Kind, Transcript, commitment, share_digest};
use super::{Parameters, Seat, SeatSet};
use crate::wire::v1::secagg::{Advertisement, Dealing, Opening, RosterHead};

/// What a coordinator and its colluders know of one attempt at a round.
#[derive(Debug)]
pub struct Pool {
    parameters: Parameters,
    clients: BTreeMap<Seat, Client>,
    /// Secrets that they drew themselves, by their public halves.
    secrets: BTreeMap<[u8; 32], RoundSecret>,
}

/// What passed between the coordinator and one client.
#[derive(Debug, Default)]
struct Client {
    own: Option<Advertisement>,
    shown: Option<Shown>,
    /// The keys that it was shown of others.
    peers: BTreeMap<Seat, Advertisement>,
    dealing: Option<Dealing>,
    /// Who dealt, as it was told.
    dealers: Option<SeatSet>,
    /// As much as it has sent of its masked vector.
    masked: Vec<u8>,
    /// What it opened of others: the dealer, the share, and the digest of the other one.
    opened: Vec<(Seat, Share, Digest)>,
}

/// The cohort that a client was shown.
#[derive(Debug)]
struct Shown {
    transcript: Transcript,
    /// How many shares of it open a secret.
    threshold: usize,
}

/// Why a vector stays closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// Nothing of it was ever sent, or not all.
    #[error("no whole masked vector of it was sent")]
    NotSent,
    /// Too few shares of the secret behind its masks.
    #[error("{shares} shares of {} where {threshold} open it: {} short", Of(*.kind), .threshold.saturating_sub(*.shares))]
    Short {
        /// Of which secret.
        kind: Kind,
        /// How many there are.
        shares: u32,
        /// How many it takes.
        threshold: u32,
    },
    /// The shares give another secret than the one they should.
    #[error("the shares of {} do not give it", Of(*.kind))]
    Wrong {
        /// Of which secret.
        kind: Kind,
    },
}

/// What a kind of share is of.
struct Of(Kind);

impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::SelfMask => "the secret of its own mask",
            Kind::PairMask => "the secret of the masks that it has with others",
        })
    }
}

impl Pool {
    /// An attempt with these parameters, of which nothing is known yet.
    pub fn new(parameters: Parameters) -> Self {
        Self { parameters, clients: BTreeMap::new(), secrets: BTreeMap::new() }
    }

    /// A secret that a colluder drew, or the coordinator in somebody's place.
    pub fn knows(&mut self, secret: RoundSecret) {
        self.secrets.insert(*secret.public().as_bytes(), secret);
    }

    /// The keys that a client checked in with.
    pub fn checked_in(&mut self, client: Seat, keys: Advertisement) {
        self.client(client).own = Some(keys);
    }

    /// The cohort that a client was shown, for terms with this digest.
    pub fn shown(&mut self, client: Seat, terms: &Digest, head: &RosterHead) {
        let thresholds = self.parameters.thresholds(head.cohort.len());
        // Whoever is shown a cohort that cannot be deals nothing.
        let Ok(thresholds) = thresholds else { return };
        let transcript = Transcript::new(terms, &head.cohort, &head.root);
        let threshold = thresholds.threshold as usize;
        self.client(client).shown = Some(Shown { transcript, threshold });
    }

    /// The keys of others that a client was shown.
    pub fn shown_keys(
        &mut self,
        client: Seat,
        keys: impl IntoIterator<Item = (Seat, Advertisement)>,
    ) {
        let others = keys.into_iter().filter(|(seat, _)| *seat != client);
        self.client(client).peers = others.collect();
    }

    /// The shares that a client dealt.
    pub fn dealt(&mut self, client: Seat, dealing: Dealing) {
        self.client(client).dealing = Some(dealing);
    }

    /// Who dealt shares, as a client was told.
    pub fn told(&mut self, client: Seat, dealers: &SeatSet) {
        self.client(client).dealers = Some(dealers.clone());
    }

    /// A piece of a client's masked vector. What comes from the same place on again takes the place of what was there.
    pub fn sent(&mut self, client: Seat, offset: u64, bytes: &[u8]) {
        let most = 4 * self.parameters.entries as usize;
        let masked = &mut self.client(client).masked;
        let Ok(offset) = usize::try_from(offset) else { return };
        if offset <= masked.len() && offset.saturating_add(bytes.len()) <= most {
            masked.truncate(offset);
            masked.extend_from_slice(bytes);
        }
    }

    /// What a client opened of others' shares.
    pub fn opened(&mut self, client: Seat, opening: &Opening) {
        let shares = opening.shares.iter().filter_map(|opened| {
            // They are no secret from the coordinator any more.
            let share = Share::from_bytes(*opened.share.expose())?;
            Some((opened.dealer, share, opened.other))
        });
        self.client(client).opened.extend(shares);
    }

    fn client(&mut self, seat: Seat) -> &mut Client {
        self.clients.entry(seat).or_default()
    }

    /// Puts all shares together.
    pub fn recover(&self) -> Recovered<'_> {
        let secrets = self.clients.iter().filter_map(|(seat, client)| {
            let (own, dealing) = (client.own.as_ref()?, client.dealing.as_ref()?);
            let shown = client.shown.as_ref()?;
            let (of_self, of_pairs) = self.shares(*seat, client)?;
            let both = |kind, shares, public| secret(kind, shares, shown.threshold, public);
            let of_self = both(Kind::SelfMask, &of_self, &dealing.self_key);
            let of_pairs = both(Kind::PairMask, &of_pairs, &own.mask);
            Some((*seat, Secrets { of_self, of_pairs }))
        });
        Recovered { pool: self, secrets: secrets.collect() }
    }

    /// All shares that there are of a dealer's two secrets, by the shareholders' places.
    fn shares(&self, dealer: Seat, client: &Client) -> Option<(Shares, Shares)> {
        let (own, dealing) = (client.own.as_ref()?, client.dealing.as_ref()?);
        let (mut of_self, mut of_pairs) = (Shares::new(), Shares::new());
        for shares in &dealing.shares {
            let place = shares.seat.place();
            // Sealed to a colluder, or to whom the dealer took for somebody else.
            if let (Some(Shown { transcript, .. }), Some(holder)) =
                (&client.shown, client.peers.get(&shares.seat))
                && let Some(seal) = self.secrets.get(holder.seal.as_bytes())
            {
                let (shared, route) = (seal.agree(&own.seal), (dealer, shares.seat));
                let sealed = (&dealing.self_key, shares);
                let held = unseal(transcript, &shared, route, own.client, sealed);
                if let Ok(Held { self_share, pair_share, .. }) = held {
                    of_self.insert(place, self_share);
                    of_pairs.insert(place, pair_share);
                }
            }
            let opened = self.clients.get(&shares.seat).into_iter().flat_map(|it| &it.opened);
            for (_, share, other) in opened.filter(|(of, ..)| *of == dealer) {
                let digest = |kind| share_digest(kind, &share.expose());
                let copy = Share::from_bytes(*share.expose());
                if commitment(&digest(Kind::SelfMask), other) == shares.commitment {
                    of_self.extend(copy.map(|share| (place, share)));
                } else if commitment(other, &digest(Kind::PairMask)) == shares.commitment {
                    of_pairs.extend(copy.map(|share| (place, share)));
                }
            }
        }
        Some((of_self, of_pairs))
    }
}

/// Shares by the places of those who hold them.
type Shares = BTreeMap<u32, Share>;
/// A secret, or why it cannot be had.
type Secret = Result<RoundSecret, Closed>;

/// A dealer's two secrets.
#[derive(Debug)]
struct Secrets {
    /// What its own mask comes from.
    of_self: Secret,
    /// And those that it has with others.
    of_pairs: Secret,
}

fn secret(kind: Kind, shares: &Shares, threshold: usize, public: &RoundPublic) -> Secret {
    if shares.len() < threshold {
        let count = |n| u32::try_from(n).unwrap_or(u32::MAX);
        let (shares, threshold) = (count(shares.len()), count(threshold));
        return Err(Closed::Short { kind, shares, threshold });
    }
    let (places, shares): (Vec<u32>, Vec<&Share>) = shares.iter().take(threshold).unzip();
    let secret = Recovery::at(&places).and_then(|recovery| recovery.secret(&shares));
    secret.ok().filter(|it| it.public() == *public).ok_or(Closed::Wrong { kind })
}

/// What a [`Pool`] comes to once all shares in it are put together.
#[derive(Debug)]
pub struct Recovered<'a> {
    pool: &'a Pool,
    /// By dealer.
    secrets: BTreeMap<Seat, Secrets>,
}

impl Recovered<'_> {
    /// A client's vector as it was before it was masked.
    ///
    /// # Errors
    /// Why it stays closed.
    pub fn open(&self, client: Seat) -> Result<Vec<u32>, Closed> {
        let of = self.pool.clients.get(&client).ok_or(Closed::NotSent)?;
        let whole = of.masked.len() == 4 * self.pool.parameters.entries as usize;
        let (Some(own), Some(shown), Some(dealers), true) =
            (&of.own, &of.shown, &of.dealers, whole)
        else {
            return Err(Closed::NotSent);
        };
        let Secrets { of_self, of_pairs } = self.secrets.get(&client).ok_or(Closed::NotSent)?;
        let transcript = shown.transcript.dealt(dealers);
        let of_self = of_self.as_ref().map_err(|closed| *closed)?;
        let mut masks = vec![(Sign::Minus, transcript.self_seed(client, of_self))];
        for (seat, peer) in of.peers.iter().filter(|(seat, _)| dealers.contains(**seat)) {
            let seed = match of_pairs {
                Ok(secret) => transcript.pair_seed((client, secret), (*seat, &peer.mask)),
                // Either end of a pair will do.
                Err(closed) => {
                    let secret = self.mask_of(*seat, peer).ok_or(*closed)?;
                    transcript.pair_seed((*seat, secret), (client, &own.mask))
                }
            };
            masks.push((Sign::between(client, *seat).opposite(), seed));
        }
        let words = of.masked.as_chunks::<4>().0;
        let mut vector: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
        for (sign, seed) in &masks {
            sign.apply(&mut MaskStream::new(seed), &mut vector);
        }
        Ok(vector)
    }

    /// What another client's masks come from, as this one was shown its key.
    fn mask_of(&self, seat: Seat, shown: &Advertisement) -> Option<&RoundSecret> {
        let recovered = self.secrets.get(&seat).and_then(|of| of.of_pairs.as_ref().ok());
        let recovered = recovered.filter(|secret| secret.public() == shown.mask);
        recovered.or_else(|| self.pool.secrets.get(shown.mask.as_bytes()))
    }
}
