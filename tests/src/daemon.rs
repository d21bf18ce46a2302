//! A running daemon, which a test may freeze or kill.

use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Person, wait_until};

/// A running `covey daemon`. Dropping it kills the process.
pub struct Daemon {
    process: Child,
}

impl Daemon {
    /// Starts `command` and waits until the person's socket answers.
    pub(crate) fn start(mut command: Command, person: &Person) -> Self {
        let errors = person.dir().join("daemon.err");
        let stderr = std::fs::File::create(&errors).expect("creates");
        let process = command.stdout(Stdio::null()).stderr(stderr).spawn().expect("covey starts");
        let mut daemon = Self { process };
        wait_until("the daemon to answer", || {
            let ended = daemon.process.try_wait().expect("can be asked");
            let why = || std::fs::read_to_string(&errors).unwrap_or_default();
            assert!(ended.is_none(), "{}'s daemon ended: {}", person.name, why());
            UnixStream::connect(person.socket()).is_ok()
        });
        daemon
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Stops it in its tracks; it keeps its connections but answers nothing.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Kills it without warning.
    pub fn kill(mut self) {
        self.process.kill().expect("is there to be killed");
        self.process.wait().expect("ends");
    }

    /// Asks it to end, and returns its exit code.
    pub fn terminate(mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.process.wait().expect("ends").code()
    }

    /// Waits for its end; returns its exit code.
    pub fn ended(mut self) -> Option<i32> {
        self.process.wait().expect("ends").code()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.process);
        kill_process(pid, signal).expect("is there to be told");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Already gone where a test ended it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
