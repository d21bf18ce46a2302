//! Documents that are ZIP archives of XML (DOCX, EPUB): bounded reading of their entries.

use std::io::{Cursor, Read};

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use zip::ZipArchive;
use zip::result::ZipError;

use super::SkipReason;
use super::attributes::Attributes;
use super::record::fact;

/// Most bytes that all entries read of one archive may unpack to.
const MAX_UNPACKED: u64 = 128 << 20;
/// Most entries an archive may have.
const MAX_ENTRIES: usize = 1 << 16;

/// An archive, and how much more of it may be unpacked.
pub(super) struct Package {
    archive: ZipArchive<Cursor<Vec<u8>>>,
    left: u64,
}

impl Package {
    pub(super) fn open(bytes: Vec<u8>) -> Result<Self, SkipReason> {
        // Office programs put a document with a password into their older container.
        if bytes.starts_with(b"\xd0\xcf\x11\xe0") {
            return Err(SkipReason::Encrypted);
        }
        let archive = ZipArchive::new(Cursor::new(bytes)).map_err(failed)?;
        if archive.len() > MAX_ENTRIES {
            return Err(SkipReason::ExtractionFailed("its archive has too many entries".into()));
        }
        Ok(Self { archive, left: MAX_UNPACKED })
    }

    /// An entry as text, or none if there is no such entry.
    pub(super) fn read(&mut self, name: &str) -> Result<Option<String>, SkipReason> {
        let entry = match self.archive.by_name(name) {
            Ok(entry) => entry,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        // What the archive says of its sizes is not relied on.
        let mut bytes = Vec::new();
        let read = entry
            .take(self.left + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| SkipReason::ExtractionFailed(error.to_string()))?;
        if read as u64 > self.left {
            let why = format!("it unpacks to more than {} MiB", MAX_UNPACKED >> 20);
            return Err(SkipReason::ExtractionFailed(why));
        }
        self.left -= read as u64;
        let text = super::plain::decode_utf16(&bytes)
            .unwrap_or_else(|| String::from_utf8_lossy(&bytes).into_owned());
        Ok(Some(text))
    }

    /// An entry that must be there.
    pub(super) fn require(&mut self, name: &str) -> Result<String, SkipReason> {
        let missing =
            || SkipReason::ExtractionFailed(format!("{name} is missing from its archive"));
        self.read(name)?.ok_or_else(missing)
    }
}

fn failed(error: ZipError) -> SkipReason {
    match error {
        ZipError::UnsupportedArchive(what) if what == ZipError::PASSWORD_REQUIRED => {
            SkipReason::Encrypted
        }
        error => SkipReason::ExtractionFailed(error.to_string()),
    }
}

/// XML as a stream. It ends where the XML is broken: what was read until there counts.
pub(super) struct Xml<'a>(Reader<&'a [u8]>);

/// A piece of XML. Names are without their prefix.
pub(super) enum Piece<'a> {
    Open(Tag<'a>),
    Close(String),
    Text(String),
}

/// The start of an element.
pub(super) struct Tag<'a>(BytesStart<'a>);

impl<'a> Xml<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mut reader = Reader::from_str(text);
        let config = reader.config_mut();
        config.check_end_names = false;
        config.allow_unmatched_ends = true;
        config.expand_empty_elements = true;
        Self(reader)
    }

    pub(super) fn next(&mut self) -> Option<Piece<'a>> {
        loop {
            return match self.0.read_event().ok()? {
                Event::Start(tag) | Event::Empty(tag) => Some(Piece::Open(Tag(tag))),
                Event::End(tag) => Some(Piece::Close(tag.local_name().as_ref().to_owned())),
                Event::Text(text) => Some(Piece::Text(text.xml10_content().into_owned())),
                Event::CData(text) => Some(Piece::Text(text.xml10_content().into_owned())),
                // Only what XML itself defines: no entity of the document is expanded.
                Event::GeneralRef(reference) => match reference.resolve_char_ref() {
                    Ok(Some(c)) => Some(Piece::Text(c.to_string())),
                    _ => match resolve_predefined_entity(&reference) {
                        Some(text) => Some(Piece::Text(text.to_owned())),
                        None => continue,
                    },
                },
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => continue,
                Event::Eof => None,
            };
        }
    }
}

impl Tag<'_> {
    pub(super) fn name(&self) -> &str {
        let name = self.0.name().into_inner();
        name.rsplit_once(':').map_or(name, |(_, local)| local)
    }

    /// The value of the first attribute of this local name.
    pub(super) fn attribute(&self, name: &str) -> Option<String> {
        let mut all = self.0.attributes();
        all.with_checks(false)
            .flatten()
            .find(|attribute| attribute.key.local_name().as_ref() == name)
            .and_then(|attribute| attribute.normalized_value(XmlVersion::Implicit1_0).ok())
            .map(|value| value.into_owned())
    }
}

/// Dublin Core, as both formats keep it: title, creators, the first date, subjects and keywords.
pub(super) fn dublin_core(xml: &str) -> Attributes {
    let mut facts = Attributes::default();
    let mut open: Option<(&str, String)> = None;
    let mut xml = Xml::new(xml);
    while let Some(piece) = xml.next() {
        match piece {
            Piece::Open(tag) => {
                let key = match tag.name() {
                    "title" => "title",
                    "creator" => "author",
                    "date" | "created" => "date",
                    "subject" | "keywords" => "tag",
                    "language" => "language",
                    // All of these come before the contents of a book.
                    "manifest" => break,
                    _ => continue,
                };
                open = Some((key, String::new()));
            }
            Piece::Text(text) => {
                if let Some((_, value)) = &mut open {
                    value.push_str(&text);
                }
            }
            Piece::Close(_) => {
                if let Some((key, value)) = open.take()
                    && (key != "date" || facts.get("date").next().is_none())
                {
                    fact(&mut facts, key, value.trim());
                }
            }
        }
    }
    facts
}
