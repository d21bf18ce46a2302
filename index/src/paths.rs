//! Paths as bytes and back, losing nothing: names need not be UTF-8.

use std::path::{Component, Path, PathBuf};

#[cfg(unix)]
pub(crate) fn to_bytes(path: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().to_vec()
}

#[cfg(unix)]
pub(crate) fn from_bytes(bytes: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    Some(std::ffi::OsStr::from_bytes(bytes).into())
}

#[cfg(not(unix))]
pub(crate) fn to_bytes(path: &Path) -> Vec<u8> {
    path.to_string_lossy().into_owned().into_bytes()
}

#[cfg(not(unix))]
pub(crate) fn from_bytes(bytes: &[u8]) -> Option<PathBuf> {
    std::str::from_utf8(bytes).ok().map(PathBuf::from)
}

/// A file's full name; an empty relative path stands for a root that is itself a file.
pub(crate) fn join(root: &Path, relative: &Path) -> PathBuf {
    if relative.as_os_str().is_empty() { root.to_path_buf() } else { root.join(relative) }
}

/// Whether a stored relative path stays below its root.
pub(crate) fn is_below(relative: &Path) -> bool {
    relative.components().all(|component| matches!(component, Component::Normal(_)))
}

/// The innermost of these roots that holds the path: it owns the file.
pub(crate) fn owner<'a>(roots: &'a [PathBuf], path: &Path) -> Option<&'a PathBuf> {
    roots.iter().filter(|root| path.starts_with(root)).max_by_key(|root| root.components().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_root_owns_a_file() {
        let roots = ["/a", "/a/b", "/c.txt"].map(PathBuf::from);
        for (path, expected) in [
            ("/a/x", Some("/a")),
            ("/a/b/x", Some("/a/b")),
            ("/a/bc", Some("/a")),
            ("/c.txt", Some("/c.txt")),
            ("/d", None),
        ] {
            let got = owner(&roots, Path::new(path)).map(PathBuf::as_path);
            assert_eq!(got, expected.map(Path::new), "{path}");
        }
    }

    #[test]
    fn only_plain_names_stay_below() {
        for (path, expected) in [("a/b", true), ("", true), ("../a", false), ("/a", false)] {
            assert_eq!(is_below(Path::new(path)), expected, "{path}");
        }
    }
}
