//! What a field is where nothing is said: together a small run that ends within seconds.

use covey_privacy::ledger::Unit;

use super::{
    Algorithm, Availability, Coordinator, Data, Dropout, Learner, Network, Partition, Privacy,
    Scenario, Search, Sum, Topology, Training,
};

impl Default for Scenario {
    /// Twenty peers train the surrogate for five rounds with secure sums.
    fn default() -> Self {
        Self {
            name: "scenario".to_owned(),
            about: String::new(),
            seed: 1,
            repeats: 1,
            peers: 20,
            data: Data::default(),
            learner: Learner::default(),
            training: Training::default(),
            sum: Sum::default(),
            privacy: Privacy::default(),
            network: Network::default(),
            availability: Availability::default(),
            adversaries: Vec::new(),
            coordinator: Coordinator::default(),
            search: Search::default(),
        }
    }
}

impl Default for Data {
    fn default() -> Self {
        Self {
            folder: None,
            split: None,
            questions: 0,
            examples: 2_000,
            partition: Partition::Iid,
            topics: 10,
            alpha: 0.5,
            topics_per_peer: 2,
            zipf: 0.0,
            overlap: 0.0,
        }
    }
}

/// Numbers that the surrogate learns.
pub(super) const fn values() -> u32 {
    1_000
}

impl Default for Learner {
    fn default() -> Self {
        Self::Surrogate { values: values(), heterogeneity: 0.0 }
    }
}

impl Default for Training {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::Average,
            rounds: 5,
            cohort: 0,
            epochs: 1,
            steps: 1_000,
            batch: 32,
            rate: 0.1,
            mu: 0.0,
            server_rate: 1.0,
            weighted: false,
            judge_every: 1,
        }
    }
}

impl Default for Sum {
    fn default() -> Self {
        Self {
            secure: true,
            topology: Topology::Auto,
            min_cohort: 0,
            dropout: 0.1,
            collusion: 0.1,
            attempts: 3,
            window_s: 60,
            phase_s: 20,
            upload_s: 60,
        }
    }
}

impl Default for Privacy {
    fn default() -> Self {
        Self { epsilon: None, noise: None, unit: Unit::Peer, documents: 32, delta: 1e-5, clip: 1.0 }
    }
}

impl Default for Network {
    fn default() -> Self {
        Self { latency_ms: [5.0, 50.0], bandwidth_mbit: [0.0, 0.0], loss: 0.0, cuts: Vec::new() }
    }
}

impl Default for Availability {
    fn default() -> Self {
        Self {
            dropout: Dropout::default(),
            step_ms: [50.0, 150.0],
            stragglers: 0.0,
            slowdown: 10.0,
            away: 0.0,
            churn_per_hour: 0.0,
        }
    }
}

impl Default for Search {
    fn default() -> Self {
        Self { hours: 0, per_hour: 1.0, group: 20, passages: 40, sharing: 1.0 }
    }
}

/// An adversary's strength.
pub(super) const fn strength() -> f64 {
    1.0
}
