//! Text of a PDF.

mod drawn;

use std::thread;

use pdf_extract::{Document, OutputError, PlainTextOutput, output_doc};

use super::{MAX_PDF, SkipReason};

/// The extractor recurses over untrusted input and panics on some of it, so it runs on a thread of
/// its own with a deep stack, under this name for a panic hook to know.
const THREAD: &str = "covey-pdf";
const STACK: usize = 256 << 20;

pub(super) fn text(bytes: Vec<u8>) -> Result<String, SkipReason> {
    if bytes.len() as u64 > MAX_PDF {
        return Err(SkipReason::TooLarge { size: bytes.len() as u64, limit: MAX_PDF });
    }
    let extraction = thread::Builder::new()
        .name(THREAD.into())
        .stack_size(STACK)
        .spawn(move || extract(&bytes))
        .map_err(|error| SkipReason::ExtractionFailed(error.to_string()))?;
    let text = extraction.join().unwrap_or_else(|_panic| Err("the PDF is malformed".into()));
    text.map_err(SkipReason::ExtractionFailed)
}

fn extract(bytes: &[u8]) -> Result<String, String> {
    let failed = |error: OutputError| error.to_string();
    let mut document = Document::load_mem(bytes).map_err(|error| failed(error.into()))?;
    if document.is_encrypted() {
        // Many can be read by anybody: their password is empty.
        document.decrypt("").map_err(|error| failed(error.into()))?;
    }
    drawn::check(&document)?;
    let mut text = String::new();
    output_doc(&document, &mut PlainTextOutput::new(&mut text)).map_err(failed)?;
    Ok(text)
}

#[cfg(test)]
mod tests;
