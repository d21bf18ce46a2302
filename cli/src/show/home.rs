//! Homes, backups, the service and the log.

use std::io::{self, Write};

use covey_node::api::{BackupInfo, Initialised, LogInfo, ServiceInfo};

use crate::text::{bytes, clean};

/// A new home.
pub fn initialised(it: &Initialised, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "This is {}, node {}.", it.name, it.node)?;
    writeln!(out, "  configuration  {}", it.config_dir.display())?;
    writeln!(out, "  keys and state {}", it.state_dir.display())?;
    writeln!(out, "  indexes        {}", it.data_dir.display())?;
    writeln!(out, "Next: covey add FOLDER, then covey search \"a question\"")
}

/// A backup that was written.
pub fn backed_up(it: &BackupInfo, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "Wrote {} ({}).", it.path.display(), bytes(it.bytes))?;
    writeln!(
        out,
        "It holds this node's secret key, unencrypted: whoever has the file is this node."
    )
}

/// A backup that was read.
pub fn restored(it: &BackupInfo, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "Restored node {}.", it.node)?;
    writeln!(out, "Indexes are not in a backup: `covey reindex` builds them again.")?;
    writeln!(
        out,
        "Never run the old copy of this node again: two nodes with one key harm its groups."
    )
}

/// What became of the service.
pub fn service(it: &ServiceInfo, out: &mut dyn Write) -> io::Result<()> {
    let done = if it.installed { "Wrote" } else { "Removed" };
    writeln!(out, "{done} {}.", it.unit.display())?;
    it.next.iter().try_for_each(|command| writeln!(out, "Next: {command}"))
}

/// The log's end, as it is but for control characters.
pub fn log(it: &LogInfo, out: &mut dyn Write) -> io::Result<()> {
    it.lines.iter().try_for_each(|line| writeln!(out, "{}", clean(line)))
}
