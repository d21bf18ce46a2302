//! Mapping an index file. This and what is compiled for a processor (`codec/simd.rs`) are the unsafe code of this crate.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;

use memmap2::Mmap;

/// Maps a file read-only.
pub(super) fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: A mapping is sound while nobody changes the bytes beneath it. Index files are written
    // to another name, synced, renamed into place, and from then on never opened for writing: a new
    // version is a new file, and removing a name leaves the mapped inode whole. They lie in a folder
    // only the user can enter. A program of that same user could still change or cut the file while
    // it is mapped. Changed bytes cannot make us misbehave: the mapping is only ever seen as a `&[u8]`
    // from which numbers are copied out, and every use of such a number is bounds-checked again when
    // it is used. A cut file ends the process with SIGBUS, as it would any program that maps files.
    unsafe { Mmap::map(file) }
}
