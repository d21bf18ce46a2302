//! `covey watch`: the file system tells what changes, and the folders concerned are brought up to date.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use covey_node::api::{Added, ApiError, Call, ErrorCode, Reply};
use covey_node::cancel::CancelFlag;
use covey_protocol::ids::Name;
use notify::event::EventKind;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, sleep_until};

use crate::session::{Interrupts, Session, block_on};
use crate::show;

/// A folder is brought up to date once nothing has changed in it for so long,
const QUIET: Duration = Duration::from_millis(500);
/// or this long after the first change.
const AT_MOST: Duration = Duration::from_secs(5);
/// How often folders that could not be watched are tried again, and others looked for; and after how long
/// an update is tried again that could not be made.
const RETRY: Duration = Duration::from_secs(10);
/// Paths on their way from the file system; with more than these, everything counts as changed.
const QUEUE: usize = 1024;

/// Keep collections up to date while their files change
///
/// Brings them up to date first, then again whenever something changes, until Ctrl-C. Skipped files are listed
/// once. With a daemon running, the daemon does the work, and what is added to its collections
/// meanwhile is watched too.
#[derive(Debug, Args)]
#[command(after_help = "Example: covey watch notes")]
pub struct Watch {
    /// The collection (by default all of them)
    collection: Option<Name>,
}

impl Watch {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        session.require_node()?;
        block_on(async {
            let mut interrupts = Interrupts::catch()?;
            let work = watch(session, self.collection.as_ref());
            tokio::pin!(work);
            let ended = tokio::select! {
                result = &mut work => result,
                // An update under way hears of it as well and winds up; what it finished stays.
                () = interrupts.next() => work.await,
            };
            match ended {
                Err(error) if error.code == ErrorCode::Cancelled => Ok(()),
                ended => ended,
            }
        })
    }
}

/// Files that say which others are indexed.
const IGNORE_FILES: [&str; 3] = [".gitignore", ".ignore", ".coveyignore"];

/// A folder or file of a collection.
struct Root {
    path: PathBuf,
    collection: Name,
    watched: bool,
    /// Whether the person knows that it cannot be watched.
    told: bool,
    /// When it changed first and last, since it was brought up to date.
    changed: Option<(Instant, Instant)>,
    /// The skipped files that the person knows of.
    skipped: BTreeSet<PathBuf>,
    /// Whether the last update failed, and the person knows.
    failed: bool,
    /// Whether it is in the collection no more.
    gone: bool,
}

impl Root {
    fn new(path: PathBuf, collection: Name) -> Self {
        Self {
            path,
            collection,
            watched: false,
            told: false,
            changed: None,
            skipped: BTreeSet::new(),
            failed: false,
            gone: false,
        }
    }

    fn is(&self, other: &Self) -> bool {
        (&self.path, &self.collection) == (&other.path, &other.collection)
    }

    /// Leaves out of what was skipped the files that the person knows of.
    fn only_news(&mut self, added: &mut Added) {
        let paths: BTreeSet<PathBuf> = added.skipped.iter().map(|it| it.path.clone()).collect();
        let unlisted = added.skipped_total.saturating_sub(added.skipped.len() as u64);
        let is_first = self.skipped.is_empty();
        added.skipped.retain(|it| !self.skipped.contains(&it.path));
        added.skipped_total = added.skipped.len() as u64 + if is_first { unlisted } else { 0 };
        self.skipped = paths;
    }

    fn touch(&mut self, now: Instant) {
        let first = self.changed.map_or(now, |(first, _)| first);
        self.changed = Some((first, now));
    }

    /// Tries again later.
    fn postpone(&mut self) {
        let later = Instant::now() + RETRY - QUIET;
        self.changed = Some((later, later));
    }

    /// Whether a change of `path` can change what of this is indexed: hidden files are not, nor is what
    /// lies in `own`, the folders that an update itself writes to.
    fn concerns(&self, path: &Path, own: &[PathBuf]) -> bool {
        let Ok(inside) = path.strip_prefix(&self.path) else { return false };
        let is_own = |dir: &PathBuf| path.starts_with(dir) && !self.path.starts_with(dir);
        let hidden = |name: &OsStr| name.as_encoded_bytes().starts_with(b".");
        let says_what =
            path.file_name().is_some_and(|it| IGNORE_FILES.iter().any(|name| it == *name));
        let last = inside.components().count().saturating_sub(usize::from(says_what));
        !own.iter().any(is_own) && !inside.iter().take(last).any(hidden)
    }

    fn due(&self) -> Option<Instant> {
        self.changed.map(|(first, last)| (last + QUIET).min(first + AT_MOST))
    }
}

async fn watch(session: &Session<'_>, only: Option<&Name>) -> Result<(), ApiError> {
    let mut interrupts = Interrupts::catch()?;
    let mut roots = roots_of(session, only).await?;
    if roots.is_empty() {
        let message = match only {
            Some(name) => format!("there is no collection called {name} with a folder to watch"),
            None => "there is no collection to watch".to_owned(),
        };
        return Err(ApiError::new(ErrorCode::NotFound, message).hint("make one: covey add FOLDER"));
    }
    let own = session.home.dirs().map(|dir| dir.canonicalize().unwrap_or_else(|_| dir.into()));
    let (mut watcher, mut changes, mut lost) = watcher()?;
    attach(&mut watcher, &mut roots, session);
    // What changed while nobody watched.
    let long_ago = Instant::now();
    roots.iter_mut().for_each(|root| root.changed = Some((long_ago, long_ago)));
    session.output.notice(&format!("Watching {}; Ctrl-C ends it.", names(&roots)));
    let mut retry = tokio::time::interval_at(Instant::now() + RETRY, RETRY);
    retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let due = roots.iter().filter_map(Root::due).min();
        tokio::select! {
            biased;
            () = interrupts.next() => return Err(crate::session::cancelled()),
            change = changes.recv() => {
                let Some(path) = change else {
                    let message = "the file system tells nothing any more";
                    return Err(ApiError::new(ErrorCode::Internal, message));
                };
                take(&mut roots, &own, &path, lost.swap(false, Ordering::SeqCst));
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                let now = Instant::now();
                for root in roots.iter_mut().filter(|root| root.due().is_some_and(|due| due <= now)) {
                    root.changed = None;
                    update(session, root).await?;
                }
                roots.retain(|root| !root.gone);
            }
            _ = retry.tick() => {
                // Without a daemon, asking would open every index.
                if session.has_daemon().await {
                    let found = roots_of(session, only).await;
                    if follow(&mut roots, found.unwrap_or_default(), session) {
                        // A new one, as letting go of one folder would blind others that share it.
                        (watcher, changes, lost) = self::watcher()?;
                        roots.iter_mut().for_each(|root| root.watched = false);
                    }
                }
                attach(&mut watcher, &mut roots, session);
            }
        }
    }
}

/// The folders and files of the collections.
async fn roots_of(session: &Session<'_>, only: Option<&Name>) -> Result<Vec<Root>, ApiError> {
    let reply = session.carry_out(Call::Status, &mut |_| {}, &CancelFlag::new()).await?;
    let Reply::Status(status) = reply else {
        return Err(ApiError::new(ErrorCode::Internal, "the node answered something else"));
    };
    let mut found = Vec::new();
    for it in status.collections.into_iter().filter(|it| only.is_none_or(|only| it.name == *only)) {
        let root = |path| Root::new(path, it.name.clone());
        found.extend(it.roots.into_iter().map(root));
    }
    Ok(found)
}

/// A watcher, the paths it tells of, and whether it had to drop some. An empty path stands for all.
fn watcher() -> Result<(RecommendedWatcher, mpsc::Receiver<PathBuf>, Arc<AtomicBool>), ApiError> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let lost = Arc::new(AtomicBool::new(false));
    let dropped = lost.clone();
    let tell = move |event: notify::Result<notify::Event>| {
        let paths = match event {
            // That somebody reads a file, as indexing does, changes nothing.
            Ok(event) if matches!(event.kind, EventKind::Access(_)) => return,
            Ok(event) if event.need_rescan() => vec![PathBuf::new()],
            Ok(event) => event.paths,
            Err(_) => vec![PathBuf::new()],
        };
        for path in paths {
            if sender.try_send(path).is_err() {
                // Whoever empties the queue finds this.
                dropped.store(true, Ordering::SeqCst);
            }
        }
    };
    let watcher = notify::recommended_watcher(tell).map_err(|error| {
        ApiError::new(ErrorCode::Storage, format!("the file system cannot be watched: {error}"))
    })?;
    Ok((watcher, receiver, lost))
}

/// Takes in the roots that are new among those `found`; tells whether there are any. One that is no
/// longer in a collection is let go of when it is to be brought up to date.
fn follow(roots: &mut Vec<Root>, found: Vec<Root>, session: &Session<'_>) -> bool {
    let new = news(roots, found);
    if new.is_empty() {
        return false;
    }
    session.output.notice(&format!("Watching {} too.", names(&new)));
    roots.extend(new);
    true
}

fn news(roots: &[Root], found: Vec<Root>) -> Vec<Root> {
    found.into_iter().filter(|it| !roots.iter().any(|root| root.is(it))).collect()
}

/// Watches the roots that are not watched yet; what is watched anew may have changed before.
fn attach(watcher: &mut RecommendedWatcher, roots: &mut [Root], session: &Session<'_>) {
    for root in roots.iter_mut().filter(|root| !root.watched) {
        // A file is often replaced by another of its name, which only its folder sees.
        let (place, mode) = match root.path.is_file() {
            true => (root.path.parent().unwrap_or(&root.path), RecursiveMode::NonRecursive),
            false => (root.path.as_path(), RecursiveMode::Recursive),
        };
        match watcher.watch(place, mode) {
            Ok(()) => {
                (root.watched, root.told) = (true, false);
                root.touch(Instant::now());
            }
            Err(_) if root.told => {}
            Err(error) => {
                root.told = true;
                let hint = match error.kind {
                    notify::ErrorKind::MaxFilesWatch => {
                        " (raise fs.inotify.max_user_watches with sysctl)"
                    }
                    _ => "",
                };
                let path = root.path.display();
                session.output.notice(&format!("{path} cannot be watched now: {error}{hint}"));
            }
        }
    }
}

/// Notes which roots a changed path concerns.
fn take(roots: &mut [Root], own: &[PathBuf], path: &Path, all: bool) {
    let now = Instant::now();
    for root in roots {
        let gone = path == root.path && !root.path.exists();
        // Its watch has gone with it.
        root.watched &= !gone;
        if all || path.as_os_str().is_empty() || root.concerns(path, own) {
            root.touch(now);
        }
    }
}

/// Brings one root up to date, and says what that did if it did anything.
async fn update(session: &Session<'_>, root: &mut Root) -> Result<(), ApiError> {
    let call = Call::Refresh { collection: root.collection.clone(), path: root.path.clone() };
    let said = match session.carry_out(call, &mut |_| {}, &CancelFlag::new()).await {
        Ok(Reply::Added(mut added)) => {
            root.failed = false;
            root.only_news(&mut added);
            if is_idle(&added) && added.skipped_total == 0 {
                return Ok(());
            }
            return session.output.done(Reply::Added(added));
        }
        Ok(reply) => return session.output.done(reply),
        Err(error) if error.code == ErrorCode::Cancelled => return Err(error),
        Err(error) => error,
    };
    let is_known = std::mem::replace(&mut root.failed, true);
    // One that is away is brought up to date when it can be watched again.
    if root.path.exists() {
        root.gone = said.code == ErrorCode::NotFound;
        root.postpone();
    }
    if !is_known {
        let said = show::error_line(&said);
        session.output.notice(&format!("{}: {said}", root.path.display()));
    }
    Ok(())
}

fn is_idle(added: &Added) -> bool {
    added.added + added.changed + added.removed == 0
}

/// `notes (1 folder), papers (2 folders)`.
fn names(roots: &[Root]) -> String {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for root in roots {
        *counts.entry(root.collection.as_str()).or_default() += 1;
    }
    let each = counts.into_iter();
    let each = each.map(|(name, n)| format!("{name} ({})", crate::text::count(n, "folder")));
    each.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use covey_node::api::Skipped;

    use super::*;

    fn root(path: &str) -> Root {
        let mut root = Root::new(path.into(), "notes".parse().expect("a name"));
        root.watched = true;
        root
    }

    #[test]
    fn folders_are_known_by_path_and_collection() {
        let other = |path: &str| Root::new(path.into(), "papers".parse().expect("a name"));
        let roots = [root("/n"), other("/p")];
        let new = news(&roots, vec![root("/n"), other("/n"), root("/p"), other("/p")]);
        let new: Vec<_> =
            new.iter().map(|it| (it.collection.as_str(), it.path.as_path())).collect();
        assert_eq!(new, [("papers", Path::new("/n")), ("notes", Path::new("/p"))]);
    }

    #[test]
    fn a_skipped_file_is_told_of_once() {
        let mut root = root("/n");
        let skipped = |names: &[&str], more| {
            let skipped: Vec<Skipped> = names
                .iter()
                .map(|name| Skipped { path: name.into(), reason: "too large".into() })
                .collect();
            Added {
                collection: "notes".parse().expect("a name"),
                added: 0,
                changed: 0,
                removed: 0,
                unchanged: 9,
                embedded: 0,
                chunks: 9,
                skipped,
                skipped_total: names.len() as u64 + more,
                elapsed_ms: 1,
            }
        };
        let mut told = |names: &[&str], more| {
            let mut added = skipped(names, more);
            root.only_news(&mut added);
            (added.skipped.into_iter().map(|it| it.path).collect::<Vec<_>>(), added.skipped_total)
        };
        assert_eq!(told(&["a", "b"], 3), (vec!["a".into(), "b".into()], 5));
        assert_eq!(told(&["a", "b"], 3), (vec![], 0));
        assert_eq!(told(&["a", "c"], 0), (vec!["c".into()], 1));
        assert_eq!(told(&["a", "b"], 0), (vec!["b".into()], 1), "it was not skipped in between");
    }

    #[test]
    fn a_change_concerns_the_folders_above_it_and_a_lost_one_all() {
        let touched = |path: &str, lost| {
            let mut roots = [root("/n"), root("/n/inner"), root("/nearby")];
            take(&mut roots, &[], Path::new(path), lost);
            roots.map(|root| root.changed.is_some())
        };
        assert_eq!(touched("/n/a.txt", false), [true, false, false]);
        assert_eq!(touched("/n/inner/b", false), [true, true, false]);
        assert_eq!(touched("/elsewhere", false), [false; 3]);
        assert_eq!(touched("/elsewhere", true), [true; 3]);
        assert_eq!(touched("", false), [true; 3]);
    }

    #[test]
    fn hidden_files_and_covey_s_own_concern_nothing() {
        let own = ["/n/home/state".into(), "/.covey".into()];
        let concerns = |root: &str, path: &str| self::root(root).concerns(Path::new(path), &own);
        for path in ["/n/home/state", "/n/home/state/node/db/conf", "/n/.git/index", "/n/a/.b.swp"]
        {
            assert!(!concerns("/n", path), "{path}");
        }
        for path in ["/n/home/states", "/n", "/n/a/.gitignore", "/n/.coveyignore"] {
            assert!(concerns("/n", path), "{path}");
        }
        assert!(!concerns("/n", "/n/.git/.gitignore"));
        assert!(concerns("/.notes", "/.notes/a"), "who names a hidden folder means it");
        assert!(concerns("/.covey/notes", "/.covey/notes/a"), "the same");
        assert!(concerns("/n/.todo", "/n/.todo"));
    }

    #[test]
    fn changes_wait_for_quiet_but_not_for_ever() {
        let start = Instant::now();
        let mut root = root("/n");
        assert_eq!(root.due(), None);
        root.touch(start);
        assert_eq!(root.due(), Some(start + QUIET));
        for tenth in 1..100 {
            root.touch(start + Duration::from_millis(100) * tenth);
        }
        assert_eq!(root.due(), Some(start + AT_MOST));
    }
}
