//! What taking part has cost so far, as the person sees it.

use std::path::PathBuf;

use covey_net::Link;
use covey_privacy::accountant::zcdp;
use covey_privacy::ledger::{Account, Charge, CollectionKey};
use covey_privacy::{Delta, Epsilon, Rho};
use covey_protocol::ids::Name;

use crate::api::{ApiError, PrivacyAccount, Reply};
use crate::collections::key_of_pairs;
use crate::node::Node;
use crate::rounds::Standing;

impl<L: Link> Node<L> {
    pub(crate) fn privacy_report(&self) -> Result<Reply, ApiError> {
        let mut named: Vec<(CollectionKey, Name)> = Vec::new();
        for name in self.collections.names() {
            let keys = self.collections.keys_of(&name)?;
            named.extend(keys.into_iter().map(|key| (key, name.clone())));
        }
        let mut files: Vec<(CollectionKey, PathBuf)> = Vec::new();
        for group in self.groups.active() {
            let choice = self.learning.choice(group)?;
            let pairs = choice.into_iter().flat_map(|choice| choice.pairs);
            files.extend(pairs.map(|file| (key_of_pairs(&file), file)));
        }
        let accounts = self.learning.ledger.standings()?;
        let accounts = accounts.iter().map(|standing| account(standing, &named, &files)).collect();
        Ok(Reply::Privacy { accounts })
    }
}

pub(super) fn account(
    standing: &Standing,
    named: &[(CollectionKey, Name)],
    files: &[(CollectionKey, PathBuf)],
) -> PrivacyAccount {
    let delta = standing.budget.map_or(1e-5, |budget| budget.delta.get());
    let at = Delta::new(delta).expect("checked before");
    let spent = standing.spent.rho();
    // Without noise there was no bound, however large a number this is.
    let bounded = standing.spent != Charge::EVERYTHING;
    let epsilon = |rho: Rho| zcdp::epsilon(rho, at).ok().filter(|_| bounded).map(Epsilon::get);
    let four = Rho::new(4.0 * spent.get()).ok();
    let (unit, collection, pairs) = match standing.account {
        Account::Peer => ("peer".to_owned(), None, None),
        Account::Collection { unit, collection } => {
            let name = named.iter().find(|(key, _)| *key == collection);
            let file = files.iter().find(|(key, _)| *key == collection);
            let (name, file) = (name.map(|it| it.1.clone()), file.map(|it| it.1.clone()));
            (unit.to_string(), name, file)
        }
    };
    PrivacyAccount {
        account: standing.account.to_string(),
        collection,
        pairs,
        unit,
        epsilon: epsilon(spent),
        replace_one_epsilon: four.and_then(epsilon),
        delta,
        budget: standing.budget.map(|budget| budget.epsilon.get()),
    }
}
