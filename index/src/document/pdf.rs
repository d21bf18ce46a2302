//! Text of a PDF.

mod drawn;
mod info;

use std::thread;

use pdf_extract::{Document, OutputError, PlainTextOutput, output_doc};

use super::attributes::Attributes;
use super::draft::Draft;
use super::{MAX_PDF, SkipReason};

/// The extractor recurses over untrusted input and panics on some of it, so it runs on a thread of
/// its own with a deep stack, under this name for a panic hook to know.
const THREAD: &str = "covey-pdf";
const STACK: usize = 256 << 20;

/// Adds the text, and gives what the document says of itself.
pub(super) fn read(bytes: Vec<u8>, draft: &mut Draft) -> Result<Attributes, SkipReason> {
    if bytes.len() as u64 > MAX_PDF {
        return Err(SkipReason::TooLarge { size: bytes.len() as u64, limit: MAX_PDF });
    }
    let extraction = thread::Builder::new()
        .name(THREAD.into())
        .stack_size(STACK)
        .spawn(move || extract(&bytes))
        .map_err(|error| SkipReason::ExtractionFailed(error.to_string()))?;
    let malformed = || SkipReason::ExtractionFailed("the PDF is malformed".into());
    let (text, facts) = extraction.join().unwrap_or_else(|_panic| Err(malformed()))?;
    draft.push(&text)?;
    Ok(facts)
}

fn extract(bytes: &[u8]) -> Result<(String, Attributes), SkipReason> {
    let failed = |error: OutputError| SkipReason::ExtractionFailed(error.to_string());
    let mut document = Document::load_mem(bytes).map_err(|error| failed(error.into()))?;
    if document.is_encrypted() {
        // Many can be read by anybody: their password is empty.
        document.decrypt("").map_err(|_| SkipReason::Encrypted)?;
    }
    drawn::check(&document).map_err(|why| SkipReason::ExtractionFailed(why.into()))?;
    let mut text = String::new();
    output_doc(&document, &mut PlainTextOutput::new(&mut text)).map_err(failed)?;
    Ok((text, info::facts(&document)))
}

#[cfg(test)]
mod tests;
