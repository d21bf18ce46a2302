//! Makes the built-in model: `cargo run -p covey-embedder --example distill -- OUT.cvst`.
//!
//! The teacher is all-MiniLM-L6-v2 from the model cache, pulled if it is not there.

use covey_embedder::{
    DistillOptions, Embedder, ModelStore, PullSource, default_cache, distill, testing,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = std::env::args_os().nth(1).ok_or("usage: distill OUT.cvst")?;
    let cache = default_cache().ok_or("neither COVEY_MODEL_CACHE nor HOME is set")?;
    let store = ModelStore::open(&cache)?;
    store.pull(&PullSource::MiniLm, &mut |_| ())?;
    let teacher = store.load_bert(testing::MINILM_NAME)?;
    let options =
        DistillOptions { name: "covey-static-en-256".to_owned(), ..DistillOptions::default() };
    let model = distill(&teacher, &options, &mut |done, all| eprint!("\r{done} of {all} tokens"))?;
    let bytes = model.to_bytes()?;
    std::fs::write(&out, &bytes)?;
    eprintln!("\n{} bytes, id {}", bytes.len(), model.id());
    Ok(())
}
