//! Text of a PDF.

use std::thread;

use super::{MAX_PDF, SkipReason};

/// The extractor recurses over untrusted input and panics on some of it, so it runs on a thread of
/// its own with a deep stack, under this name for a panic hook to know.
const THREAD: &str = "covey-pdf";
const STACK: usize = 256 << 20;

pub(super) fn text(bytes: Vec<u8>) -> Result<String, SkipReason> {
    if bytes.len() as u64 > MAX_PDF {
        return Err(SkipReason::TooLarge { size: bytes.len() as u64, limit: MAX_PDF });
    }
    let failed = |what: String| SkipReason::ExtractionFailed(what);
    let extraction = thread::Builder::new()
        .name(THREAD.into())
        .stack_size(STACK)
        .spawn(move || pdf_extract::extract_text_from_mem(&bytes))
        .map_err(|error| failed(error.to_string()))?;
    match extraction.join() {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_panic) => Err(failed("the PDF is malformed".into())),
    }
}
