//! From text to the words that are indexed and asked for.

use tantivy::tokenizer::{
    AsciiFoldingFilter, Language, LowerCaser, RemoveLongFilter, SimpleTokenizer, Stemmer,
    StopWordFilter, TextAnalyzer,
};

/// Version of what this module makes of a text. An index of another one is built anew.
pub(super) const ANALYSIS: u32 = 1;
/// The name under which an index keeps this analyzer.
pub(super) const NAME: &str = "covey";
/// Longer words are no words: encoded data, mostly.
const MAX_WORD_BYTES: usize = 64;

/// Runs of letters and digits, in lower case, without accents, without the commonest 33 English
/// words, stemmed (Porter's second algorithm).
///
/// Measured as nDCG@10 on the training queries of scifact, nfcorpus, debian-packages and
/// 20ng-threads: .696 .330 .687 .508 so, .667 .313 .672 .488 without the stemmer, .697 .331 .691
/// .505 with a list of 130 stop words (4 to 7% smaller), .696 .330 .683 .508 with none.
pub(super) fn analyzer() -> TextAnalyzer {
    let stop = StopWordFilter::new(Language::English).expect("English has a list");
    TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(RemoveLongFilter::limit(MAX_WORD_BYTES))
        .filter(LowerCaser)
        .filter(AsciiFoldingFilter)
        .filter(stop)
        .filter(Stemmer::new(Language::English))
        .build()
}
