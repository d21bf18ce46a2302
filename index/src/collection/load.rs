//! Reading a collection's files and checking that they belong together.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::codec::Codec;
use crate::container::{Checksum, Refusal};
use crate::content::Content;
use crate::error::IndexError;
use crate::manifest::{CODEC, CODES, CONTENT, FileRef, Manifest, NAME, SegmentRef, file_name};
use crate::segment::Segment;
use crate::store::{Blob, Store};

pub(super) type Codecs = BTreeMap<u64, Arc<Codec>>;
pub(super) type Segments = BTreeMap<u64, Arc<Segment>>;

pub(super) fn save_manifest(store: &dyn Store, manifest: &Manifest) -> Result<(), IndexError> {
    store
        .save(NAME, &manifest.to_bytes())
        .map_err(|error| IndexError::io(&store.place().join(NAME), error))
}

pub(super) fn load_manifest(store: &dyn Store) -> Result<Manifest, IndexError> {
    Manifest::from_bytes(&load(store, NAME)?).map_err(|refusal| refused(NAME, refusal))
}

/// Everything a manifest names.
pub(super) fn load_all(
    store: &dyn Store,
    manifest: &Manifest,
) -> Result<(Codecs, Segments), IndexError> {
    let mut codecs = Codecs::new();
    let moving = manifest.moving.iter().map(|moving| &moving.codec);
    for reference in manifest.codecs.iter().chain(moving) {
        codecs.insert(reference.id, Arc::new(load_codec(store, manifest, reference)?));
    }
    let mut segments = Segments::new();
    for reference in &manifest.segments {
        let segment = load_segment(store, &codecs, reference)?;
        segments.insert(reference.content.id, Arc::new(segment));
    }
    Ok((codecs, segments))
}

/// Opens a codec and checks that it is the one the manifest means.
pub(super) fn load_codec(
    store: &dyn Store,
    manifest: &Manifest,
    reference: &FileRef,
) -> Result<Codec, IndexError> {
    let name = file_name(CODEC, reference.id);
    let codec =
        Codec::from_bytes(&load(store, &name)?).map_err(|refusal| refused(&name, refusal))?;
    if codec.dim() != manifest.dim as usize {
        return Err(refused(&name, "IDX-23: it is for vectors of another length".into()));
    }
    same(&name, codec.head(), reference.head)?;
    Ok(codec)
}

/// Opens a segment and checks that it is the one the manifest means.
pub(super) fn load_segment(
    store: &dyn Store,
    codecs: &Codecs,
    reference: &SegmentRef,
) -> Result<Segment, IndexError> {
    let name = file_name(CONTENT, reference.content.id);
    let content = Content::open(load(store, &name)?).map_err(|refusal| refused(&name, refusal))?;
    same(&name, content.head(), reference.content.head)?;
    let files = content.files().len() as u64;
    let mut numbers = reference.dead.iter().chain(reference.touched.keys());
    if numbers.any(|&file| u64::from(file) >= files) {
        return Err(refused(
            &name,
            "IDX-23: the manifest names a file that it does not have".into(),
        ));
    }
    let name = file_name(CODES, reference.codes.file.id);
    let codec = codecs.get(&reference.codes.codec);
    let codec = codec.ok_or_else(|| refused(&name, "IDX-23: its codec is missing".into()))?;
    load_codes(store, content.into(), &reference.codes.file, codec)
}

/// Opens codes of a content file and checks that they are those the manifest means.
pub(super) fn load_codes(
    store: &dyn Store,
    content: Arc<Content>,
    reference: &FileRef,
    codec: &Arc<Codec>,
) -> Result<Segment, IndexError> {
    let name = file_name(CODES, reference.id);
    let segment = Segment::open(content, load(store, &name)?, codec)
        .map_err(|refusal| refused(&name, refusal))?;
    same(&name, segment.coded.head(), reference.head)?;
    Ok(segment)
}

pub(super) fn refused(file: &str, refusal: Refusal) -> IndexError {
    let file = file.to_owned();
    match refusal {
        Refusal::Version(found) => {
            IndexError::Version { file, found, supported: crate::container::VERSION }
        }
        Refusal::Corrupt(what) => IndexError::Corrupt { file, what: what.to_owned() },
    }
}

fn load(store: &dyn Store, name: &str) -> Result<Blob, IndexError> {
    store.load(name).map_err(|error| IndexError::io(&store.place().join(name), error))
}

fn same(name: &str, found: Checksum, wanted: Checksum) -> Result<(), IndexError> {
    if found == wanted {
        return Ok(());
    }
    Err(refused(name, "IDX-23: it is not the file the manifest names".into()))
}
