//! What a node is handed instead of reaching for it: the time, randomness, where to compute, and how its machine is doing.

use std::sync::{Arc, Mutex, PoisonError};

use covey_protocol::ids::UnixMillis;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::machine::{Machine, Steady, Surroundings, ThisMachine};
use crate::together::Together;

/// Tells the time of day. Delays and deadlines use `tokio::time`, which the simulator pauses.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970-01-01 UTC.
    fn now(&self) -> UnixMillis;
}

/// The machine's wall clock.
pub struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> UnixMillis {
        let since =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// A clock that starts at `start` and advances with `tokio::time`, paused or not.
pub struct TokioClock {
    start: UnixMillis,
    since: tokio::time::Instant,
}

impl TokioClock {
    /// Starts now, showing `start`. Call it inside the runtime.
    pub fn starting_at(start: UnixMillis) -> Self {
        Self { start, since: tokio::time::Instant::now() }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> UnixMillis {
        self.start.plus(u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}

/// Where CPU-heavy work runs.
#[derive(Clone)]
pub enum Compute {
    /// On tokio's blocking threads, so that the daemon keeps answering.
    Threads,
    /// On the calling thread, so that virtual time stands still meanwhile and order is fixed.
    Inline,
    /// With what others ask for at the same instant of virtual time, on all processors; how long that takes in virtual time and order are fixed as well.
    Together(Arc<Together>),
}

/// The time, randomness and place to compute of one node. Cheap to clone.
#[derive(Clone)]
pub struct Env {
    clock: Arc<dyn Clock>,
    rng: Arc<Mutex<ChaCha20Rng>>,
    compute: Compute,
    machine: Arc<dyn Machine>,
}

impl Env {
    /// For real use: the wall clock, a generator seeded by the operating system, blocking threads.
    ///
    /// # Errors
    /// If the operating system gives no randomness.
    pub fn system() -> Result<Self, getrandom::Error> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        let env = Self::new(Arc::new(WallClock), seed, Compute::Threads);
        Ok(env.on(Arc::new(ThisMachine::default())))
    }

    /// With everything given; the simulator's way. The machine is [`Steady`].
    pub fn new(clock: Arc<dyn Clock>, seed: [u8; 32], compute: Compute) -> Self {
        let rng = Arc::new(Mutex::new(ChaCha20Rng::from_seed(seed)));
        Self { clock, rng, compute, machine: Arc::new(Steady) }
    }

    /// The same on another machine.
    #[must_use]
    pub fn on(self, machine: Arc<dyn Machine>) -> Self {
        Self { machine, ..self }
    }

    /// How the machine is doing.
    pub fn surroundings(&self) -> Surroundings {
        self.machine.look(self.now())
    }

    /// Whether time is virtual, so that computing takes none or a fixed time.
    pub const fn stands_still(&self) -> bool {
        match self.compute {
            Compute::Threads => false,
            Compute::Inline | Compute::Together(_) => true,
        }
    }

    /// The time of day.
    pub fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// Lends the node's generator.
    pub fn with_rng<T>(&self, use_it: impl FnOnce(&mut ChaCha20Rng) -> T) -> T {
        use_it(&mut self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A generator of its own, seeded from the node's.
    pub fn fork_rng(&self) -> ChaCha20Rng {
        self.with_rng(|rng| {
            let mut seed = zeroize::Zeroizing::new([0; 32]);
            rng.fill_bytes(&mut *seed);
            ChaCha20Rng::from_seed(*seed)
        })
    }

    /// A fresh 64-bit number, for request ids.
    pub fn next_u64(&self) -> u64 {
        self.with_rng(Rng::next_u64)
    }

    /// Runs CPU-heavy `work` where this node computes. A panic in `work` is passed on.
    pub async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        match &self.compute {
            Compute::Inline => work(),
            Compute::Together(together) => together.compute(work).await,
            Compute::Threads => match tokio::task::spawn_blocking(work).await {
                Ok(value) => value,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
        }
    }
}
