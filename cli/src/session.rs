//! One command's way to its node: the running daemon, or the home itself where none runs.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use covey_embedder::{BUILTIN_NAME, Compute, Embedder, ModelStore, builtin};
use covey_node::api::client::Client;
use covey_node::api::{ApiError, Call, ErrorCode, Initialised, Progress, Reply};
use covey_node::cancel::CancelFlag;
use covey_node::config::{Config, ConfigError};
use covey_node::daemon;
use covey_node::directory::{self, Ask};
use covey_node::home::{Home, HomeError, HomeLock};
use covey_node::models::{Models, OneModel, StoredModels, model_error};
use covey_protocol::ids::Name;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::output::Output;
use crate::progress::Bar;

/// How long a command waits for another one that holds the home.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
const LOCK_RETRY: Duration = Duration::from_millis(100);
const GET_A_MODEL: &str =
    "get a model with `covey model pull`; `covey model list` shows those that are here";
const TICK: Duration = Duration::from_millis(100);

/// A command's home and how it prints.
pub struct Session<'a> {
    pub home: Home,
    /// What `--home` named, absolute.
    pub explicit_home: Option<PathBuf>,
    pub output: &'a Output,
}

impl<'a> Session<'a> {
    /// Finds the home, without touching it.
    pub fn new(home: Option<&Path>, output: &'a Output) -> Result<Self, ApiError> {
        let explicit_home = home.map(std::path::absolute).transpose().map_err(|error| {
            ApiError::new(ErrorCode::Usage, format!("--home names no place: {error}"))
        })?;
        Ok(Self { home: Home::resolve(home)?, explicit_home, output })
    }

    /// For commands that need a node to be there.
    pub fn require_node(&self) -> Result<(), ApiError> {
        if self.home.is_initialised() {
            return Ok(());
        }
        let place = self.home.state_dir().display();
        Err(ApiError::new(ErrorCode::NotFound, format!("no Covey node lives here yet ({place})"))
            .hint("make one with `covey init`; `covey add` and `covey join` do so by themselves"))
    }

    /// For commands with which people start: makes the node if there is none, and says so.
    pub fn ensure_node(&self, name: Option<Name>) -> Result<(), ApiError> {
        if !self.home.is_initialised() {
            let made = self.init(name)?;
            let notice =
                format!("Made a new node, {}, at {}.", made.name, made.state_dir.display());
            self.output.notice(&notice);
        }
        Ok(())
    }

    /// Tells the person `notice` unless a daemon runs.
    pub fn notice_without_daemon(&self, notice: &str) -> Result<(), ApiError> {
        let socket = self.home.socket_path()?;
        if std::os::unix::net::UnixStream::connect(socket).is_err() {
            self.output.notice(notice);
        }
        Ok(())
    }

    /// Makes the node.
    pub fn init(&self, name: Option<Name>) -> Result<Initialised, ApiError> {
        daemon::init(&self.home, name)
    }

    /// Makes `call` and prints its result.
    pub fn show(&self, call: Call, what: &str) -> Result<(), ApiError> {
        self.output.done(self.call(call, what)?)
    }

    /// Makes `call`, showing progress under the name `what`; Ctrl-C ends it in good order.
    pub fn call(&self, call: Call, what: &str) -> Result<Reply, ApiError> {
        self.require_node()?;
        self.watch(what, async |report, cancel| self.carry_out(call, report, cancel).await)
    }

    /// Asks the index in the folder `dir`, in the same manner; no node is needed.
    pub fn ask(&self, dir: &Path, ask: Ask, what: &str) -> Result<Reply, ApiError> {
        let models = self.models()?;
        self.watch(what, async |report, cancel| {
            let mut interrupts = Interrupts::catch()?;
            let work = directory::carry_out(dir.into(), models, ask, report, cancel.clone());
            until_interrupted(work, &mut interrupts, cancel).await
        })
    }

    /// The models of this home, without making one where there is none.
    fn models(&self) -> Result<Arc<dyn Models>, ApiError> {
        let dir = self.home.models_dir();
        if !dir.is_dir() {
            return Ok(Arc::new(OneModel::builtin()?));
        }
        let store = ModelStore::open(&dir).map_err(|error| model_error(&error))?;
        Ok(Arc::new(StoredModels::new(store.on(self.compute(None)?), None)))
    }

    /// Where models compute: on `device` if it is given, else where the configuration says; the processor where there is none.
    pub fn compute(&self, device: Option<Compute>) -> Result<Compute, ApiError> {
        if let Some(device) = device {
            return Ok(device);
        }
        match Config::load(&self.home.config_path()) {
            Ok(config) => Ok(config.device),
            Err(ConfigError::Missing { .. }) => Ok(Compute::Cpu),
            Err(error) => Err(error.into()),
        }
    }

    /// The model of that name or id, by default the built-in one, on `device` or where the configuration says; no node is
    /// needed, and none is made.
    pub fn embedder(
        &self,
        name: Option<&str>,
        device: Option<Compute>,
    ) -> Result<Arc<dyn Embedder>, ApiError> {
        let name = name.unwrap_or(BUILTIN_NAME);
        let dir = self.home.models_dir();
        if dir.is_dir() {
            let store = ModelStore::open(&dir).map_err(|error| model_error(&error))?;
            let store = store.on(self.compute(device)?);
            return store.load(name).map_err(|error| model_error(&error).hint(GET_A_MODEL));
        }
        let model = builtin().map_err(|error| model_error(&error.into()))?;
        let known = [model.name().to_owned(), model.id().to_string(), model.id().full_hex()];
        if known.iter().any(|it| it == name) {
            return Ok(model);
        }
        let message = format!("there is no model {name:?}; at hand is {BUILTIN_NAME} alone");
        Err(ApiError::new(ErrorCode::NotFound, message).hint(GET_A_MODEL))
    }

    /// Runs `work`, showing its progress under the name `what`.
    fn watch(
        &self,
        what: &str,
        work: impl AsyncFnOnce(
            &mut (dyn FnMut(Progress) + Send),
            &CancelFlag,
        ) -> Result<Reply, ApiError>,
    ) -> Result<Reply, ApiError> {
        let bar = Mutex::new(Bar::start(what, self.output));
        let with_bar = |act: &dyn Fn(&mut Bar)| {
            act(&mut bar.lock().unwrap_or_else(PoisonError::into_inner));
        };
        block_on(async {
            let cancel = CancelFlag::new();
            let mut report = |step: Progress| with_bar(&|bar: &mut Bar| bar.update(step.clone()));
            let work = work(&mut report, &cancel);
            tokio::pin!(work);
            let mut ticks = tokio::time::interval(TICK);
            loop {
                tokio::select! {
                    result = &mut work => return result,
                    _ = ticks.tick() => with_bar(&Bar::tick),
                }
            }
        })
    }

    /// Asks the daemon, or does it here; interrupted by the person, it winds up and says so.
    pub async fn carry_out(
        &self,
        call: Call,
        progress: &mut (dyn FnMut(Progress) + Send),
        cancel: &CancelFlag,
    ) -> Result<Reply, ApiError> {
        let mut interrupts = Interrupts::catch()?;
        let lock = match self.reach(&mut interrupts).await? {
            Reached::Daemon(client) => {
                return tokio::select! {
                    result = client.call(&call, progress) => result,
                    () = interrupts.next() => Err(cancelled()),
                };
            }
            Reached::Home(lock) => lock,
        };
        let work = daemon::call_once(&self.home, lock, call, progress, cancel.clone());
        until_interrupted(work, &mut interrupts, cancel).await
    }

    /// Whether a daemon runs for this home.
    pub async fn has_daemon(&self) -> bool {
        let Ok(socket) = self.home.socket_path() else { return false };
        Client::connect(&socket).await.is_ok_and(|client| client.is_some())
    }

    /// Connects to the daemon, or else takes the home's lock, waiting a little for whoever has it.
    async fn reach(&self, interrupts: &mut Interrupts) -> Result<Reached, ApiError> {
        let socket = self.home.socket_path()?;
        let patience = tokio::time::Instant::now() + LOCK_PATIENCE;
        loop {
            if let Some(client) = Client::connect(&socket).await? {
                return Ok(Reached::Daemon(client));
            }
            match self.home.lock() {
                Ok(lock) => return Ok(Reached::Home(lock)),
                Err(HomeError::Busy { .. }) if tokio::time::Instant::now() < patience => {}
                Err(error) => return Err(error.into()),
            }
            tokio::select! {
                () = tokio::time::sleep(LOCK_RETRY) => {}
                () = interrupts.next() => return Err(cancelled()),
            }
        }
    }
}

/// Lets `work` wind up once the person interrupts it.
async fn until_interrupted(
    work: impl Future<Output = Result<Reply, ApiError>>,
    interrupts: &mut Interrupts,
    cancel: &CancelFlag,
) -> Result<Reply, ApiError> {
    tokio::pin!(work);
    tokio::select! {
        result = &mut work => return result,
        () = interrupts.next() => cancel.cancel(),
    }
    // A second Ctrl-C means it.
    tokio::select! {
        result = work => result.and_then(|reply| match reply {
            // It was only measured yet how the new settings do.
            Reply::Tuned(info) if info.applied => Ok(Reply::Tuned(info)),
            _ => Err(cancelled()),
        }),
        () = interrupts.next() => Err(cancelled()),
    }
}

enum Reached {
    Daemon(Client),
    Home(HomeLock),
}

/// Runs a future on a fresh runtime.
pub fn block_on<T>(future: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        ApiError::new(ErrorCode::Internal, format!("cannot start threads: {error}"))
    })?;
    let result = runtime.block_on(future);
    // Work that was given up on (a hanging disk, say) must not keep the command.
    runtime.shutdown_timeout(Duration::from_secs(2));
    result
}

/// The person's or the system's wish that this process end. Made before anything is started that has
/// to be cleaned up: until then a signal ends the process at once.
pub struct Interrupts([Signal; 3]);

impl Interrupts {
    /// Catches Ctrl-C, termination and hang-up from now on.
    ///
    /// # Errors
    /// If the system does not let us.
    pub fn catch() -> Result<Self, ApiError> {
        let catch = |kind| {
            signal(kind).map_err(|error| {
                ApiError::new(ErrorCode::Internal, format!("cannot catch signals: {error}"))
            })
        };
        Ok(Self([
            catch(SignalKind::interrupt())?,
            catch(SignalKind::terminate())?,
            catch(SignalKind::hangup())?,
        ]))
    }

    /// Returns at the next of them.
    pub async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// The person pressed Ctrl-C.
pub fn cancelled() -> ApiError {
    ApiError::new(ErrorCode::Cancelled, "interrupted")
}
