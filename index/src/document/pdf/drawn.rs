//! How much a PDF asks the extractor to do, found out before it is done.
//!
//! A page may draw other streams, and they others, each as often as it likes. The extractor follows
//! without counting: a stream that draws itself would overflow the stack, which ends the process and
//! not only the thread, and a few that each draw the next many times would never be done. Page tree
//! nodes that are each other's parents would do the same.

use std::collections::{BTreeMap, HashMap};

use pdf_extract::content::Content;
use pdf_extract::{Dictionary, Document, Object, ObjectId, Stream};

/// Deepest page tree, and deepest drawing within drawing.
const MAX_DEPTH: usize = 64;
/// Most operations of all pages, those of drawn streams counted each time they are drawn.
const MAX_OPERATIONS: u64 = 1 << 24;

/// Refuses a document that never ends, or only after too long.
pub(super) fn check(doc: &Document) -> Result<(), &'static str> {
    let mut drawn = Drawn { doc, known: HashMap::new() };
    let nothing = Dictionary::new();
    let mut total = 0u64;
    for page in doc.page_iter() {
        let resources = page_resources(doc, page)?.unwrap_or(&nothing);
        let content = doc.get_page_content(page).map_err(|_| "a page cannot be read")?;
        total = bounded(total.saturating_add(drawn.operations(&content, resources, 0)?))?;
    }
    Ok(())
}

/// The resources of a page or of the closest node above it that has any.
fn page_resources(doc: &Document, page: ObjectId) -> Result<Option<&Dictionary>, &'static str> {
    let mut node = doc.get_dictionary(page).ok();
    let mut resources = None;
    for _ in 0..MAX_DEPTH {
        let Some(here) = node else { return Ok(resources) };
        resources = resources.or_else(|| dictionary(doc, here, b"Resources"));
        let parent = here.get(b"Parent").and_then(Object::as_reference);
        node = parent.and_then(|parent| doc.get_dictionary(parent)).ok();
    }
    Err("its page tree is too deep")
}

struct Drawn<'a> {
    doc: &'a Document,
    /// Operations of a stream drawn with these resources; none while they are being counted.
    known: HashMap<(ObjectId, *const Dictionary), Option<u64>>,
}

impl<'a> Drawn<'a> {
    fn operations(
        &mut self,
        content: &[u8],
        resources: &'a Dictionary,
        depth: usize,
    ) -> Result<u64, &'static str> {
        let content = Content::decode(content).map_err(|_| "a content stream is malformed")?;
        let mut times: BTreeMap<&[u8], u64> = BTreeMap::new();
        for operation in content.operations.iter().filter(|operation| operation.operator == "Do") {
            if let Some(Ok(name)) = operation.operands.first().map(Object::as_name) {
                *times.entry(name).or_default() += 1;
            }
        }
        let mut total = content.operations.len() as u64;
        for (name, times) in times {
            let Some((id, stream)) = self.find(resources, name) else { continue };
            let inner = dictionary(self.doc, &stream.dict, b"Resources").unwrap_or(resources);
            let each = self.of_stream(id, stream, inner, depth + 1)?.saturating_add(1);
            total = bounded(total.saturating_add(each.saturating_mul(times)))?;
        }
        Ok(total)
    }

    fn of_stream(
        &mut self,
        id: ObjectId,
        stream: &'a Stream,
        resources: &'a Dictionary,
        depth: usize,
    ) -> Result<u64, &'static str> {
        let key = (id, std::ptr::from_ref(resources));
        match self.known.get(&key) {
            Some(Some(operations)) => return Ok(*operations),
            Some(None) => return Err("a stream draws itself"),
            None if depth > MAX_DEPTH => return Err("its streams draw each other too deeply"),
            None => {}
        }
        self.known.insert(key, None);
        let content = stream.get_plain_content().unwrap_or_else(|_| stream.content.clone());
        let operations = self.operations(&content, resources, depth)?;
        self.known.insert(key, Some(operations));
        Ok(operations)
    }

    /// The stream that these resources call `name`.
    fn find(&self, resources: &'a Dictionary, name: &[u8]) -> Option<(ObjectId, &'a Stream)> {
        let named = dictionary(self.doc, resources, b"XObject")?.get(name).ok()?;
        let (id, object) = self.doc.dereference(named).ok()?;
        Some((id?, object.as_stream().ok()?))
    }
}

fn dictionary<'a>(doc: &'a Document, of: &'a Dictionary, key: &[u8]) -> Option<&'a Dictionary> {
    let (_, object) = doc.dereference(of.get(key).ok()?).ok()?;
    object.as_dict().ok()
}

fn bounded(operations: u64) -> Result<u64, &'static str> {
    if operations > MAX_OPERATIONS { Err("it asks for too much work") } else { Ok(operations) }
}
