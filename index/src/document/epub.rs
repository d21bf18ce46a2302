//! Text of an EPUB book (EPUB 3.3; 2.0.1 in what they share).

use std::collections::{HashMap, HashSet};

use super::SkipReason;
use super::attributes::Attributes;
use super::draft::Draft;
use super::html::{Dialect, read as read_html};
use super::package::{Package, Piece, Xml, dublin_core};

/// Most chapters of a book.
const MAX_CHAPTERS: usize = 1 << 14;

/// The chapters in reading order; sections at their headings, under the book's title.
pub(super) fn read(bytes: Vec<u8>, draft: &mut Draft) -> Result<Attributes, SkipReason> {
    let mut package = Package::open(bytes)?;
    let container = package.require("META-INF/container.xml")?;
    let missing = || SkipReason::ExtractionFailed("it does not say where its contents are".into());
    let opf_path = root_file(&container).ok_or_else(missing)?;
    let opf = package.require(&opf_path)?;
    let facts = dublin_core(&opf);
    let encrypted = package.read("META-INF/encryption.xml")?.map(|xml| ciphers(&xml));
    let encrypted = encrypted.unwrap_or_default();

    let chapters = spine(&opf, &opf_path);
    if chapters.iter().any(|chapter| encrypted.contains(chapter)) {
        return Err(SkipReason::Encrypted);
    }
    let title = facts.get("title").next().unwrap_or_default();
    draft.heading_at(0, 0, title);
    for chapter in chapters {
        if let Some(markup) = package.read(&chapter)? {
            draft.paragraph();
            draft.leave(1);
            read_html(&markup, Dialect::Chapter, draft)?;
        }
    }
    Ok(facts)
}

/// Where the package document is.
fn root_file(container: &str) -> Option<String> {
    let mut xml = Xml::new(container);
    while let Some(piece) = xml.next() {
        if let Piece::Open(tag) = piece
            && tag.name() == "rootfile"
        {
            return tag.attribute("full-path");
        }
    }
    None
}

/// Entries that cannot be read without a key.
fn ciphers(encryption: &str) -> HashSet<String> {
    let mut ciphers = HashSet::new();
    let mut xml = Xml::new(encryption);
    while let Some(piece) = xml.next() {
        if let Piece::Open(tag) = piece
            && tag.name() == "CipherReference"
            && let Some(uri) = tag.attribute("URI")
        {
            ciphers.insert(resolve("", &uri));
        }
    }
    ciphers
}

/// Names of the chapters' entries, in reading order, each once.
fn spine(opf: &str, opf_path: &str) -> Vec<String> {
    let base = opf_path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut items: HashMap<String, String> = HashMap::new();
    let mut chapters = Vec::new();
    let mut seen = HashSet::new();
    let mut xml = Xml::new(opf);
    while let Some(piece) = xml.next() {
        let Piece::Open(tag) = piece else { continue };
        match tag.name() {
            "item" => {
                let kind = tag.attribute("media-type").unwrap_or_default();
                let markup = kind.contains("html") || kind.contains("dtbook");
                if let (true, Some(id), Some(href)) =
                    (markup, tag.attribute("id"), tag.attribute("href"))
                {
                    items.insert(id, resolve(base, &href));
                }
            }
            "itemref" => {
                let chapter = tag.attribute("idref").and_then(|id| items.get(&id).cloned());
                if let Some(chapter) = chapter
                    && chapters.len() < MAX_CHAPTERS
                    && seen.insert(chapter.clone())
                {
                    chapters.push(chapter);
                }
            }
            _ => {}
        }
    }
    chapters
}

/// The entry that a reference within `folder` means.
fn resolve(folder: &str, reference: &str) -> String {
    let reference = percent_decoded(reference.split('#').next().unwrap_or_default());
    let absolute = reference.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    let folder = if absolute { "" } else { folder };
    for part in folder.split('/').chain(reference.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.first_chunk::<2>().filter(|_| first == b'%');
        let decoded = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(decoded.unwrap_or(first));
        rest = if decoded.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_resolved() {
        for (folder, reference, expected) in [
            ("OEBPS", "text/one.xhtml#a", "OEBPS/text/one.xhtml"),
            ("OEBPS/opf", "../one%20two.xhtml", "OEBPS/one two.xhtml"),
            ("", "../../x", "x"),
            ("a", "/b", "b"),
            ("a", "50%", "a/50%"),
            ("a", "%zz%e9", "a/%zz\u{fffd}"),
        ] {
            assert_eq!(resolve(folder, reference), expected);
        }
    }
}
